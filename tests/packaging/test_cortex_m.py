"""A model as a header, and the engine's stream over it, on a microcontroller in QEMU."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from .machines import EXAMPLES, ROUNDING, outputs, run

TOOLS = ("bash", "arm-none-eabi-g++", "qemu-system-arm")


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
def test_a_cortex_m_computes_what_python_does(tmp_path: Path) -> None:
    printed = run("bash", EXAMPLES / "cortex_m" / "run", tmp_path, PYTHON=sys.executable).decode()
    assert "self-test passed" in printed
    lines = {line.split(",")[0]: line.partition("outputs:")[2].split() for line in printed.splitlines()}
    header, engine = (np.array([int(word, 16) for word in lines[name]], np.uint32) for name in ("header", "engine"))
    x = (3 * np.arange(20) % 11 - 5).astype(np.float32) / 8
    expected = outputs(x, "generic")
    assert engine.tobytes() == expected.tobytes()
    np.testing.assert_allclose(header.view(np.float32), expected, rtol=0, atol=ROUNDING)
