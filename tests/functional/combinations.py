"""The one list of legal combinations of an LSTM call; every test that can runs over it.

A combination fixes sizes, dtype, direction, and which optional arguments are given; its arrays follow from it,
so the same combination means the same numbers in every test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np

Lengths = Literal["full", "ragged", "ragged0"]
States = Literal["", "h0", "c0", "h0c0"]


class Sizes(NamedTuple):
    """N rows, T steps, I inputs, H hidden units."""

    N: int
    T: int
    I: int  # noqa: E741
    H: int


@dataclass(frozen=True)
class Combination:
    """One legal way to call ``lstm_forward`` and ``lstm_backward``."""

    sizes: Sizes
    lengths: Lengths = "full"
    reverse: bool = False
    bias: bool = True
    states: States = "h0c0"
    dtype: Literal["float32", "float64"] = "float64"

    def __str__(self) -> str:
        """Id of the test: N3-T5-I2-H4-ragged-reverse-bias-h0c0-float64."""
        sizes = [f"{letter}{size}" for letter, size in self.sizes._asdict().items()]
        given = ["reverse" * self.reverse, "bias" * self.bias, self.states]
        return "-".join([*sizes, self.lengths, *filter(None, given), self.dtype])

    def forward_arguments(self, seed: int = 0) -> dict[str, Any]:
        """Keyword arguments of ``lstm_forward``, without ``training``.

        x and the states are of order 1, and so are the pre-activations: gates are neither linear nor saturated.
        """
        N, T, I, H = self.sizes  # noqa: E741
        generator = np.random.default_rng([seed, N, T, I, H])

        def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (scale * generator.standard_normal(shape)).astype(self.dtype)

        # Drawn whether used or not: two combinations that differ in one option share all other numbers.
        arguments: dict[str, Any] = {
            "x": normal(N, T, I),
            "weight_ih": normal(4 * H, I, scale=I**-0.5),
            "weight_hh": normal(4 * H, H, scale=H**-0.5),
            "bias": normal(4 * H, scale=0.5),
            "h0": normal(N, H, scale=0.5),
            "c0": normal(N, H),
        }
        lengths = generator.integers(1, T, size=N, endpoint=True) if T else np.zeros(N, np.int64)
        if self.lengths == "ragged0" and N:
            lengths[generator.integers(N)] = 0
        arguments["lengths"] = None if self.lengths == "full" else lengths
        if not self.bias:
            arguments["bias"] = None
        for state in ("h0", "c0"):
            if state not in self.states:
                arguments[state] = None
        return {**arguments, "reverse": self.reverse}

    def output_gradients(self, seed: int = 0) -> dict[str, Any]:
        """Keyword arguments of ``lstm_backward``: derivatives of some loss by y, h_n and c_n, of order 1."""
        N, T, _, H = self.sizes
        generator = np.random.default_rng([seed + 1, *self.sizes])
        shapes = {"dy": (N, T, H), "dh_n": (N, H), "dc_n": (N, H)}
        return {name: generator.standard_normal(shape).astype(self.dtype) for name, shape in shapes.items()}

    def as_float64(self) -> Combination:
        """Return the same combination in float64."""
        return replace(self, dtype="float64")


OPTIONS: list[dict[str, Any]] = [
    dict(zip(("lengths", "reverse", "bias", "states"), values, strict=True))
    for values in product(("full", "ragged", "ragged0"), (False, True), (False, True), ("", "h0", "c0", "h0c0"))
]
"""The 48 ways to give the optional arguments."""

# H beside the widths of all vectors (4, 8, 16 lanes): one unit, less than a vector, exactly one, one more, several.
TINY = (Sizes(1, 1, 1, 1), Sizes(3, 5, 2, 4), Sizes(4, 3, 3, 9))
# Rows beside the tiles (3 and 6 rows), inputs on both sides of a separate product for x.
SMALL = (
    *TINY,
    Sizes(1, 9, 1, 8),
    Sizes(7, 4, 5, 17),
    Sizes(2, 6, 40, 5),
    Sizes(13, 3, 2, 33),
    Sizes(5, 3, 300, 16),
)
# Enough work for several threads and several chunks: many rows; one row and many units; many inputs; many steps.
LARGE = (
    Sizes(130, 12, 7, 32),
    Sizes(64, 20, 8, 64),
    Sizes(60, 15, 50, 20),
    Sizes(1, 10, 5, 400),
    Sizes(3, 12, 600, 256),
    Sizes(2, 1500, 3, 9),
)

DTYPES: tuple[Literal["float32", "float64"], ...] = ("float32", "float64")

GRADIENT_COMBINATIONS = [Combination(sizes, **options) for sizes in TINY for options in OPTIONS]
"""Float64, and small enough to move every single number of every argument."""

COMBINATIONS = [
    Combination(sizes, **options, dtype=dtype) for sizes in SMALL for options in OPTIONS for dtype in DTYPES
]
"""Everything legal, at all small sizes."""

DIRECTIONS: tuple[tuple[Lengths, bool], ...] = (("full", False), ("ragged0", True))

LARGE_COMBINATIONS = [
    Combination(sizes, lengths=lengths, reverse=reverse, dtype=dtype)
    for sizes in LARGE
    for lengths, reverse in DIRECTIONS
    for dtype in DTYPES
]
"""Sizes at which the engine uses threads and chunks."""

FMA_ISAS = ("avx2", "avx512", "neon")
"""ISAs with fused multiply-add; the determinism contract is about these."""
