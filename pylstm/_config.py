"""Version, instruction sets and threads of the engine, and where its headers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, SupportsIndex, overload

from pylstm import _core

__version__: str = _core.version()


def get_num_threads() -> int:
    """Return the number of threads the engine may use.

    Returns
    -------
    int
        What `set_num_threads` said last; before that ``PYLSTM_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the cores
        that affinity and control group leave to this process; 1024 at most.
    """
    return _core.get_num_threads()


def set_num_threads(num_threads: SupportsIndex) -> None:
    """Set the number of threads the engine may use. No result depends on it, to the last bit.

    Parameters
    ----------
    num_threads : int
        1 to 1024. Small problems use fewer.

    Raises
    ------
    TypeError
        If `num_threads` is no integer.
    ValueError
        If `num_threads` is less than 1 or more than 1024.
    """
    _core.set_num_threads(num_threads)


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...


@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show the version, the instruction set in use and those available, and the number of threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default="stdout"
        Print, or return a dictionary.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: ``version``, ``isa``, ``isas``, ``num_threads``.

    Raises
    ------
    ValueError
        If `mode` is another word.
    """
    config: dict[str, Any] = {
        "version": __version__,
        "isa": _core.isa_name(),
        "isas": _core.isas_available(),
        "num_threads": _core.get_num_threads(),
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        msg = f"mode is {mode!r}, expected 'stdout' or 'dicts'"
        raise ValueError(msg)
    for name, value in config.items():
        print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
    return None


def get_include() -> str:
    """Return the folder of the C++ headers: ``pylstm/pylstm.hpp``, ``pylstm.h``.

    Returns
    -------
    str
        For a compiler's ``-I``.

    Raises
    ------
    FileNotFoundError
        If the package runs from sources that were not installed.
    """
    return _installed("include", "pylstm/pylstm.hpp")


def get_cmake_dir() -> str:
    """Return the folder of the CMake package, whose ``find_package(pylstm)`` gives the engine to C++ programs.

    Returns
    -------
    str
        For CMake's ``-Dpylstm_DIR``.

    Raises
    ------
    FileNotFoundError
        If the package runs from sources that were not installed.
    """
    return _installed("cmake", "pylstm-config.cmake")


def _installed(folder: str, file: str) -> str:
    """Return a folder beside the compiled module, of which a clone's `__path__` is not the first."""
    found = Path(_core.__file__).resolve().parent / folder
    if not (found / file).is_file():
        msg = f"{found} has no {file}: install the package, with pip install"
        raise FileNotFoundError(msg)
    return str(found)


def _register_with_threadpoolctl() -> None:
    """Make the thread pool visible to threadpoolctl, where it is installed (scikit-learn requires it)."""
    try:
        from threadpoolctl import LibController, register  # noqa: PLC0415
    except ImportError:
        return

    class PylstmController(LibController):  # type: ignore[misc, unused-ignore]
        """The engine's own pool."""

        user_api = "pylstm"
        internal_api = "pylstm"
        filename_prefixes = ("_core",)
        check_symbols = ("pylstm_get_num_threads", "pylstm_set_num_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.pylstm_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.pylstm_set_num_threads(num_threads)

        def get_version(self) -> str:
            return __version__

        def set_additional_attributes(self) -> None:
            self.isa = _core.isa_name()

    register(PylstmController)


_register_with_threadpoolctl()
