"""What a type checker sees of the package: it accepts right programs and finds what is wrong in others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pylstm

RIGHT = """
import numpy as np
from pylstm import GRUClassifier, GRURegressor, LayerNorm, LSTMClassifier, LSTMRegressor
from pylstm import get_num_threads, gru_backward, gru_forward, lstm_backward, lstm_forward, make_windows
from pylstm import set_num_threads, show_config

X, y = make_windows(np.arange(100.0), 10)
model: LSTMRegressor = LSTMRegressor(4, max_iter=1, loss="quantile", quantile=[0.1, 0.9], n_iter_no_change="auto")
model.set_params(alpha=0.0).fit(X, y, X_val=X, y_val=y)
losses: list[float] = GRURegressor([4, 3], cell="gru").partial_fit(X, y).loss_curve_
labels = LSTMClassifier(max_iter=1, label_smoothing=0.1, class_weight={True: 2.0}).fit(X, y > 50).predict(X)
clips: float | None = GRUClassifier(class_weight="balanced").max_grad_norm

weights = np.ones((8, 1)), np.ones((8, 2))
out = lstm_forward(np.ones((1, 3, 1)), *weights, layer_norm=LayerNorm(), reverse=np.True_, training=np.True_)
lstm = lstm_backward(out.tape, np.ones_like(out.y)).layer_norm
assert lstm is not None
steps = [lstm.gain_ih * 0.1, lstm.gain_hh * 0.1, lstm.gain_c * 0.1, lstm.bias_c * 0.1]
tape = gru_forward(np.ones((1, 3, 1)), np.ones((6, 1)), np.ones((6, 2)), layer_norm=LayerNorm(), training=True).tape
gru = gru_backward(tape, dh_n=np.ones((1, 2))).layer_norm
assert gru is not None
steps += [gru.gain_ih * 0.1, gru.gain_hh * 0.1]
out = lstm_forward(np.ones((1, 3, 1)), *weights, layer_norm=lstm)

set_num_threads(np.int64(get_num_threads()))
isa: str = show_config(mode="dicts")["isa"]
"""

WRONG = """
import numpy as np
from pylstm import GRUClassifier, GRURegressor, LSTMClassifier, LSTMRegressor, Stream, lstm_forward
from pylstm import set_num_threads, show_config

LSTMRegressor(16, no_such_parameter=3)  # call-arg
LSTMRegressor(16, "lstm")  # call-arg
LSTMRegressor(label_smoothing=0.1)  # call-arg
LSTMRegressor(hidden_size="16")  # arg-type
GRURegressor(residual="yes")  # arg-type
LSTMClassifier(quantile=0.5)  # call-arg
GRUClassifier(zoneout="0.1")  # arg-type
LSTMRegressor().fit()  # call-arg
LSTMRegressor().loss_curve_.no_such_method()  # attr-defined
show_config()["isa"]  # index
Stream(object()).step(np.float32(1)).shape  # union-attr
set_num_threads("2")  # arg-type
lstm_forward([[[1.0]]], [[1.0]], [[1.0]], reverse="yes")  # arg-type
"""
"""After each line that is wrong, mypy's word for it."""


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """Line and code of what mypy finds in each program."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("programs")
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--ignore-missing-imports"]
    place = Path(pylstm.__file__).parents[1]
    clone = {} if place.name == "site-packages" else {"MYPYPATH": str(place)}
    done = subprocess.run(
        [*command, "right.py", "wrong.py"],
        cwd=folder,
        env={**os.environ, **clone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    found: dict[str, dict[int, str]] = {"right.py": {}, "wrong.py": {}}
    for file, line, code in re.findall(r"^(\w+\.py):(\d+): error: .* \[(\S+)\]$", done.stdout, re.MULTILINE):
        found[file][int(line)] = code
    return found


def test_right_programs_have_the_right_types(errors) -> None:
    assert errors["right.py"] == {}


def test_right_programs_run() -> None:
    exec(RIGHT, {})


def test_errors_are_found(errors) -> None:
    lines = enumerate(WRONG.splitlines(), start=1)
    assert errors["wrong.py"] == {number: line.split("# ")[1] for number, line in lines if "# " in line}
