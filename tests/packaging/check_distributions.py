"""Check what is in a source distribution and in a wheel, and the size of the wheel.

Usage: ``python check_distributions.py FOLDER``, which holds one of each.
"""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL_LIMIT = 3_000_000
"""Bytes."""

IN_WHEEL = (
    r"pylstm/__init__\.py",
    r"pylstm/_core\.[^/]*(so|pyd)",
    r"pylstm/_core\.pyi",
    r"pylstm/py\.typed",
    r"pylstm/cmake/pylstm-config\.cmake",
    r"pylstm/cmake/pylstm-config-version\.cmake",
    r"pylstm/cmake/targets\.cmake",
    r"pylstm/include/pylstm\.h",
    r"pylstm/include/pylstm/io/model_file\.hpp",
    r"pylstm/streaming\.[^/]*(so|pyd)",
    r"pylstm/streaming\.pxd",
    r"pylstm/streaming\.pyi",
    r"pylstm/include/pylstm/pylstm\.hpp",
    r"pylstm/src/cpu\.cpp",
    r"pylstm-[^/]+\.dist-info/licenses/LICENSE",
)
ONLY_IN_WHEEL = r"(pylstm/|pylstm-[^/]+\.dist-info/).*"
NEVER = r".*(__pycache__|\.pyc$|\.o$|\.a$|/build/|\.git/).*"

IN_SDIST = (
    r"CMakeLists\.txt",
    r"LICENSE",
    r"README\.md",
    r"cpp/include/pylstm/version\.hpp",
    r"cpp/src/cpu\.cpp",
    r"pyproject\.toml",
    r"tests/.*",
)


def missing(patterns: tuple[str, ...], names: list[str]) -> list[str]:
    """Patterns that no name matches."""
    return [f"no {pattern}" for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)]


def unwanted(names: list[str]) -> list[str]:
    """Names of files that belong to nobody."""
    return [f"unwanted {name}" for name in names if re.fullmatch(NEVER, name)]


def names_in_wheel(path: Path) -> list[str]:
    """Files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if not name.endswith("/")]


def names_in_sdist(path: Path) -> list[str]:
    """Files of a source distribution, without its top folder."""
    with tarfile.open(path) as archive:
        return [member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()]


def check_wheel(path: Path, sources: list[str]) -> list[str]:
    """Problems of a wheel built from these sources."""
    names = names_in_wheel(path)
    size = path.stat().st_size
    print(f"{path.name}: {size / 1e6:.2f} MB, {len(names)} files")
    problems = missing(IN_WHEEL, names) + unwanted(names)
    problems += [f"no {name}" for name in sources if name.startswith("pylstm/") and name not in names]
    problems += [f"outside of the package: {name}" for name in names if not re.fullmatch(ONLY_IN_WHEEL, name)]
    if size >= WHEEL_LIMIT:
        problems.append(f"{size} bytes, expected fewer than {WHEEL_LIMIT}")
    return problems


def check_sdist(path: Path) -> list[str]:
    """Problems of a source distribution."""
    names = names_in_sdist(path)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {len(names)} files")
    compiled = [f"unwanted {name}" for name in names if name.endswith((".so", ".pyd"))]
    return missing(IN_SDIST, names) + unwanted(names) + compiled


def main() -> int:
    """Check the one wheel and the one source distribution of a folder."""
    folder = Path(sys.argv[1])
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    problems = check_wheel(wheel, names_in_sdist(sdist)) + check_sdist(sdist)
    print(*problems, sep="\n", end="\n" if problems else "")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
