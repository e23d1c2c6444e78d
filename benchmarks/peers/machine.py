"""Where and on what a run was made: processor, software, commit, and the peak of fused multiply-adds."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.peers.cases import Dtype


@dataclass(frozen=True)
class Machine:
    """What the times depend on besides the code."""

    processor: str
    vector_extensions: list[str]
    n_cpus: int  # that this process may use
    system: str
    python: str
    numpy: str


@dataclass(frozen=True)
class Commit:
    """State of the project's source: short hash, ``None`` outside a repository or before the first commit."""

    hash: str | None
    modified: bool


def describe_machine() -> Machine:
    """Describe the machine, without its name."""
    cpuinfo = _cpuinfo()
    flags = set(cpuinfo.get("flags", cpuinfo.get("Features", "")).split())
    libc = "-".join(platform.libc_ver()).strip("-")
    try:
        n_cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        n_cpus = os.cpu_count() or 1
    return Machine(
        processor=cpuinfo.get("model name") or platform.processor() or platform.machine(),
        vector_extensions=[name for name in ("avx2", "fma", "avx512f", "avx512_bf16", "asimd", "sve") if name in flags],
        n_cpus=n_cpus,
        system=" ".join(filter(None, [platform.system(), platform.machine(), libc])),
        python=platform.python_version(),
        numpy=np.__version__,
    )


def describe_commit(root: Path) -> Commit:
    """Ask git for the state of the repository at ``root``."""
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    return Commit(hash=_git(root, "rev-parse", "--short", "HEAD"), modified=bool(status))


def busy_cpu_seconds() -> float | None:
    """Read how long all CPUs together have worked for anybody since the machine started; only Linux says."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", maxsplit=1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class PeakProgram:
    """Compiles ``fma_peak.cpp`` with this machine's compiler and runs it (a context manager).

    Raises
    ------
    RuntimeError
        On entering, if there is no compiler, or it fails.
    """

    _source = Path(__file__).with_name("fma_peak.cpp")

    def __enter__(self) -> PeakProgram:
        compiler = shutil.which(os.environ.get("CXX", "c++"))
        if compiler is None:
            msg = "no C++ compiler found (c++ on PATH, or CXX)"
            raise RuntimeError(msg)
        self._folder = tempfile.TemporaryDirectory()
        self._program = Path(self._folder.name) / "fma_peak"
        tune = "-mcpu=native" if platform.machine() in {"aarch64", "arm64"} else "-march=native"
        flags = ["-std=c++17", "-O3", tune, "-ffp-contract=fast", "-pthread"]
        command = [compiler, *flags, str(self._source), "-o", str(self._program)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self._folder.cleanup()
            msg = f"{compiler} could not compile {self._source.name}: {done.stderr.strip().splitlines()[:1]}"
            raise RuntimeError(msg)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def gflops(self, n_threads: int, dtype: Dtype) -> float:
        """Measure the peak of ``n_threads`` threads together; takes about 25 ms."""
        command = [str(self._program), str(n_threads), dtype]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _cpuinfo() -> dict[str, str]:
    """Read the first processor's entries of ``/proc/cpuinfo``; empty elsewhere than on Linux."""
    if not sys.platform.startswith("linux"):
        return {}
    first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n", maxsplit=1)[0]
    pairs = (line.split(":", maxsplit=1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
