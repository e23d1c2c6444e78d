"""A trained model as it comes out of a file: predictions with NumPy alone."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from pylstm import _core
from pylstm._config import get_include
from pylstm.typing import FloatArray

from ._document import Document, load, save
from ._errors import ModelFormatError
from ._header import write_header

KIND = "regression"


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
        task = document.task
        if task.get("kind", KIND) != KIND:
            _reject(f"the model is for {task['kind']!r}, expected {KIND!r}: written by a newer version")
        self._y_is_1d = _flag(task, "y_is_1d") if "y_is_1d" in task else False
        self._n_timesteps = _count_or_none(task, "n_timesteps")
        if self._y_is_1d and document.architecture["n_outputs"] != 1:
            _reject(f"y_is_1d is true for {document.architecture['n_outputs']} outputs")

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

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predict.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_steps, n_features), (n_samples, n_steps) or (n_samples, n_columns)
            Sequences; finite. A 2-D array is cut into steps as it was by the estimator that was saved.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the model's type; the values are those of the estimator.

        Raises
        ------
        ValueError
            If the shape is wrong, or a number is NaN or infinite.
        """
        if self._network is None:
            network = _core.Network(dtype=self.dtype, **self._document.architecture)
            network.set_parameters(self._document.parameters)
            self._network = network
        predicted = self._network.predict(self._sequences(X))
        return predicted[:, 0] if self._y_is_1d else predicted

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
        name : str
            Namespace of everything in it.

        Raises
        ------
        ValueError
            If the network reads sequences in both directions, or has layer normalisation, or `name` is no C++ name.

        Notes
        -----
        The header computes what `predict` does but for rounding: its ``self_test()`` says how far from it.
        """
        write_header(self._document, path, name, get_include())

    def _sequences(self, X: ArrayLike) -> FloatArray:
        array = np.asarray(X)
        if array.dtype.kind not in "fiub":
            msg = f"X has dtype {array.dtype}, expected real numbers"
            raise TypeError(msg)
        if array.dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
            array = array.astype(self.dtype)
        features = self._document.architecture["n_features"]
        if array.ndim == 2:
            steps = self._n_timesteps or array.shape[1]
            if array.shape[1] == steps * features:
                array = array.reshape(len(array), steps, features)
        if array.ndim != 3 or array.shape[2] != features:
            msg = f"X has shape {array.shape}, expected (n_samples, n_steps, {features}) or as many columns"
            raise ValueError(msg)
        if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
            row, step, feature = np.argwhere(~np.isfinite(array))[0]
            msg = f"X contains {array[row, step, feature]}: row {row}, step {step}, feature {feature}"
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


def _flag(task: dict[str, Any], name: str) -> bool:
    if not isinstance(task[name], bool):
        _reject(f"{name} is {task[name]!r}, expected true or false")
    return bool(task[name])


def _count_or_none(task: dict[str, Any], name: str) -> int | None:
    value = task.get(name)
    if value is not None and (type(value) is not int or value < 1):
        _reject(f"{name} is {value!r}, expected a positive whole number or null")
    return value


def _reject(msg: str) -> NoReturn:
    raise ModelFormatError(msg)
