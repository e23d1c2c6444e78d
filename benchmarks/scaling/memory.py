"""Peak resident memory of a process that does training steps; each peer gets a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.cases import SequenceCase
from benchmarks.peers.registry import make_action, make_adapter, process_environment

if TYPE_CHECKING:
    from benchmarks.peers.cases import Dtype
    from benchmarks.peers.registry import Peer

#: Memory does not grow any more after the second.
N_TRAINING_STEPS = 5


@dataclass(frozen=True)
class Memory:
    """Peak resident memory in bytes: of interpreter, library and arguments before the first step, and of everything."""

    before: int
    peak: int


def measure_memory(peer: Peer, case: SequenceCase, dtype: Dtype) -> Memory:
    """Run the training steps in a new process, with one thread.

    Raises
    ------
    RuntimeError
        If the process fails, or the system does not say how much memory a process takes.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks.scaling.memory", peer.module, json.dumps(asdict(case)), dtype],
        env=process_environment(peer, 1),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        msg = f"memory of {peer.label}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        raise RuntimeError(msg)
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def _train(module: str, case: SequenceCase, dtype: Dtype) -> Memory:
    action = make_action(make_adapter(module, 1), "training", case, dtype)
    if action is None:
        sys.exit("no training step is offered")
    before = _peak_resident_bytes()
    for _ in range(N_TRAINING_STEPS):
        action.call()
    return Memory(before, _peak_resident_bytes())


def _peak_resident_bytes() -> int:
    """Return the most memory that this process has had in RAM so far."""
    try:
        # getrusage would count what the parent had when it started this process.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        import resource  # not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert peak is not None
    return 1024 * int(peak[1])


if __name__ == "__main__":
    module, case, dtype = sys.argv[1:]
    print(json.dumps(asdict(_train(module, SequenceCase(**json.loads(case)), dtype))))
