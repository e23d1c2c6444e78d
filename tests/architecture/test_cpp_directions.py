"""Who may include whom in the engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .source import INCLUDE, ROOT, code_of, cpp_files, includes_of

ENGINE = ("base", "simd", "cells", "kernels", "dispatch", "layers", "network")
"""Each uses only itself and what stands before it; the dispatch header picks a table of kernels."""

ALLOWED = {room: set(ENGINE[: place + 1]) for place, room in enumerate(ENGINE)} | {
    "reference": {"base", "reference"},
    **{room: {*ENGINE, room} for room in ("train", "stream", "io", "blas")},
}

MUTABLE = re.compile(
    r"(?<![\w:])(?:static|thread_local|inline)\s+"
    r"(?!namespace\b|using\b)(?![^;={(]*\b(?:const|constexpr|consteval|constinit|operator)\b)[^;={()]*(?:=|;|\{)"
)
"""A variable of static storage that is not constant; functions have a parenthesis before the body."""

NAMED_STATE = {"base/thread_pool.hpp"}
"""The pool; the active ISA's pointer lives in cpp/src."""


def room_of(header: str) -> str:
    """``base/errors.hpp`` is in base, ``version.hpp`` a room of its own."""
    return header.removesuffix(".hpp").split("/")[0]


def headers() -> list[Path]:
    return cpp_files(INCLUDE)


@pytest.mark.parametrize("path", headers(), ids=lambda path: path.relative_to(INCLUDE).as_posix())
def test_a_header_includes_only_rooms_below_its_own(path: Path) -> None:
    room = room_of(path.relative_to(INCLUDE).as_posix())
    if room in {"pylstm", "version"}:
        return
    used = {room_of(name.removeprefix("pylstm/")) for name in includes_of(path) if name.startswith("pylstm/")}
    assert used <= ALLOWED[room] | {"version"}


def test_every_room_has_its_rule() -> None:
    rooms = {room_of(path.relative_to(INCLUDE).as_posix()) for path in headers()}
    assert rooms <= {*ALLOWED, "pylstm", "version"}


def test_headers_are_included_by_their_full_name() -> None:
    for path in headers():
        ours = {name for name in includes_of(path) if name.endswith(".hpp") and not name.startswith("nlohmann/")}
        assert all((INCLUDE.parent / name).is_file() for name in ours), path


def test_only_model_files_need_another_library() -> None:
    users = {
        room_of(path.relative_to(INCLUDE).as_posix()) for path in headers() if "nlohmann/" in path.read_text("utf-8")
    }
    assert users == {"io"}
    assert not any("/io/" in name for name in includes_of(INCLUDE / "pylstm.hpp"))


def test_only_tests_use_the_reference() -> None:
    for path in [*cpp_files(ROOT / "cpp"), *cpp_files(ROOT / "examples"), *cpp_files(ROOT / "benchmarks")]:
        if "reference" not in path.relative_to(ROOT).parts[:-1]:
            assert not any("/reference/" in name for name in includes_of(path)), path


def test_the_engine_knows_no_python_and_no_iostream() -> None:
    forbidden = re.compile(r"^(pybind11/|Python\.h|numpy/|iostream$)")
    for path in [*headers(), *cpp_files(ROOT / "cpp" / "src")]:
        assert not any(forbidden.match(name) for name in includes_of(path)), path


def test_headers_hold_no_global_mutable_state() -> None:
    found = {
        path.relative_to(INCLUDE).as_posix(): [match[0] for match in MUTABLE.finditer(code_of(path))]
        for path in headers()
    }
    assert {name: state for name, state in found.items() if state and name not in NAMED_STATE} == {}


@pytest.mark.parametrize(
    ("code", "mutable"),
    [
        ("inline int counter = 0;", True),
        ("static std::vector<int> cache;", True),
        ("thread_local double scratch[8];", True),
        ('inline constexpr char version[] = "1";', False),
        ("static const Pool pool{1};", False),
        ("inline namespace v1 {", False),
        ("inline int f(int a) { return a = 1; }", False),
        ("static V load(const T* p) { return {}; }", False),
    ],
)
def test_mutable_state_is_recognised(code: str, mutable: bool) -> None:
    assert bool(MUTABLE.search(code)) == mutable


def test_kernels_define_no_macro() -> None:
    for path in cpp_files(INCLUDE / "kernels"):
        assert "#define" not in code_of(path), path
