"""Which contenders there are, and the process environment each of them runs in."""

from __future__ import annotations

import importlib
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.peers.problems import make_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from benchmarks.peers.cases import Case, Dtype, Operation

PROJECT_ROOT = Path(__file__).resolve().parents[2]

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

    ``call`` does the whole operation ``n_operations`` times in a row, and has finished when it returns; ``results``
    does it once more and returns arrays for `agreement.Judge`: outputs and gradients under the names, shapes and gate
    order of `reference.reference_results`; of a fit ``mse``, the error on the training windows; of a prediction
    ``prediction`` and the fields of `problems.ForecasterWeights` that it was made with.
    """

    call: Callable[[], object]
    results: Callable[[], dict[str, np.ndarray]]
    n_operations: int = 1


class Adapter(Protocol):
    """One library.

    For each operation of `cases.OPERATIONS` that it offers, it has a method of that name, which takes the case's
    problem and returns an `Action`, or ``None`` where it cannot take the problem's dtype.
    """

    def __init__(self, n_threads: int) -> None: ...
    def versions(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Peer:
    """One row of the registry.  ``module`` holds the class ``Adapter`` and imports its library at the top."""

    label: str
    module: str
    environment: dict[str, str] = field(default_factory=dict)
    path: Path | None = None  # where to look for the library first


PEERS = {
    OURS: Peer("pylstm", "benchmarks.peers.adapter_pylstm"),
    "pytorch": Peer("PyTorch", "benchmarks.peers.adapter_pytorch"),
    "pytorch-tuned": Peer("PyTorch, allocator tuned", "benchmarks.peers.adapter_pytorch", TUNED_ALLOCATOR),
    "pytorch-cell": Peer("PyTorch LSTMCell", "benchmarks.peers.adapter_pytorch_cell"),
    "skorch": Peer("skorch", "benchmarks.peers.adapter_skorch"),
    "onnxruntime": Peer("ONNX Runtime", "benchmarks.peers.adapter_onnxruntime"),
    "jax": Peer("JAX", "benchmarks.peers.adapter_jax"),
    "keras": Peer(
        "Keras",
        "benchmarks.peers.adapter_keras",
        {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"},
    ),
}


def process_environment(peer: Peer, n_threads: int) -> dict[str, str]:
    """Return the environment for a Python process of ``peer``.

    Python must be started with ``-P``: otherwise the current folder, which may hold a package pylstm, comes before
    the peer's own path.
    """
    environment = {name: value for name, value in os.environ.items() if name not in TUNED_ALLOCATOR}
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYLSTM_NUM_THREADS"):
        environment[variable] = str(n_threads)
    path = [str(peer.path or ""), str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return environment | peer.environment


def make_adapter(module: str, n_threads: int) -> Adapter:
    """Import a peer's adapter and set its threads.

    Raises
    ------
    ImportError
        If the peer's library is not installed, or its environment has no meaning on this system.
    """
    if os.environ.keys() & TUNED_ALLOCATOR.keys() and platform.libc_ver()[0] != "glibc":
        msg = "its environment variables are those of glibc, which this system does not use"
        raise ImportError(msg)
    adapter: Adapter = importlib.import_module(module).Adapter(n_threads)
    return adapter


def make_action(adapter: Adapter, operation: Operation, case: Case, dtype: Dtype) -> Action | None:
    """Set a case up; ``None`` if the adapter does not offer the operation, or not for this dtype."""
    prepare = getattr(adapter, operation, None)
    action: Action | None = None if prepare is None else prepare(make_problem(case, dtype))
    return action
