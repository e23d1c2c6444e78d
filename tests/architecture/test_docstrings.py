"""The examples in the documentation strings run, and every public function has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import pylstm

NOT_IMPORTABLE = {"pylstm.__main__"}
"""Runs the command line when imported."""

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(pylstm.__path__, "pylstm.") if module.name not in NOT_IMPORTABLE
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_hold(name: str) -> None:
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(module, optionflags=options).failed == 0


@pytest.mark.parametrize("name", [name for name in pylstm.__all__ if inspect.isroutine(getattr(pylstm, name))])
def test_a_public_function_documents_its_parameters(name: str) -> None:
    text = inspect.getdoc(getattr(pylstm, name)) or ""
    parameters = inspect.signature(getattr(pylstm, name)).parameters
    assert text.splitlines()[0].endswith(".")
    assert "Parameters\n---" in text or not parameters
