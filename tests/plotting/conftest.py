"""Pictures are drawn without a screen, and closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    with matplotlib.rc_context():
        pyplot.switch_backend("agg")
        yield
        pyplot.close("all")
