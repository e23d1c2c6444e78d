"""Models in WebAssembly, under Node: the bits of the generic kernels."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ..model.models import fitted
from .machines import EXAMPLES, MODEL, ROUNDING, outputs, run

MODEL_FILES = Path(__file__).parents[1] / "data" / "model_files" / "0.1.0"

NETWORKS = {
    "stack": {"hidden_size": [4, 3], "pooling": "mean", "n_outputs": 2},
    "peephole": {"cell": "peephole_lstm", "hidden_size": 3, "num_layers": 2, "pooling": "max"},
    "coupled": {"cell": "coupled_lstm", "hidden_size": 37},
    "gru": {"cell": "gru", "hidden_size": [3, 5]},
    "gru_reset_before": {"cell": "gru_reset_before", "hidden_size": 5},
    "rnn": {"cell": "rnn", "hidden_size": 4},
    "projection": {"hidden_size": [5, 4], "proj_size": 3},
    "layernorm": {"cell": "layernorm_lstm", "hidden_size": 6},
}

PROGRAM = """
const fs = require("fs");
const { Model } = require("./model.js");
(async () => {
  const { files, x } = JSON.parse(fs.readFileSync(0, "utf8"));
  const results = [];
  for (const file of files) {
    try {
      const model = await Model.load(fs.readFileSync(file));
      const first = model.step(Float32Array.from(x));
      model.reset();
      const again = x.map((_, i) => i).filter((i) => i % model.inputs === 0).map(
        (i) => [...model.step(Float32Array.from(x.slice(i, i + model.inputs)))]);
      if (again.flat().join() !== first.join()) throw new Error("one step at a time is something else");
      results.push([...new Uint32Array(first.buffer)]);
    } catch (error) {
      results.push(error.message);
    }
  }
  console.log(JSON.stringify(results));
})();
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a page: PYLSTM_WASM in the environment, or it is built here in a minute."""
    missing = [tool for tool in ("bash", "emcc", "node") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}")
    folder = os.environ.get("PYLSTM_WASM")
    if folder is not None:
        return Path(folder)
    path = tmp_path_factory.mktemp("wasm")
    run("bash", EXAMPLES / "wasm" / "run", path)
    return path


def in_node(built: Path, files: list[Path], x: np.ndarray) -> list[np.ndarray | str]:
    """Give what each model's steps make of x, or why it cannot be read."""
    task = json.dumps({"files": [str(file) for file in files], "x": x.ravel().tolist()})
    (built / "steps.js").write_text(PROGRAM, encoding="utf-8")
    results = json.loads(run("node", built / "steps.js", input=task.encode()))
    return [r if isinstance(r, str) else np.array(r, np.uint32).view(np.float32) for r in results]


def test_webassembly_has_the_bits_of_the_generic_kernels(built: Path, tmp_path: Path) -> None:
    files = []
    for name, parameters in NETWORKS.items():
        files.append(tmp_path / f"{name}.safetensors")
        fitted(**parameters).save_model(files[-1])
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    for file, got in zip(files, in_node(built, files, x), strict=True):
        assert isinstance(got, np.ndarray), got
        expected = outputs(x, "generic", file)
        assert got.tobytes() == expected.tobytes(), file


def test_the_page_forecasts_what_python_does(built: Path) -> None:
    x = np.loadtxt(EXAMPLES / "cpp" / "sine.csv", skiprows=1, dtype=np.float32)[-24:]
    program, series = built / "forecast.js", EXAMPLES / "cpp" / "sine.csv"
    printed = float(run("node", program, MODEL, series, "24").decode().removeprefix("next value: "))
    np.testing.assert_allclose(printed, outputs(x[:, None], "", MODEL)[-1], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gru-stack-float64.safetensors", "the model is of float64, expected float32"),
        ("peephole-bidirectional-max.safetensors", "the network is bidirectional"),
        ("expected.json", "header"),
    ],
)
def test_what_cannot_be_read_is_an_error(built: Path, name: str, message: str) -> None:
    (result,) = in_node(built, [MODEL_FILES / name], np.zeros((1, 2), np.float32))
    assert isinstance(result, str)
    assert message in result
