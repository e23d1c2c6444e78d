"""The scikit-learn face of the engine."""

from ._regressor import LSTMRegressor

__all__ = ["LSTMRegressor"]
