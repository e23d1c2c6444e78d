"""Writes the golden model files of this version: ``python -m tests.data.make_model_files`` at the time of a release.

Files of earlier versions stay as they are.
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
}


def main() -> None:
    """Write files, and the bits of their predictions."""
    folder = Path(__file__).parent / "model_files" / pylstm.__version__
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, parameters in MODELS.items():
        path = folder / f"{name}.safetensors"
        fitted(**parameters).save_model(path)
        expected[path.name] = pylstm.load_model(path).predict(inputs()).ravel().tobytes().hex()
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
