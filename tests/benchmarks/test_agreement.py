"""Who is let into the tables: the float64 reference and the judge that compares with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def ragged() -> Any:
    from benchmarks.peers.cases import RaggedCase
    from benchmarks.peers.problems import make_problem

    problem = make_problem(RaggedCase(6, 3, 2, 4), "float64")
    return replace(problem, lengths=np.array([6, 1, 4]))


def test_the_reference_of_a_ragged_batch_is_that_of_each_row_alone(ragged: Any) -> None:
    from benchmarks.peers.reference import reference_results

    got = reference_results(ragged, backward=True)
    alone = [
        reference_results(
            replace(
                ragged,
                x=ragged.x[n : n + 1, :length],
                dy=ragged.dy[n : n + 1, :length],
                h0=ragged.h0[n : n + 1],
                c0=ragged.c0[n : n + 1],
                lengths=None,
            ),
            backward=True,
        )
        for n, length in enumerate(ragged.lengths)
    ]
    for n, length in enumerate(ragged.lengths):
        for name in ("y", "dx"):
            np.testing.assert_allclose(got[name][n, :length], alone[n][name][0], rtol=1e-12)
            assert not got[name][n, length:].any()
        for name in ("h_n", "c_n", "dh0", "dc0"):
            np.testing.assert_allclose(got[name][n], alone[n][name][0], rtol=1e-12)
    for name in ("dweight_ih", "dweight_hh", "dbias"):
        # Sums over rows whose terms may cancel.
        np.testing.assert_allclose(got[name], sum(row[name] for row in alone), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spoil", [lambda y: -y, lambda y: y * np.nan, lambda y: y[:1]], ids=["sign", "nan", "shape"])
def test_wrong_results_are_not_let_in(spoil: Any) -> None:
    from benchmarks.peers.agreement import Judge
    from benchmarks.peers.cases import SequenceCase
    from benchmarks.peers.problems import make_problem
    from benchmarks.peers.reference import reference_results

    case = SequenceCase(5, 3, 2, 4)
    judge = Judge("training", case, "float64")
    results = reference_results(make_problem(case, "float64"), backward=True)
    assert judge.deviation(results) == 0
    assert judge.deviation(results | {"dc0": spoil(results["dc0"])}) > judge.bound


def test_predictions_are_judged_by_the_weights_they_come_with() -> None:
    from dataclasses import asdict

    from benchmarks.peers.agreement import Judge
    from benchmarks.peers.cases import PredictCase
    from benchmarks.peers.problems import make_problem
    from benchmarks.peers.reference import reference_prediction

    case = PredictCase(45, 5, 1, 4)
    judge = Judge("predict", case, "float64")
    problem = make_problem(case, "float64")
    weights = replace(problem.weights, bias=2 * problem.weights.bias)
    results = {"prediction": reference_prediction(problem.x, weights), **asdict(weights)}
    assert judge.deviation(results) <= judge.bound
    assert judge.deviation(results | asdict(problem.weights)) > judge.bound
    assert judge.deviation(results | {"prediction": results["prediction"][:41]}) > judge.bound
