"""Fixtures of the tests of the NumPy functions."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from threadpoolctl import threadpool_limits

import pylstm

from .results import config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

    from ..conftest import RunPython

    Arrays = dict[str, np.ndarray]
    Call = tuple[str, Mapping[str, Any], Mapping[str, Any]]
    """Cell, arguments of its forward function, output gradients."""

CHILD = """
import pickle, sys
import pylstm
results = []
for cell, arguments, output_gradients in pickle.load(sys.stdin.buffer):
    out = getattr(pylstm, f"{cell}_forward")(**arguments, training=True)
    gradients = getattr(pylstm, f"{cell}_backward")(out.tape, **output_gradients)
    outputs = {name: value for name, value in out._asdict().items() if name != "tape"}
    results.append(
        outputs | {f"d_{name}": value for name, value in gradients._asdict().items() if value is not None}
    )
isa = pylstm.show_config(mode="dicts")["isa"]
pickle.dump((isa, results), sys.stdout.buffer)
"""


class ForcedISA(Protocol):
    """Signature of the ``results_on_isa`` fixture."""

    def __call__(self, isa: str, calls: Sequence[Call]) -> list[Arrays]: ...


@pytest.fixture
def results_on_isa(run_python: RunPython) -> ForcedISA:
    """``results.forward_backward`` of many calls in a fresh interpreter with ``PYLSTM_ISA`` set.

    Skips the test where the processor lacks the ISA.
    """

    def results(isa: str, calls: Sequence[Call]) -> list[Arrays]:
        if isa not in config()["isas"]:
            pytest.skip(f"this processor or build has no {isa}")
        child = run_python(CHILD, env={"PYLSTM_ISA": isa}, stdin=pickle.dumps(list(calls)))
        used: str
        arrays: list[Arrays]
        used, arrays = pickle.loads(child.stdout)
        assert used == isa
        return arrays

    return results


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """The oracle's products are small: on busy cores threads of BLAS made them 4 times as slow."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(autouse=True)
def thread_count_restored() -> Iterator[None]:
    """Let a test that sets the number of threads do so for itself alone."""
    before = pylstm.get_num_threads()
    yield
    pylstm.set_num_threads(before)
