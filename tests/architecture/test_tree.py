"""What is where, and that there is one place for the version."""

from __future__ import annotations

import re
import subprocess
from importlib import metadata

import pytest

import pylstm

from .source import INCLUDE, ROOT

TOP = {
    ".ci",
    ".clang-format",
    ".clang-tidy",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CMakeLists.txt",
    "CMakePresets.json",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "benchmarks",
    "cpp",
    "docs",
    "examples",
    "pylstm",
    "pyproject.toml",
    "tests",
}


def tracked_files() -> list[str]:
    """List what git knows, or would know after ``git add``; skip where there is no git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a clone")
    return done.stdout.splitlines()


def test_the_top_level_holds_what_is_documented_and_nothing_else() -> None:
    assert {name.split("/")[0] for name in tracked_files()} == TOP


def test_the_version_is_written_in_one_place() -> None:
    number = re.search(r'version\[\] = "([^"]+)"', (INCLUDE / "version.hpp").read_text(encoding="utf-8"))
    assert number is not None
    assert pylstm.__version__ == number[1]
    pattern = re.compile(rf'(?i)version\w*["\]\[]*\s*[:=(]*\s*"?{re.escape(number[1])}\b')
    for name in tracked_files():
        if name.endswith((".py", ".pyi", ".toml", ".cpp", ".hpp", ".txt", ".cmake", ".in")) and (ROOT / name).is_file():
            written = bool(pattern.search((ROOT / name).read_text(encoding="utf-8")))
            assert written == name.endswith("pylstm/version.hpp"), name


def test_the_installed_distribution_has_that_version() -> None:
    try:
        installed = metadata.version("pylstm")
    except metadata.PackageNotFoundError:
        pytest.skip("pylstm is not installed: the package is used from the tree")
    assert installed == pylstm.__version__
