"""Calls hold on to nothing: no references, no memory; and Ctrl-C ends a long one."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pylstm

from .combinations import EACH_FUNCTION, PLAIN_COMBINATIONS, VARIED_COMBINATIONS, Combination, Sizes, Variant
from .results import FUNCTIONS, forward_backward

if TYPE_CHECKING:
    from ..conftest import RunPython

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.mark.parametrize("combination", [*PLAIN_COMBINATIONS[95::96], *VARIED_COMBINATIONS[::48]], ids=str)
def test_calls_keep_no_reference_to_their_arguments(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    arrays = [value for value in [*arguments.values(), *output_gradients.values()] if isinstance(value, np.ndarray)]
    before = [sys.getrefcount(array) for array in arrays]
    for _ in range(3):
        forward_backward(combination.cell, arguments, output_gradients)
    assert [sys.getrefcount(array) for array in arrays] == before


def test_errors_keep_no_reference_to_the_arguments() -> None:
    arguments = PLAIN_COMBINATIONS[95].forward_arguments()
    wrong: dict[str, Any] = {**arguments, "h0": np.zeros((2, 3))}
    arrays = [value for value in wrong.values() if isinstance(value, np.ndarray)]  # anybody may hold None
    before = [sys.getrefcount(array) for array in arrays]
    for _ in range(3):
        with pytest.raises(ValueError, match="h0"):
            pylstm.lstm_forward(**wrong)
    gc.collect()
    assert [sys.getrefcount(array) for array in arrays] == before


@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_a_tape_does_not_keep_the_callers_arrays_alive(variant: Variant) -> None:
    arguments = Combination(Sizes(N=3, T=4, I=2, H=5), lengths="ragged", variant=variant).forward_arguments()
    tape = FUNCTIONS[variant.cell].forward(**arguments, training=True).tape
    arrays = {name: weakref.ref(value) for name, value in arguments.items() if isinstance(value, np.ndarray)}
    del arguments
    assert not [name for name, array in arrays.items() if array() is not None]
    assert tape is not None


@on_linux
def test_memory_does_not_grow_with_the_number_of_calls(run_python: RunPython) -> None:
    """Every tape takes 6 MB, every y 1 MB: 300 of them kept would be 2 GB."""
    run_python("""
import numpy as np
import pylstm

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

x, w, u = np.ones((32, 64, 8)), np.ones((256, 8)), np.ones((256, 64))

def call():
    out = pylstm.lstm_forward(x, w, u, training=True)
    pylstm.lstm_backward(out.tape, out.y)
    pylstm.lstm_step(x[:, 0], out.h_n, out.c_n, w, u)
    try:
        pylstm.lstm_backward(out.tape, out.y[:, :1])
    except ValueError:
        pass

for _ in range(20):
    call()
before = resident()
for _ in range(300):
    call()
grown = resident() - before
assert grown < 50e6, grown
""")


@on_linux
def test_ctrl_c_ends_a_long_call(run_python: RunPython) -> None:
    """The call would take minutes (3.5e13 floating-point operations), longer than a child may run.

    x is one row of 256 KiB seen 2**22 times; y takes 256 MiB.
    """
    run_python("""
import signal
import numpy as np
import pylstm

x = np.broadcast_to(np.ones((1, 1, 2**16), np.float32), (64, 2**16, 2**16))
w, u = np.ones((64, 2**16), np.float32), np.ones((64, 16), np.float32)
expected = pylstm.lstm_forward(x[:, :2], w, u).y

def press_ctrl_c(signal_number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, press_ctrl_c)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    pylstm.lstm_forward(x, w, u)
except KeyboardInterrupt:
    pass
else:
    raise SystemExit("not interrupted")
assert (pylstm.lstm_forward(x[:, :2], w, u).y == expected).all()
""")


@pytest.mark.skipif(sys.platform == "win32", reason="no interval timers")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("units", [8, 300])
def test_a_signal_handler_may_call_the_functions_in_the_middle_of_a_call(
    run_python: RunPython, units: int, training: bool
) -> None:
    """Each call has memory of its own: with 8 units the handler would overwrite that of the call, with 300 free it."""
    run_python(f"""
import signal
import numpy as np
import pylstm

rng = np.random.default_rng(0)

def problem(n, steps, inputs, units):
    scale = units ** -0.5
    return rng.normal(size=(n, steps, inputs)), *(rng.normal(size=(4 * units, k)) * scale for k in (inputs, units))

def run(x, w, u):
    out = pylstm.lstm_forward(x, w, u, training={training})
    if not {training}:
        return [out.y, out.h_n]
    gradients = pylstm.lstm_backward(out.tape, out.y)
    return [out.y, gradients.x, gradients.weight_ih, gradients.weight_hh]

pylstm.set_num_threads(2)  # they look for signals every 2 GFLOP; a call of `long` has 4
long, other = problem(48, 600, 16, 128), problem(16, 4, 16, {units})
expected, of_other, calls = run(*long), run(*other), 0

def handler(*_):
    global calls
    calls += 1
    x, w, u = other
    pylstm.lstm_step(x[:, 0], np.zeros((16, {units})), np.zeros((16, {units})), w, u)
    assert all(np.array_equal(a, b) for a, b in zip(run(*other), of_other, strict=True))
    signal.setitimer(signal.ITIMER_REAL, 0.02)  # not before: on a busy machine handlers would pile up

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.02)
for _ in range(5):
    assert all(np.array_equal(a, b) for a, b in zip(run(*long), expected, strict=True))
signal.setitimer(signal.ITIMER_REAL, 0)
assert calls > 0
""")
