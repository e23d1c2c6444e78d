"""Writes the golden model files of this version: ``python -m tests.data.make_model_files`` at the time of a release.

Files that are there already stay as they are, those of earlier versions too.
"""

from __future__ import annotations

import json
from pathlib import Path

import pylstm
from tests.model.models import fitted, inputs

MODELS = {
    "lstm": {"hidden_size": 5},
    "gru-stack-float64": {"cell": "gru", "hidden_size": [4, 3], "dtype": "float64", "n_outputs": 2},
    "peephole-bidirectional-max": {"cell": "peephole_lstm", "hidden_size": 3, "bidirectional": True, "pooling": "max"},
    "layernorm-projection-mean": {"cell": "layernorm_lstm", "hidden_size": 4, "proj_size": 3, "pooling": "mean"},
    "coupled-residual-sum": {
        "cell": "coupled_lstm",
        "hidden_size": [3, 3],
        "bidirectional": True,
        "merge": "sum",
        "residual": True,
    },
    "rnn": {"cell": "rnn", "hidden_size": 6},
    "rnn-stack-mean-float64": {"cell": "rnn", "hidden_size": [3, 2], "pooling": "mean", "dtype": "float64"},
    "gru-attention": {"cell": "gru", "hidden_size": 4, "pooling": "attention"},
    "gru-reset-before": {"cell": "gru_reset_before", "hidden_size": 5},
    "gru-reset-before-bidirectional": {"cell": "gru_reset_before", "hidden_size": 3, "bidirectional": True},
    "layernorm-gru-max": {"cell": "layernorm_gru", "hidden_size": 4, "pooling": "max"},
    "layernorm-lstm-float64": {"cell": "layernorm_lstm", "hidden_size": 3, "dtype": "float64"},
    "peephole-dropout": {"cell": "peephole_lstm", "hidden_size": [2, 2], "dropout": 0.25, "input_dropout": 0.1},
    "coupled-zoneout": {"cell": "coupled_lstm", "hidden_size": 4, "zoneout": 0.1, "variational_dropout": True},
    "lstm-projection": {"hidden_size": 5, "proj_size": 2},
    "lstm-bidirectional-projection-float64": {
        "hidden_size": [3, 3],
        "proj_size": 2,
        "bidirectional": True,
        "dtype": "float64",
    },
    "lstm-deep": {"hidden_size": [1, 2, 3, 4], "recurrent_dropout": 0.2},
    "lstm-three-outputs": {"hidden_size": 4, "n_outputs": 3},
    "lstm-attention-residual": {"hidden_size": [3, 3], "residual": True, "pooling": "attention"},
    "gru-wide": {"cell": "gru", "hidden_size": 17},
}


def main() -> None:
    """Write files, and the bits of their predictions."""
    folder = Path(__file__).parent / "model_files" / pylstm.__version__
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "expected.json"
    expected = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for name, parameters in MODELS.items():
        path = folder / f"{name}.safetensors"
        if path.exists():
            continue
        fitted(**parameters).save_model(path)
        expected[path.name] = pylstm.load_model(path).predict(inputs()).ravel().tobytes().hex()
    record.write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
