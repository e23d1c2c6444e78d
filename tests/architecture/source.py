"""What the rules are read off: the files of the project, and what each of them includes or imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INCLUDE = ROOT / "cpp" / "include" / "pylstm"

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
INCLUDED = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def cpp_files(folder: Path) -> list[Path]:
    """C++ sources and headers below a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix in {".hpp", ".cpp"})


def python_files(folder: Path) -> list[Path]:
    """Python modules and stubs below a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".pyi"})


def code_of(path: Path) -> str:
    """Text of a C++ file without comments."""
    return COMMENT.sub("", path.read_text(encoding="utf-8"))


def includes_of(path: Path) -> list[str]:
    """Headers that a C++ file includes, as written between the quotes."""
    return INCLUDED.findall(code_of(path))


def imports_of(path: Path) -> set[str]:
    """Dotted names of what a Python file imports, wherever in the file; relative imports are made absolute.

    ``from a import b`` counts as ``a.b``, since b may be a module.
    """
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{prefix}.{alias.name}" for alias in node.names}
    return names
