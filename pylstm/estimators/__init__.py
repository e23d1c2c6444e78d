"""The scikit-learn face of the engine."""

from ._regressor import GRURegressor, LSTMRegressor

__all__ = ["GRURegressor", "LSTMRegressor"]
