"""Pure functions, NumPy arrays in and NumPy arrays out."""

from __future__ import annotations

from pylstm.functional._gru import GRUGradients, GRUOutput, gru_backward, gru_forward, gru_step
from pylstm.functional._layer_norm import LayerNorm, LayerNormGradients
from pylstm.functional._lstm import LSTMGradients, LSTMOutput, lstm_backward, lstm_forward, lstm_step
from pylstm.functional._rnn import RNNGradients, RNNOutput, rnn_backward, rnn_forward, rnn_step

__all__ = [
    "GRUGradients",
    "GRUOutput",
    "LSTMGradients",
    "LSTMOutput",
    "LayerNorm",
    "LayerNormGradients",
    "RNNGradients",
    "RNNOutput",
    "gru_backward",
    "gru_forward",
    "gru_step",
    "lstm_backward",
    "lstm_forward",
    "lstm_step",
    "rnn_backward",
    "rnn_forward",
    "rnn_step",
]
