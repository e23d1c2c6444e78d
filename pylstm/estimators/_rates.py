"""Learning rates over the epochs of a training."""

from __future__ import annotations

import math
from collections.abc import Callable

SCHEDULES = ("constant", "cosine", "step", "exponential", "plateau", "one_cycle")

# Epochs that "one_cycle" climbs, where it starts and where it ends, in units of the highest rate.
CLIMB, FIRST, LAST = 0.3, 1 / 25, 1e-4
# "step" divides by 10 after each third; "exponential" and "plateau" end, or stop, at a hundredth.
STEPS, STEP_FACTOR = 3, 0.1
SMALLEST = 0.01
# "plateau": half the rate after this share of `n_iter_no_change` epochs without improvement.
PATIENCE, PLATEAU_FACTOR = 0.5, 0.5


def fixed_schedule(name: str, n_epochs: int) -> Callable[[int], float]:
    """Return the factor of the learning rate in epoch 0 to `n_epochs` - 1; of "plateau" always 1."""

    def factor(epoch: int) -> float:
        done = epoch / max(n_epochs, 1)
        if name == "cosine":
            return _cosine(1.0, SMALLEST, done)
        if name == "step":
            return float(STEP_FACTOR ** int(done * STEPS))
        if name == "exponential":
            return float(SMALLEST**done)
        if name == "one_cycle":
            if done < CLIMB:
                return _cosine(FIRST, 1.0, done / CLIMB)
            return _cosine(1.0, LAST, (done - CLIMB) / (1 - CLIMB))
        return 1.0

    return factor


def _cosine(begin: float, end: float, done: float) -> float:
    """Go from `begin` to `end` along half a cosine."""
    return end + (begin - end) * (1 + math.cos(math.pi * done)) / 2


class Plateau:
    """Halves the rate whenever the watched loss has not improved for a while."""

    def __init__(self, n_iter_no_change: int) -> None:
        self._patience = max(1, int(PATIENCE * n_iter_no_change))
        self._since = 0
        self.factor = 1.0

    def hear(self, *, improved: bool) -> None:
        """Take note of an epoch."""
        self._since = 0 if improved else self._since + 1
        if self._since >= self._patience:
            self._since = 0
            self.factor = max(SMALLEST, self.factor * PLATEAU_FACTOR)
