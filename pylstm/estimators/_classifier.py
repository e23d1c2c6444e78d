"""Classification of sequences, or of their steps: `LSTMClassifier`, `GRUClassifier`."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags

from pylstm.model._readout import Classes, Readout, Sequences, TargetForm
from pylstm.typing import FloatArray

from ._base import RecurrentEstimator
from ._hyperparameters import ClassifierParameters, GRUClassifierParameters
from ._labels import as_labels, classes_of, encode_labels
from ._loss import Loss
from ._parameters import check_boolean, check_real
from ._samples import Samples, flat, take, weights_of_items


class SequenceClassifier(ClassifierMixin, RecurrentEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the classifiers do, whatever their cell."""

    _KIND = "classification"

    label_smoothing: float
    class_weight: Any
    _announced: Classes | None = None  # by the first call of partial_fit
    _class_weights: NDArray[np.float64]  # in the order of `classes_`

    _PATIENCE_UPDATES = 300  # the loss of labels stands still for longer before it falls
    _SCALING_ADVICE = "X scaled to unit variance"
    _PRIVATE_STATE = (*RecurrentEstimator._PRIVATE_STATE, "_class_weights")

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on `X` and `y`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_steps, n_features), (n_samples, n_steps) or (n_samples, n_columns), \
or list of (n_steps_i, n_features)
            Sequences, as for `LSTMRegressor.fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_labels); or one per step
            Labels of any type, of sequences (n_samples,) or of steps: (n_samples, n_steps), or a list of (n_steps_i,).
            Several labels at once as 0 and 1: (n_samples, n_labels) or (n_samples, n_steps, n_labels).
        sample_weight : array-like of shape (n_samples,), or one per step, optional
            Weights, not negative. Default: all ones.
        X_val, y_val, sample_weight_val : array-like, optional
            Samples to validate on; with ``early_stopping=True`` they decide, and no part of X is held out.

        Returns
        -------
        self : object
            Fitted. If anything is raised it is as it was before the call.

        Raises
        ------
        TypeError
            If a parameter or an array has the wrong type.
        ValueError
            If a parameter or a shape is wrong, a number is NaN or infinite, or there is only one class.

        Warns
        -----
        ConvergenceWarning
            If training was interrupted, or the loss became NaN or infinite.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation, resume=bool(self.warm_start), partial=False)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on `X` and `y`, going on from the weights and the solver's state of an earlier call.

        The first call decides in which units X is learnt: its part should be like those to come.

        Parameters
        ----------
        X : array-like
            Sequences, as for `fit`.
        y : array-like
            Labels, as for `fit`.
        classes : array-like of shape (n_classes,), optional
            All labels there will be; of several at once 0, 1, ..., the numbers of their columns. Default: in the first
            call those of `y`; afterwards not needed.
        sample_weight : array-like, optional
            Weights, not negative. Default: all ones.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            As `fit`, and with ``early_stopping=True`` or ``class_weight="balanced"``, which take more than a part.
        """
        if check_boolean("early_stopping", self.early_stopping):
            msg = "partial_fit does not support early_stopping=True"
            raise ValueError(msg)
        if self._balances:
            msg = "partial_fit does not support class_weight='balanced': it sees only some of the labels; pass a dict"
            raise ValueError(msg)
        if hasattr(self, "_model"):
            if classes is not None and not np.array_equal(classes_of(classes, "classes").labels, self.classes_):
                msg = f"classes is {classes!r}, expected {self.classes_!r} (as in the first call)"
                raise ValueError(msg)
            return self._fit(X, y, sample_weight, resume=True, partial=True)
        draft = copy.copy(self)
        draft._announced = None if classes is None else classes_of(classes, "classes")
        draft._fit(X, y, sample_weight, resume=True, partial=True)
        self._become(draft)
        return self

    def predict(self, X: Any) -> Any:
        """Predict the labels of `X`.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `fit`. They may have other lengths, unless X is a table.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels); or one per step
            As y in `fit`: of steps (n_samples, n_steps), or a list of (n_steps_i,) if X is a list.
        """
        return self._predicted(X, Readout.predictions)

    def decision_function(self, X: Any) -> Any:
        """Return the network's outputs for `X`.

        They are the logarithms of odds or, of more than two classes, those of probabilities up to a constant.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `predict`.

        Returns
        -------
        scores : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels); or one per step
            Positive for the second of two classes.
        """
        return self._predicted(X, Readout.scores)

    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of every class.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `predict`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels); or one per step
            In the order of `classes_`; of several labels at once, that of each being 1.
        """
        return self._predicted(X, Readout.probabilities)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithm of the probability of every class.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `predict`.

        Returns
        -------
        log_probabilities : ndarray
            As `predict_proba`.
        """
        return self._predicted(X, Readout.log_probabilities)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of `X` that is labelled right; of several labels at once, with all of them right.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `predict`.
        y : array-like or list
            Labels, as for `fit`.
        sample_weight : array-like, optional
            Weights, of sequences or, where y has one label per step, of steps.

        Returns
        -------
        accuracy : float
            Of sequences, or of the steps of all of them.
        """
        now = self._as_it_is()
        expected, found, weight = now._paired(y, now.predict(X), sample_weight)
        return now._score_items(as_labels(expected), found, weight)

    @property
    def _classes(self) -> Classes:
        assert self._readout.classes is not None
        return self._readout.classes

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, in order; of several labels at once the numbers of their columns."""
        return self._classes.labels

    @property
    def _balances(self) -> bool:
        return isinstance(self.class_weight, str) and self.class_weight == "balanced"

    def _loss(self) -> Loss:
        kind = "binary_cross_entropy" if self._classes.several or self._classes.binary else "cross_entropy"
        return Loss(kind, label_smoothing=float(self.label_smoothing))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_real("label_smoothing", self.label_smoothing, "[0, 1)")
        if not (self.class_weight is None or self._balances or isinstance(self.class_weight, dict)):
            msg = f"class_weight is {self.class_weight!r}, expected None, 'balanced' or a dict of labels and weights"
            raise ValueError(msg)

    def _encode_targets(
        self, y: Any, X: Sequences, *, is_table: bool, targets: str, reset: bool, name: str
    ) -> tuple[Sequences, TargetForm]:
        known = self._announced if reset else self._classes
        encoded, form, classes = encode_labels(
            y, X, known, announced=reset, is_table=is_table, targets=targets, dtype=self.dtype, name=name
        )
        if reset:
            self._readout = Readout(form, classes=classes)
        return encoded, form

    def _loss_weights(self, weight: Sequences | None, y: Sequences, *, learn: bool) -> Sequences | None:
        if self.class_weight is None:
            return weight
        if self._classes.several:
            msg = "class_weight is set, expected None for several labels at once"
            raise ValueError(msg)
        if learn:
            own = None if weight is None else weights_of_items(weight, y)
            self._class_weights = self._weigh_classes(flat(y)[:, 0].astype(np.int64), own)

        def weigh(item: FloatArray, own: FloatArray | float) -> FloatArray:
            return np.asarray(self._class_weights[item[..., :1].astype(np.int64)] * own)

        if isinstance(y, list):
            return [weigh(item, 1.0 if weight is None else weight[i]) for i, item in enumerate(y)]
        own_weight = np.ones((1, 1)) if weight is None else np.asarray(weight)
        return weigh(y, own_weight[:, np.newaxis] if y.ndim > own_weight.ndim else own_weight)

    def _weigh_classes(self, numbers: NDArray[np.int64], weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the weight of each class, for items with these numbers of classes and weights."""
        weights = np.ones(len(self.classes_))
        if self._balances:
            mass = np.bincount(numbers, weight, minlength=len(weights))
            present = mass > 0
            weights[present] = mass.sum() / (np.count_nonzero(present) * mass[present])
            return weights
        labels = self.classes_.tolist()
        unknown = set(self.class_weight) - set(labels)
        if unknown and not set(labels) <= set(self.class_weight):  # a part of the data may lack a class
            msg = f"class_weight has {sorted(map(str, unknown))}, expected labels of {labels}"
            raise ValueError(msg)
        for label, value in self.class_weight.items():
            checked = check_real(f"class_weight[{label!r}]", value, "[0, inf)")
            if label not in unknown:
                weights[np.searchsorted(self.classes_, label)] = checked
        return weights

    def _kinds(self, samples: Samples) -> NDArray[np.int64] | None:
        """Return the class of each row; of several labels, or labels of steps, which of them there are.

        The rarest class of a row stands for those of its steps, so that none is left to chance.
        """
        y = take(samples.y, samples.rows)
        if not self._classes.several and not samples.per_step:
            return np.asarray(y)[:, 0].astype(np.int64)
        if self._classes.several:
            present = [np.flatnonzero(np.any(np.atleast_2d(item), axis=0)).tolist() for item in y]
        else:
            present = [np.unique(item).astype(np.int64).tolist() for item in y]
        counts = Counter(label for labels in present for label in labels)
        return np.array([min(labels, key=lambda label: (counts[label], label), default=-1) for labels in present])

    def _score_items(self, y: Any, predicted: Any, weight: Any) -> float:
        return float(accuracy_score(y, predicted, sample_weight=weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class LSTMClassifier(ClassifierParameters, SequenceClassifier):
    """Long short-term memory network for classification, trained by mini-batch gradient descent.

    Two classes share one output, whose sigmoid is the probability of the second; more have one each, of which the
    softmax is taken; several labels at once have a sigmoid each.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        Share of each label that goes to all classes alike (Szegedy et al. 2016), in [0, 1).
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, which multiply `sample_weight`; labels that a dict lacks weigh 1. One that
        has a weight for every label of y may have others, too, as folds of a cross-validation can lack a class.
        "balanced": inversely proportional to the weight that the samples of each have together, sequences or, with a
        label per step, steps. Scores are not weighted by them. Not with several labels at once. A class of
        weight 0 is not learnt, nor held out by `early_stopping`; in `X_val` it counts.
    learning_rate_init : float, default=1e-2
        Learning rate, of a schedule the highest.
    n_iter_no_change : int or "auto", default="auto"
        Training ends after this many epochs in a row without improvement. "auto": 10, or as many as take 300 updates.
    alpha : float or "auto", default="auto"
        L2 penalty of the weights, as for `LSTMRegressor`; "auto" is 0.
    hidden_size, cell, num_layers, proj_size, bidirectional, merge, residual, pooling, dropout, input_dropout, \
    recurrent_dropout, zoneout, variational_dropout, targets, vocabulary_size, embedding_size, padding_token, \
    missing, standardize, n_timesteps, solver, batch_size, learning_rate, max_iter, shuffle, bucket_by_length, \
    random_state, tol, early_stopping, validation_fraction, scoring, callbacks, max_grad_norm, max_grad_value, \
    weight_averaging, checkpoint, tbptt_steps, momentum, nesterovs_momentum, beta_1, beta_2, epsilon, rho, dtype, \
    warm_start, verbose
        As for `LSTMRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in order; of several labels at once their columns.
    loss_curve_ : list of float
        Mean cross-entropy on the training samples, epoch by epoch, in nats.
    validation_scores_ : list of float or None
        Accuracy on the validation samples after each epoch; None without such samples.
    n_iter_, n_features_in_, n_features_per_step_, feature_names_in_, n_outputs_, parameters_, best_loss_, \
    validation_loss_curve_
        As for `LSTMRegressor`.

    See Also
    --------
    LSTMRegressor : Says what the parameters mean.
    GRUClassifier : The same with gated recurrent units.

    Notes
    -----
    The loss is the mean over sequences, or over the real steps of all of them where every step has a label, weighted by
    `sample_weight` and `class_weight`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from pylstm import LSTMClassifier
    >>> images, labels = load_digits(return_X_y=True)
    >>> X = images.reshape(-1, 8, 8) / 16  # eight steps: the rows of the image
    >>> X, X_test, y, y_test = train_test_split(X, labels, random_state=0)
    >>> model = LSTMClassifier(max_iter=20, random_state=0).fit(X, y)
    >>> bool(model.score(X_test, y_test) > 0.9)
    True
    """


class GRUClassifier(GRUClassifierParameters, SequenceClassifier):
    """Gated recurrent units for classification, trained by mini-batch gradient descent.

    `LSTMClassifier` with another default of `cell`.

    Parameters
    ----------
    cell : str, default="gru"
        What a layer is made of; see `LSTMRegressor`.
    label_smoothing, class_weight, learning_rate_init, n_iter_no_change, alpha
        As for `LSTMClassifier`.
    hidden_size, num_layers, proj_size, bidirectional, merge, residual, pooling, dropout, input_dropout, \
    recurrent_dropout, zoneout, variational_dropout, targets, vocabulary_size, embedding_size, padding_token, \
    missing, standardize, n_timesteps, solver, batch_size, learning_rate, max_iter, shuffle, bucket_by_length, \
    random_state, tol, early_stopping, validation_fraction, scoring, callbacks, max_grad_norm, max_grad_value, \
    weight_averaging, checkpoint, tbptt_steps, momentum, nesterovs_momentum, beta_1, beta_2, epsilon, rho, dtype, \
    warm_start, verbose
        As for `LSTMRegressor`.

    See Also
    --------
    LSTMClassifier : Says what the attributes mean.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm import GRUClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(length, 2)) for length in rng.integers(5, 20, size=200)]  # unequally long
    >>> y = np.array(["falling", "rising"])[[int(x[:, 0].sum() > 0) for x in X]]
    >>> model = GRUClassifier(hidden_size=8, max_iter=40, random_state=0).fit(X[:150], y[:150])
    >>> bool(model.score(X[150:], y[150:]) > 0.8)
    True
    """
