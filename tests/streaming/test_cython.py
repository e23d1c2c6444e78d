"""Cython code outside of the tree compiles against the shipped streaming.pxd, and steps without the GIL."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import pylstm
from pylstm import Stream

from .models import fitted, sequences

EXAMPLE = Path(__file__).parents[2] / "examples" / "cython" / "feedback.pyx"

pytest.importorskip("Cython")
compiler = shutil.which("g++") or shutil.which("clang++")
if compiler is None or sys.platform == "win32":
    pytest.skip("no compiler of the GNU kind", allow_module_level=True)
if not EXAMPLE.is_file() or not Path(sysconfig.get_path("include"), "Python.h").is_file():
    pytest.skip("neither without the example nor without Python's headers", allow_module_level=True)


def test_the_example_closes_its_loop(tmp_path: Path) -> None:
    # The folder that holds the package as installed: with the compiled modules, their .pxd and no source tree.
    installed = Path(sys.modules[Stream.__module__].__file__ or "").parents[1]
    source, module = tmp_path / "feedback.cpp", tmp_path / f"feedback{sysconfig.get_config_var('EXT_SUFFIX')}"
    cython = [sys.executable, "-m", "cython", "--cplus", "-3", "-Wextra", "-Werror", "-I", str(installed)]
    subprocess.run([*cython, str(EXAMPLE), "-o", str(source)], check=True, cwd=tmp_path)
    flags = ["-shared", "-fPIC", "-O1", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    flags = flags or ["-shared", "-fPIC", "-O1"]
    include = ["-I", sysconfig.get_path("include")]
    subprocess.run([str(compiler), *flags, *include, str(source), "-o", str(module)], check=True)
    spec = importlib.util.spec_from_file_location("feedback", module)
    assert spec is not None
    assert spec.loader is not None
    feedback = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(feedback)

    model = fitted(n_features=2, n_outputs=1)
    measured = sequences(1, n_steps=50, n_features=1)[0, :, 0].copy()
    commands = np.empty_like(measured)
    feedback.run(Stream(model), measured, commands)

    stream, command = Stream(model), np.float32(0)
    for t, value in enumerate(measured):
        command = stream.step(np.array([value, command], np.float32))[0]
        assert commands[t] == command
    with pytest.raises(ValueError, match="two features"):
        feedback.run(Stream(fitted()), measured, commands)
    assert pylstm.__version__
