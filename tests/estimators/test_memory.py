"""X is read where it lies."""

from __future__ import annotations

import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

from pylstm import LSTMRegressor, make_windows

IN_USE = """
def in_use(name):  # bytes, as Linux counts them for this process
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(name))

"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts what a process may write to on Linux only")
@pytest.mark.parametrize("options", ["", "early_stopping=True, ", "early_stopping=True, shuffle=False, "])
def test_an_array_larger_than_memory_trains(run_python, options):
    code = f"""
    import resource
    import numpy as np
    import sklearn.metrics, sklearn.utils.validation
    from pylstm import LSTMRegressor

    X = np.memmap("X.bin", np.float32, "w+", shape=(8192, 64, 128))  # 256 MiB that are never written, so not on disk
    y = np.zeros(len(X))
    X = np.memmap("X.bin", np.float32, "r", shape=X.shape)
    LSTMRegressor(2, max_iter=1).fit(X[:64], y[:64]).predict(X[:64])  # everything imported, every thread started

    resource.setrlimit(resource.RLIMIT_DATA, (in_use("VmData") + (96 << 20),) * 2)
    model = LSTMRegressor(2, batch_size=64, {options}max_iter=1).fit(X, y)
    assert model.predict(X).shape == y.shape
    """
    run_python(IN_USE + textwrap.dedent(code))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is resident on Linux only")
@pytest.mark.parametrize(
    "view",
    [
        "mapped",
        "np.asarray(mapped)",
        "mapped[100:].reshape(-1, 32, 2, 64).transpose(0, 1, 3, 2)[:, :, :, 0]",
        "make_windows(mapped.reshape(-1, 64), 40)[0][::16]",
    ],
)
def test_a_mapped_file_does_not_stay_resident(run_python, view):
    code = f"""
    import numpy as np
    from pylstm import LSTMRegressor, make_windows

    mapped = np.memmap("X.bin", np.float32, "w+", shape=(16384, 64, 128))  # 512 MiB that are never written
    X = {view}
    y = np.zeros(len(X))
    LSTMRegressor(2, max_iter=1).fit(X[:64], y[:64])
    open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
    before = in_use("VmRSS")
    LSTMRegressor(2, batch_size=256, early_stopping=True, max_iter=1).fit(X, y).predict(X)
    assert in_use("VmHWM") - before < 224 << 20
    """
    run_python(IN_USE + textwrap.dedent(code))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is resident on Linux only")
def test_long_sequences_are_predicted_few_at_a_time(run_python):
    code = """
    import numpy as np
    from pylstm import LSTMRegressor

    X = np.memmap("X.bin", np.float32, "w+", shape=(256, 4096, 128))  # 512 MiB that are never written
    y = np.zeros(len(X))
    model = LSTMRegressor(2, max_iter=1, batch_size=4).fit(X[:8], y[:8])
    open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
    before = in_use("VmRSS")
    few = model.predict(X[100:103])
    assert np.array_equal(model.predict(X)[100:103], few)
    assert in_use("VmHWM") - before < 384 << 20
    """
    run_python(IN_USE + textwrap.dedent(code))


def test_changes_to_a_private_map_are_kept(tmp_path):
    X = np.memmap(tmp_path / "X.bin", np.float32, "w+", shape=(4096, 80, 128))  # 160 MiB
    X = np.memmap(tmp_path / "X.bin", np.float32, "c", shape=X.shape)
    X[::64] = 1
    LSTMRegressor(2, batch_size=256, max_iter=1).fit(X, np.zeros(len(X))).predict(X)
    assert (X[::64] == 1).all()


def test_windows_are_never_spelled_out():
    X, y = make_windows(np.zeros(20_000, np.float32), 500)
    LSTMRegressor(2, max_iter=1).fit(X[:64], y[:64])
    tracemalloc.start()
    try:
        LSTMRegressor(1, max_iter=1, batch_size=512).fit(X, y).predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000  # bytes; the windows are 39,000,000
