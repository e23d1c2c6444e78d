"""What counts as sequences: read from anything that holds them, and put back into the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ._arguments import check_positive

RealArray: TypeAlias = NDArray[Any]
"""An array of booleans, integers or floats."""

# Elements looked at in one piece: 512 KiB of float64, which stays in the cache and is large beside a call of NumPy.
PIECE = 1 << 16


@dataclass(frozen=True)
class Sequences:
    """Sequences of real numbers, as views of what `read_sequences` was given.

    Attributes
    ----------
    kind : {"table", "array", "list", "objects"}
        What held them: a 2-D array, a 3-D array, a list or tuple of arrays, an object array of arrays.
    values : ndarray of shape (n_sequences, n_steps, n_features) or list of ndarray of shape (n_steps, n_features)
        An array for "table" and "array", a list for the others. Never empty, in no direction.
    bare : bool
        Whether a step was a number, not a row: (n_steps,) in a list, a column of its own in a table.
    """

    kind: Literal["table", "array", "list", "objects"]
    values: RealArray | list[RealArray]
    bare: bool = False

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.values)

    @property
    def n_features(self) -> int:
        """Features of every step."""
        return int(self.values[0].shape[1])

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Steps of every sequence, of shape (n_sequences,)."""
        if isinstance(self.values, list):
            return np.array([len(one) for one in self.values], dtype=np.intp)
        return np.full(len(self.values), self.values.shape[1], dtype=np.intp)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type, in native byte order, that all sequences fit in."""
        types = {one.dtype for one in self.values} if isinstance(self.values, list) else {self.values.dtype}
        return np.result_type(*types).newbyteorder("=")

    def steps(self) -> RealArray:
        """Return all steps, one below the other: (n_steps_in_all, n_features), a view where there is one."""
        return _stack(self.values)

    def pieces(self, n_elements: int = PIECE) -> Iterator[RealArray]:
        """Yield all steps in order, in tables of at most `n_elements` elements (or one step); little is ever copied."""
        n_steps = max(1, n_elements // self.n_features)
        for run in _runs(self.lengths, n_steps):
            table = _stack(self.values[run])
            for start in range(0, len(table), n_steps):
                yield table[start : start + n_steps]

    def put_back(self, steps: RealArray) -> Any:
        """Return `steps`, of shape (n_steps_in_all, n), held as the sequences were; a list gets views of it.

        Steps that were bare numbers are numbers again if n is 1. A table gets ``n_steps * n`` columns.
        """
        if isinstance(self.values, list):
            parts = np.split(steps[:, 0] if self.bare and steps.shape[1] == 1 else steps, np.cumsum(self.lengths)[:-1])
            return self.hold(parts)
        n_steps = self.values.shape[1]
        shape = (len(self), n_steps * steps.shape[1]) if self.kind == "table" else (len(self), n_steps, steps.shape[1])
        return steps.reshape(shape)

    def hold(self, parts: list[RealArray]) -> list[RealArray] | NDArray[np.object_]:
        """Return one array for each sequence as a list, or as an object array if that is what held the sequences."""
        return hold(parts, as_objects=self.kind == "objects")


def read_sequences(
    X: Any, *, name: str = "X", n_timesteps: int | None = None, channels_first: bool = False
) -> Sequences:
    """Return the sequences that `X` holds; nothing is copied but what is no array yet.

    Parameters
    ----------
    X : array-like; list or tuple of array-like; object ndarray or series of array-like
        (n_sequences, n_steps, n_features); (n_sequences, n_columns), see `n_timesteps`; or one array of shape
        (n_steps, n_features) or (n_steps,) for each sequence. Nested lists of one length are an array, not a list.
    name : str
        The argument's name, for messages.
    n_timesteps : int, optional
        Steps in a row of a 2-D array, ``n_timesteps * n_features`` columns. Default: a step is a column.
    channels_first : bool
        Whether every sequence is (n_features, n_steps) instead.

    Raises
    ------
    TypeError
        If something is not real numbers.
    ValueError
        If there is no sequence, a shape is wrong, a sequence has no step, or features or dimensions differ.
    """
    kind: Literal["list", "objects"] = "objects" if isinstance(X, np.ndarray) else "list"
    items = items_of(X)
    if items is not None:
        require_same_columns(items, name)
        arrays = [read_real(f"{name}[{index}]", one) for index, one in enumerate(items)]
        values = [_element(f"{name}[{index}]", one, channels_first) for index, one in enumerate(arrays)]
        bare = arrays[0].ndim == 1
        for index, one in enumerate(values):
            if (arrays[index].ndim == 1) != bare:
                msg = f"{name}[{index}] has {arrays[index].ndim} dimensions, expected {arrays[0].ndim} (as {name}[0])"
                raise ValueError(msg)
            if one.shape[1] != values[0].shape[1]:
                msg = f"{name}[{index}] has {one.shape[1]} features, expected {values[0].shape[1]} (as {name}[0])"
                raise ValueError(msg)
        return Sequences(kind, values, bare)

    array = _array(name, X, channels_first)
    if array.ndim == 3:
        return Sequences("array", array.transpose(0, 2, 1) if channels_first else array)
    cut = cut_columns(array, n_timesteps, name)
    return Sequences("table", cut, bare=cut.shape[2] == 1)


def cut_columns(array: RealArray, n_timesteps: int | None, name: str) -> RealArray:
    """View (n, n_steps * n_features) as (n, n_steps, n_features); without `n_timesteps` every column is a step."""
    n, n_columns = array.shape
    n_steps = n_columns if n_timesteps is None else check_positive("n_timesteps", n_timesteps)
    if n_columns % n_steps:
        msg = f"{name} has shape {array.shape}, expected a multiple of {n_steps} columns (n_timesteps * n_features)"
        raise ValueError(msg)
    return array.reshape(n, n_steps, n_columns // n_steps)  # splitting an axis is a view whatever the strides


def require_real(array: NDArray[Any], name: str) -> None:
    """Raise TypeError if an array has no real numbers."""
    if array.dtype.kind not in "fiub":
        msg = f"{name} has dtype {array.dtype}, expected real numbers"
        raise TypeError(msg)


def read_real(name: str, value: Any) -> RealArray:
    """Return `value` as an array of real numbers. A table's columns, each of a real type, become floats together."""
    array = _as_array(name, value)
    require_real(array, name)
    return array


def listed(value: Any) -> list[Any] | None:
    """Return `value` as a list of sequences if it is one, None if it is an array or looks like one.

    Lists of sequences are lists and tuples of arrays, or of anything unequally long, and arrays and series of objects
    that hold such. Lists of equally long lists look like an array.
    """
    value = _without_index(value)
    if isinstance(value, np.ndarray):
        if value.dtype != object or value.ndim != 1 or len(value) == 0:
            return None
    elif not isinstance(value, list | tuple) or len(value) == 0:
        return None
    items = list(value)
    if not all(isinstance(item, np.ndarray | list | tuple) or hasattr(item, "__array__") for item in items):
        return None
    if any(isinstance(item, np.generic) for item in items):  # strings of NumPy have a length
        return None
    if all(getattr(item, "ndim", 0) >= 1 for item in items):
        return items
    try:
        lengths = {len(item) for item in items}
    except TypeError:  # a scalar array
        return None
    return items if len(lengths) > 1 or isinstance(value, np.ndarray) else None


def items_of(value: Any) -> list[Any] | None:
    """Return `value` as a list of sequences as `listed` does; with an array among them lists are never an array."""
    return list(value) if holds_arrays(value) else listed(value)


def require_same_columns(items: Sequence[Any], name: str) -> None:
    """Raise ValueError unless the tables among `items` have the same columns in the same order."""
    tables = [
        (index, list(one.columns)) for index, one in enumerate(items) if getattr(one, "columns", None) is not None
    ]
    for index, columns in tables:
        first, expected = tables[0]
        if columns != expected:
            msg = f"{name}[{index}] has the columns {columns}, expected {expected} (as {name}[{first}])"
            raise ValueError(msg)


def holds_arrays(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether `value` is a list, a tuple, an object array or a series with arrays (or frames) among its elements."""
    value = _without_index(value)
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1):
        return any(hasattr(one, "__array__") and np.ndim(one) > 0 for one in value)
    return False


def hold(parts: Sequence[RealArray], *, as_objects: bool) -> list[RealArray] | NDArray[np.object_]:
    """Return `parts` as a list or as an object array of shape (n,)."""
    if not as_objects:
        return list(parts)
    objects = np.empty(len(parts), dtype=object)
    for index, one in enumerate(parts):  # assigned at once, arrays of one shape would become a block
        objects[index] = one
    return objects


def _element(name: str, array: RealArray, channels_first: bool) -> RealArray:
    """Return one element of a list as (n_steps, n_features)."""
    if array.ndim not in {1, 2} or array.size == 0:
        layout = "(n_features, n_steps)" if channels_first else "(n_steps, n_features)"
        msg = f"{name} has shape {array.shape}, expected {layout} or (n_steps,), none of them 0"
        raise ValueError(msg)
    if array.ndim == 1:
        return array[:, np.newaxis]
    return array.T if channels_first else array


def _array(name: str, value: Any, channels_first: bool) -> RealArray:
    """Return `value` as an array of shape (n_sequences, n_columns), or 3-D as it is."""
    layout = "(n_sequences, n_features, n_steps)" if channels_first else "(n_sequences, n_steps, n_features)"
    array = _as_array(name, value)
    if array.dtype == object:
        with suppress(TypeError, ValueError):  # what holds something else than numbers stays as it is
            array = array.astype(np.float64)
    require_real(array, name)
    if array.ndim not in {2, 3} or array.size == 0:
        msg = (
            f"{name} has shape {array.shape}, "
            f"expected {layout}, (n_sequences, n_columns) or a list of arrays, none of them 0"
        )
        raise ValueError(msg)
    return array


def _without_index(value: Any) -> Any:
    """Return a series of objects of pandas as an array."""
    return (
        value.to_numpy() if getattr(value, "dtype", None) == np.dtype(object) and hasattr(value, "to_numpy") else value
    )


def _as_array(name: str, value: Any) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError:
        if not isinstance(value, list | tuple):
            raise
        msg = f"{name} is nested lists of different lengths, expected an array"
        raise ValueError(msg) from None
    if array.dtype != object or not hasattr(value, "dtypes"):
        return array
    # A table of pandas: objects are what it makes of floats beside booleans, and of types that know missing values.
    types = [value.dtypes] if array.ndim == 1 else list(value.dtypes)
    if any(getattr(one, "kind", "O") not in "fiub" for one in types):
        return array
    common = np.result_type(*(getattr(one, "numpy_dtype", getattr(one, "subtype", one)) for one in types))
    return np.asarray(value.to_numpy(dtype=common if common.kind == "f" else np.float64, na_value=np.nan))


def _stack(values: RealArray | list[RealArray]) -> RealArray:
    if len(values) == 1:
        return values[0]
    return np.concatenate(values) if isinstance(values, list) else values.reshape(-1, values.shape[2])


def _runs(lengths: NDArray[np.intp], n_steps: int) -> Iterator[slice]:
    """Yield runs of sequences with at most `n_steps` steps together; a longer sequence is a run of its own."""
    start = total = 0
    for index, length in enumerate(lengths.tolist()):
        if index > start and total + length > n_steps:
            yield slice(start, index)
            start, total = index, 0
        total += length
    yield slice(start, len(lengths))
