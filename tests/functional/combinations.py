"""The one list of legal combinations of a call; every test that can runs over it.

A combination fixes the cell, sizes, dtype, direction, and which optional arguments are given; its arrays follow from
it, so the same combination means the same numbers in every test.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Lengths = Literal["full", "ragged", "ragged0"]
States = Literal["", "h0", "c0", "h0c0"]
DType = Literal["float32", "float64"]


class Sizes(NamedTuple):
    """N rows, T steps, I inputs, H hidden units."""

    N: int
    T: int
    I: int  # noqa: E741
    H: int


CELL_CLIP = 0.75
"""Bound of the cell states, which are of order 1: some reach it and some do not.  Exact in float32."""


@dataclass(frozen=True)
class Variant:
    """A cell and the options that change its equations."""

    cell: Literal["lstm", "gru", "rnn"]
    peephole: bool = False
    coupled: bool = False
    clipped: bool = False
    bias_hn: bool = False
    reset_before: bool = False
    relu: bool = False

    def __str__(self) -> str:
        """Id of the test: lstm-peephole-coupled-clipped."""
        return "-".join([self.cell, *(field.name for field in fields(self)[1:] if getattr(self, field.name))])

    @property
    def gates(self) -> int:
        """Blocks of H rows in both weight matrices."""
        return {"lstm": 3 if self.coupled else 4, "gru": 3, "rnn": 1}[self.cell]

    @property
    def has_kinks(self) -> bool:
        """Whether something has no derivative somewhere."""
        return self.clipped or self.relu

    def flags(self) -> dict[str, Any]:
        """Keyword arguments that are no arrays."""
        given = {
            "coupled": self.coupled,
            "cell_clip": self.clipped,
            "nonlinearity": self.relu,
            "reset_after": self.reset_before,
        }
        values = {"coupled": True, "cell_clip": CELL_CLIP, "nonlinearity": "relu", "reset_after": False}
        return {name: value for name, value in values.items() if given[name]}


LSTM = Variant("lstm")
VARIANTS = (
    LSTM,
    *(Variant("lstm", *options) for options in product((False, True), repeat=3) if any(options)),
    Variant("gru"),
    Variant("gru", bias_hn=True),
    Variant("gru", reset_before=True),
    Variant("rnn"),
    Variant("rnn", relu=True),
)
"""Every cell with every set of its options."""

EACH_FUNCTION = (
    LSTM,
    Variant("lstm", peephole=True, coupled=True, clipped=True),
    Variant("gru", bias_hn=True),
    Variant("rnn", relu=True),
)
"""The plain LSTM, and every function with all its arguments given."""


@dataclass(frozen=True)
class Combination:
    """One legal way to call the forward and the backward function of a cell."""

    sizes: Sizes
    lengths: Lengths = "full"
    reverse: bool = False
    bias: bool = True
    states: States = "h0c0"
    dtype: DType = "float64"
    variant: Variant = LSTM

    def __str__(self) -> str:
        """Id of the test: gru-N3-T5-I2-H4-ragged-reverse-bias-h0-float64."""
        sizes = [f"{letter}{size}" for letter, size in self.sizes._asdict().items()]
        given = ["reverse" * self.reverse, "bias" * self.bias, self.states]
        return "-".join([str(self.variant), *sizes, self.lengths, *filter(None, given), self.dtype])

    @property
    def cell(self) -> str:
        """Whose functions to call."""
        return self.variant.cell

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all arguments that have a gradient, given or not."""
        N, T, I, H = self.sizes  # noqa: E741
        rows = self.variant.gates * H
        shapes: dict[str, tuple[int, ...]] = {
            "x": (N, T, I),
            "weight_ih": (rows, I),
            "weight_hh": (rows, H),
            "bias": (rows,),
            "h0": (N, H),
        }
        if self.cell == "lstm":
            shapes["c0"] = (N, H)
        if self.cell == "gru" and not self.variant.reset_before:
            shapes["bias_hn"] = (H,)
        if self.variant.peephole:
            shapes["peephole"] = ((2 if self.variant.coupled else 3) * H,)
        return shapes

    def forward_arguments(self, seed: int = 0) -> dict[str, Any]:
        """Keyword arguments of the forward function, without ``training``.

        x and the states are of order 1, and so are the pre-activations: gates are neither linear nor saturated.
        """
        drawn = draw(self.sizes, self.variant, seed)
        left_out = {
            "bias": not self.bias,
            "h0": "h0" not in self.states,
            "c0": "c0" not in self.states,
            "bias_hn": not self.variant.bias_hn,
        }
        arguments: dict[str, Any] = {
            name: None if left_out.get(name, False) else drawn[name].astype(self.dtype) for name in self.shapes()
        }
        lengths = drawn["lengths"].copy()
        if self.lengths == "ragged0":
            lengths[drawn["stepless"]] = 0
        arguments["lengths"] = None if self.lengths == "full" else lengths
        return {**arguments, "reverse": self.reverse, **self.variant.flags()}

    def step_arguments(self, seed: int = 0) -> dict[str, Any]:
        """Keyword arguments of the step function: the first step of the sequence, zeros for states not given."""
        arguments = self.forward_arguments(seed)
        for name in ("lengths", "reverse"):
            del arguments[name]
        states = {name[0]: arguments.pop(name) for name in ("h0", "c0") if name in arguments}
        zeros = np.zeros((self.sizes.N, self.sizes.H), self.dtype)
        states = {name: zeros if value is None else value for name, value in states.items()}
        return {"x_t": arguments.pop("x")[:, 0], **states, **arguments}

    def output_gradients(self, seed: int = 0) -> dict[str, Any]:
        """Keyword arguments of the backward function: derivatives of some loss by y, h_n and c_n, of order 1."""
        N, T, _, H = self.sizes
        generator = np.random.default_rng([seed + 1, *self.sizes])
        shapes: dict[str, tuple[int, ...]] = {"dy": (N, T, H), "dh_n": (N, H)}
        if self.cell == "lstm":
            shapes["dc_n"] = (N, H)
        return {name: generator.standard_normal(shape).astype(self.dtype) for name, shape in shapes.items()}


@lru_cache(maxsize=16)  # neighbours in the lists below share their numbers
def draw(sizes: Sizes, variant: Variant, seed: int) -> dict[str, np.ndarray]:
    """Arrays that ``forward_arguments`` copies, drawn whether they are given or not, and an index of a row.

    Two combinations that differ in an option share all other numbers.
    """
    N, T, I, H = sizes  # noqa: E741
    generator = np.random.default_rng([seed, *sizes])
    scales = {"x": 1.0, "weight_ih": I**-0.5, "weight_hh": H**-0.5, "c0": 1.0}
    shapes = Combination(sizes, variant=variant).shapes()

    def normal(name: str) -> np.ndarray:
        values: np.ndarray = scales.get(name, 0.5) * generator.standard_normal(shapes[name])
        return values

    of_every_cell = [name for name in ("x", "weight_ih", "weight_hh", "bias", "h0", "c0") if name in shapes]
    drawn: dict[str, np.ndarray] = {name: normal(name) for name in of_every_cell}
    drawn["lengths"] = generator.integers(1, T, size=N, endpoint=True) if T else np.zeros(N, np.int64)
    drawn["stepless"] = generator.integers(N, size=min(N, 1))
    return drawn | {name: normal(name) for name in shapes if name not in of_every_cell}


OPTIONS: list[dict[str, Any]] = [
    dict(zip(("lengths", "reverse", "bias", "states"), values, strict=True))
    for values in product(("full", "ragged", "ragged0"), (False, True), (False, True), ("", "h0", "c0", "h0c0"))
]
"""The 48 ways to give the optional arguments of an LSTM."""

OPTIONS_WITHOUT_MEMORY = [options for options in OPTIONS if "c0" not in options["states"]]
"""The 24 ways for cells without c0."""


def options_of(variant: Variant) -> list[dict[str, Any]]:
    """All ways to give the optional arguments."""
    return OPTIONS if variant.cell == "lstm" else OPTIONS_WITHOUT_MEMORY


def each_at_one_size(sizes: Sequence[Sizes], variant: Variant) -> list[Combination]:
    """Every way to give the optional arguments once, going round the sizes."""
    places = [(k + k // len(sizes)) % len(sizes) for k in range(len(options_of(variant)))]
    return [
        Combination(sizes[place], **options, variant=variant)
        for place, options in zip(places, options_of(variant), strict=True)
    ]


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

DTYPES: tuple[DType, ...] = ("float32", "float64")
DIRECTIONS: tuple[tuple[Lengths, bool], ...] = (("full", False), ("ragged0", True))

# The plain LSTM at all sizes; every other variant with every option once, and at every second large size, so that the
# number of tests stays bounded.

GRADIENT_COMBINATIONS = [
    *(Combination(sizes, **options) for sizes in TINY for options in OPTIONS),
    *[combination for variant in VARIANTS[1:] for combination in each_at_one_size(TINY, variant)][::5],
]
"""Float64, and small enough to move every single number of every argument.

5, the sizes, and the 24 or 48 ways to give the options of a variant are coprime: all of them occur.
"""

PLAIN_COMBINATIONS = [
    Combination(sizes, **options, dtype=dtype) for sizes in SMALL for options in OPTIONS for dtype in DTYPES
]
VARIED_COMBINATIONS = [
    replace(combination, dtype=dtype)
    for variant in VARIANTS[1:]
    for combination in each_at_one_size(SMALL, variant)
    for dtype in DTYPES
]
COMBINATIONS = [*PLAIN_COMBINATIONS, *VARIED_COMBINATIONS]
"""Everything legal, at small sizes."""

PLAIN_LARGE_COMBINATIONS = [
    Combination(sizes, lengths=lengths, reverse=reverse, dtype=dtype)
    for sizes in LARGE
    for lengths, reverse in DIRECTIONS
    for dtype in DTYPES
]
VARIED_LARGE_COMBINATIONS = [
    Combination(LARGE[k], *DIRECTIONS[k // 2 % 2], dtype=DTYPES[(k + v) // 2 % 2], variant=variant)
    for v, variant in enumerate(VARIANTS[1:])
    for k in range(v % 2, len(LARGE), 2)
]
LARGE_COMBINATIONS = [*PLAIN_LARGE_COMBINATIONS, *VARIED_LARGE_COMBINATIONS]
"""Sizes at which the engine uses threads and chunks."""

SOME_COMBINATIONS = [
    *PLAIN_COMBINATIONS[::7],
    *VARIED_COMBINATIONS[::17],
    *PLAIN_LARGE_COMBINATIONS,
    *VARIED_LARGE_COMBINATIONS[::2],
]
"""Every seventh of the small ones: 7 and 96, the number of those of one size, are coprime, so every option occurs.

So are 17 and the 96 or 48 of a variant, 2 and its three large sizes.
"""

FMA_ISAS = ("avx2", "avx512", "neon")
"""ISAs with fused multiply-add; the determinism contract is about these."""
