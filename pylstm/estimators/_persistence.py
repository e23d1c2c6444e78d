"""Fitted estimators to model files and back.

A file's task holds the constructor's parameters and what fit has learnt beside the weights. The solver's state is left
out: it is twice as large as the weights, and of use only to training; pickle keeps it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from pylstm.model import ModelFormatError
from pylstm.model._document import Document, load, save
from pylstm.model._model import MISSING
from pylstm.model._readout import Readout

from ._engine import Architecture, Model, Snapshot
from ._parameters import CELLS, check_integer
from ._validation import InputForm

if TYPE_CHECKING:
    from ._base import RecurrentEstimator

Estimator = TypeVar("Estimator", bound="RecurrentEstimator")


def save_estimator(estimator: RecurrentEstimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a model file."""
    estimator._check_parameters()  # as the reader will
    classes = estimator._readout.classes
    types = set() if classes is None else {type(label) for label in classes.labels.tolist()}
    if int in types and classes is not None and classes.labels.dtype.kind in "mM":  # nanoseconds
        types = {classes.labels.dtype.type}
    if len(types) > 1 or not types <= {bool, int, float, str}:
        names = ", ".join(sorted(one.__name__ for one in types))
        msg = f"classes_ holds labels of type {names}, expected bool, int, float or str: a model file has no others"
        raise TypeError(msg)
    save(document_of(estimator), path)


def document_of(estimator: RecurrentEstimator, *, training: bool = True) -> Document:
    """Return what a model file has of a fitted estimator; `training`: with what training on takes."""
    model = estimator._model
    form = estimator._input.now(estimator)
    steps = form.n_timesteps
    network = _network(estimator, model.architecture) if training else model.architecture.build()
    architecture = network.architecture
    attributes = {
        name: write(getattr(estimator, name)) for name, (write, _) in ATTRIBUTES.items() if hasattr(estimator, name)
    }
    task = {
        "kind": estimator._readout.kind,
        **estimator._readout.describe(),
        "missing": form.missing,
        "n_timesteps": steps if steps is None else check_integer("n_timesteps", steps, minimum=1),
        "n_columns": form.n_columns,
        "estimator": type(estimator).__name__,
        "parameters": _plain_parameters(estimator) if training else {},
        "attributes": attributes,
        "seed": model.seed,
    }
    return Document(model.architecture.dtype, architecture, model.snapshot.parameters, task)


def load_estimator(cls: type[Estimator], path: str | os.PathLike[str]) -> Estimator:
    """Return the fitted estimator of a model file, an instance of `cls`."""
    document = load(path)
    task = document.task
    if task.get("kind") != cls._KIND or not isinstance(task.get("parameters"), dict):
        what = repr(task.get("kind", "no estimator"))
        _reject(f"the file holds {what}, expected {cls._KIND!r}; pylstm.load_model may read it")
    unknown = task["parameters"].keys() - set(cls._get_param_names())
    if unknown:
        _reject(f"{cls.__name__} has no parameter {', '.join(sorted(unknown))}: written by a newer version")
    estimator = cls(**_read_parameters(task["parameters"]))
    try:
        estimator._check_parameters()
    except (TypeError, ValueError) as error:
        msg = f"a parameter is wrong: {error}"
        raise ModelFormatError(msg) from None
    for name, value in _attributes(task).items():
        setattr(estimator, name, value)
    architecture = Architecture.of(document.architecture, dtype=document.dtype)
    estimator._input = _input_form(task, architecture)
    estimator._readout = Readout.of(task, n_outputs=architecture.n_outputs, pooling=architecture.pooling)
    network = _network(estimator, architecture)
    same = network.architecture == {**network.architecture, **document.architecture}
    if architecture.cell not in CELLS or not same:
        _reject(f"the network is none that {cls.__name__} has; pylstm.load_model reads it")
    n_features = 1 if architecture.vocabulary_size > 0 else architecture.n_features
    n_outputs = estimator._readout.n_outputs(estimator.n_outputs_)
    n_network_features = estimator._input.n_network_features(estimator.n_features_per_step_)
    if (n_network_features, n_outputs) != (n_features, architecture.n_outputs):
        _reject("the attributes are not those of the network")
    estimator._model = Model(architecture, Snapshot(document.parameters, "", {}), _count(task.get("seed"), "seed"))
    return estimator


def _input_form(task: dict[str, Any], architecture: Architecture) -> InputForm:
    """Return the checked form of X."""
    missing = task.get("missing", "error")
    if missing not in MISSING:
        _reject(f"missing is {missing!r}, expected 'error' or 'mask'")
    n_timesteps, n_columns = (
        None if task.get(name) is None else _count(task[name], name, minimum=1) for name in ("n_timesteps", "n_columns")
    )
    return InputForm(missing, architecture.vocabulary_size or None, n_timesteps, n_columns)


def _network(estimator: RecurrentEstimator, architecture: Architecture) -> Any:
    """Return a network of this architecture, with what the estimator's parameters say of its training."""
    return architecture.build(**vars(estimator._dropout()))


def _plain_parameters(estimator: RecurrentEstimator) -> dict[str, Any]:
    """Return the constructor's parameters that JSON has; the others, such as a generator, begin as by default."""
    parameters = {}
    for name, value in estimator.get_params(deep=False).items():
        plain = str(np.dtype(value)) if name == "dtype" else _plain(value)
        if plain is not NotImplemented:
            parameters[name] = plain
    return parameters


def _read_parameters(plain: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as the constructor takes them: a dict is in the file as a list of its items."""
    weights = plain.get("class_weight")
    if not isinstance(weights, list):
        return plain
    labels = [item[0] for item in weights if isinstance(item, list) and len(item) == 2]
    if len(labels) != len(weights) or any(isinstance(label, list | dict) for label in labels):
        _reject(f"class_weight is {weights!r}, expected pairs of a label and its weight")
    return {**plain, "class_weight": dict(weights)}


def _plain(value: Any) -> Any:
    """Return `value` in terms of JSON, or NotImplemented."""
    if isinstance(value, np.ndarray) or (isinstance(value, np.generic) and not isinstance(value, np.number)):
        value = value.tolist()
    if isinstance(value, dict):  # JSON has names only, and labels may be numbers
        value = list(value.items())
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        items = [_plain(item) for item in value]
        return NotImplemented if NotImplemented in items else items
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and math.isfinite(value):
        return float(value)
    return NotImplemented


def _attributes(task: dict[str, Any]) -> dict[str, Any]:
    """Return the checked attributes."""
    saved = task.get("attributes")
    if not isinstance(saved, dict):
        _reject("the task lacks attributes")
    unknown = saved.keys() - ATTRIBUTES.keys()
    if unknown:
        _reject(f"unknown attribute {', '.join(sorted(unknown))}: written by a newer version")
    missing = ATTRIBUTES.keys() - saved.keys() - OPTIONAL
    if missing:
        _reject(f"the attributes lack {', '.join(sorted(missing))}")
    return {name: ATTRIBUTES[name][1](value, name) for name, value in saved.items()}


def _count(value: Any, name: str, *, minimum: int = 0) -> int:
    if type(value) is not int or value < minimum:
        _reject(f"{name} is {value!r}, expected a whole number, at least {minimum}")
    return int(value)


def _number(value: Any, name: str) -> float:
    """Return a float; JSON has no NaN and no infinity, null stands for them."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        _reject(f"{name} is {value!r}, expected a number")
    return float(value)


def _curve(value: Any, name: str) -> list[float]:
    if not isinstance(value, list):
        _reject(f"{name} is {value!r}, expected a list of numbers")
    return [_number(one, name) for one in value]


def _curve_or_none(value: Any, name: str) -> list[float] | None:
    return None if value is None else _curve(value, name)


def _names(value: Any, name: str) -> np.ndarray[Any, Any]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        _reject(f"{name} is no list of strings")
    return np.array(value, dtype=object)


def _write_number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _write_curve(value: list[float] | None) -> list[float | None] | None:
    return None if value is None else [_write_number(one) for one in value]


ATTRIBUTES: dict[str, tuple[Callable[[Any], Any], Callable[[Any, str], Any]]] = {
    "n_features_in_": (int, _count),
    "n_features_per_step_": (int, _count),
    "feature_names_in_": (list, _names),
    "n_outputs_": (int, _count),
    "n_iter_": (int, _count),
    "best_loss_": (_write_number, _number),
    "loss_curve_": (_write_curve, _curve),
    "validation_loss_curve_": (_write_curve, _curve_or_none),
    "validation_scores_": (_write_curve, _curve_or_none),
}
"""What is saved of a fitted estimator: how it is written, and how it is read and checked."""

OPTIONAL = {"feature_names_in_"}


def _reject(msg: str) -> NoReturn:
    raise ModelFormatError(msg)
