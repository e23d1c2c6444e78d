"""X is read where it lies."""

from __future__ import annotations

import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

from pylstm import LSTMRegressor, make_windows


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

    with open("/proc/self/status") as status:
        in_use = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (in_use + (96 << 20),) * 2)
    model = LSTMRegressor(2, batch_size=64, {options}max_iter=1).fit(X, y)
    assert model.predict(X).shape == y.shape
    """
    run_python(textwrap.dedent(code))


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
