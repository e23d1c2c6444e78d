"""Which contenders there are, and the process environment each of them runs in."""

from __future__ import annotations

import importlib
import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from benchmarks.peers.cases import FitProblem, SequenceProblem

#: The contender that the ratios refer to.
OURS = "pylstm"

#: glibc keeps freed memory instead of returning it to the kernel: 1 GiB is above any array of the grid.
TUNED_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 28),
}


@dataclass(frozen=True)
class Action:
    """One operation of one peer, ready to be timed.

    ``call`` does the whole operation; ``results`` does it once more and returns its arrays under the names, shapes
    and gate order of `reference.reference_results` (for a fit: ``mse``, the error on the training windows).
    """

    call: Callable[[], object]
    results: Callable[[], dict[str, np.ndarray]]


class Adapter(Protocol):
    """One library behind the three operations; ``None`` where the library does not offer one."""

    def __init__(self, n_threads: int) -> None: ...
    def versions(self) -> dict[str, str]: ...
    def forward(self, problem: SequenceProblem) -> Action | None: ...
    def training(self, problem: SequenceProblem) -> Action | None: ...
    def fit(self, problem: FitProblem) -> Action | None: ...


@dataclass(frozen=True)
class Peer:
    """One row of the registry.  ``module`` holds the class ``Adapter`` and imports its library at the top."""

    label: str
    module: str
    environment: dict[str, str] = field(default_factory=dict)


PEERS = {
    OURS: Peer("pylstm", "benchmarks.peers.adapter_pylstm"),
    "pytorch": Peer("PyTorch", "benchmarks.peers.adapter_pytorch"),
    "pytorch-tuned": Peer("PyTorch, allocator tuned", "benchmarks.peers.adapter_pytorch", TUNED_ALLOCATOR),
    "onnxruntime": Peer("ONNX Runtime", "benchmarks.peers.adapter_onnxruntime"),
}


def make_adapter(name: str, n_threads: int) -> Adapter:
    """Import peer ``name`` and set its threads.

    Raises
    ------
    ImportError
        If the peer's library is not installed, or its environment has no meaning on this system.
    """
    peer = PEERS[name]
    if peer.environment and platform.libc_ver()[0] != "glibc":
        msg = "its environment variables are those of glibc, which this system does not use"
        raise ImportError(msg)
    adapter: Adapter = importlib.import_module(peer.module).Adapter(n_threads)
    return adapter
