"""A trained model as it comes out of a file: predictions with NumPy alone."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pylstm import _core
from pylstm._config import get_include
from pylstm.typing import FloatArray

from ._document import Document, load, save
from ._errors import ModelFormatError
from ._header import write_header
from ._missing import PER_FEATURE, refuse_stream, with_mask
from ._readout import Readout, Sequences

KINDS = ("regression", "classification")
MISSING = ("error", "mask")  # no sets: what a file has there may have no hash


def network_outputs(network: _core.Network, X: Sequences) -> Sequences:
    """Return what a network gives for sequences."""
    return by_sequence(network.predict(X), X, pooling=network.pooling)


def by_sequence(
    outputs: NDArray[Any], X: Sequences, *, pooling: str, rows: NDArray[np.int64] | None = None
) -> Sequences:
    """Return a network's outputs for X, or for `rows` of it: as a list where X is one and every step counts."""
    if not isinstance(X, list) or pooling != "none":
        return outputs
    chosen = X if rows is None else [X[row] for row in rows.tolist()]
    return np.split(outputs, np.cumsum([len(x) for x in chosen])[:-1])


class Model:
    """A trained network that predicts, without scikit-learn. `load_model` makes it.

    Attributes
    ----------
    architecture : dict
        The network: ``cell``, ``n_features``, ``hidden_sizes``, ``n_outputs``, ``pooling``, ....
    dtype : {"float32", "float64"}
        Type of weights and arithmetic.
    parameters : dict of str to ndarray
        Weights by name, read-only.
    task : dict
        What the model is for, as its file says. Empty for files that C++ programs write.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._network: _core.Network | None = None
        task, network = document.task, document.architecture
        if task.get("kind", "regression") not in KINDS:
            _reject(
                f"the model is for {task['kind']!r}, expected one of {', '.join(KINDS)}: written by a newer version"
            )
        self._readout = Readout.of(task, n_outputs=network["n_outputs"], pooling=network.get("pooling", "last"))
        self._n_timesteps = _count_or_none(task, "n_timesteps")
        if task.get("missing", "error") not in MISSING:
            _reject(f"missing is {task['missing']!r}, expected 'error' or 'mask'")
        self._masks = task.get("missing") == "mask"
        if self._masks and (network.get("vocabulary_size") or network["n_features"] % PER_FEATURE):
            _reject(
                f"missing is 'mask' for a network of tokens or of {network['n_features']} inputs, expected 3 a feature"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the compiled form out; it is built when first needed."""
        return {**vars(self), "_network": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the parameters read-only again, which pickle forgets."""
        vars(self).update(state)
        for array in self._document.parameters.values():
            array.flags.writeable = False

    @property
    def architecture(self) -> dict[str, Any]:
        """The network's description."""
        return dict(self._document.architecture)

    @property
    def dtype(self) -> str:
        """Type of weights and arithmetic."""
        return self._document.dtype

    @property
    def parameters(self) -> dict[str, FloatArray]:
        """Weights by name, read-only."""
        return dict(self._document.parameters)

    @property
    def task(self) -> dict[str, Any]:
        """What the model is for."""
        return dict(self._document.task)

    def predict(self, X: Any) -> Any:
        """Predict, as the estimator that was saved: numbers, or labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_steps, n_features), (n_samples, n_steps) or (n_samples, n_columns), \
or list of (n_steps_i, n_features)
            Sequences; finite. A 2-D array is cut into steps as it was by the estimator that was saved.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs); or one per step
            In the model's type; the values are those of the estimator, but for the rounding of exp in that type where
            it comes last (counts). Of steps (n_samples, n_steps, ...), or a list if X is one.

        Raises
        ------
        ValueError
            If the shape is wrong, there are no samples or no steps, or a number is NaN or infinite.
        """
        return self._readout.predictions(self._outputs(X))

    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of every class, of a model for classification.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `predict`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes); or one per step
            In the order of ``model.task["classes"]``.
        """
        return self._readout.probabilities(self._outputs(X))

    def predict_quantiles(self, X: Any) -> Any:
        """Predict all quantiles, of a model trained with ``loss="quantile"``.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for `predict`.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_quantiles) or (n_samples, n_outputs, n_quantiles); or one per step
            In the order of ``model.task["quantiles"]``.
        """
        return self._readout.all_quantiles(self._outputs(X))

    def _open_stream(self, rows: int) -> object:
        """Return what `pylstm.Stream` drives."""
        if self._masks:
            refuse_stream()
        return _core.open_stream(self._compiled(), rows)

    def _compiled(self) -> _core.Network:
        network = self._network
        if network is None:
            network = _core.Network(dtype=self.dtype, **self._document.architecture)
            network.set_parameters(self._document.parameters)
            self._network = network
        return network

    def _outputs(self, X: Any) -> Sequences:
        return network_outputs(self._compiled(), self._sequences(X))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, as the estimator's ``save_model``.

        Parameters
        ----------
        path : path-like
            The file is replaced as a whole.
        """
        save(self._document, path)

    def export_header(self, path: str | os.PathLike[str], *, name: str = "model") -> None:
        """Write the model as a C++ header: weights, one time step, a self-test; for programs without a file system.

        Parameters
        ----------
        path : path-like
            The header; it needs nothing of pylstm's. C++17, float32, no exceptions, RTTI, allocation or threads.
        name : str, default="model"
            Namespace of everything in it: a C++ name that neither the program nor the C library (``exp``) has for
            something else.

        Raises
        ------
        ValueError
            If the network reads sequences in both directions, with attention or an embedding, gives something for every
            step, has layer normalisation, the cell "gru_reset_before", zoneout or residual layers, or takes missing
            values; or if `name` is no C++ name, or a keyword or reserved.

        Notes
        -----
        The header computes the network's outputs but for rounding: its ``self_test()`` says how far off. They are what
        `predict` gives, but logits of classes, logarithms of counts (``loss="poisson"``), and quantiles that are not
        sorted; the header's first lines say which.
        """
        if self._masks:
            refuse_stream("a header")
        write_header(self._document, self._readout.meaning, path, name, get_include())

    def _sequences(self, X: Any) -> Sequences:
        network = self._document.architecture
        features = 1 if network.get("vocabulary_size") else network["n_features"]
        if self._masks:
            features //= PER_FEATURE
        self._check_columns(X)
        if isinstance(X, list | tuple) and any(np.ndim(one) > 0 for one in X) and len({np.shape(one) for one in X}) > 1:
            items = [self._checked(np.asarray(one)[np.newaxis], features, f"X[{i}]")[0] for i, one in enumerate(X)]
            return [np.ascontiguousarray(one, dtype=self.dtype) for one in items]
        if isinstance(X, list) and X and isinstance(X[0], np.ndarray) and X[0].ndim == 2:
            return [np.ascontiguousarray(one) for one in self._checked(np.asarray(X), features, "X")]
        return self._checked(np.asarray(X), features, "X")

    def _check_columns(self, X: Any) -> None:
        """Raise ValueError unless tables have the columns of fit, where the file names them, or one and the same."""
        expected = self.task.get("attributes", {}).get("feature_names_in_")
        for one in X if isinstance(X, list | tuple) else [X]:
            columns = getattr(one, "columns", None)
            if columns is None or not all(isinstance(name, str) for name in columns):
                continue
            expected = expected or list(columns)
            if list(columns) != expected:
                msg = f"X has the columns {list(columns)}, expected {expected}"
                raise ValueError(msg)

    def _checked(self, array: NDArray[Any], features: int, name: str) -> FloatArray:
        """Return (n_samples, n_steps, n_features) of finite floats."""
        if array.dtype.kind not in "fiub":
            msg = f"{name} has dtype {array.dtype}, expected real numbers"
            raise TypeError(msg)
        if array.dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
            array = array.astype(self.dtype)
        if array.ndim == 2:
            steps = self._n_timesteps or array.shape[1]
            if array.shape[1] == steps * features:
                array = array.reshape(len(array), steps, features)
        if array.ndim != 3 or array.shape[2] != features or 0 in array.shape:
            expected = f"expected (n_samples, n_steps, {features}) or as many columns, none of them 0"
            msg = f"{name} has shape {array.shape}, {expected}"
            raise ValueError(msg)
        if self._masks:
            if np.isinf(array).any():
                msg = f"{name} contains infinity"
                raise ValueError(msg)
            return with_mask(array)
        if not (np.isfinite(array.min()) and np.isfinite(array.max())):
            row, step, feature = np.argwhere(~np.isfinite(array))[0]
            msg = f"{name} contains {array[row, step, feature]}: row {row}, step {step}, feature {feature}"
            raise ValueError(msg)
        return array


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file. It needs NumPy alone, and never runs what a file contains.

    Parameters
    ----------
    path : path-like
        What an estimator's ``save_model`` wrote, or ``pylstm::io::save`` in C++.

    Returns
    -------
    Model
        Predicts what the estimator does.

    Raises
    ------
    ModelFormatError
        If the file is truncated, corrupted, inconsistent, or written by a newer version.
    OSError
        If it cannot be read.
    """
    return Model(load(path))


def _count_or_none(task: dict[str, Any], name: str) -> int | None:
    value = task.get(name)
    if value is not None and (type(value) is not int or value < 1):
        _reject(f"{name} is {value!r}, expected a positive whole number or null")
    return value


def _reject(msg: str) -> NoReturn:
    raise ModelFormatError(msg)
