"""How outputs of a network become predictions: numbers, counts, quantiles or labels, of sequences or of their steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pylstm.typing import FloatArray

from ._errors import ModelFormatError

# (n, width) or (n, n_steps, width), or a list of (n_steps_i, width).
Sequences: TypeAlias = FloatArray | list[FloatArray]


def for_each(sequences: Sequences, function: Callable[[FloatArray], Any]) -> Any:
    """Return what a function of (..., width) makes of an array, or the list of what it makes of each sequence."""
    return [function(item) for item in sequences] if isinstance(sequences, list) else function(sequences)


@dataclass(frozen=True)
class TargetForm:
    """What targets look like outside, and so predictions."""

    per_step: bool
    is_1d: bool  # a target is a number, not an array of them

    def outside(self, predicted: FloatArray) -> FloatArray:
        """Return (..., n_targets) as targets look: without their last axis, where that is not wanted."""
        return predicted[..., 0] if self.is_1d else predicted


@dataclass(frozen=True)
class Classes:
    """What labels there are."""

    labels: NDArray[Any]  # in order; of several labels at once the numbers of their columns
    several: bool  # a target is several labels at once, each 0 or 1

    @property
    def binary(self) -> bool:
        """Whether one number tells the class."""
        return not self.several and len(self.labels) == 2

    def label(self, y: FloatArray) -> NDArray[Any]:
        """Return the labels of encoded targets (..., n_targets)."""
        return y.astype(np.int64) if self.several else np.asarray(self.labels[y[..., 0].astype(np.int64)])

    def choose(self, outputs: FloatArray) -> NDArray[Any]:
        """Return the labels that outputs (..., n_outputs) of a network speak for."""
        if self.several:
            return (outputs > 0).astype(np.int64)
        numbers = (outputs[..., 0] > 0).astype(np.int64) if self.binary else outputs.argmax(axis=-1)
        return np.asarray(self.labels[numbers])

    def probabilities(self, outputs: FloatArray) -> FloatArray:
        """Return those of all classes, (..., n_classes)."""
        return np.asarray(np.exp(self.log_probabilities(outputs)))

    def log_probabilities(self, outputs: FloatArray) -> FloatArray:
        """Return the logarithms of those of all classes, finite however small these are."""
        if self.several:
            return np.asarray(-np.logaddexp(0, -outputs))
        if self.binary:
            return np.asarray(-np.logaddexp(0, np.concatenate([outputs, -outputs], axis=-1)))
        lowered = outputs - outputs.max(axis=-1, keepdims=True)
        return np.asarray(lowered - np.log(np.exp(lowered).sum(axis=-1, keepdims=True)))


@dataclass(frozen=True)
class Readout:
    """From outputs to predictions, and from encoded targets to those of users.

    `loss` and `quantiles` say what outputs of a regression are; `classes` is None there.
    """

    form: TargetForm = TargetForm(per_step=False, is_1d=False)
    loss: str = "squared_error"
    quantiles: tuple[float, ...] = (0.5,)
    classes: Classes | None = None

    def n_outputs(self, n_targets: int) -> int:
        """Return how many numbers a network gives for a target of so many."""
        if self.classes is not None and not (self.classes.several or self.classes.binary):
            return len(self.classes.labels)
        return n_targets * (len(self.quantiles) if self.loss == "quantile" else 1)

    def predictions(self, outputs: Sequences) -> Any:
        """Return labels, or numbers; of several quantiles that next to the median."""
        return for_each(outputs, self._numbers if self.classes is None else self.classes.choose)

    def targets(self, y: Sequences) -> Any:
        """Return encoded targets as users know them."""
        return for_each(y, self.form.outside if self.classes is None else self.classes.label)

    def scores(self, outputs: Sequences) -> Any:
        """Return the outputs themselves, of two classes one number for each item."""
        return for_each(outputs, lambda o: o[..., 0]) if self._known_classes().binary else outputs

    def probabilities(self, outputs: Sequences) -> Any:
        """Return those of all classes."""
        return for_each(outputs, self._known_classes().probabilities)

    def log_probabilities(self, outputs: Sequences) -> Any:
        """Return the logarithms of those of all classes."""
        return for_each(outputs, self._known_classes().log_probabilities)

    def _known_classes(self) -> Classes:
        if self.classes is None:
            msg = "the model has no classes: it is for regression"
            raise AttributeError(msg)
        return self.classes

    def all_quantiles(self, outputs: Sequences) -> Any:
        """Return quantiles as targets look, with one more axis for them."""
        if self.loss != "quantile":
            msg = f"the loss is {self.loss!r}, and there are quantiles with 'quantile' only"
            raise AttributeError(msg)
        return for_each(outputs, lambda o: self._quantiles(o)[..., 0, :] if self.form.is_1d else self._quantiles(o))

    def _numbers(self, outputs: FloatArray) -> FloatArray:
        if self.loss == "poisson":
            with np.errstate(over="ignore"):
                return self.form.outside(np.exp(outputs))
        if self.loss != "quantile":
            return self.form.outside(outputs)
        middle = int(np.argmin(np.abs(np.asarray(self.quantiles) - 0.5)))
        return self.form.outside(self._quantiles(outputs)[..., middle])

    def _quantiles(self, outputs: FloatArray) -> FloatArray:
        """Return (..., n_targets, n_quantiles) in the order of `quantiles`, sorted by level so that none cross."""
        levels = np.asarray(self.quantiles)
        rank = np.argsort(np.argsort(levels, kind="stable"), kind="stable")
        return np.asarray(np.sort(outputs.reshape(*outputs.shape[:-1], -1, len(levels)), axis=-1)[..., rank])

    @property
    def meaning(self) -> str:
        """What outputs of the network are, in words for those who read them without this class."""
        if self.classes is not None:
            if self.classes.several:
                return "a log-odds for each label, which predict gives where it is above 0"
            if self.classes.binary:
                return "the log-odds of the second class, which predict gives where it is above 0"
            return "a logit for each class: predict gives that of the largest, probabilities are their softmax"
        if self.loss == "poisson":
            return "the logarithm of what predict gives"
        if self.loss == "quantile":
            return (
                f"the quantiles of each target, of the levels {', '.join(map(str, self.quantiles))}; predict sorts them"
            )
        return "what predict gives"

    @property
    def kind(self) -> str:
        """Of the task, in model files."""
        return "regression" if self.classes is None else "classification"

    def describe(self) -> dict[str, Any]:
        """Return this in terms of JSON."""
        described: dict[str, Any] = {"per_step": self.form.per_step, "y_is_1d": self.form.is_1d, "loss": self.loss}
        if self.loss == "quantile":
            described["quantiles"] = list(self.quantiles)
        if self.classes is not None:
            described["classes"] = self.classes.labels.tolist()
            described["several_labels"] = self.classes.several
        return described

    @classmethod
    def of(cls, task: dict[str, Any], *, n_outputs: int, pooling: str) -> Readout:
        """Return the checked readout of a task, which may leave out what is as by default."""
        per_step = _flag(task, "per_step", default=pooling == "none")
        if per_step != (pooling == "none"):
            _reject(f"per_step is {per_step}, and pooling is {pooling!r}")
        form = TargetForm(per_step, _flag(task, "y_is_1d", default=False))
        loss = task.get("loss", "squared_error")
        levels = task.get("quantiles", [0.5])
        if not isinstance(loss, str):
            _reject(f"loss is {loss!r}, expected a name")
        if not isinstance(levels, list) or not levels or not all(type(q) is float and 0 < q < 1 for q in levels):
            _reject(f"quantiles is {levels!r}, expected numbers in (0, 1)")
        classes = _classes(task, n_outputs) if task.get("kind") == "classification" else None
        n_targets = n_outputs / (len(levels) if loss == "quantile" else 1)
        if n_targets != int(n_targets) or (classes is None and form.is_1d and n_targets != 1):
            _reject(f"y_is_1d is {form.is_1d} for {n_outputs} outputs")
        return cls(form, loss, tuple(levels), classes)


def _classes(task: dict[str, Any], n_outputs: int) -> Classes:
    labels, several = task.get("classes"), _flag(task, "several_labels", default=False)
    if not isinstance(labels, list) or len({type(label) for label in labels}) != 1:
        _reject(f"classes is {labels!r}, expected a list of labels of one type")
    if not isinstance(labels[0], bool | int | float | str):
        _reject(f"classes holds {labels[0]!r}, expected numbers or strings")
    expected = len(labels) if several or len(labels) > 2 else 1
    if n_outputs != expected or (len(labels) < 2 and not several):
        _reject(f"there are {len(labels)} classes and {n_outputs} outputs")
    array = np.array(labels)
    if array.tolist() != labels:  # NumPy drops NULs at the end of strings
        array = np.array(labels, dtype=object)
    return Classes(array, several)


def _flag(task: dict[str, Any], name: str, *, default: bool) -> bool:
    value = task.get(name, default)
    if not isinstance(value, bool):
        _reject(f"{name} is {value!r}, expected true or false")
    return value


def _reject(msg: str) -> NoReturn:
    raise ModelFormatError(msg)
