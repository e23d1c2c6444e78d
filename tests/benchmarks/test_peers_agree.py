"""Every peer that is installed computes, in all that it offers, what the float64 reference computes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from .programs import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OPERATIONS = ("forward", "training", "ragged", "gru_forward", "gru_training", "step", "fit", "predict")

OFFERED = {
    "pylstm": OPERATIONS,
    "pytorch": OPERATIONS,
    "pytorch-cell": ("step",),
    "skorch": ("fit", "predict"),
    "onnxruntime": ("forward", "gru_forward", "step", "predict"),
    "jax": ("forward", "training", "step", "predict"),
    "keras": ("forward", "training", "step", "fit", "predict"),
}

NEEDED = {
    "pytorch": ("torch",),
    "pytorch-cell": ("torch",),
    "skorch": ("skorch", "torch"),
    "onnxruntime": ("onnx", "onnxruntime"),
    "jax": ("jax",),
    "keras": ("keras", "tensorflow"),
}

#: Arguments of the case types.  There are more windows than fit into one batch of a prediction.
SIZES = {
    "forward": (5, 3, 2, 4),
    "training": (5, 3, 2, 4),
    "ragged": (5, 3, 2, 4),
    "gru_forward": (5, 3, 2, 4),
    "gru_training": (5, 3, 2, 4),
    "step": (2, 4),
    "fit": (640, 24, 1, 16, 16, 4, 1e-2),
    "predict": (1030, 6, 1, 4),
}


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[str], Any]]:
    """Return a function that starts a peer's process, once for all tests."""
    with ExitStack() as stack:

        @cache
        def start_once(peer: str) -> tuple[Any, dict[str, Any]]:
            from benchmarks.peers.measure import Contender
            from benchmarks.peers.registry import PEERS

            contender = stack.enter_context(Contender(peer, PEERS[peer], 1))
            return contender, contender.greeting()

        def start(peer: str) -> Any:
            require(*NEEDED.get(peer, ()))
            contender, greeting = start_once(peer)
            if "missing" in greeting:
                pytest.skip(greeting["missing"])
            return contender

        yield start


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("peer", "operation"), [(peer, operation) for peer, offered in OFFERED.items() for operation in offered]
)
def test_results_agree_with_the_reference(
    start: Callable[[str], Any], peer: str, operation: Any, dtype: Any, tmp_path: Path
) -> None:
    if (peer, dtype) == ("onnxruntime", "float64"):
        pytest.skip("ONNX Runtime's LSTM is of single precision")
    from benchmarks.peers.agreement import Judge
    from benchmarks.peers.cases import CASE_TYPES

    case = CASE_TYPES[operation](*SIZES[operation])
    file = tmp_path / "results.npz"
    answer = start(peer).ask("prepare", operation=operation, case=asdict(case), dtype=dtype, results_file=str(file))
    assert answer.keys() == {"estimate_s"}, answer
    judge = Judge(operation, case, dtype)
    with np.load(file) as results:
        assert judge.deviation(results) <= judge.bound


@pytest.mark.parametrize(
    ("peer", "operation"),
    [(peer, operation) for peer, offered in OFFERED.items() for operation in OPERATIONS if operation not in offered],
)
def test_what_is_not_offered_is_left_out(
    start: Callable[[str], Any], peer: str, operation: Any, tmp_path: Path
) -> None:
    from benchmarks.peers.cases import CASE_TYPES

    case = CASE_TYPES[operation](*SIZES[operation])
    file = str(tmp_path / "results.npz")
    answer = start(peer).ask("prepare", operation=operation, case=asdict(case), dtype="float32", results_file=file)
    assert answer == {"unsupported": True}
