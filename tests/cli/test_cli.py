"""``python -m pylstm``: the demo, and what it says when something is wrong."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

import joblib
import numpy as np
import pytest

import pylstm
from pylstm import make_windows
from pylstm._cli import main
from pylstm.datasets import load_electrocardiogram

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {"forecast.png", "loss.png", "model.joblib"}

COMMAND = [sys.executable, "-m", "pylstm"]
ENVIRONMENT = {"cwd": Path(pylstm.__file__).parents[1]}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Output folder and standard output of one short demo."""
    pytest.importorskip("matplotlib")
    output = tmp_path_factory.mktemp("demo") / "new" / "folder"
    done = subprocess.run(
        [*COMMAND, "demo", "--max-iter", "1", "--output", str(output)],
        **ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in done.stderr
    return output, done.stdout


def held_out_minute() -> tuple[np.ndarray, np.ndarray]:
    """Windows in mV at 90 Hz, as the demo's description has them: 60 steps, 100 ms ahead."""
    signal_90hz = load_electrocardiogram().signal.reshape(-1, 4).mean(axis=1)
    X, y = make_windows(signal_90hz[-5400:], 60, horizon=9)
    return X[:, :, 0], y


def rows(output: str) -> dict[str, tuple[float, float]]:
    """RMSE and skill in the demo's table."""
    found = re.findall(r"^(LSTM|Ridge|Last value) +([0-9.]+) +(-?[0-9.]+)%", output, re.MULTILINE)
    return {name: (float(rmse), float(skill) / 100) for name, rmse, skill in found}


def rmse(y: np.ndarray, forecast: np.ndarray) -> float:
    return float(np.sqrt(np.mean((y - forecast) ** 2)))


def pixels(path: Path) -> np.ndarray:
    """Decode a PNG without any library's help: (height, width * channels) of the filtered scan lines."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert (depth, kind) == (8, 6)
    chunks, place = [], 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert zlib.crc32(name + body) == struct.unpack(">I", data[place + 8 + length : place + 12 + length])[0]
        chunks += [body] if name == b"IDAT" else []
        place += 12 + length
    assert name == b"IEND"
    return np.frombuffer(zlib.decompress(b"".join(chunks)), np.uint8).reshape(height, 1 + 4 * width)


def test_the_demo_writes_its_files_and_no_others(demo) -> None:
    assert {path.name for path in demo[0].iterdir()} == FILES


@pytest.mark.parametrize("name", ["forecast.png", "loss.png"])
def test_the_pictures_are_not_blank(demo, name) -> None:
    lines = pixels(demo[0] / name)
    height, width = lines.shape
    assert height > 400
    assert width > 4 * 600
    assert (np.ptp(lines[:, 1:], axis=1) > 0).mean() > 0.5  # scan lines with something on them


def test_the_model_makes_the_forecasts_that_were_measured(demo) -> None:
    output, text = demo
    X, y = held_out_minute()
    table = rows(text)
    forecast = joblib.load(output / "model.joblib").predict(X)
    assert table["LSTM"][0] == pytest.approx(rmse(y, forecast), abs=5.1e-4)  # three decimals are printed
    assert table["Last value"][0] == pytest.approx(rmse(y, X[:, -1]), abs=5.1e-4)


def test_skill_is_measured_against_the_last_value(demo) -> None:
    table = rows(demo[1])
    naive = table["Last value"][0]
    for error, skill in table.values():
        assert skill == pytest.approx(1 - (error / naive) ** 2, abs=5e-3)


def test_one_epoch_already_beats_ridge(demo) -> None:
    table = rows(demo[1])
    assert table["LSTM"][0] < table["Ridge"][0] < table["Last value"][0]


def test_the_printed_lines_load_the_model(demo, monkeypatch) -> None:
    code = re.findall(r"^    (.+)$", demo[1], re.MULTILINE)
    assert len(code) == 2
    X, _ = held_out_minute()
    exec("\n".join([code[0], "forecast = " + code[1]]), namespace := {"X": X})
    assert namespace["forecast"].shape == (len(X),)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(demo, tmp_path, capsys) -> None:
    X, _ = held_out_minute()
    forecasts = [joblib.load(demo[0] / "model.joblib").predict(X)]
    for seed in ("0", "1"):
        arguments = ["demo", "--max-iter", "1", "--seed", seed, "--no-plot", "--output", str(tmp_path)]
        assert main(arguments) == 0
        forecasts.append(joblib.load(tmp_path / "model.joblib").predict(X))
    assert {path.name for path in tmp_path.iterdir()} == {"model.joblib"}
    assert forecasts[0].tobytes() == forecasts[1].tobytes()
    assert forecasts[0].tobytes() != forecasts[2].tobytes()
    capsys.readouterr()


def test_without_matplotlib_and_tqdm_the_rest_goes_on(tmp_path, monkeypatch, capsys) -> None:
    for name in ("matplotlib", "matplotlib.figure", "tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["demo", "--max-iter", "1", "--output", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert 'matplotlib is not installed. pip install "pylstm[demo]"' in out
    assert re.search(r"^epoch 1/1: loss [0-9.]+, validation [0-9.]+", out, re.MULTILINE)
    assert err == ""
    assert {path.name for path in tmp_path.iterdir()} == {"model.joblib"}


def fail_if_trained(*args: object, **options: object) -> None:
    raise AssertionError


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong must be said before the training."""
    monkeypatch.setattr("pylstm._demo._fit_network", fail_if_trained)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_where_the_folder_should_be(tmp_path, capsys, place) -> None:
    (tmp_path / "file").write_text("precious")
    assert main(["demo", "--output", str(tmp_path / place)]) == 1
    assert re.fullmatch(r"pylstm: error: cannot write \S*file\S*: [^\n]+\n", capsys.readouterr().err)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.usefixtures("no_training")
def test_a_folder_that_must_not_be_written_to(tmp_path, capsys, monkeypatch) -> None:
    def refuse(self: Path, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refuse)  # a root user may write to any folder
    assert main(["demo", "--output", str(tmp_path)]) == 1
    assert re.fullmatch(r"pylstm: error: cannot write [^\n]+: Permission denied\n", capsys.readouterr().err)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_folder_where_a_file_should_be(tmp_path, capsys, name) -> None:
    (tmp_path / name).mkdir()
    assert main(["demo", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"pylstm: error: cannot write {tmp_path / name}: Is a directory\n"
    assert [path.name for path in tmp_path.iterdir()] == [name]


PRINTING = [["config"], ["--includedir"], ["--cmakedir"], ["demo", "--max-iter", "1", "--no-plot", "--output"]]
"""Commands that print; the last one wants a folder."""


def status_and_error(arguments: list[str], stdout: int | IO[bytes], folder: Path, unbuffered: str) -> tuple[int, str]:
    """Exit status of a command that prints to `stdout`, and the last line of its standard error."""
    done = subprocess.run(
        [*COMMAND, *arguments, *([str(folder)] if arguments[-1] == "--output" else [])],
        cwd=ENVIRONMENT["cwd"],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, "".join(done.stderr.splitlines()[-1:])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", PRINTING, ids=lambda arguments: arguments[0])
def test_standard_output_that_is_full_is_named(tmp_path, arguments, unbuffered) -> None:
    with Path("/dev/full").open("wb") as full:
        status, error = status_and_error(arguments, full, tmp_path, unbuffered)
    assert error == "pylstm: error: cannot write standard output: No space left on device"
    assert status == 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes there end otherwise")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", PRINTING, ids=lambda arguments: arguments[0])
def test_a_pipe_that_nobody_reads_ends_the_program_quietly(tmp_path, arguments, unbuffered) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        status, error = status_and_error(arguments, writer, tmp_path, unbuffered)
    finally:
        os.close(writer)
    assert (status, error) == (141, "")


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "model.joblib").write_text("old")

    def half_a_file(model: object, path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("joblib.dump", half_a_file)
    assert main(["demo", "--max-iter", "1", "--no-plot", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(
        f"pylstm: error: cannot write {tmp_path / 'model.joblib'}: No space left on device\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["model.joblib"]
    assert (tmp_path / "model.joblib").read_text() == "old"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["demo", "--max-iter", "0"],
        ["demo", "--max-iter", "x"],
        ["demo", "--seed", "-1"],
        ["demo", "here"],
    ],
)
def test_wrong_arguments(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err.splitlines()[-1]


def test_the_version(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"pylstm {pylstm.__version__}\n"


def test_the_configuration(capsys) -> None:
    assert main(["config"]) == 0
    shown = capsys.readouterr().out
    pylstm.show_config()
    assert shown == capsys.readouterr().out


def test_an_interruption_outside_the_training(tmp_path, monkeypatch, capsys) -> None:
    def press_ctrl_c(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pylstm._demo._fit_network", press_ctrl_c)
    assert main(["demo", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "\npylstm: interrupted\n"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def endless_demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that would train for days, once it has begun to."""
    here = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # which a job in a shell's background hands on ignored
    with subprocess.Popen(
        [*COMMAND, "demo", "--max-iter", str(10**9), "--no-plot", "--output", str(tmp_path)],
        **ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        signal.signal(signal.SIGINT, here)
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="a signal there goes to the whole console")
def test_ctrl_c_saves_the_model_so_far(endless_demo, tmp_path) -> None:
    assert endless_demo.stdout is not None
    while not endless_demo.stdout.readline().startswith("pylstm"):  # the last line before the training
        assert endless_demo.poll() is None
    time.sleep(0.3)
    endless_demo.send_signal(signal.SIGINT)
    out, err = endless_demo.communicate(timeout=60)
    assert endless_demo.returncode == 130
    assert "Training was interrupted" in out
    assert "Traceback" not in err
    X, y = held_out_minute()
    assert rows(out)["LSTM"][0] == pytest.approx(rmse(y, joblib.load(tmp_path / "model.joblib").predict(X)), abs=5.1e-4)
