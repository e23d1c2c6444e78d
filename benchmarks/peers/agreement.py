"""Decides whether what a contender computed is the operation that is timed."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.problems import FitProblem, ForecasterWeights, GRUProblem, PredictProblem, make_problem
from benchmarks.peers.reference import gru_reference_results, reference_prediction, reference_results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.peers.cases import Case, Dtype, Operation

#: Largest deviation from the float64 reference, relative to the largest element of the array: 3000 products per sum and
#: 800 steps leave about 1e-5 in float32 and 1e-14 in float64; a wrong gate or sign leaves 1e-1.
AGREEMENT = {"float32": 1e-4, "float64": 1e-10}

#: Of predictions every 20th is compared: they reach into all batches, and the reference is slow.
PREDICTION_STRIDE = 20


class Judge:
    """Knows what is expected of one case; `bound` is the largest deviation that is allowed."""

    def __init__(self, operation: Operation, case: Case, dtype: Dtype) -> None:
        self._problem = make_problem(case, dtype)
        if isinstance(self._problem, FitProblem):
            self.bound = self._problem.case.max_error
        else:
            self.bound = AGREEMENT[dtype]
        if isinstance(self._problem, GRUProblem):
            self._expected = gru_reference_results(self._problem, backward=operation == "gru_training")
        elif not isinstance(self._problem, FitProblem | PredictProblem):
            self._expected = reference_results(self._problem, backward=operation in {"training", "ragged"})

    def deviation(self, results: Mapping[str, np.ndarray]) -> float:
        """Return the worst deviation over all arrays, relative to the largest element; of a fit the error over var(y).

        Infinite for a wrong shape, and for numbers that are not finite.
        """
        problem = self._problem
        if isinstance(problem, FitProblem):
            return float(results["mse"]) / float(np.var(problem.y))
        if isinstance(problem, PredictProblem):
            weights = ForecasterWeights(*(results[field.name] for field in fields(ForecasterWeights)))
            if len(results["prediction"]) != len(problem.x):
                return float("inf")
            expected = reference_prediction(problem.x[::PREDICTION_STRIDE], weights)
            return _relative_deviation(results["prediction"][::PREDICTION_STRIDE], expected)
        return max(_relative_deviation(results[name], expected) for name, expected in self._expected.items())

    def complaint(self, deviation: float) -> str:
        """Say why a contender is not timed."""
        is_fit = isinstance(self._problem, FitProblem)
        kind = "error of the fitted model / variance of y" if is_fit else "deviation from the reference"
        return f"disagrees: {kind} is {deviation:.2g}, expected at most {self.bound:.2g}"


def _relative_deviation(got: np.ndarray, expected: np.ndarray) -> float:
    if got.shape != expected.shape:
        return float("inf")
    deviation = float(np.abs(got - expected).max() / np.abs(expected).max())
    return deviation if np.isfinite(deviation) else float("inf")
