"""What the tests of all rooms share: a fresh interpreter to run code in, and the hypothesis profile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# No deadline: the machine may be busy.  Derandomised: the same commit passes or fails the same way everywhere.
settings.register_profile("pylstm", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("pylstm")

HANG_SECONDS = 120
"""A child that takes longer than this hangs; the slowest needs about 3 s."""


LIMIT_MEMORY = """
import resource
import pylstm
with open("/proc/self/statm") as statm:
    in_use = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + {extra_memory},) * 2)
"""


SLOW_ROOMS = ("packaging", "docs", "benchmarks")
"""Their tests compile or measure for up to a minute each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow rooms first: last, one worker would be busy with them while the others have nothing left."""
    items.sort(key=lambda item: item.path.parent.name not in SLOW_ROOMS)


class RunPython(Protocol):
    """Signature of the ``run_python`` fixture."""

    def __call__(
        self,
        code: str,
        *,
        env: Mapping[str, str | None] | None = None,
        stdin: bytes = b"",
        extra_memory: int | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]: ...


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """Run code in a fresh interpreter that imports the same pylstm as this one.

    The function it gives takes the code and, by keyword:

    - env: variables to set, or to remove (value None);
    - stdin: bytes the code can read;
    - extra_memory: bytes of address space beside those in use once pylstm is imported, so that an impossible allocation
      fails also where the system overcommits; Linux only;
    - check: fail, showing stderr, unless the exit status is 0.  A crash has a negative one.
    """
    import pylstm

    package_parent = str(Path(pylstm.__file__).parents[1])

    def run(
        code: str,
        *,
        env: Mapping[str, str | None] | None = None,
        stdin: bytes = b"",
        extra_memory: int | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        variables: dict[str, str | None] = {**os.environ, "PYTHONPATH": package_parent, **(env or {})}
        if extra_memory is not None:
            code = LIMIT_MEMORY.format(extra_memory=extra_memory) + code
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", code],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env={name: value for name, value in variables.items() if value is not None},
            timeout=HANG_SECONDS,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr.decode(errors='replace')}"
        return done

    return run
