"""Pure functions, NumPy arrays in and NumPy arrays out."""

from __future__ import annotations

from pylstm.functional._lstm import LSTMGradients, LSTMOutput, lstm_backward, lstm_forward, lstm_step

__all__ = ["LSTMGradients", "LSTMOutput", "lstm_backward", "lstm_forward", "lstm_step"]
