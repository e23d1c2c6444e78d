"""The scikit-learn face of the engine."""

from ._classifier import GRUClassifier, LSTMClassifier
from ._regressor import GRURegressor, LSTMRegressor

__all__ = ["GRUClassifier", "GRURegressor", "LSTMClassifier", "LSTMRegressor"]
