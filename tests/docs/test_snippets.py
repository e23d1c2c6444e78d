"""The code in the README and in the guide runs, block after block in one namespace.

A comment ``<!-- needs: name -->`` above a block skips it where that module is not installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:<!-- needs: (\w+) -->\n)?```(python|cpp)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

DOCUMENTS = ("README.md", "docs/guide.md")
LINKING = (*DOCUMENTS, "CONTRIBUTING.md", "CHANGELOG.md", "pylstm/datasets/electrocardiogram.md")

if not (ROOT / "README.md").is_file():
    pytest.skip("the documentation is not here", allow_module_level=True)


def blocks(name: str, language: str) -> list[tuple[str | None, str]]:
    """The module that a block needs, and its code, padded so that line numbers are those of the file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = [match for match in BLOCK.finditer(text) if match[2] == language]
    return [(match[1], "\n" * text.count("\n", 0, match.start(3)) + match[3]) for match in found]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_python_block_is_found(name: str) -> None:
    found = blocks(name, "python")
    assert len(found) == (ROOT / name).read_text(encoding="utf-8").count("```python") > 0


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_python_blocks_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    namespace: dict[str, object] = {}
    missing = []
    for module, code in blocks(name, "python"):
        if module is not None:
            try:
                __import__(module)
            except ImportError:
                missing.append(module)
                continue
        exec(compile(code, str(ROOT / name), "exec"), namespace)
    if missing:
        pytest.skip(f"all but the blocks that need {', '.join(missing)} ran")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_cpp_blocks_compile(name: str, tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    for _, code in blocks(name, "cpp"):
        source = tmp_path / "block.cpp"
        source.write_text(code, encoding="utf-8")
        flags = ["-std=c++20", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only", "-isystem"]
        done = subprocess.run(
            [compiler, *flags, str(ROOT / "cpp" / "include"), str(source)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", LINKING)
def test_links_within_the_project_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in targets if not ((ROOT / name).parent / link).exists()] == []
