"""The engine against ``torch.nn``'s LSTM, GRU and RNN over random configurations, forward and back through time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from .combinations import DTYPES, LSTM, Combination, DType, Sizes, Variant, options_of
from .results import expected_results, relative_errors, run

torch = pytest.importorskip("torch", exc_type=ImportError)

if TYPE_CHECKING:
    from collections.abc import Iterator

N_CONFIGURATIONS = {
    LSTM: 520,
    Variant("gru"): 24,
    Variant("gru", bias_hn=True): 48,
    Variant("rnn"): 24,
    Variant("rnn", relu=True): 24,
}
"""Every one of the 48 or 24 ways to give the options occurs."""

MAX_ERROR = {"float32": 1e-4, "float64": 1e-10}
"""Relative to the largest value of each array.

Both sides round: for the sizes below (sums of at most 400 products, at most 24 steps) float32 loses about
2 * sqrt(400) * 1.2e-7 = 5e-6 and float64 9e-15; the rest is for arrays whose largest value is a small difference of
large terms.
"""


def configuration(variant: Variant, seed: int) -> Combination:
    """One of the ways to give the options, with random sizes whose logarithms are uniform."""
    generator = np.random.default_rng(seed)

    def size(largest: int) -> int:
        return int(np.exp(generator.uniform(0, np.log(largest + 1))))

    options = {**options_of(variant)[seed % len(options_of(variant))]}
    if options["lengths"] == "ragged0":  # torch.nn.utils.rnn refuses rows without steps
        options["lengths"] = "ragged"
    return Combination(Sizes(N=size(16), T=size(24), I=size(100), H=size(100)), **options, variant=variant)


RANDOM = [(variant, seed) for variant, number in N_CONFIGURATIONS.items() for seed in range(number)]


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """Small problems: threads would only cost time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torch_module(combination: Combination) -> Any:
    """Layer of the combination's kind; the reverse direction is the second one of a bidirectional module."""
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[combination.cell]
    options = {"nonlinearity": "relu"} if combination.variant.relu else {}
    return kind(
        combination.sizes.I,
        combination.sizes.H,
        batch_first=True,
        bidirectional=combination.reverse,
        dtype=getattr(torch, combination.dtype),
        **options,
    )


def torch_results(combination: Combination, seed: int) -> dict[str, np.ndarray]:
    """Return what ``results.run`` does, from PyTorch.

    Of a bidirectional module the first direction is not looked at.  Its second bias is half of ours, which rounds
    nothing, but for the candidate n of a GRU, whose two biases are ours.
    """
    N, T, _, H = combination.sizes
    arguments = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in combination.forward_arguments(seed).items()
    }
    output_gradients = {name: torch.from_numpy(value) for name, value in combination.output_gradients(seed).items()}
    direction = int(combination.reverse)
    module = torch_module(combination)
    suffix = "_l0_reverse" if combination.reverse else "_l0"
    weights = {name: getattr(module, f"{name}{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    added = slice(0, 2 * H) if combination.cell == "gru" else slice(None)
    with torch.no_grad():
        weights["weight_ih"].copy_(arguments["weight_ih"])
        weights["weight_hh"].copy_(arguments["weight_hh"])
        weights["bias_ih"].zero_()
        weights["bias_hh"].zero_()
        if arguments["bias"] is not None:
            weights["bias_ih"].copy_(arguments["bias"])
            weights["bias_ih"][added] /= 2
            weights["bias_hh"][added] = weights["bias_ih"][added]
        if arguments.get("bias_hn") is not None:
            weights["bias_hh"][2 * H :] = arguments["bias_hn"]

    x = arguments["x"].requires_grad_()
    states = {}
    for name in ("h0", "c0"):
        if name in arguments:
            states[name] = torch.zeros(1 + direction, N, H, dtype=x.dtype)
            if arguments[name] is not None:
                states[name][direction] = arguments[name]
            states[name].requires_grad_()
    initial = tuple(states.values()) if combination.cell == "lstm" else states["h0"]

    if arguments["lengths"] is None:
        y, final = module(x, initial)
    else:
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, arguments["lengths"], batch_first=True, enforce_sorted=False)
        packed_y, final = module(packed, initial)
        y, _ = rnn.pad_packed_sequence(packed_y, batch_first=True, total_length=T)
    finals = final if combination.cell == "lstm" else (final,)
    outputs = {"y": y[..., direction * H :]}
    outputs |= {f"{name[0]}_n": state[direction] for name, state in zip(states, finals, strict=True)}
    sum((derivative * outputs[name[1:]]).sum() for name, derivative in output_gradients.items()).backward()
    gradients = {
        "d_x": x.grad,
        "d_weight_ih": weights["weight_ih"].grad,
        "d_weight_hh": weights["weight_hh"].grad,
        "d_bias": weights["bias_ih"].grad,
        **{f"d_{name}": state.grad[direction] for name, state in states.items()},
    }
    if combination.cell == "gru":
        gradients["d_bias_hn"] = weights["bias_hh"].grad[2 * H :]
    return {name: tensor.detach().numpy() for name, tensor in {**outputs, **gradients}.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("variant", "seed"), RANDOM, ids=str)
def test_outputs_and_gradients_are_those_of_pytorch(variant: Variant, seed: int, dtype: DType) -> None:
    combination = replace(configuration(variant, seed), dtype=dtype)
    if variant.has_kinks:  # where the two sides might round to different ones
        seed, _ = expected_results(combination, first_seed=seed)
    expected = torch_results(combination, seed)

    actual = run(combination, seed)

    errors = relative_errors(actual, expected)
    assert max(errors.values()) <= MAX_ERROR[dtype], errors
