"""Writes the golden model files of this version: ``python -m tests.data.make_model_files`` at the time of a release.

Files of earlier versions stay as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

import pylstm
from pylstm.model import _document
from tests.model.models import fitted, inputs

MODELS = {
    "lstm": {"hidden_size": 5},
    "gru-stack-float64": {"cell": "gru", "hidden_size": [4, 3], "dtype": "float64", "n_outputs": 2},
    "peephole-bidirectional-max": {"cell": "peephole_lstm", "hidden_size": 3, "bidirectional": True, "pooling": "max"},
    "layernorm-projection-mean": {"cell": "layernorm_lstm", "hidden_size": 4, "proj_size": 3, "pooling": "mean"},
    "coupled-residual-sum": {"cell": "coupled_lstm", "hidden_size": [3, 3], "bidirectional": True},
}


def main() -> None:
    """Write files, and the bits of their predictions."""
    folder = Path(__file__).parent / "model_files" / pylstm.__version__
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, parameters in MODELS.items():
        path = folder / f"{name}.safetensors"
        fitted(**parameters).save_model(path)
        if "residual" in name:  # what C++ programs have and estimators do not
            half_as_wide(path)
        expected[path.name] = pylstm.load_model(path).predict(inputs()).ravel().tobytes().hex()
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


def half_as_wide(path: Path) -> None:
    """Make a concatenation of directions a sum of them, and the upper layer residual, of the same weights."""
    document = _document.load(path)
    width = document.architecture["hidden_sizes"][0]
    parameters = {
        name: array[:, :width]
        if name == "head.weight" or (name.startswith("layers.1") and name.endswith("ih"))
        else array
        for name, array in document.parameters.items()
    }
    architecture = document.architecture | {"merge": "sum", "residual": True}
    _document.save(_document.Document(document.dtype, architecture, parameters, {}), path)


if __name__ == "__main__":
    main()
