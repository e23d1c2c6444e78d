"""The examples in the documentation run."""

from __future__ import annotations

import doctest

import pytest

from pylstm.estimators import _classifier, _regressor


@pytest.mark.parametrize("module", [_classifier, _regressor])
def test_examples_in_the_documentation_hold(module):
    failures, tests = doctest.testmod(module)
    assert tests > 0
    assert failures == 0
