"""Regression from sequences: `LSTMRegressor`, `GRURegressor`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags

from pylstm.model._readout import Readout, Sequences, TargetForm

from ._base import RecurrentEstimator
from ._hyperparameters import GRURegressorParameters, RegressorParameters
from ._loss import Loss
from ._parameters import check_boolean, check_choice, check_real
from ._targets import check_targets

LOSSES = ("squared_error", "absolute_error", "huber", "quantile", "poisson")


class SequenceRegressor(RegressorMixin, RecurrentEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the regressors do, whatever their cell."""

    _KIND = "regression"
    _PENALTY = 5.0  # docs/design/0005-defaults.md
    loss: str
    huber_delta: float
    quantile: Any

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
            Sequences; finite. A 2-D array has one feature per step, or ``n_timesteps * n_features`` columns if
            `n_timesteps` is set. Unequally long sequences come as a list, or as an array of objects; they are never
            padded. With `vocabulary_size` every step is a token, a whole number.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs); or one per step
            Targets; finite. One for each step: (n_samples, n_steps), (n_samples, n_steps, n_outputs), or a list of
            (n_steps_i,) or (n_steps_i, n_outputs). See the parameter `targets`.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not negative; or one per step where y has one target per step. Default: all ones.
        X_val, y_val, sample_weight_val : array-like, optional
            Samples to validate on, as X, y and sample_weight. Loss and score on them are recorded after each epoch;
            with ``early_stopping=True`` they decide, and no part of X is held out.

        Returns
        -------
        self : object
            Fitted. If anything is raised it is as it was before the call.

        Raises
        ------
        TypeError
            If a parameter or an array has the wrong type.
        ValueError
            If a parameter or a shape is wrong, or a number is NaN or infinite; the message says where.

        Warns
        -----
        ConvergenceWarning
            If training was interrupted, or the loss became NaN or infinite.
        UserWarning
            If outputs vary so differently that small ones are hardly learnt; see Notes of `LSTMRegressor`.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation, resume=bool(self.warm_start), partial=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on `X` and `y`, going on from the weights and the solver's state of an earlier call.

        The first call decides in which units X and y are learnt: its part should be like those to come.

        Parameters
        ----------
        X : array-like
            Sequences, as for `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not negative. Default: all ones.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            As `fit`, and with ``early_stopping=True``: one epoch cannot be stopped.

        Warns
        -----
        UserWarning
            In the first call, as `fit`, if outputs vary so differently that small ones are hardly learnt.
        """
        if check_boolean("early_stopping", self.early_stopping):
            msg = "partial_fit does not support early_stopping=True"
            raise ValueError(msg)
        return self._fit(X, y, sample_weight, resume=True, partial=True)

    def predict(self, X: Any) -> Any:
        """Predict the targets of `X`.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `fit`. They may have other lengths, unless X is a table.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs); or one per step
            As y in `fit`: of steps (n_samples, n_steps) or (n_samples, n_steps, n_outputs), or a list of
            (n_steps_i,) or (n_steps_i, n_outputs) if X is a list. float64; float32 if X is float32 and so is the
            estimator's `dtype`. Of several quantiles, that next to the median.
        """
        return self._predicted(X, Readout.predictions)

    def predict_quantiles(self, X: Any) -> Any:
        """Predict all quantiles of the targets of `X`.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `predict`.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_quantiles) or (n_samples, n_outputs, n_quantiles); or one per step
            In the order of the parameter `quantile`. They never cross: those of one target are sorted (Chernozhukov,
            Fernandez-Val and Galichon 2010).

        Raises
        ------
        AttributeError
            If ``loss`` is not "quantile".
        """
        return self._predicted(X, Readout.all_quantiles)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R^2, the share of the variance of y that is predicted.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `predict`.
        y : array-like or list
            Targets, as for `fit`.
        sample_weight : array-like, optional
            Weights, of sequences or, where y has one target per step, of steps.

        Returns
        -------
        r2 : float
            Over sequences, or over the steps of all of them; the mean over outputs.
        """
        now = self._as_it_is()
        expected, found, weight = now._paired(y, now.predict(X), sample_weight)
        return float(r2_score(expected, found, sample_weight=weight))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("loss", self.loss, LOSSES)
        check_real("huber_delta", self.huber_delta, "(0, inf)")
        levels = self._levels()
        if len(levels) == 0:
            msg = "quantile is empty, expected at least one level"
            raise ValueError(msg)
        for level in levels:
            check_real("quantile", level, "(0, 1)")

    def _levels(self) -> list[float]:
        return [self.quantile] if np.ndim(self.quantile) == 0 else list(self.quantile)

    def _loss(self) -> Loss:
        return Loss(self.loss, float(self.huber_delta), tuple(float(level) for level in self._levels()))

    def _encode_targets(
        self, y: Any, X: Sequences, *, is_table: bool, targets: str, reset: bool, name: str
    ) -> tuple[Sequences, TargetForm]:
        encoded, form = check_targets(y, X, is_table=is_table, targets=targets, dtype=self.dtype, name=name)
        if self.loss == "poisson" and any((item < 0).any() for item in encoded):
            msg = f"{name} has negative values, expected none: loss='poisson' is for counts"
            raise ValueError(msg)
        loss = self._loss()
        if reset:
            self._readout = Readout(form, loss.loss, loss.quantiles)
            return encoded, form
        fitted = self._readout
        other_quantiles = loss.loss == "quantile" and loss.quantiles != fitted.quantiles
        if other_quantiles or (loss.loss != fitted.loss and {"poisson", "quantile"} & {loss.loss, fitted.loss}):
            msg = (  # outputs mean something else
                f"loss and quantile are {(loss.loss, loss.quantiles)}, expected {(fitted.loss, fitted.quantiles)} "
                "(as in the network to go on from)"
            )
            raise ValueError(msg)
        self._readout = replace(fitted, loss=loss.loss)
        return encoded, form

    def _score_items(self, y: Any, predicted: Any, weight: Any) -> float:
        expected, found = np.asarray(y, np.float64), np.asarray(predicted, np.float64)
        if len(expected) < 2 or not np.isfinite(found).all():
            return np.nan
        return float(r2_score(expected, found, sample_weight=weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class LSTMRegressor(RegressorParameters, SequenceRegressor):
    """Long short-term memory network for regression, trained by mini-batch gradient descent.

    A sequence goes through `num_layers` recurrent layers; a linear layer reads what `pooling` takes of the last one.

    Parameters
    ----------
    hidden_size : int or sequence of int, default=32
        Units in each layer: the same in all, or one number per layer.
    cell : str, default="lstm"
        What a layer is made of: "lstm"; "peephole_lstm", with weights from the cell state to the gates (Gers et al.
        2002); "coupled_lstm", with a forget gate of 1 - i (Greff et al. 2017); "gru", whose reset gate scales the
        recurrent product (as in PyTorch); "gru_reset_before", where it scales the state (Cho et al. 2014);
        "layernorm_lstm" and "layernorm_gru" (Ba et al. 2016); "rnn", the simple recurrent network with tanh (Elman
        1990).
    num_layers : int, default=1
        Layers, each reading the outputs of the one before. With a sequence as `hidden_size` that says how many there
        are; then 1 or their number.
    proj_size : int, optional
        Elements that every LSTM layer projects its outputs to, for its own next step and the layer above (Sak et al.
        2014). Default: no projection.
    bidirectional : bool, default=False
        Let every layer read the sequence in both directions, with weights of their own (Schuster and Paliwal 1997); the
        outputs of both lie side by side, or are added: see `merge`.
    merge : {"concat", "sum"}, default="concat"
        What `bidirectional` makes of the outputs of both directions: they lie side by side, or are added.
    residual : bool, default=False
        Let every layer above the first add what it reads to its outputs (He et al. 2016), which helps deep stacks
        learn. The layers must be equally wide: one `hidden_size`, or a `proj_size`.
    pooling : {"last", "mean", "max", "attention"}, default="last"
        What is read of the last layer where a sequence has one target: its state after the last step; the mean or the
        largest value of each unit over all steps; or a mean with weights that are learnt (Raffel and Ellis 2015).
        Where every step has a target every step is read. "last" of two directions is the state of each after its own
        last step, which is the first of the sequence for the reverse one: both have then read all of it.
    dropout : float, default=0.0
        Share of the outputs of every layer but the last that is set to zero in training, in [0, 1).
    input_dropout : float, default=0.0
        Share of the features, or of the elements of an embedding, that is set to zero in training, the same at all
        steps of a sequence (Gal and Ghahramani 2016), in [0, 1).
    recurrent_dropout : float, default=0.0
        Share of the state h that is set to zero in training where the recurrent weights read it, the same units at all
        steps of a sequence (Gal and Ghahramani 2016), in [0, 1). Not with `proj_size`.
    zoneout : float, default=0.0
        Share of the units that keep their h, and share that keep their c, from one step to the next in training
        (Krueger et al. 2017), in [0, 1); predictions take the expectation. Not with `proj_size`.
    variational_dropout : bool, default=False
        Let `dropout`, too, set the same outputs to zero at all steps of a sequence.
    targets : {"auto", "per_sequence", "per_step"}, default="auto"
        How to understand y. "auto": a list of arrays and a 3-D array are targets of steps; a 2-D array is, if X is not
        one and y has as many columns as X has steps (a warning says so); everything else are targets of sequences.
    vocabulary_size : int, optional
        Let X hold tokens, whole numbers from 0 to ``vocabulary_size - 1``, one per step, which an embedding turns into
        vectors. Default: X holds features.
    embedding_size : int, default=32
        Elements of these vectors.
    padding_token : int, optional
        Token whose vector is zero and stays so.
    missing : {"error", "mask"}, default="error"
        What NaN in X means. "mask": a missing value, of which the network is told that it is missing and how long ago
        there was one: every feature becomes three, the value (0 where missing), 1 where it is missing, and
        log(1 + steps since it was last seen) (as GRU-D, Che et al. 2018). That takes a copy of X.
    standardize : bool, default=True
        Learn from each feature in units of its spread and, where its mean is far from 0, relative to that; see Notes.
    n_timesteps : int, optional
        Steps in a row of a 2-D X, which then holds ``n_timesteps * n_features`` columns, step by step. Default: every
        column is a step of one feature. Not used for a 3-D X.
    solver : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        How gradients become updates.
    alpha : float or "auto", default="auto"
        L2 penalty of the weights, not of biases or the gains of layer normalisation. For "adamw" it is the decoupled
        weight decay; for the others ``alpha * weight`` is added to the gradient after clipping. "auto": 5 divided by
        the sum of all weights of samples (or of steps, where these have targets), at least by their number, and times
        the share of the loss of the best constant that was left in the epoch before (not with ``loss="poisson"``): few
        samples and much noise make it large. 0 for "adamw" and `partial_fit`.
    batch_size : int, default=32
        Sequences per update.
    learning_rate : {"constant", "cosine", "step", "exponential", "plateau", "one_cycle"}, default="plateau"
        What becomes of the learning rate over `max_iter` epochs: it stays; it falls to a hundredth, along half a cosine
        or by the same factor every epoch; it falls to a tenth after each third; it is halved, down to a hundredth of
        the first, whenever ``n_iter_no_change / 2`` epochs in a row brought no improvement; or it climbs for 30 % of
        the epochs and then falls to almost nothing (Smith 2018).
    learning_rate_init : float, default=3e-3
        Learning rate, of a schedule the highest.
    max_iter : int, default=200
        Most epochs (passes over the data) in one call of fit. It is a budget: using it up is not worth a warning.
    shuffle : bool, default=True
        Draw a new order of the samples in every epoch.
    bucket_by_length : bool, default=False
        Put sequences of like length into a batch, as far as shuffling allows. Steps past the end of a sequence are
        never computed, so that it saves little time; it changes which sequences meet in a batch.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the orders, the dropout masks and the validation split. The same int gives the
        same bits, with any number of threads.
    tol : float or None, default=1e-4
        An epoch counts as an improvement if the loss falls by more than ``tol`` times that of the best constant
        forecast (squared error and Huber: the variance of y; absolute error and quantiles: its standard deviation;
        Poisson: its mean): with early stopping the loss on the validation samples, otherwise on the training samples.
        Where early stopping watches a score (`scoring`), if that rises by more than ``tol``. None never stops early.
    n_iter_no_change : int or "auto", default="auto"
        Training ends after this many epochs in a row without improvement. "auto": 10, or as many as take 100 updates.
    early_stopping : bool, default=False
        Watch the validation samples instead of the training samples, and return the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the training samples to validate on, if `early_stopping` is set and fit is given no `X_val`: drawn at
        random with ``shuffle=True``, the last ones with ``shuffle=False``. Windows of one series overlap, so that
        random ones say little about the future: there, pass `X_val` or set ``shuffle=False``.
    scoring : str or callable, optional
        What early stopping watches instead of the loss: any scorer of scikit-learn, the higher the better. It is also
        what `validation_scores_` holds. It is given X as fit was, but no weights; where every step has a target it sees
        the steps of all sequences one after the other. Default: R^2, and the loss decides.
    callbacks : sequence of callables, optional
        Called as ``callback(estimator, epoch)`` after every epoch: `estimator` is a fitted copy, `epoch` has the
        attributes `epoch`, `loss`, `validation_loss`, `validation_score` and `learning_rate`. Returning True ends the
        training.
    max_grad_norm : float or None, default=1.0
        Gradients longer than this, over all parameters, are scaled down to it. None leaves them alone.
    max_grad_value : float or None, default=None
        Elements of the gradient beyond this are cut off at it, before `max_grad_norm`. None leaves them alone.
    weight_averaging : float, default=0.0
        Not 0: predict, validate and stop with an exponential average of the weights over the updates, with this decay,
        in [0, 1), such as 0.999 (Polyak and Juditsky 1992). It begins with the initial weights.
    checkpoint : bool, int or None, default=None
        Train long sequences in less memory, with the same bits (Chen et al. 2016): of what backpropagation needs keep
        one segment at a time, and of the others the states they begin with, from which they are computed again, in
        about a third more time. True: segments of about the square root of the number of steps, so that memory grows
        like that; an int: of so many steps. All of X and of what is predicted stays, with ``pooling="attention"`` the
        outputs of the last layer, and with ``bidirectional=True`` those of all layers.
    tbptt_steps : int, optional
        Truncated backpropagation through time (Williams and Peng 1990): states go through the whole sequence, but
        gradients go back this many steps at most. Where every step has a target, and with a `pooling` of all steps, no
        gradient crosses the step k, 2k, ...; where the last step is read, it reaches that and the k - 1 before it. One
        update for a batch of whole sequences. With targets of steps, and where the last step is read, memory does
        not grow with the sequence; in the latter case the steps before cost their forward pass only. Not with
        `bidirectional`. Default: gradients go back to the first step.
    momentum : float, default=0.9
        Momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    beta_1 : float, default=0.9
        Decay of the first moment of "adam" and "adamw".
    beta_2 : float, default=0.999
        Decay of the second moment of "adam" and "adamw".
    epsilon : float, default=1e-8
        Added to the denominator of "adam", "adamw" and "rmsprop".
    rho : float, default=0.9
        Decay of the second moment of "rmsprop".
    dtype : {"float32", "float64"}, default="float32"
        Type of weights and arithmetic.
    warm_start : bool, default=False
        Let fit go on from the weights, the solver's state and the epoch count of the last fit. What fixes the shapes of
        the weights cannot change then.
    verbose : int, default=0
        1 shows a progress bar (plain lines if tqdm is not installed), 2 plain lines.
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson"}, default="squared_error"
        What is minimised. "poisson" is for counts: the network gives the logarithm of their mean.
    huber_delta : float, default=1.0
        Error up to which "huber" is half its square; beyond it grows linearly (Huber 1964).
    quantile : float or sequence of float, default=0.5
        Levels of "quantile", each in (0, 1) (Koenker and Bassett 1978); `predict_quantiles` gives all of them.

    Attributes
    ----------
    loss_curve_ : list of float
        Mean loss on the training samples, epoch by epoch over all calls, each batch measured before its update;
        without the penalty.
    validation_scores_ : list of float or None
        R^2, or what `scoring` gives, on the validation samples after each epoch; None without such samples.
    validation_loss_curve_ : list of float or None
        Mean loss on the validation samples after each epoch; None without such samples. NaN, as the score, for epochs
        of calls without them before and after.
    best_loss_ : float
        Lowest loss of the last call: on the validation samples if there were any, otherwise on the training samples.
        With `scoring` and validation samples the highest score, negated. NaN if no epoch was complete.
    n_iter_ : int
        Epochs completed, over all calls.
    n_features_in_ : int
        Columns of a 2-D X, features of a 3-D X.
    n_features_per_step_ : int
        Features of each step.
    feature_names_in_ : ndarray of str
        Names of the columns, if X was a data frame with string names.
    n_outputs_ : int
        Targets of a sequence or step; 1 for labels, whatever the number of classes, and for several quantiles.
    parameters_ : dict of str to ndarray
        Weights by name, read-only: ``layers.0.weight_ih`` of shape (4*hidden_size, n_features),
        ``layers.0.weight_hh``, ``layers.0.bias``, ..., ``head.weight``, ``head.bias``; gates in the order i, f, g, o.
        Other cells have other gates (`pylstm.lstm_forward`, `pylstm.gru_forward`, `pylstm.rnn_forward`), and
        ``layers.0.peephole``, ``layers.0.bias_hn``, ``layers.0.gain_ih`` and the like. The other direction's weights
        are ``layers.0.reverse.weight_ih``, ....

    See Also
    --------
    GRURegressor : The same with gated recurrent units.
    pylstm.make_windows : Cuts a series into X and y.

    Notes
    -----
    The loss of a batch is ``sum_n w_n * mean_o loss(prediction, y) / sum_n w_n`` over its sequences n, or over the real
    steps of all of them where every step has a target; to which `alpha` adds its penalty. While the network
    learns, y is taken relative to its mean and in units of its spread (one power of two for all outputs, so that the
    loss keeps its proportions), which changes the units of the loss, of gradients and of `alpha` in the head, but
    not the problem; the fitted weights and all losses are in the units of y. Of several outputs one that varies a
    thousand times less than another is therefore hardly learnt, and beyond a factor of 30 a warning says so: scale them
    (scikit-learn's TransformedTargetRegressor with StandardScaler), or fit one estimator for each, unless what is large
    is what counts. With ``loss="poisson"`` nothing is scaled.

    In the same way `standardize` takes every feature in units of its spread over all steps of all sequences (the power
    of two above the median of how far numbers are from 0, zeros aside) and, if its mean is more than two standard
    deviations from 0, relative to its mean. It is part of training alone: the fitted weights take X as it is, in
    Python, in C++, in files and in streams. Layer normalisation has no bias that could take in a mean, so that there
    only the spread is made one. A constant is as good as no feature. In float32 a feature whose mean is 100,000 times
    its spread has few digits left: subtract the mean, or choose ``dtype="float64"``. The first call decides, of X
    and y: `partial_fit` and `warm_start` go on in the same units, so that a first part should be like those to come
    (one target, or constants, have no spread: then 1 is taken, or what is next to a large constant of X).

    X is read where it lies: a memory-mapped array larger than memory can be trained on, and the windows of
    `make_windows` are never spelled out. A copy is made of other types than float32 and float64, of lists' items that
    are not C-contiguous, with ``missing="mask"``, and of the samples that `scoring` is given where they are drawn from
    X; features are standardized as batches are gathered.

    A sample of weight 0 is as good as absent. Where one batch holds all samples, weights are repetitions and the order
    of the samples does not matter, bit for bit. With several batches a repeated sample is met several times in an
    epoch, a weighted one once. All of this holds without dropout and zoneout, whose masks depend on the place of a
    sample in X.

    Ctrl-C ends the training, not the program: a warning says so, and the estimator is fitted with the weights of
    the best epoch. If no epoch was complete, or none better than what it began with, it stays what an earlier fit
    has made of it; without one, or where the training went on from it, it has the weights that it began with if no
    epoch was better, and those after the last batch if none was complete. The same holds if the loss becomes NaN or
    infinite, but then without validation samples the best of three are found by another look at the training
    samples: the weights after the best epoch, those before it, and those the training began with. So it is after
    Ctrl-C where one batch holds all samples.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997.

    R. J. Williams and J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", Neural Computation 2(4), 1990.

    T. Chen, B. Xu, C. Zhang and C. Guestrin, "Training deep nets with sublinear memory cost", arXiv:1604.06174, 2016.

    M. Schuster and K. K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing
    45(11), 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm import LSTMRegressor, make_windows
    >>> X, y = make_windows(np.sin(0.1 * np.arange(500)), n_timesteps=20)
    >>> model = LSTMRegressor(hidden_size=8, max_iter=30, random_state=0).fit(X[:400], y[:400])
    >>> model.predict(X[400:]).shape
    (80,)
    >>> bool(model.score(X[400:], y[400:]) > 0.9)
    True
    """


class GRURegressor(GRURegressorParameters, SequenceRegressor):
    """Gated recurrent units for regression, trained by mini-batch gradient descent.

    `LSTMRegressor` with another default: three gates instead of four and no cell state, so a quarter less work for the
    same `hidden_size`. Parameters and attributes are those of `LSTMRegressor`.

    Parameters
    ----------
    hidden_size : int or sequence of int, default=32
        Units in each layer.
    cell : str, default="gru"
        What a layer is made of; see `LSTMRegressor`.
    num_layers, proj_size, bidirectional, merge, residual, pooling, dropout, input_dropout, recurrent_dropout, \
    zoneout, variational_dropout, targets, vocabulary_size, embedding_size, padding_token, missing, standardize, \
    n_timesteps, solver, alpha, batch_size, learning_rate, learning_rate_init, max_iter, shuffle, bucket_by_length, \
    random_state, tol, n_iter_no_change, early_stopping, validation_fraction, scoring, callbacks, max_grad_norm, \
    max_grad_value, weight_averaging, checkpoint, tbptt_steps, momentum, nesterovs_momentum, beta_1, beta_2, \
    epsilon, rho, dtype, warm_start, verbose, loss, huber_delta, quantile
        As for `LSTMRegressor`.

    See Also
    --------
    LSTMRegressor : Says what the parameters and the attributes mean.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    EMNLP 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm import GRURegressor, make_windows
    >>> X, y = make_windows(np.sin(0.1 * np.arange(500)), n_timesteps=20)
    >>> model = GRURegressor(hidden_size=8, max_iter=30, random_state=0).fit(X[:400], y[:400])
    >>> bool(model.score(X[400:], y[400:]) > 0.9)
    True
    """
