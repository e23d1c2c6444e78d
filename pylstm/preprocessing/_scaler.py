"""Standardising sequences: `SequenceScaler`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from pylstm.typing import FloatArray

from ._moments import Moments, merge, moments_of
from ._per_step import StepTransformer
from ._sequences import RealArray, Sequences, hold, items_of, read_real

Affine: TypeAlias = Callable[[RealArray, FloatArray, FloatArray, FloatArray], None]
"""Of values, offset and scale; the last argument is the result."""


class SequenceScaler(StepTransformer, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Standardise every feature: subtract its mean, divide by its standard deviation, over all steps of all sequences.

    Parameters
    ----------
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the standard deviation.
    n_timesteps : int, optional
        Steps in a row of a 2-D X, which then holds ``n_timesteps * n_features`` columns, step by step. Default: every
        column is a step of one feature. Not used for other X.

    Attributes
    ----------
    mean_, var_ : ndarray of shape (n_features_per_step_,)
        Mean and variance (divided by the number of steps) of every feature; float64, whatever the type of X.
    scale_ : ndarray of shape (n_features_per_step_,)
        What values are divided by: the standard deviation; 1 for a feature that is constant.
    n_steps_seen_ : ndarray of shape (n_features_per_step_,)
        Values of every feature that were not NaN.
    data_min_, data_max_ : ndarray of shape (n_features_per_step_,)
        Least and largest value of every feature.
    n_features_in_ : int
        Columns of a 2-D X, features of others.
    n_features_per_step_ : int
        Features of each step.
    feature_names_in_ : ndarray of str
        Names of the columns, if X was a data frame with string names.

    See Also
    --------
    PerStep : Any transformer of scikit-learn for every step.

    Notes
    -----
    X is read as the estimators read it: a 3-D array, a 2-D array (see `n_timesteps`), or a list, a tuple, an object
    array or a series with an array of shape (n_steps, n_features) or (n_steps,) for each sequence, or with nested lists
    of different lengths. What comes out is held alike. float32 stays float32, other types become float64. NaN is left
    out of the statistics and stays NaN.

    X is read piece by piece: fitting on windows that are views takes some megabytes. What has been read of a
    memory-mapped array stays in memory for as long as nobody else wants that. The moments of the pieces are merged as
    in Chan, Golub and LeVeque (1983). What `transform` returns is new memory, for windows more than the series they are
    cut from: to save it scale the series, as a list of one, and cut then.

    Targets come in two ways. To give them a scale of their own, around an estimator, use this class as the
    `transformer` of `sklearn.compose.TransformedTargetRegressor`; the horizons of `make_windows` are then steps, so
    that ``n_timesteps`` is their number if the series has several features. To keep them in the scale of the features
    that they are, use `transform_target` and `inverse_transform_target`.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm.preprocessing import SequenceScaler
    >>> series = np.array([[1.0, 500.0], [3.0, 100.0]])
    >>> scaler = SequenceScaler().fit([series])
    >>> scaler.transform([series])
    [array([[-1.,  1.],
           [ 1., -1.]])]
    >>> scaler.inverse_transform_target([-1.0, 0.0, 1.0], features=1)
    array([100., 300., 500.])
    """

    mean_: NDArray[np.float64]
    var_: NDArray[np.float64]
    scale_: NDArray[np.float64]
    n_steps_seen_: NDArray[np.int64]
    data_min_: NDArray[np.float64]
    data_max_: NDArray[np.float64]

    def __init__(self, *, with_mean: bool = True, with_std: bool = True, n_timesteps: int | None = None) -> None:
        self.with_mean = with_mean
        self.with_std = with_std
        self.n_timesteps = n_timesteps

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn means and standard deviations from `X`.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences; see the class.
        y : None
            Not used.

        Returns
        -------
        self : object
            Fitted. If anything is raised it is as it was before the call.

        Raises
        ------
        TypeError
            If X holds something else than real numbers.
        ValueError
            If a shape is wrong, or X contains infinity.
        """
        with self._draft() as draft:
            draft._learn(draft._read(X, reset=True), None)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from further sequences; all calls together count as one `fit`.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences; see the class.
        y : None
            Not used.

        Returns
        -------
        self : object
            Fitted.
        """
        if not hasattr(self, "mean_"):
            return self.fit(X)
        so_far = Moments(self.n_steps_seen_, self.mean_, self.var_, self.data_min_, self.data_max_)
        self._learn(self._read(X, reset=False), so_far)
        return self

    def transform(self, X: Any) -> Any:
        """Standardise `X`.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences, with the features of those in `fit`; their lengths and what holds them may differ.

        Returns
        -------
        X_scaled : ndarray or list of ndarray
            New sequences, held as in `X`.
        """
        check_is_fitted(self)
        return self._map(self._read(X, reset=False), _standardise)

    def inverse_transform(self, X: Any) -> Any:
        """Bring `X` back to the units of the data.

        Parameters
        ----------
        X : array-like or list of array-like
            Standardised sequences.

        Returns
        -------
        X_original : ndarray or list of ndarray
            New sequences, held as in `X`.
        """
        check_is_fitted(self)
        return self._map(self._read(X, reset=False), _restore)

    def transform_target(self, y: Any, *, features: int | Sequence[int]) -> Any:
        """Standardise targets that are features: with the mean and the standard deviation of these.

        Parameters
        ----------
        y : array-like of any shape, or list of array-like
            Targets of sequences or of steps.
        features : int or sequence of int
            The feature that y is, or the features that its last axis holds, once or several times over: so for several
            horizons of `make_windows`, horizon by horizon.

        Returns
        -------
        y_scaled : ndarray or list of ndarray
            New targets of the shape of `y`; float32 if it is, else float64.

        Raises
        ------
        TypeError
            If y holds something else than real numbers, or `features` something else than integers.
        ValueError
            If there is no such feature, or the last axis of y is no multiple of the number of features.
        """
        return self._map_target(y, features, _standardise)

    def inverse_transform_target(self, y: Any, *, features: int | Sequence[int]) -> Any:
        """Bring targets that are features, such as forecasts, back to their units.

        Parameters
        ----------
        y : array-like of any shape, or list of array-like
            Standardised targets of sequences or of steps.
        features : int or sequence of int
            As for `transform_target`.

        Returns
        -------
        y_original : ndarray or list of ndarray
            New targets of the shape of `y`; float32 if it is, else float64.
        """
        return self._map_target(y, features, _restore)

    def _learn(self, sequences: Sequences, moments: Moments | None) -> None:
        """Add the steps of `sequences` to what was learned before."""
        for piece in sequences.pieces():
            of_piece = moments_of(piece)
            moments = of_piece if moments is None else merge(moments, of_piece)
        assert moments is not None  # there is a step
        self.n_steps_seen_, self.mean_, self.var_ = moments.count, moments.mean, moments.variance
        # As StandardScaler: what differs by no more than the rounding of a mean is constant.
        rounding = self.n_steps_seen_ * np.finfo(np.float64).eps
        with np.errstate(over="ignore"):
            constant = self.var_ <= rounding * self.var_ + (rounding * self.mean_) ** 2
        self.scale_ = np.where(constant, 1.0, np.sqrt(self.var_))
        self.data_min_, self.data_max_ = moments.low, moments.high

    def _offset_and_scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        offset = self.mean_ if self.with_mean else np.zeros_like(self.mean_)
        scale = self.scale_ if self.with_std else np.ones_like(self.scale_)
        return offset, scale

    def _map(self, sequences: Sequences, function: Affine) -> Any:
        offset, scale = self._offset_and_scale()
        steps = np.empty((sequences.lengths.sum(), sequences.n_features), dtype=_result_type(sequences.dtype))
        start = 0
        for piece in sequences.pieces():
            end = start + len(piece)
            function(piece, offset, scale, steps[start:end])
            start = end
        return sequences.put_back(steps)

    def _map_target(self, y: Any, features: int | Sequence[int], function: Affine) -> Any:
        check_is_fitted(self)
        columns = _check_features(features, self.n_features_per_step_)
        offset, scale = (one[columns] for one in self._offset_and_scale())

        def mapped(name: str, value: ArrayLike) -> FloatArray:
            values = read_real(name, value)
            groups = values[..., np.newaxis]  # (..., k), where k features take turns
            if columns.ndim:
                n_groups, rest = divmod(values.shape[-1] if values.ndim else 1, len(columns))
                if rest:
                    msg = (
                        f"{name} has shape {values.shape}, expected a multiple of {len(columns)} (features) at its end"
                    )
                    raise ValueError(msg)
                groups = values.reshape(*values.shape[:-1], n_groups, len(columns))
            result = np.empty(groups.shape, dtype=_result_type(values.dtype))
            function(groups, offset, scale, result)
            return result.reshape(values.shape)

        items = items_of(y)
        if items is None:
            return mapped("y", y)
        parts = [mapped(f"y[{index}]", one) for index, one in enumerate(items)]
        return hold(parts, as_objects=isinstance(y, np.ndarray))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _standardise(values: RealArray, offset: FloatArray, scale: FloatArray, out: FloatArray) -> None:
    np.subtract(values, offset, out=out, casting="same_kind")
    np.divide(out, scale, out=out, casting="same_kind")


def _restore(values: RealArray, offset: FloatArray, scale: FloatArray, out: FloatArray) -> None:
    np.multiply(values, scale, out=out, casting="same_kind")
    np.add(out, offset, out=out, casting="same_kind")


def _result_type(dtype: np.dtype[Any]) -> type[np.float32 | np.float64]:
    return np.float32 if dtype.newbyteorder("=") == np.float32 else np.float64


def _check_features(features: int | Sequence[int], n_features: int) -> NDArray[np.intp]:
    """Return `features` as an index into the features of a step."""
    columns = np.asarray(features)
    if columns.dtype.kind not in "iu" or columns.ndim > 1 or columns.size == 0:
        msg = f"features is {features!r}, expected an integer or a sequence of at least one"
        raise TypeError(msg)
    if columns.min() < 0 or columns.max() >= n_features:
        msg = f"features is {features!r}, expected numbers from 0 to {n_features - 1}"
        raise ValueError(msg)
    return columns.astype(np.intp)
