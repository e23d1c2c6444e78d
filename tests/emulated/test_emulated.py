"""The stand-in for AVX-512 keeps up with the vectors that kernels use; the preset avx512-emulated runs tests on it."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which("g++")


@pytest.mark.skipif(COMPILER is None or platform.machine() != "x86_64", reason="no g++ for x86-64")
@pytest.mark.skipif(not (ROOT / "cpp").is_dir(), reason="tests without the sources")
def test_the_kernels_compile_with_it() -> None:
    options = ["-std=c++20", "-fsyntax-only", "-mavx2", "-mfma", "-DPYLSTM_DISPATCH", "-DPYLSTM_HAS_avx2"]
    stand_in = ["-include", ROOT / "tests" / "emulated" / "avx512.hpp", "-I", ROOT / "cpp" / "include"]
    command = [COMPILER or "", *options, *stand_in, ROOT / "cpp" / "src" / "isa_avx512.cpp"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
