"""The command line: ``python -m pylstm``, or ``pylstm`` where the package is installed."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pylstm

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C has ended: 128 + SIGINT."""

UNREAD = 141
"""That of one whose output nobody reads any more: 128 + SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        Exit status: 0, 1 if something could not be written, 130 if Ctrl-C was pressed, 141 if nobody reads the output
        any more. Wrong arguments exit with 2.
    """
    try:
        try:
            return _run(_parser().parse_args(arguments))
        finally:
            print(end="", flush=True)  # when Python exits it is too late to say what went wrong
    except KeyboardInterrupt:
        print("\npylstm: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if error.filename is None:  # files have names
            return _output_failed(error)
        print(f"pylstm: error: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.command == "config":
        pylstm.show_config()
        return 0
    with _ctrl_c_ends_at_once():
        from pylstm._demo import run  # noqa: PLC0415 (scikit-learn, for this command only)

    complete = run(options.output, max_iter=options.max_iter, seed=options.seed, plot=options.plot)
    return 0 if complete else INTERRUPTED


def _output_failed(error: OSError) -> int:
    """Say that standard output cannot be written, unless it is a pipe that was closed, and return the exit status."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (a device)
        os.dup2(nowhere.fileno(), sys.stdout.fileno())  # what is buffered still would fail again at exit
    if isinstance(error, BrokenPipeError):
        return UNREAD
    print(f"pylstm: error: cannot write standard output: {error.strerror or error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pylstm", description="LSTM networks on a CPU.")
    parser.add_argument("--version", action="version", version=f"pylstm {pylstm.__version__}")
    parser.add_argument("--includedir", action=_Print, of=pylstm.get_include, help="show the folder of the C++ headers")
    parser.add_argument("--cmakedir", action=_Print, of=pylstm.get_cmake_dir, help="show that of find_package(pylstm)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    text = "train on an electrocardiogram, forecast its last minute, and save pictures and model"
    demo = commands.add_parser("demo", help=text, description=text[0].upper() + text[1:] + ".")
    demo.add_argument("--output", type=Path, default=Path("pylstm-demo"), metavar="DIR", help="default: %(default)s")
    demo.add_argument(
        "--max-iter", type=_at_least(1), default=20, metavar="N", help="most epochs; default: %(default)s"
    )
    demo.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="default: %(default)s")
    demo.add_argument("--no-plot", dest="plot", action="store_false", help="no pictures")
    text = "show version, instruction sets and threads"
    commands.add_parser("config", help=text, description=text[0].upper() + text[1:] + ".")
    return parser


class _Print(argparse.Action):
    """Print what a function returns, and exit."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, of: Callable[[], str], help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)
        self._of = of

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        try:
            print(self._of())
        except FileNotFoundError as error:
            parser.exit(1, f"pylstm: error: {error}\n")
        parser.exit()


def _at_least(least: int) -> Callable[[str], int]:
    """Return a parser of integers in [least, 2**31)."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**31:
            msg = f"{text!r} is not an integer in [{least}, 2**31)"
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return parse


@contextmanager
def _ctrl_c_ends_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process; a compiled module that is being imported would make an ImportError of it."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler:  # somebody else's, or ignored in the background
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
