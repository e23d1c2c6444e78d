"""Threads, instruction sets and the import itself: what the environment and the process decide."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

import pylstm

from .results import config

if TYPE_CHECKING:
    from ..conftest import RunPython

CLEAN: dict[str, str | None] = {"PYLSTM_NUM_THREADS": None, "OMP_NUM_THREADS": None, "PYLSTM_ISA": None}
"""No variable of ours is set."""

ISA_NAMES = ("generic", "avx2", "avx512", "neon")

PRINT_THREADS = "import pylstm; print(pylstm.get_num_threads())"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
needs_threadpoolctl = pytest.mark.skipif(find_spec("threadpoolctl") is None, reason="threadpoolctl is not installed")


def test_show_config_names_version_isa_and_threads() -> None:
    assert set(config()) >= {"version", "isa", "isas", "num_threads"}
    assert config()["version"] == pylstm.__version__
    assert config()["isa"] in config()["isas"]
    assert config()["num_threads"] == pylstm.get_num_threads()


def test_every_isa_offered_is_a_known_one_and_generic_is_always_among_them() -> None:
    assert set(config()["isas"]) <= set(ISA_NAMES)
    assert "generic" in config()["isas"]


def test_show_config_prints_what_its_dict_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert pylstm.show_config() is None
    printed = capsys.readouterr().out
    for value in (pylstm.__version__, config()["isa"], str(config()["num_threads"]), *config()["isas"]):
        assert value in printed


def test_show_config_gives_a_dict_of_its_own_each_time() -> None:
    config()["isas"].clear()
    assert config()["isas"]


def test_an_unknown_mode_of_show_config_is_named() -> None:
    with pytest.raises(ValueError, match=r"mode.*'stderr'.*stdout.*dicts"):
        pylstm.show_config(mode="stderr")  # type: ignore[arg-type, call-overload, unused-ignore]


@pytest.mark.parametrize("n_threads", [1, 2, 3, 16])
def test_the_number_of_threads_is_what_was_set(n_threads: int) -> None:
    pylstm.set_num_threads(n_threads)
    assert pylstm.get_num_threads() == n_threads
    assert config()["num_threads"] == n_threads


@pytest.mark.parametrize("n_threads", [0, -1, -(2**63), 1025, 2**31, 2**70])
def test_a_number_of_threads_out_of_bounds_is_refused(n_threads: int) -> None:
    before = pylstm.get_num_threads()
    with pytest.raises(ValueError, match=f"num_threads is {n_threads}, expected 1 to 1024"):
        pylstm.set_num_threads(n_threads)
    assert pylstm.get_num_threads() == before


@pytest.mark.parametrize("n_threads", [1.5, "2", None, 1j])
def test_a_number_of_threads_that_is_no_whole_number_is_refused(n_threads: Any) -> None:
    before = pylstm.get_num_threads()
    with pytest.raises(TypeError):
        pylstm.set_num_threads(n_threads)
    assert pylstm.get_num_threads() == before


def test_many_threads_are_no_crash(run_python: RunPython) -> None:
    run_python("""
import numpy as np, pylstm
pylstm.set_num_threads(256)
x, w, u = np.ones((500, 20, 8)), np.ones((256, 8)), np.ones((256, 64))
pylstm.lstm_forward(x, w, u)
""")


@pytest.mark.parametrize(
    ("variables", "n_threads"),
    [
        ({"PYLSTM_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"PYLSTM_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
    ],
)
def test_our_variable_comes_before_that_of_openmp(
    run_python: RunPython, variables: dict[str, str], n_threads: int
) -> None:
    """OMP_NUM_THREADS may be a list, one number for each level of nesting; the first one counts."""
    assert int(run_python(PRINT_THREADS, env=CLEAN | variables).stdout) == n_threads


@pytest.mark.parametrize("value", ["0", "-2", "many", "1e3", "3abc"])
def test_a_senseless_number_of_threads_for_us_fails_the_import(run_python: RunPython, value: str) -> None:
    code = f"""
try:
    import pylstm
    pylstm.get_num_threads()
except ImportError as error:
    assert "PYLSTM_NUM_THREADS is \\"{value}\\", expected a positive integer" in str(error), error
else:
    raise AssertionError
"""
    run_python(code, env=CLEAN | {"PYLSTM_NUM_THREADS": value})


def test_a_call_comes_before_any_variable(run_python: RunPython) -> None:
    code = "import pylstm; pylstm.set_num_threads(7); print(pylstm.get_num_threads())"
    assert int(run_python(code, env=CLEAN | {"PYLSTM_NUM_THREADS": "3"}).stdout) == 7


@needs_affinity
def test_without_variables_the_affinity_bounds_the_number_of_threads(run_python: RunPython) -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + PRINT_THREADS
    assert int(run_python(code, env=CLEAN).stdout) == 1


@pytest.mark.parametrize("value", ["", "0", "-2", "many", "1e3", "99999999999999999999999"])
@pytest.mark.parametrize("variable", ["PYLSTM_NUM_THREADS", "OMP_NUM_THREADS"])
def test_a_senseless_number_of_threads_in_the_environment_is_no_crash(
    run_python: RunPython, variable: str, value: str
) -> None:
    """Either the variable is passed over, or the import says what is wrong with it."""
    code = f"""
try:
    import pylstm
except (ImportError, ValueError) as error:
    assert "{variable}" in str(error)
else:
    assert 1 <= pylstm.get_num_threads() <= 4096
"""
    run_python(code, env=CLEAN | {variable: value})


@pytest.mark.parametrize("isa", ISA_NAMES)
def test_a_forced_isa_is_in_use_or_the_import_says_which_there_are(run_python: RunPython, isa: str) -> None:
    code = "import pylstm; print(pylstm.show_config(mode='dicts')['isa'])"
    done = run_python(code, env=CLEAN | {"PYLSTM_ISA": isa}, check=False)
    if isa in config()["isas"]:
        assert done.stdout.decode().split() == [isa]
    else:
        assert "ImportError" in done.stderr.decode()
        assert all(name in done.stderr.decode() for name in config()["isas"])


@pytest.mark.parametrize("isa", ["sse9", "AVX 2", "avx", "avx2,avx512", "*"])
def test_an_unknown_isa_is_an_import_error_that_names_the_choices(run_python: RunPython, isa: str) -> None:
    code = """
try:
    import pylstm
except ImportError as error:
    print(error)
"""
    message = run_python(code, env=CLEAN | {"PYLSTM_ISA": isa}).stdout.decode()
    assert "PYLSTM_ISA" in message
    assert isa in message
    assert all(name in message for name in config()["isas"])


@pytest.mark.parametrize("before", ["", "import threadpoolctl"])
@needs_threadpoolctl
def test_threadpoolctl_sees_and_limits_our_threads(run_python: RunPython, before: str) -> None:
    """Whichever of the two is imported first."""
    run_python(
        before
        + """
import pylstm, threadpoolctl
pylstm.set_num_threads(3)
ours = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "pylstm"]
assert len(ours) == 1, ours
assert ours[0]["num_threads"] == 3, ours
assert ours[0]["internal_api"] == "pylstm", ours
assert ours[0]["version"] == pylstm.__version__, ours
with threadpoolctl.threadpool_limits(2):
    assert pylstm.get_num_threads() == 2
with threadpoolctl.threadpool_limits(1, user_api="pylstm"):
    assert pylstm.get_num_threads() == 1
assert pylstm.get_num_threads() == 3
"""
    )


COMPUTE = """
import os, signal, sys, threading
import numpy as np
import pylstm

pylstm.set_num_threads(2)
generator = np.random.default_rng(0)
x, w, u = (generator.standard_normal(shape) for shape in ((200, 10, 8), (256, 8), (256, 64)))

def compute():
    out = pylstm.lstm_forward(x, w, u, training=True)
    gradients = pylstm.lstm_backward(out.tape, out.y)
    return b"".join(array.tobytes() for array in (*out[:3], *gradients) if array is not None)
"""

FORKED = """
def check_in_child():
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that hangs is killed
        os._exit(0 if all(compute() == expected for _ in range(3)) else 3)
    _, status = os.waitpid(child, 0)
    assert status == 0, status

import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork of a process with threads
"""


@needs_fork
def test_a_child_of_fork_computes_the_same_bits(run_python: RunPython) -> None:
    run_python(COMPUTE + FORKED + "expected = compute()\ncheck_in_child()\nassert compute() == expected")


@needs_fork
def test_a_child_forked_while_the_pool_is_busy_computes_the_same_bits(run_python: RunPython) -> None:
    run_python(
        COMPUTE
        + FORKED
        + """
expected = compute()
done = threading.Event()

def keep_busy():
    while not done.is_set():
        compute()

busy = [threading.Thread(target=keep_busy) for _ in range(2)]
for thread in busy:
    thread.start()
for _ in range(20):
    check_in_child()
done.set()
for thread in busy:
    thread.join()
assert compute() == expected
"""
    )


@needs_fork
def test_a_grandchild_of_fork_computes_the_same_bits(run_python: RunPython) -> None:
    run_python(
        COMPUTE
        + FORKED
        + """
expected = compute()
child = os.fork()
if child == 0:
    signal.alarm(90)
    assert compute() == expected
    check_in_child()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    )


@needs_fork
def test_a_tape_from_before_a_fork_works_in_the_child(run_python: RunPython) -> None:
    run_python(
        COMPUTE
        + FORKED
        + """
tape = pylstm.lstm_forward(x, w, u, training=True).tape

def compute():
    return pylstm.lstm_backward(tape, dh_n=np.ones((200, 64))).weight_ih.tobytes()

expected = compute()
check_in_child()
"""
    )


def test_python_may_end_right_after_a_parallel_call(run_python: RunPython) -> None:
    run_python(COMPUTE + "compute()")


def test_python_may_end_with_tapes_alive(run_python: RunPython) -> None:
    run_python(COMPUTE + "sys.tape = pylstm.lstm_forward(x, w, u, training=True).tape")


@pytest.mark.parametrize("module", ["sklearn", "scipy", "pandas", "matplotlib", "joblib", "torch"])
def test_importing_pylstm_does_not_import(run_python: RunPython, module: str) -> None:
    run_python(f"import sys, pylstm; assert {module!r} not in sys.modules")


def test_the_numpy_functions_work_without_scikit_learn(run_python: RunPython) -> None:
    run_python("""
import sys
sys.modules["sklearn"] = None  # an import of it fails
import numpy as np, pylstm
out = pylstm.lstm_forward(np.ones((1, 2, 3)), np.ones((4, 3)), np.ones((4, 1)), training=True)
pylstm.lstm_backward(out.tape, out.y)
pylstm.lstm_step(np.ones((1, 3)), out.h_n, out.c_n, np.ones((4, 3)), np.ones((4, 1)))
pylstm.show_config()
""")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_import_leaves_the_signal_handlers_alone(run_python: RunPython) -> None:
    run_python("""
import signal
before = [signal.getsignal(number) for number in signal.valid_signals()]
import numpy as np, pylstm
pylstm.lstm_forward(np.ones((1, 2, 3)), np.ones((4, 3)), np.ones((4, 1)))
assert [signal.getsignal(number) for number in signal.valid_signals()] == before
""")
