"""Golden model files."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "model_files"


def pytest_generate_tests(metafunc):
    """Give `golden` each file on record, with the bits of its predictions."""
    if "golden" in metafunc.fixturenames:
        found = [
            (file.parent / name, bits)
            for file in sorted(FOLDER.glob("*/expected.json"))
            for name, bits in json.loads(file.read_text(encoding="utf-8")).items()
        ]
        metafunc.parametrize("golden", found, ids=[f"{path.parent.name}-{path.stem}" for path, _ in found])
