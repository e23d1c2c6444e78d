"""Any memory layout of an argument is accepted, means the same, and is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .combinations import (
    COMBINATIONS,
    DTYPES,
    EACH_FUNCTION,
    PLAIN_COMBINATIONS,
    VARIED_COMBINATIONS,
    Combination,
    DType,
    Sizes,
    Variant,
)
from .results import (
    FUNCTIONS,
    assert_same_bits,
    backward,
    forward,
    forward_backward,
    only_gradients,
    run,
    step,
    tape_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Layout = Callable[[np.ndarray], np.ndarray]

RAGGED = Combination(Sizes(N=3, T=4, I=2, H=5), lengths="ragged")
RAGGED_OF_EACH = [replace(RAGGED, variant=variant) for variant in EACH_FUNCTION]
"""All optional arguments given."""

OTHER_ARGUMENTS = [(c.variant, name) for c in RAGGED_OF_EACH for name in c.shapes() if name != "x"]

OUTPUT_GRADIENTS = ("dy", "dh_n", "dc_n")


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
            if isinstance(result.get(name), np.ndarray):
                result[name] = change(result[name])
    return result


def layouts_of(*names: str) -> st.SearchStrategy[dict[str, list[Layout]]]:
    return st.fixed_dictionaries(dict.fromkeys(names, layout))


@given(
    combination=st.sampled_from(COMBINATIONS),
    inputs=layouts_of("x", "weight_ih", "weight_hh", "bias", "bias_hn", "peephole", "h0", "c0", "lengths"),
    gradients=layouts_of(*OUTPUT_GRADIENTS),
)
def test_the_memory_layout_of_an_argument_changes_nothing(
    combination: Combination, inputs: dict[str, list[Layout]], gradients: dict[str, list[Layout]]
) -> None:
    arguments = laid_out(combination.forward_arguments(), inputs)
    output_gradients = laid_out(combination.output_gradients(), gradients)
    assert_same_bits(forward_backward(combination.cell, arguments, output_gradients), run(combination))


@given(
    combination=st.sampled_from(RAGGED_OF_EACH),
    layouts=layouts_of("x_t", "h", "c", "weight_ih", "weight_hh", "bias", "bias_hn", "peephole"),
    dtype=st.sampled_from(DTYPES),
)
def test_the_memory_layout_of_an_argument_of_a_step_changes_nothing(
    combination: Combination, layouts: dict[str, list[Layout]], dtype: DType
) -> None:
    arguments = replace(combination, dtype=dtype).step_arguments()
    assert_same_bits(step(combination.cell, laid_out(arguments, layouts)), step(combination.cell, arguments))


@given(data=st.data(), variant=st.sampled_from(EACH_FUNCTION), dtype=st.sampled_from(DTYPES))
def test_a_broadcast_argument_is_the_array_it_stands_for(data: st.DataObject, variant: Variant, dtype: DType) -> None:
    """Zero strides on any axes of any argument."""
    combination = replace(RAGGED, dtype=dtype, variant=variant)
    sources = {**combination.forward_arguments(), **combination.output_gradients()}
    broadcast, copies = dict(sources), dict(sources)
    for name, array in sources.items():
        if isinstance(array, np.ndarray):
            axes = data.draw(st.sets(st.integers(0, array.ndim - 1)), label=f"constant axes of {name}")
            constant = array[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(array.ndim))]
            broadcast[name] = np.broadcast_to(constant, array.shape)
            copies[name] = broadcast[name].copy()

    def results(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
        arguments = {name: value for name, value in arrays.items() if name not in OUTPUT_GRADIENTS}
        output_gradients = {name: value for name, value in arrays.items() if name in OUTPUT_GRADIENTS}
        return forward_backward(variant.cell, arguments, output_gradients)

    assert_same_bits(results(broadcast), results(copies))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_memory_mapped_arguments_give_the_same_bits(tmp_path: Path, combination: Combination, dtype: DType) -> None:
    combination = replace(combination, dtype=dtype)

    def mapped(arrays: dict[str, Any]) -> dict[str, Any]:
        layouts = {name: [memory_mapped_by(tmp_path / f"{name}.npy")] for name in arrays}
        return laid_out(arrays, layouts)

    actual = forward_backward(
        combination.cell, mapped(combination.forward_arguments()), mapped(combination.output_gradients())
    )
    assert_same_bits(actual, run(combination))


@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_windows_of_one_series_are_accepted_as_the_overlapping_view_they_are(combination: Combination) -> None:
    arguments = combination.forward_arguments()
    series = np.random.default_rng(0).standard_normal((9, RAGGED.sizes.I))
    windows = np.lib.stride_tricks.sliding_window_view(series, RAGGED.sizes.T, axis=0).swapaxes(1, 2)[::2]
    assert windows.shape == arguments["x"].shape
    actual = forward(combination.cell, {**arguments, "x": windows})
    assert_same_bits(actual, forward(combination.cell, {**arguments, "x": windows.copy()}))


@pytest.mark.parametrize("combination", [*PLAIN_COMBINATIONS[::7], *VARIED_COMBINATIONS[::17]], ids=str)
def test_arguments_are_never_written(combination: Combination) -> None:
    """All of them are writeable here; read-only ones are among the layouts above."""
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    forward_backward(combination.cell, arguments, output_gradients)
    untouched = {**combination.forward_arguments(), **combination.output_gradients()}
    for name, value in {**arguments, **output_gradients}.items():
        np.testing.assert_array_equal(value, untouched[name], err_msg=name)


@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_arguments_of_a_step_are_never_written(combination: Combination) -> None:
    arguments = combination.step_arguments()
    step(combination.cell, arguments)
    for name, value in combination.step_arguments().items():
        np.testing.assert_array_equal(arguments[name], value, err_msg=name)


@pytest.mark.parametrize(("variant", "name"), OTHER_ARGUMENTS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16", "bool"])
@pytest.mark.parametrize("x_dtype", DTYPES)
def test_other_arguments_are_cast_to_the_dtype_of_x(x_dtype: DType, dtype: str, variant: Variant, name: str) -> None:
    combination = replace(RAGGED, dtype=x_dtype, variant=variant)
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    arguments[name] = np.abs(np.round(arguments[name], 1)).astype(dtype)
    cast = {**arguments, name: arguments[name].astype(x_dtype)}
    expected = forward_backward(variant.cell, cast, output_gradients)
    assert_same_bits(forward_backward(variant.cell, arguments, output_gradients), expected)


@pytest.mark.parametrize("bound", [2, np.float32(2), np.float64(2), np.int64(2), np.array(2.0)])
def test_the_bound_of_the_cell_state_may_be_any_number(bound: Any) -> None:
    arguments = RAGGED.forward_arguments()
    assert_same_bits(
        forward("lstm", {**arguments, "cell_clip": bound}), forward("lstm", {**arguments, "cell_clip": 2.0})
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", "bool"])
@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_whole_numbers_as_x_mean_float64(combination: Combination, dtype: str) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    arguments["x"] = np.abs(np.round(2 * arguments["x"])).astype(dtype)
    actual = forward_backward(combination.cell, arguments, output_gradients)
    assert actual["y"].dtype == np.float64
    arguments["x"] = arguments["x"].astype(np.float64)
    assert_same_bits(actual, forward_backward(combination.cell, arguments, output_gradients))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", ">i4", ">u8"])
def test_lengths_may_have_any_integer_dtype(dtype: str) -> None:
    arguments, output_gradients = RAGGED.forward_arguments(), RAGGED.output_gradients()
    arguments["lengths"] = arguments["lengths"].astype(dtype)
    assert_same_bits(forward_backward("lstm", arguments, output_gradients), run(RAGGED))


@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_lists_are_accepted_as_arrays(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    lists = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in arguments.items()}
    d_lists = {name: value.tolist() for name, value in output_gradients.items()}
    assert_same_bits(forward_backward(combination.cell, lists, d_lists), run(combination))


@pytest.mark.parametrize("flag", [0, 1, np.False_, np.True_])
@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_flags_may_be_anything_that_numpy_calls_a_bool(combination: Combination, flag: Any) -> None:
    arguments = combination.forward_arguments()
    actual = FUNCTIONS[combination.cell].forward(**{**arguments, "reverse": flag}, training=flag)
    expected = FUNCTIONS[combination.cell].forward(**{**arguments, "reverse": bool(flag)}, training=bool(flag))
    np.testing.assert_array_equal(actual.y, expected.y)
    assert (actual.tape is None) == (expected.tape is None)


@pytest.mark.parametrize("flag", [0, 1, np.False_, np.True_])
def test_coupled_may_be_anything_that_numpy_calls_a_bool(flag: Any) -> None:
    combination = replace(RAGGED, variant=Variant("lstm", coupled=bool(flag)))
    arguments = {**combination.forward_arguments(), "coupled": flag}
    assert_same_bits(forward("lstm", arguments), forward("lstm", combination.forward_arguments()))


@pytest.mark.parametrize("combination", [PLAIN_COMBINATIONS[95], PLAIN_COMBINATIONS[-1], *RAGGED_OF_EACH], ids=str)
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


@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_later_calls_do_not_touch_earlier_results(combination: Combination) -> None:
    """Workspaces are reused; what was handed out is not."""
    first = run(combination)
    kept = {name: value[...] for name, value in first.items()}  # views, which alone keep the memory
    expected = {name: value.copy() for name, value in first.items()}
    del first
    for seed in range(1, 20):
        run(combination, seed)
    assert_same_bits(kept, expected)


@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_writing_into_arguments_and_outputs_after_the_forward_pass_does_not_change_the_gradients(
    combination: Combination,
) -> None:
    cell, arguments, output_gradients = (
        combination.cell,
        combination.forward_arguments(),
        combination.output_gradients(),
    )
    out = FUNCTIONS[cell].forward(**arguments, training=True)
    expected = backward(cell, out.tape, output_gradients)

    for array in [*arguments.values(), *out]:
        if isinstance(array, np.ndarray):
            array[...] = 1

    assert_same_bits(backward(cell, out.tape, output_gradients), expected)


@pytest.mark.parametrize("combination", RAGGED_OF_EACH, ids=str)
def test_a_tape_outlives_the_arguments_it_was_made_from(combination: Combination) -> None:
    tape = tape_of(combination)
    for seed in range(1, 20):
        run(combination, seed)
    expected = only_gradients(run(combination))
    assert_same_bits(backward(combination.cell, tape, combination.output_gradients()), expected)
