"""scikit-learn's transformers at every step of sequences: `PerStep`, and what it shares with `SequenceScaler`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ._arguments import check_positive
from ._sequences import RealArray, Sequences, items_of, read_sequences


class StepTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer that reads sequences as the estimators do. Its subclasses keep auto_wrap_output_keys=None.

    That switches set_output off, also as a setting of scikit-learn: a data frame cannot hold sequences.
    """

    n_timesteps: int | None
    n_features_in_: int
    n_features_per_step_: int
    _n_columns_in: int | None  # of a 2-D X in fit

    def _read(self, X: Any, *, reset: bool) -> Sequences:
        """Return the sequences of `X`, which sets the numbers of features if `reset`, or has to match them."""
        if isinstance(X, list | tuple) and len(X) == 0:
            msg = "X is empty, expected at least one sequence"
            raise ValueError(msg)
        items = items_of(X)
        # Names of features only.
        validate_data(self, X if items is None else items[0], reset=reset, skip_check_array=True, ensure_2d=False)
        if self.n_timesteps is not None:
            check_positive("n_timesteps", self.n_timesteps)
        if items is None:
            X = check_array(X, allow_nd=True, ensure_all_finite=False, estimator=self, input_name="X")
        sequences = read_sequences(X, n_timesteps=self.n_timesteps)
        n_features = sequences.n_features
        n_columns = int(sequences.lengths[0]) * n_features if sequences.kind == "table" else None
        name = type(self).__name__
        if reset:
            self.n_features_in_ = n_features if n_columns is None else n_columns
            self.n_features_per_step_ = n_features
            self._n_columns_in = n_columns
        elif n_columns is not None and self._n_columns_in not in {None, n_columns}:
            # scikit-learn's own wording, which its checks look for.
            msg = f"X has {n_columns} features, but {name} is expecting {self._n_columns_in} features as input"
            raise ValueError(msg)
        elif n_features != self.n_features_per_step_:
            expected = self.n_features_per_step_
            msg = f"X has {n_features} features per step, but {name} is expecting {expected} features per step"
            raise ValueError(msg)
        return sequences

    @contextmanager
    def _draft(self) -> Iterator[Self]:
        """Yield a shallow copy to fit, which `self` becomes unless something is raised."""
        draft = copy.copy(self)
        yield draft
        self.__dict__ = draft.__dict__

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _wrapped_has(method: str) -> Callable[[PerStep], bool]:
    return lambda per_step: hasattr(getattr(per_step, "transformer_", per_step.transformer), method)


class PerStep(StepTransformer, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Apply a scikit-learn transformer to every step of sequences.

    The steps of all sequences, one below the other, are the table that the transformer is fitted on and transforms.

    Parameters
    ----------
    transformer : transformer
        Any transformer of 2-D arrays that gives one row for each row. It is cloned, not fitted itself.
    n_timesteps : int, optional
        Steps in a row of a 2-D X, which then holds ``n_timesteps * n_features`` columns, step by step. Default: every
        column is a step of one feature. Not used for other X.

    Attributes
    ----------
    transformer_ : transformer
        The fitted clone.
    n_features_in_ : int
        Columns of a 2-D X, features of others.
    n_features_per_step_ : int
        Features of each step.
    feature_names_in_ : ndarray of str
        Names of the columns, if X was a data frame with string names, or a list of such.

    See Also
    --------
    SequenceScaler : Standardises sequences without gathering them in one table.

    Notes
    -----
    X is read as the estimators read it: a 3-D array, a 2-D array (see `n_timesteps`), or a list, a tuple, an object
    array or a series with an array of shape (n_steps, n_features) or (n_steps,) for each sequence, or with nested lists
    of different lengths. What comes out is held alike: a 3-D array as a 3-D array, sequences in an object array as an
    object array, others as a list. Sparse results are made dense.

    A transformer that learns from targets is given one row of y for each step: see `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from pylstm.preprocessing import PerStep
    >>> short, long = np.array([[0.0], [5.0]]), np.array([[10.0], [5.0], [0.0]])
    >>> for sequence in PerStep(MinMaxScaler()).fit_transform([short, long]):
    ...     print(sequence.ravel())
    [0.  0.5]
    [1.  0.5 0. ]
    """

    transformer_: Any

    def __init__(self, transformer: Any, *, n_timesteps: int | None = None) -> None:
        self.transformer = transformer
        self.n_timesteps = n_timesteps

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit a clone of the transformer to the steps of `X`.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences; see the class.
        y : array-like or list of array-like, optional
            Targets, for transformers that use them. One row for each sequence counts for all of its steps; one per step
            is (n_sequences, n_steps), (n_sequences, n_steps, n_outputs), or a list with an array for each sequence.

        Returns
        -------
        self : object
            Fitted. If anything is raised it is as it was before the call.

        Raises
        ------
        TypeError
            If `transformer` is none, or X holds something else than real numbers.
        ValueError
            If a shape is wrong, or the transformer finds something wrong.
        """
        transformer = self._clone()
        with self._draft() as draft:
            sequences = draft._read(X, reset=True)
            draft.transformer_ = transformer.fit(sequences.steps(), _targets_of_steps(y, sequences))
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit a clone of the transformer to the steps of `X`, and return them transformed.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences; see the class.
        y : array-like or list of array-like, optional
            Targets, as for `fit`.

        Returns
        -------
        X_transformed : ndarray or list of ndarray
            Sequences, held as in `X`.
        """
        transformer = self._clone()
        with self._draft() as draft:
            sequences = draft._read(X, reset=True)
            targets = _targets_of_steps(y, sequences)
            if hasattr(transformer, "fit_transform"):
                steps = transformer.fit_transform(sequences.steps(), targets)
            else:
                steps = transformer.fit(sequences.steps(), targets).transform(sequences.steps())
            transformed = _put_back(steps, sequences)
            draft.transformer_ = transformer
        return transformed

    @available_if(_wrapped_has("partial_fit"))  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Go on fitting with the steps of `X`. Only if the transformer can.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences; see the class.
        y : array-like or list of array-like, optional
            Targets, as for `fit`.

        Returns
        -------
        self : object
            Fitted.
        """
        first = not hasattr(self, "transformer_")
        transformer = self._clone() if first else copy.deepcopy(self.transformer_)
        with self._draft() as draft:
            sequences = draft._read(X, reset=first)
            draft.transformer_ = transformer.partial_fit(sequences.steps(), _targets_of_steps(y, sequences))
        return self

    def transform(self, X: Any) -> Any:
        """Transform every step of `X`.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences, with the features of those in `fit`; their lengths and what holds them may differ.

        Returns
        -------
        X_transformed : ndarray or list of ndarray
            Sequences, held as in `X`. A 2-D X gets ``n_steps * n_features_out`` columns, step by step.
        """
        check_is_fitted(self)
        sequences = self._read(X, reset=False)
        return _put_back(self.transformer_.transform(sequences.steps()), sequences)

    @available_if(_wrapped_has("inverse_transform"))  # type: ignore[untyped-decorator]
    def inverse_transform(self, X: Any) -> Any:
        """Transform every step of `X` back. Only if the transformer can.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences as `transform` gives them.

        Returns
        -------
        X_original : ndarray or list of ndarray
            Sequences, held as in `X`.
        """
        check_is_fitted(self)
        # A step of one feature may have become one of several: a 2-D X has the steps of the one in fit.
        sequences = read_sequences(X, n_timesteps=self._n_columns_in if self.n_timesteps is None else self.n_timesteps)
        return _put_back(self.transformer_.inverse_transform(sequences.steps()), sequences)

    @available_if(_wrapped_has("get_feature_names_out"))  # type: ignore[untyped-decorator]
    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features that come out. Only if the transformer can.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of what went in: columns of a 2-D X, features of others. Default: those of a data frame, else "x0",
            "x1", ....

        Returns
        -------
        names : ndarray of str
            Of the features of a step; after fitting on a 2-D X of all columns, step by step, with the step as a suffix
            if the transformer calls all steps alike.
        """
        check_is_fitted(self)
        names_in = super().get_feature_names_out(input_features)
        per_step = self.n_features_per_step_
        steps = [names_in[start : start + per_step] for start in range(0, len(names_in), per_step)]
        names = [self.transformer_.get_feature_names_out(step) for step in steps]
        if len({*np.concatenate(names)}) < sum(map(len, names)):
            names = [np.array([f"{name}_{t}" for name in step], dtype=object) for t, step in enumerate(names)]
        return np.concatenate(names)

    def _clone(self) -> Any:
        if not all(hasattr(self.transformer, method) for method in ("fit", "transform")):
            msg = f"transformer is {self.transformer!r}, expected a scikit-learn transformer (with fit and transform)"
            raise TypeError(msg)
        return clone(self.transformer)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        wrapped = get_tags(self.transformer)
        tags.input_tags.allow_nan = wrapped.input_tags.allow_nan
        tags.input_tags.positive_only = wrapped.input_tags.positive_only
        tags.target_tags.required = wrapped.target_tags.required
        tags.non_deterministic = wrapped.non_deterministic
        if wrapped.transformer_tags is not None:
            tags.transformer_tags = wrapped.transformer_tags
        return tags


def _targets_of_steps(y: Any, sequences: Sequences) -> RealArray | None:
    """Return `y` with a row for each step of all sequences."""
    if y is None:
        return None
    items = items_of(y)
    targets = np.asarray(y) if items is None else items
    if len(targets) != len(sequences):
        msg = f"y has {len(targets)} rows, expected {len(sequences)} (one for each sequence of X)"
        raise ValueError(msg)
    if isinstance(targets, list):
        arrays = [np.asarray(one) for one in targets]
        for index, (one, n_steps) in enumerate(zip(arrays, sequences.lengths, strict=True)):
            if len(one) != n_steps:
                msg = f"y[{index}] has {len(one)} rows, expected {n_steps} (one for each step of X[{index}])"
                raise ValueError(msg)
        return np.concatenate(arrays)
    if targets.ndim > 1 and (sequences.lengths == targets.shape[1]).all():
        return targets.reshape(-1, *targets.shape[2:])
    return np.repeat(targets, sequences.lengths, axis=0)


def _put_back(steps: Any, sequences: Sequences) -> Any:
    """Return what a transformer made of all steps, held as the sequences."""
    table = steps.toarray() if issparse(steps) else np.asarray(steps)
    n_steps = int(sequences.lengths.sum())
    if table.ndim != 2 or len(table) != n_steps:
        msg = f"transformer gave an array of shape {table.shape}, expected ({n_steps}, n_features): a row for each step"
        raise ValueError(msg)
    return sequences.put_back(table)
