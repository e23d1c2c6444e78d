"""Makes the benchmark programs importable, behind everything that is installed."""

from __future__ import annotations

import sys

from .programs import ROOT

sys.path.append(str(ROOT))
