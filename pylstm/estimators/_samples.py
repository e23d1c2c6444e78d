"""Which sequences are learnt from, in which order, and which are held out.

Sequences are always meant by their index: X is never reordered or copied.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pylstm.model._readout import Sequences
from pylstm.typing import FloatArray

Rows: TypeAlias = NDArray[np.int64]

# Batches' worth of shuffled sequences that are sorted by length together.
BUCKET_BATCHES = 16


@dataclass(frozen=True)
class Samples:
    """Sequences with their targets and weights, and the rows of them that are meant."""

    X: Sequences
    y: Sequences  # one target per step; or an array (n_samples, n_targets)
    weight: Sequences | None  # in the loss: one per step; or an array (n_samples, 1)
    rows: Rows  # (n_rows,)
    sample_weight: Sequences | None  # in scores: without the weights of classes

    @classmethod
    def of(cls, X: Sequences, y: Sequences, weight: Sequences | None, sample_weight: Sequences | None) -> Samples:
        """Return the samples whose weight is not zero: the others are as good as absent."""
        return cls(X, y, weight, _weighty(weight, len(X)), sample_weight)

    def scored(self) -> Samples:
        """Return all of weight in scores: also those of a class that weighs nothing in the loss."""
        return replace(self, rows=_weighty(self.sample_weight, len(self.X)))

    @property
    def per_step(self) -> bool:
        """Whether every step has a target."""
        return isinstance(self.y, list) or self.y.ndim == 3

    @property
    def n_targets(self) -> int:
        """Numbers in a target."""
        return int(self.y[0].shape[-1])


def _weighty(weight: Sequences | None, n_rows: int) -> Rows:
    """Return the rows whose weight, or that of one of their steps, is not zero."""
    rows = np.arange(n_rows, dtype=np.int64)
    if weight is None:
        return rows
    if isinstance(weight, list):
        return rows[[bool(w.any()) for w in weight]]
    return rows[weight.reshape(n_rows, -1).any(axis=1)]


def take(sequences: Sequences, rows: Rows) -> Sequences:
    """Return the rows of an array, a view where they lie side by side, or those of a list."""
    if isinstance(sequences, list):
        return [sequences[row] for row in rows.tolist()]
    first, last = int(rows[0]), int(rows[-1])
    return sequences[first : last + 1] if last - first + 1 == len(rows) else sequences[rows]


def flat(sequences: Sequences) -> FloatArray:
    """Return (n_items, width): the rows of an array, or the steps of sequences."""
    if isinstance(sequences, list):
        return np.concatenate(sequences)
    return sequences.reshape(-1, sequences.shape[-1])


def flat_targets(samples: Samples) -> FloatArray:
    """Return the targets of the meant rows, or of their steps, as float64 of shape (n_items, n_targets)."""
    return flat(take(samples.y, samples.rows)).astype(np.float64)


def flat_weights(samples: Samples) -> NDArray[np.float64] | None:
    """Return the weights of the meant rows, or of their steps, of shape (n_items,)."""
    if samples.weight is None:
        return None
    return weights_of_items(take(samples.weight, samples.rows), take(samples.y, samples.rows))


def n_observations(samples: Samples) -> float:
    """Return how much there is to learn from: the weights of the meant rows, or of their steps, added up.

    A weight of two is two samples. Weights below one on average are taken for a mere distribution: then it is the
    number of rows, or of steps, that have one.
    """
    weight = flat_weights(samples)
    if weight is not None:
        return max(float(np.count_nonzero(weight)), float(weight.sum()))
    targets = take(samples.y, samples.rows)
    return float(sum(map(len, targets)) if samples.per_step else len(targets))


def weights_of_items(weight: Sequences, y: Sequences) -> NDArray[np.float64]:
    """Return one weight for each item of the targets `y`, (n_items,)."""
    per_step = isinstance(y, list) or y.ndim == 3
    if per_step and isinstance(weight, np.ndarray) and weight.ndim == 2:  # one for all steps
        return np.repeat(weight[:, 0], [len(item) for item in y])
    return flat(weight)[:, 0].astype(np.float64)


def hold_out(
    samples: Samples, fraction: float, seed: int | None, kinds: NDArray[np.int64] | None = None
) -> tuple[Samples, Samples]:
    """Split `samples` into those to learn from and those to measure on.

    Parameters
    ----------
    samples : Samples
        Left as they are.
    fraction : float
        Share to hold out, rounded up to whole rows.
    seed : int or None
        Draws the rows; with None the last ones are held out.
    kinds : ndarray of shape (n_rows,), optional
        Numbers of which the held out rows have the same shares as all. What is the only one of its kind is learnt from.
    """
    n_rows = len(samples.rows)
    n_held_out = math.ceil(fraction * n_rows)
    if n_held_out >= n_rows:
        msg = f"X has n_samples={n_rows} of positive weight, too few to hold out validation_fraction={fraction}"
        raise ValueError(msg)
    # The stream of (seed, 0) is this one's; `epoch_order` takes those from (seed, 1) on.
    rows = samples.rows if seed is None else np.random.RandomState([seed, 0]).permutation(samples.rows)
    if kinds is not None:
        rows = rows[_even(kinds[np.searchsorted(samples.rows, rows)])]
    return (
        replace(samples, rows=np.sort(rows[: n_rows - n_held_out])),
        replace(samples, rows=np.sort(rows[n_rows - n_held_out :])),
    )


def _even(kinds: NDArray[np.int64]) -> Rows:
    """Return an order in which every end of it has the kinds in the same shares, as far as whole numbers go.

    The k-th last of the n rows of a kind goes to (k - 1/2) / n of the way from the end; the only one comes first.
    """
    order = np.argsort(kinds, kind="stable")
    _, first, count = np.unique(kinds[order], return_index=True, return_counts=True)
    place = (np.arange(len(kinds)) - np.repeat(first, count) + 0.5) / np.repeat(count, count)
    place[np.repeat(count, count) == 1] = 0
    return order[np.argsort(place, kind="stable")]


def epoch_order(rows: Rows, random: np.random.RandomState, seed: int, epoch: int) -> Rows:
    """Return `rows` shuffled by `seed` and `epoch` alone, so that a fit in two parts meets the same orders.

    `random` is seeded here: a new one costs more than a small epoch, as it first asks the system for entropy.
    """
    random.seed([seed, epoch + 1])
    return random.permutation(rows)


def bucketed(order: Rows, X: Sequences, batch_size: int, random: np.random.RandomState, seed: int, epoch: int) -> Rows:
    """Return `order` with sequences of like length in a batch: runs of it are sorted, their batches shuffled.

    The last batch stays the last: it is the only one that may be smaller.
    """
    run = BUCKET_BATCHES * batch_size
    runs = np.split(order, range(run, len(order), run))
    ordered = [part[np.argsort([len(X[row]) for row in part.tolist()], kind="stable")] for part in runs]
    batches = np.split(np.concatenate(ordered), range(batch_size, len(order), batch_size))
    random.seed([seed, epoch + 1, 1])
    shuffled = random.permutation(len(batches) - 1)
    return np.concatenate([*(batches[index] for index in shuffled), batches[-1]])


def merge_equal(samples: Samples, seen: Callable[[FloatArray], FloatArray]) -> Samples:
    """Return one row for each distinct pair of sequence and target, their weights added up, in an order of their own.

    For the rows of one batch this changes nothing but rounding: the loss is the same sum. What it buys is that the
    result depends, bit for bit, neither on the order of the rows nor on whether a row is repeated or has that weight.
    Rows are ordered by a hash of their content, `seen` as the network sees it: so the unit of X does not matter either.
    Weights of steps are part of it; only those of sequences add up.
    """
    weight = samples.weight
    by_step = weight is not None and (isinstance(weight, list) or weight.ndim == 3)
    equal: defaultdict[bytes, list[int]] = defaultdict(list)  # rows by the hash of their content
    for row in samples.rows.tolist():
        content = hashlib.blake2b(seen(samples.X[row]).tobytes(), digest_size=16)
        content.update(np.ascontiguousarray(samples.y[row]).tobytes())
        if weight is not None and by_step:
            content.update(np.ascontiguousarray(weight[row]).tobytes())
        equal[content.digest()].append(row)
    groups = [equal[digest] for digest in sorted(equal)]
    if by_step:
        return replace(samples, rows=np.array([row for group in groups for row in group], dtype=np.int64))
    rows = np.array([group[0] for group in groups], dtype=np.int64)
    merged = np.zeros((len(samples.y), 1))
    for group in groups:  # fsum: the same in any order
        merged[group[0], 0] = len(group) if weight is None else math.fsum(float(weight[row][0]) for row in group)
    return replace(samples, rows=rows, weight=merged)
