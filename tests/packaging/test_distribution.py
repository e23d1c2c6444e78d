"""What the installed distribution says and holds."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

import pylstm

RUNTIME_REQUIREMENTS = {"numpy", "scikit-learn"}


@pytest.fixture
def distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("pylstm")
    except metadata.PackageNotFoundError:
        pytest.skip("pylstm is not installed: the package is used from the tree")


def test_its_version_is_that_of_the_package(distribution: metadata.Distribution) -> None:
    assert distribution.version == pylstm.__version__


def test_it_requires_numpy_and_scikit_learn_only(distribution: metadata.Distribution) -> None:
    always = [text for text in distribution.requires or [] if "extra ==" not in text]
    assert {re.split(r"[\s<>=!~;\[]", text)[0] for text in always} == RUNTIME_REQUIREMENTS


def test_it_ships_its_types_and_two_compiled_modules(distribution: metadata.Distribution) -> None:
    names = [path.as_posix() for path in distribution.files or []]
    for module in ("_core", "streaming"):
        assert len([name for name in names if re.fullmatch(rf"pylstm/{module}\..*(so|pyd)", name)]) == 1
    package = Path(pylstm.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()
    assert (package / "streaming.pxd").is_file()
