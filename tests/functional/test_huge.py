"""Sizes that no memory holds, or whose product overflows: an error, never a crash and never a hang.

Every case runs in its own interpreter, so that a crash is a failed test, and with little memory beyond what that needs,
so that an allocation of a terabyte fails also where the system would promise it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..conftest import RunPython

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory limit is that of Linux")

EXTRA_MEMORY = 2**30
"""Bytes a child may use beside what it has after importing pylstm."""

PREPARE = """
import numpy as np
import pylstm

def huge(*shape, dtype=np.float32):
    return np.broadcast_to(np.zeros([min(size, 1) for size in shape], dtype), shape)

def small(N=2, T=3, I=1, H=2):
    return huge(N, T, I), huge(4 * H, I), huge(4 * H, H)
"""

EXPECT_ERROR = """
try:
    {call}
except (MemoryError, ValueError) as error:
    assert str(error), "an error without a text"
else:
    raise SystemExit("no error")
out = pylstm.lstm_forward(*small(), training=True)
assert pylstm.lstm_backward(out.tape, out.y).x.shape == (2, 3, 1)
"""

IMPOSSIBLE = {
    "N*T overflows": "pylstm.lstm_forward(huge(2**40, 2**20, 1), huge(4, 1), huge(4, 1))",
    "N*T*H overflows": "pylstm.lstm_forward(huge(2**31, 2**31, 1), huge(64, 1), huge(64, 16))",
    "bytes of y overflow": "pylstm.lstm_forward(huge(2**30, 2**31, 1), huge(4, 1), huge(4, 1))",
    "bytes of y wrap around to few": "pylstm.lstm_forward(huge(2**31, 2**30, 1), huge(32, 1), huge(32, 8))",
    "y too large": "pylstm.lstm_forward(huge(2**20, 2**20, 1), huge(4, 1), huge(4, 1))",
    "y too large, training": "pylstm.lstm_forward(huge(2**20, 2**20, 1), huge(4, 1), huge(4, 1), training=True)",
    "y too large, float64": "pylstm.lstm_forward(huge(1, 2**40, 1, dtype=float), huge(4, 1), huge(4, 1))",
    "one row of many steps": "pylstm.lstm_forward(huge(1, 2**40, 1), huge(4, 1), huge(4, 1))",
    "one step of many rows": "pylstm.lstm_forward(huge(2**40, 1, 1), huge(4, 1), huge(4, 1))",
    "no steps of many rows": "pylstm.lstm_forward(huge(2**40, 0, 1), huge(4, 1), huge(4, 1))",
    "hidden size": "pylstm.lstm_forward(huge(1, 1, 1), huge(2**34, 1), huge(2**34, 2**32))",
    "hidden size, rows overflow": "pylstm.lstm_forward(huge(1, 1, 1), huge(2**62, 1), huge(2**62, 2**60))",
    "hidden size, no rows": "pylstm.lstm_forward(huge(0, 1, 1), huge(2**34, 1), huge(2**34, 2**32))",
    "projection": "pylstm.lstm_forward(huge(1, 1, 1), huge(8, 1), huge(8, 2**40), weight_hr=huge(2**40, 2))",
    "projection, size overflows": (
        "pylstm.lstm_forward(huge(0, 1, 1), huge(8, 1), huge(8, 2**60), weight_hr=huge(2**60, 2))"
    ),
    "inputs": "pylstm.lstm_forward(huge(1, 1, 2**40), huge(4, 2**40), huge(4, 1))",
    "inputs, no rows": "pylstm.lstm_forward(huge(0, 1, 2**50), huge(4, 2**50), huge(4, 1))",
    "lengths of many rows": (
        "pylstm.lstm_forward(huge(2**40, 0, 1), huge(4, 1), huge(4, 1), lengths=huge(2**40, dtype=int))"
    ),
    "cast of many whole numbers": "pylstm.lstm_forward(huge(2**20, 2**20, 1, dtype=np.int8), huge(4, 1), huge(4, 1))",
    "h0 of many rows": "pylstm.lstm_forward(huge(2**40, 0, 1), huge(4, 1), huge(4, 1), h0=huge(2**40, 1))",
    "step of many rows": "pylstm.lstm_step(huge(2**40, 1), huge(2**40, 1), huge(2**40, 1), huge(4, 1), huge(4, 1))",
    "step of many units": "pylstm.lstm_step(huge(1, 1), *[huge(1, 2**32)] * 2, huge(2**34, 1), huge(2**34, 2**32))",
    "step of many inputs": "pylstm.lstm_step(huge(1, 2**40), huge(1, 1), huge(1, 1), huge(4, 2**40), huge(4, 1))",
    "x of one dimension": "pylstm.lstm_forward(huge(2**60), huge(4, 1), huge(4, 1))",
    "wrong dy": "pylstm.lstm_backward(pylstm.lstm_forward(*small(), training=True).tape, huge(2**30, 2**30, 2))",
    "hidden size of a GRU": "pylstm.gru_forward(huge(1, 1, 1), huge(3 * 2**33, 1), huge(3 * 2**33, 2**33))",
    "hidden size of an RNN": "pylstm.rnn_forward(huge(1, 1, 1), huge(2**34, 1), huge(2**34, 2**34))",
    "no steps of many rows of a GRU": "pylstm.gru_forward(huge(2**40, 0, 1), huge(3, 1), huge(3, 1))",
    "peepholes": "pylstm.lstm_forward(huge(1, 1, 1), huge(4, 1), huge(4, 1), peephole=huge(2**62))",
    # y takes 512 MiB; the tape about 3 GiB.
    "tape too large": "pylstm.lstm_forward(huge(1, 2**21, 1), huge(256, 1), huge(256, 64), training=True)",
}


@pytest.mark.parametrize("call", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_size_is_an_error_and_the_engine_goes_on(run_python: RunPython, call: str) -> None:
    run_python(PREPARE + EXPECT_ERROR.format(call=call), extra_memory=EXTRA_MEMORY)


def test_many_steps_of_no_rows_are_not_walked_through(run_python: RunPython) -> None:
    """At 1 ns a step 2**50 steps take 13 days."""
    run_python(
        PREPARE
        + """
out = pylstm.lstm_forward(huge(0, 2**50, 1), huge(4, 1), huge(4, 1), training=True)
assert out.y.shape == (0, 2**50, 1)
assert pylstm.lstm_backward(out.tape, out.y).x.shape == (0, 2**50, 1)
""",
        extra_memory=EXTRA_MEMORY,
    )
