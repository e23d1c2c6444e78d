"""skorch: the PyTorch model behind scikit-learn's interface; estimators only."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import skorch
import torch

from benchmarks.peers.adapter_pytorch import Forecaster, limit_threads
from benchmarks.peers.problems import PREDICT_BATCH
from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    from benchmarks.peers.problems import FitProblem, PredictProblem


class Adapter:
    """``NeuralNetRegressor`` around the model that the PyTorch adapter trains, without validation and callbacks."""

    def __init__(self, n_threads: int) -> None:
        limit_threads(n_threads)

    def versions(self) -> dict[str, str]:
        """Versions of skorch and PyTorch."""
        return {"skorch": skorch.__version__, "torch": str(torch.__version__)}

    def fit(self, problem: FitProblem) -> Action:
        """``NeuralNetRegressor.fit``."""
        case = problem.case

        def call() -> Any:
            torch.manual_seed(0)
            regressor = skorch.NeuralNetRegressor(
                Forecaster,
                module__n_features=case.n_features,
                module__hidden_size=case.hidden_size,
                module__dtype=torch.from_numpy(problem.x).dtype,
                optimizer=torch.optim.Adam,
                lr=case.learning_rate,
                batch_size=case.batch_size,
                max_epochs=case.n_epochs,
                iterator_train__shuffle=True,
                train_split=None,
                callbacks="disable",
                verbose=0,
            )
            return regressor.fit(problem.x, problem.y)

        return Action(call, lambda: {"mse": np.mean((call().predict(problem.x) - problem.y) ** 2)})

    def predict(self, problem: PredictProblem) -> Action:
        """``NeuralNetRegressor.predict``."""
        regressor = skorch.NeuralNetRegressor(
            Forecaster.with_weights(problem.weights), batch_size=PREDICT_BATCH, callbacks="disable", verbose=0
        ).initialize()

        def call() -> np.ndarray:
            prediction: np.ndarray = regressor.predict(problem.x)
            return prediction

        return Action(call, lambda: {"prediction": call(), **asdict(problem.weights)})
