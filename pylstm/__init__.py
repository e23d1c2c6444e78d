"""The LSTM on a CPU: scikit-learn estimators and NumPy functions over one C++ engine."""

from __future__ import annotations

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

# In a clone, `python -m` finds this folder first; the compiled module is in the installed package.
__path__ = extend_path(__path__, __name__)

from pylstm._config import __version__, get_cmake_dir, get_include, get_num_threads, set_num_threads, show_config
from pylstm.functional import (
    GRUGradients,
    GRUOutput,
    LayerNorm,
    LayerNormGradients,
    LSTMGradients,
    LSTMOutput,
    RNNGradients,
    RNNOutput,
    gru_backward,
    gru_forward,
    gru_step,
    lstm_backward,
    lstm_forward,
    lstm_step,
    rnn_backward,
    rnn_forward,
    rnn_step,
)
from pylstm.model import Model, ModelFormatError, load_model

if TYPE_CHECKING:
    from pylstm.estimators import GRUClassifier, GRURegressor, LSTMClassifier, LSTMRegressor
    from pylstm.preprocessing import (
        PerStep,
        SequenceScaler,
        from_channels_first,
        make_windows,
        pad_sequences,
        to_channels_first,
        to_sequences,
        unpad,
    )
    from pylstm.streaming import Stream

__all__ = [
    "GRUClassifier",
    "GRUGradients",
    "GRUOutput",
    "GRURegressor",
    "LSTMClassifier",
    "LSTMGradients",
    "LSTMOutput",
    "LSTMRegressor",
    "LayerNorm",
    "LayerNormGradients",
    "Model",
    "ModelFormatError",
    "PerStep",
    "RNNGradients",
    "RNNOutput",
    "SequenceScaler",
    "Stream",
    "__version__",
    "from_channels_first",
    "get_cmake_dir",
    "get_include",
    "get_num_threads",
    "gru_backward",
    "gru_forward",
    "gru_step",
    "load_model",
    "lstm_backward",
    "lstm_forward",
    "lstm_step",
    "make_windows",
    "pad_sequences",
    "rnn_backward",
    "rnn_forward",
    "rnn_step",
    "set_num_threads",
    "show_config",
    "to_channels_first",
    "to_sequences",
    "unpad",
]

# Imported when first used: scikit-learn takes longer to import than everything else here together, and not everyone
# streams.
_LAZY = {
    "GRUClassifier": "pylstm.estimators",
    "GRURegressor": "pylstm.estimators",
    "LSTMClassifier": "pylstm.estimators",
    "LSTMRegressor": "pylstm.estimators",
    "PerStep": "pylstm.preprocessing",
    "SequenceScaler": "pylstm.preprocessing",
    "Stream": "pylstm.streaming",
    "from_channels_first": "pylstm.preprocessing",
    "make_windows": "pylstm.preprocessing",
    "pad_sequences": "pylstm.preprocessing",
    "to_channels_first": "pylstm.preprocessing",
    "to_sequences": "pylstm.preprocessing",
    "unpad": "pylstm.preprocessing",
}


def __getattr__(name: str) -> Any:
    """Return a public name whose room is imported on first use."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *_LAZY})
