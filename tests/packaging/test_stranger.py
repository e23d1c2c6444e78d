"""A stranger's C++ project uses the installed package: headers, CMake files, and the model files of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pylstm

from ..model.models import PARAMETERS, fitted, inputs

STRANGER = Path(__file__).parent / "stranger"

CMAKE, COMPILER = shutil.which("cmake"), shutil.which("g++") or shutil.which("clang++")

needs_tools = pytest.mark.skipif(
    sys.platform == "win32" or CMAKE is None or COMPILER is None, reason="no CMake, or no compiler that is known to do"
)

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program and return what it prints."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def has_json() -> bool:
    code = "#include <nlohmann/json.hpp>\n"
    command = [COMPILER, "-std=c++20", "-x", "c++", "-fsyntax-only", "-"]
    return subprocess.run(command, input=code, text=True, capture_output=True, check=False).returncode == 0


def test_the_command_line_says_where_things_are() -> None:
    for option, folder in (("--includedir", pylstm.get_include()), ("--cmakedir", pylstm.get_cmake_dir())):
        assert Path(folder).is_dir()
        assert run(sys.executable, "-m", "pylstm", option).strip() == folder


@needs_tools
def test_a_strangers_program_prints_the_bits_of_python(tmp_path: Path) -> None:
    if not has_json():
        pytest.skip("no nlohmann-json")
    shutil.copytree(STRANGER, tmp_path / "source")
    # One instruction set, that of the machine; -O1 compiles in half the time, and the bits are the same.
    options = [f"-Dpylstm_DIR={pylstm.get_cmake_dir()}", "-DSTRANGER_OPTIONS=-march=native;-O1"]
    if shutil.which("ninja"):
        options.append("-GNinja")
    if "CMAKE_CXX_COMPILER" not in os.environ and COMPILER is not None:
        options.append(f"-DCMAKE_CXX_COMPILER={COMPILER}")
    run(CMAKE, "-S", tmp_path / "source", "-B", tmp_path / "build", *options)
    run(CMAKE, "--build", tmp_path / "build")

    files, expected = [], []
    for index, parameters in enumerate(PARAMETERS):
        model = fitted(**parameters, n_outputs=2)
        files.append(tmp_path / f"{index}.safetensors")
        model.save_model(files[-1])
        expected.append(model.predict(inputs()))
    printed = run(tmp_path / "build" / "stranger", "4", "6", *files)
    for line, bits in zip(printed.splitlines(), expected, strict=True):
        np.testing.assert_array_equal([float.fromhex(word) for word in line.split()], bits.ravel())


@needs_tools
def test_a_project_may_hold_the_engine_as_a_folder(tmp_path: Path) -> None:
    engine = Path(__file__).parents[2] / "cpp"
    if not engine.is_dir():
        pytest.skip("the engine's sources are not here")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\n"
        "project(stranger LANGUAGES CXX)\n"
        f'add_subdirectory("{engine}" pylstm EXCLUDE_FROM_ALL)\n'
        "add_library(stranger OBJECT main.cpp)\n"
        "target_link_libraries(stranger PRIVATE pylstm::core)\n"
        "target_compile_options(stranger PRIVATE -fsyntax-only)\n",
        encoding="utf-8",
    )
    (tmp_path / "main.cpp").write_text('#include "pylstm/pylstm.hpp"\n', encoding="utf-8")
    run(CMAKE or "", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_CXX_COMPILER={COMPILER}")
    build = run(CMAKE or "", "--build", tmp_path / "build")
    assert "stranger" in build
    assert "dispatch" not in build


@needs_tools
@pytest.mark.parametrize("isas", ["avx9", "generic;avx9", ""])
def test_an_instruction_set_that_there_is_not_is_an_error(isas: str, tmp_path: Path) -> None:
    command = [CMAKE or "", "-S", STRANGER, "-B", tmp_path, f"-Dpylstm_DIR={pylstm.get_cmake_dir()}"]
    configured = subprocess.run([*command, f"-DPYLSTM_ISAS={isas}"], check=False, capture_output=True, text=True)
    assert configured.returncode != 0
    assert f'PYLSTM_ISAS is "{isas}", expected some of "generic' in configured.stderr.replace("\n  ", " ")


@needs_tools
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_every_header_compiles_without_a_warning(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    include = Path(pylstm.get_include())
    headers = [path.relative_to(include).as_posix() for path in sorted(include.rglob("*.hpp"))]
    assert "pylstm/pylstm.hpp" in headers
    source = tmp_path / "source.cpp"
    # A vector header wants its instruction set; model files want nlohmann-json.
    headers = [name for name in headers if not name.endswith(("avx2.hpp", "avx512.hpp", "neon.hpp"))]
    headers = [name for name in headers if "/io/" not in name or has_json()]
    source.write_text("".join(f'#include "{name}"\n' for name in headers), encoding="utf-8")
    run(compiler, "-std=c++20", *WARNINGS, "-fsyntax-only", "-I", include, source)


@needs_tools
@pytest.mark.parametrize(
    "header",
    ["pylstm/pylstm.hpp", "pylstm/io/model_file.hpp", "pylstm/blas.hpp", "pylstm/stream/static_stream.hpp"],
)
def test_headers_of_programs_compile_alone(header: str, tmp_path: Path) -> None:
    if "io" in header and not has_json():
        pytest.skip("no nlohmann-json")
    source = tmp_path / "source.cpp"
    source.write_text(f'#include "{header}"\n', encoding="utf-8")
    run(COMPILER or "", "-std=c++20", "-DPYLSTM_DISPATCH", "-fsyntax-only", "-I", pylstm.get_include(), source)


@needs_tools
def test_the_c_header_is_c(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    source = tmp_path / "source.c"
    source.write_text('#include "pylstm.h"\n', encoding="utf-8")
    run(compiler, "-std=c99", "-pedantic", *WARNINGS, "-fsyntax-only", "-I", pylstm.get_include(), source)
