"""A model as a header compiles alone, without exceptions and RTTI, and computes what Python does but for rounding."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from pylstm import LSTMClassifier, LSTMRegressor, load_model
from pylstm.model import _header

from .models import fitted, inputs

COMPILER = shutil.which("g++") or shutil.which("clang++")

FLAGS = ["-std=c++17", "-O1", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]

TOLERANCE = 1e-5
"""Rounding of sums of about 10 terms below 1, carried through 6 steps and 2 layers: some tens of 2**-24."""

NETWORKS = {
    "lstm": {"hidden_size": 5},
    "stack": {"hidden_size": [4, 3], "pooling": "mean", "n_outputs": 2},
    "peephole": {"cell": "peephole_lstm", "hidden_size": 3, "num_layers": 2, "pooling": "max"},
    "coupled": {"cell": "coupled_lstm", "hidden_size": 4},
    "gru": {"cell": "gru", "hidden_size": [3, 5], "dtype": "float64"},
    "rnn": {"cell": "rnn", "hidden_size": 4},
    "projection": {"hidden_size": [5, 4], "proj_size": 3},
    "one_residual": {"hidden_size": 4, "residual": True},
}

PROGRAM = """
#include <cstdio>
{includes}
int main() {{
  float x[4][6][2];
  for (int n = 0; n < 4; ++n)
    for (int t = 0; t < 6; ++t)
      for (int k = 0; k < 2; ++k) x[n][t][k] = static_cast<float>((7 * n + 3 * t + k) % 11 - 5) / 8;
{bodies}
}}
"""

BODY = """
  if (!({name}_net::self_test() < {name}_net::self_test_tolerance)) return 1;
  for (int n = 0; n < 4; ++n) {{
    {name}_net::State state{{}};
    float y[{name}_net::outputs];
    for (int t = 0; t < 6; ++t) {name}_net::step(state, x[n][t]);
    {name}_net::read(state, y);
    for (const float value : y) std::printf("%a ", static_cast<double>(value));
  }}
  std::printf("\\n");
"""


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_headers_compute_what_python_does(tmp_path):
    expected = []
    for name, parameters in NETWORKS.items():
        model = fitted(**parameters)
        model.export_header(tmp_path / f"{name}.hpp", name=f"{name}_net")
        expected.append(model.predict(inputs()).ravel())
    includes = "".join(f'#include "{name}.hpp"\n' for name in NETWORKS)
    bodies = "".join(BODY.format(name=name) for name in NETWORKS)
    (tmp_path / "main.cpp").write_text(PROGRAM.format(includes=includes, bodies=bodies), encoding="utf-8")
    command = [COMPILER, *FLAGS, "main.cpp", "-o", "main"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    for line, values in zip(printed.splitlines(), expected, strict=True):
        np.testing.assert_allclose([float.fromhex(word) for word in line.split()], values, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"bidirectional": True}, "bidirectional=True"),
        ({"cell": "layernorm_lstm"}, "layernorm_lstm"),
        ({"cell": "layernorm_gru"}, "layernorm_gru"),
        ({"cell": "gru_reset_before"}, "gru_reset_before"),
        ({"zoneout": 0.1}, "zoneout=0.1"),
        ({"residual": True, "num_layers": 2}, "residual=True"),
        ({"pooling": "attention"}, "pooling='attention'"),
        ({"missing": "mask"}, "missing is 'mask', expected 'error': a header has no memory"),
    ],
)
def test_what_a_header_cannot_have_is_an_error(parameters, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        fitted(**parameters).export_header(tmp_path / "model.hpp")
    assert list(tmp_path.iterdir()) == []


def test_networks_of_tokens_and_of_targets_for_every_step_are_errors(tmp_path):
    X = np.tile(np.arange(4), (4, 2))
    tokens = LSTMRegressor(3, vocabulary_size=4, max_iter=1).fit(X, X[:, 0])
    per_step = LSTMRegressor(3, targets="per_step", max_iter=1).fit(inputs(), inputs()[:, :, 0])
    for model, match in ((tokens, "vocabulary_size=4"), (per_step, "pooling='none'")):
        with pytest.raises(ValueError, match=match):
            model.export_header(tmp_path / "model.hpp")


@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        (LSTMRegressor(), "what predict gives"),
        (LSTMRegressor(loss="poisson"), "the logarithm of what predict gives"),
        (LSTMRegressor(loss="quantile", quantile=(0.9, 0.1)), "of the levels 0.9, 0.1; predict sorts them"),
        (LSTMClassifier(), "a logit for each class"),
    ],
)
def test_a_header_says_what_its_outputs_are(model, outputs, tmp_path):
    X = inputs(12)
    model.set_params(hidden_size=3, max_iter=1).fit(X, np.arange(12) % 3)
    model.export_header(tmp_path / "model.hpp")
    assert outputs in (tmp_path / "model.hpp").read_text(encoding="utf-8").partition("#pragma once")[0]


@pytest.mark.parametrize("classes", ["two", "several"])
def test_outputs_of_labels_are_log_odds(classes, tmp_path):
    X = inputs(12)
    y = np.arange(12) % 2 if classes == "two" else np.stack([np.arange(12) % 2, np.arange(12) % 3 == 0], axis=1)
    LSTMClassifier(3, max_iter=1).fit(X, y).export_header(tmp_path / "model.hpp")
    assert "log-odds" in (tmp_path / "model.hpp").read_text(encoding="utf-8").partition("#pragma once")[0]


NO_NAMES = ["", "2a", "a b", "a::b", "_a", "a__b", "ä", "class", "int", "true", "not", "export", "co_await", "char8_t"]


@pytest.mark.parametrize("name", [*NO_NAMES, "std", "main", "pylstm", "NULL", "linux"])
def test_a_name_that_is_none_is_an_error(name, tmp_path):
    with pytest.raises(ValueError, match="name is"):
        fitted().export_header(tmp_path / "model.hpp", name=name)


def test_a_model_exports_what_its_estimator_does(tmp_path):
    model = fitted()
    model.save_model(tmp_path / "model")
    model.export_header(tmp_path / "one.hpp")
    load_model(tmp_path / "model").export_header(tmp_path / "other.hpp")
    assert (tmp_path / "one.hpp").read_bytes() == (tmp_path / "other.hpp").read_bytes()


def test_weights_are_written_exactly():
    values = np.array([0.1, -0.0, 1e-42, 3.4e38], np.float32)
    text = _header._array("w", values)
    words = [word.strip().removesuffix("f") for word in text.partition("= {")[2].rpartition("}")[0].split(",")]
    assert np.array_equal(np.array([float.fromhex(word) for word in words], np.float32), values)
