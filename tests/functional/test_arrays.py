"""Any memory layout of an argument is accepted, means the same, and is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pylstm

from .combinations import COMBINATIONS, DTYPES, Combination, Sizes
from .results import assert_same_bits, forward_backward, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Layout = Callable[[np.ndarray], np.ndarray]

RAGGED = Combination(Sizes(N=3, T=4, I=2, H=5), lengths="ragged")
"""All optional arguments given."""


def reversed_axes(array: np.ndarray) -> np.ndarray:
    """Negative strides on every axis."""
    return np.flip(np.flip(array).copy())


def every_second(array: np.ndarray) -> np.ndarray:
    """Return a view that skips every second number of every axis; NaN or the largest integer stands between."""
    filler = np.iinfo(array.dtype).max if array.dtype.kind == "i" else np.nan
    larger = np.full([2 * size for size in array.shape], filler, array.dtype)
    view = larger[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def unaligned(array: np.ndarray) -> np.ndarray:
    """Numbers at odd addresses."""
    view = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def field_of_records(array: np.ndarray) -> np.ndarray:
    """Strides that are no multiple of the size of a number."""
    records = np.zeros(array.shape, [("other", np.uint8), ("value", array.dtype)])
    view: np.ndarray = records["value"]
    view[...] = array
    return view


def byte_swapped(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder())


def read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def memory_mapped_by(path: Path) -> Layout:
    def memory_mapped(array: np.ndarray) -> np.ndarray:
        np.save(path, array)
        mapped: np.ndarray = np.load(path, mmap_mode="r")
        return mapped

    return memory_mapped


LAYOUTS: list[Layout] = [
    np.asfortranarray,
    np.ascontiguousarray,
    reversed_axes,
    every_second,
    unaligned,
    field_of_records,
    byte_swapped,
    read_only,
]

layout = st.lists(st.sampled_from(LAYOUTS), max_size=3)
"""One layout after another: read-only and Fortran, byte-swapped and reversed, ..."""


def laid_out(arrays: dict[str, Any], layouts: dict[str, list[Layout]]) -> dict[str, Any]:
    """Apply to each array the layouts of its name; the numbers stay."""
    result = dict(arrays)
    for name, changes in layouts.items():
        for change in changes:
            if isinstance(result[name], np.ndarray):
                result[name] = change(result[name])
    return result


def layouts_of(*names: str) -> st.SearchStrategy[dict[str, list[Layout]]]:
    return st.fixed_dictionaries(dict.fromkeys(names, layout))


@given(
    combination=st.sampled_from(COMBINATIONS),
    inputs=layouts_of("x", "weight_ih", "weight_hh", "bias", "h0", "c0", "lengths"),
    gradients=layouts_of("dy", "dh_n", "dc_n"),
)
def test_the_memory_layout_of_an_argument_changes_nothing(
    combination: Combination, inputs: dict[str, list[Layout]], gradients: dict[str, list[Layout]]
) -> None:
    arguments = laid_out(combination.forward_arguments(), inputs)
    output_gradients = laid_out(combination.output_gradients(), gradients)
    assert_same_bits(forward_backward(arguments, output_gradients), run(combination))


@given(layouts=layouts_of("x_t", "h", "c", "weight_ih", "weight_hh", "bias"), dtype=st.sampled_from(DTYPES))
def test_the_memory_layout_of_an_argument_of_a_step_changes_nothing(
    layouts: dict[str, list[Layout]], dtype: str
) -> None:
    arguments = step_arguments(dtype)
    assert_same_bits(step(laid_out(arguments, layouts)), step(arguments))


def step_arguments(dtype: str) -> dict[str, np.ndarray]:
    arguments = RAGGED.forward_arguments()
    names = {"weight_ih": "weight_ih", "weight_hh": "weight_hh", "bias": "bias", "h": "h0", "c": "c0"}
    chosen = {"x_t": arguments["x"][:, 0], **{name: arguments[source] for name, source in names.items()}}
    return {name: value.astype(dtype) for name, value in chosen.items()}


def step(arguments: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    h, c = pylstm.lstm_step(**arguments)
    return {"h": h, "c": c}


@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_a_broadcast_argument_is_the_array_it_stands_for(data: st.DataObject, dtype: str) -> None:
    """Zero strides on any axes of any argument."""
    combination = Combination(RAGGED.sizes, lengths="ragged", dtype=dtype)  # type: ignore[arg-type]
    sources = {**combination.forward_arguments(), **combination.output_gradients()}
    broadcast, copies = dict(sources), dict(sources)
    for name, array in sources.items():
        if isinstance(array, np.ndarray):
            axes = data.draw(st.sets(st.integers(0, array.ndim - 1)), label=f"constant axes of {name}")
            constant = array[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(array.ndim))]
            broadcast[name] = np.broadcast_to(constant, array.shape)
            copies[name] = broadcast[name].copy()

    def results(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
        names = ("dy", "dh_n", "dc_n")
        forward = {name: value for name, value in arrays.items() if name not in names}
        return forward_backward(forward, {name: arrays[name] for name in names})

    assert_same_bits(results(broadcast), results(copies))


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_mapped_arguments_give_the_same_bits(tmp_path: Path, dtype: str) -> None:
    combination = Combination(RAGGED.sizes, lengths="ragged", dtype=dtype)  # type: ignore[arg-type]
    arrays = {**combination.forward_arguments(), **combination.output_gradients()}
    mapped = {
        name: memory_mapped_by(tmp_path / f"{name}.npy")(value) if isinstance(value, np.ndarray) else value
        for name, value in arrays.items()
    }
    output_gradients = {name: mapped.pop(name) for name in ("dy", "dh_n", "dc_n")}
    assert_same_bits(forward_backward(mapped, output_gradients), run(combination))


def test_windows_of_one_series_are_accepted_as_the_overlapping_view_they_are() -> None:
    arguments = RAGGED.forward_arguments()
    series = np.random.default_rng(0).standard_normal((9, RAGGED.sizes.I))
    windows = np.lib.stride_tricks.sliding_window_view(series, RAGGED.sizes.T, axis=0).swapaxes(1, 2)[::2]
    assert windows.shape == arguments["x"].shape
    actual = pylstm.lstm_forward(**{**arguments, "x": windows})
    expected = pylstm.lstm_forward(**{**arguments, "x": windows.copy()})
    np.testing.assert_array_equal(actual.y, expected.y)


@pytest.mark.parametrize("combination", COMBINATIONS[::7], ids=str)
def test_arguments_are_never_written(combination: Combination) -> None:
    """All of them are writeable here; read-only ones are among the layouts above."""
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    forward_backward(arguments, output_gradients)
    untouched = {**combination.forward_arguments(), **combination.output_gradients()}
    for name, value in {**arguments, **output_gradients}.items():
        np.testing.assert_array_equal(value, untouched[name], err_msg=name)


def test_arguments_of_a_step_are_never_written() -> None:
    arguments = step_arguments("float64")
    step(arguments)
    assert_same_bits(arguments, step_arguments("float64"))


@pytest.mark.parametrize("name", ["weight_ih", "weight_hh", "bias", "h0", "c0"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16", "bool"])
@pytest.mark.parametrize("x_dtype", DTYPES)
def test_other_arguments_are_cast_to_the_dtype_of_x(name: str, dtype: str, x_dtype: str) -> None:
    combination = Combination(RAGGED.sizes, lengths="ragged", dtype=x_dtype)  # type: ignore[arg-type]
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    arguments[name] = np.abs(np.round(arguments[name], 1)).astype(dtype)
    expected = forward_backward({**arguments, name: arguments[name].astype(x_dtype)}, output_gradients)
    assert_same_bits(forward_backward(arguments, output_gradients), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", "bool"])
def test_whole_numbers_as_x_mean_float64(dtype: str) -> None:
    arguments, output_gradients = RAGGED.forward_arguments(), RAGGED.output_gradients()
    arguments["x"] = np.abs(np.round(2 * arguments["x"])).astype(dtype)
    actual = forward_backward(arguments, output_gradients)
    assert actual["y"].dtype == np.float64
    assert_same_bits(actual, forward_backward({**arguments, "x": arguments["x"].astype(np.float64)}, output_gradients))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", ">i4", ">u8"])
def test_lengths_may_have_any_integer_dtype(dtype: str) -> None:
    arguments, output_gradients = RAGGED.forward_arguments(), RAGGED.output_gradients()
    arguments["lengths"] = arguments["lengths"].astype(dtype)
    assert_same_bits(forward_backward(arguments, output_gradients), run(RAGGED))


def test_lists_are_accepted_as_arrays() -> None:
    arguments, output_gradients = RAGGED.forward_arguments(), RAGGED.output_gradients()
    lists = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in arguments.items()}
    d_lists = {name: value.tolist() for name, value in output_gradients.items()}
    assert_same_bits(forward_backward(lists, d_lists), run(RAGGED))


@pytest.mark.parametrize("flag", [0, 1, np.False_, np.True_])
def test_flags_may_be_anything_that_numpy_calls_a_bool(flag: Any) -> None:
    arguments = RAGGED.forward_arguments()
    actual = pylstm.lstm_forward(**{**arguments, "reverse": flag}, training=flag)
    expected = pylstm.lstm_forward(**{**arguments, "reverse": bool(flag)}, training=bool(flag))
    np.testing.assert_array_equal(actual.y, expected.y)
    assert (actual.tape is None) == (expected.tape is None)


@pytest.mark.parametrize("combination", [COMBINATIONS[95], COMBINATIONS[-1]], ids=str)
def test_results_are_the_callers_own_contiguous_writeable_arrays(combination: Combination) -> None:
    results = run(combination)
    for name, value in results.items():
        assert value.flags.c_contiguous, name
        assert value.flags.writeable, name
        assert value.flags.aligned, name
        assert value.dtype.isnative, name
    arrays = [*results.values(), *combination.forward_arguments().values(), *combination.output_gradients().values()]
    for k, one in enumerate(arrays):
        for other in arrays[k + 1 :]:
            assert not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.shares_memory(one, other))


def test_later_calls_do_not_touch_earlier_results() -> None:
    """Workspaces are reused; what was handed out is not."""
    first = run(RAGGED)
    kept = {name: value[...] for name, value in first.items()}  # views, which alone keep the memory
    expected = {name: value.copy() for name, value in first.items()}
    del first
    for seed in range(1, 20):
        run(RAGGED, seed)
    assert_same_bits(kept, expected)


def test_writing_into_arguments_and_outputs_after_the_forward_pass_does_not_change_the_gradients() -> None:
    arguments, output_gradients = RAGGED.forward_arguments(), RAGGED.output_gradients()
    out = pylstm.lstm_forward(**arguments, training=True)
    expected = pylstm.lstm_backward(out.tape, **output_gradients)._asdict()

    for array in [*arguments.values(), *out[:3]]:
        if isinstance(array, np.ndarray):
            array[...] = 1

    assert_same_bits(pylstm.lstm_backward(out.tape, **output_gradients)._asdict(), expected)


def test_a_tape_outlives_the_arguments_it_was_made_from() -> None:
    tape = pylstm.lstm_forward(**RAGGED.forward_arguments(), training=True).tape
    for seed in range(1, 20):
        run(RAGGED, seed)
    expected = run(RAGGED)
    gradients = pylstm.lstm_backward(tape, **RAGGED.output_gradients())
    assert_same_bits(
        {f"d_{name}": value for name, value in gradients._asdict().items()},
        {name: value for name, value in expected.items() if name.startswith("d_")},
    )
