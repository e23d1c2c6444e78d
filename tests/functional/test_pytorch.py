"""The engine against ``torch.nn.LSTM`` over random configurations, forward and back through time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from .combinations import OPTIONS, Combination, Sizes
from .results import relative_error, run

torch = pytest.importorskip("torch", exc_type=ImportError)

if TYPE_CHECKING:
    from collections.abc import Iterator

N_CONFIGURATIONS = 520

MAX_ERROR = {"float32": 1e-4, "float64": 1e-10}
"""Relative to the largest value of each array.

Both sides round: for the sizes below (sums of at most 400 products, at most 24 steps) float32 loses about
2 * sqrt(400) * 1.2e-7 = 5e-6 and float64 9e-15; the rest is for arrays whose largest value is a small difference of
large terms.
"""


def configuration(seed: int) -> Combination:
    """One of the 48 ways to give the options, with random sizes whose logarithms are uniform."""
    generator = np.random.default_rng(seed)

    def size(largest: int) -> int:
        return int(np.exp(generator.uniform(0, np.log(largest + 1))))

    options = {**OPTIONS[seed % len(OPTIONS)]}
    if options["lengths"] == "ragged0":  # torch.nn.utils.rnn refuses rows without steps
        options["lengths"] = "ragged"
    return Combination(Sizes(N=size(16), T=size(24), I=size(100), H=size(100)), **options)


CONFIGURATIONS = [configuration(seed) for seed in range(N_CONFIGURATIONS)]


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """Small problems: threads would only cost time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torch_results(combination: Combination, seed: int) -> dict[str, np.ndarray]:
    """Return what ``results.run`` does, from PyTorch.

    The reverse direction is the second one of a bidirectional module, whose first one is not looked at.
    Of the two biases of a torch LSTM the second is zero.
    """
    N, T, I, H = combination.sizes  # noqa: E741
    arguments = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in combination.forward_arguments(seed).items()
    }
    dy, dh_n, dc_n = (torch.from_numpy(value) for value in combination.output_gradients(seed).values())
    direction = int(combination.reverse)
    dtype = getattr(torch, combination.dtype)
    module = torch.nn.LSTM(I, H, batch_first=True, bidirectional=combination.reverse, dtype=dtype)
    suffix = "_l0_reverse" if combination.reverse else "_l0"
    weight_ih, weight_hh = getattr(module, f"weight_ih{suffix}"), getattr(module, f"weight_hh{suffix}")
    bias, zero_bias = getattr(module, f"bias_ih{suffix}"), getattr(module, f"bias_hh{suffix}")
    with torch.no_grad():
        weight_ih.copy_(arguments["weight_ih"])
        weight_hh.copy_(arguments["weight_hh"])
        zero_bias.zero_()
        bias.zero_()
        if arguments["bias"] is not None:
            bias.copy_(arguments["bias"])

    x = arguments["x"].requires_grad_()
    states = torch.zeros(2, 1 + direction, N, H, dtype=dtype)
    for state, name in enumerate(("h0", "c0")):
        if arguments[name] is not None:
            states[state, direction] = arguments[name]
    h0, c0 = states.unbind()
    h0.requires_grad_()
    c0.requires_grad_()

    if arguments["lengths"] is None:
        y, (h_n, c_n) = module(x, (h0, c0))
    else:
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, arguments["lengths"], batch_first=True, enforce_sorted=False)
        packed_y, (h_n, c_n) = module(packed, (h0, c0))
        y, _ = rnn.pad_packed_sequence(packed_y, batch_first=True, total_length=T)
    y, h_n, c_n = y[..., direction * H :], h_n[direction], c_n[direction]
    ((dy * y).sum() + (dh_n * h_n).sum() + (dc_n * c_n).sum()).backward()
    tensors = {
        "y": y,
        "h_n": h_n,
        "c_n": c_n,
        "d_x": x.grad,
        "d_weight_ih": weight_ih.grad,
        "d_weight_hh": weight_hh.grad,
        "d_bias": bias.grad,
        "d_h0": h0.grad[direction],
        "d_c0": c0.grad[direction],
    }
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(N_CONFIGURATIONS), ids=lambda seed: f"random{seed}")
def test_outputs_and_gradients_are_those_of_pytorch(seed: int, dtype: str) -> None:
    combination = Combination(**{**vars(CONFIGURATIONS[seed]), "dtype": dtype})
    expected = torch_results(combination, seed)

    actual = run(combination, seed)

    errors = {name: relative_error(actual[name], expected[name]) for name in expected}
    assert max(errors.values()) <= MAX_ERROR[dtype], errors
