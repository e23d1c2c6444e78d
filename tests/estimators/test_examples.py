"""The examples in the documentation run."""

from __future__ import annotations

import doctest

from pylstm.estimators import _regressor


def test_examples_in_the_documentation_hold():
    failures, tests = doctest.testmod(_regressor)
    assert tests > 0
    assert failures == 0
