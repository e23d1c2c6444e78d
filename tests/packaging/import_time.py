"""Print how much longer ``import pylstm`` takes than ``import numpy``: best of several fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
import time

REPEATS = 7


def seconds(code: str) -> float:
    """Best time of an interpreter that runs the code."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    seconds("import pylstm")  # byte-code is compiled and the files are cached
    numpy, pylstm = seconds("import numpy"), seconds("import pylstm")
    print(f"import numpy {numpy:.3f} s, import pylstm {pylstm:.3f} s: {pylstm - numpy:.3f} s more (budget 0.150 s)")
