"""A trained model as one C++ header, for programs that have no file system: weights, one time step, a self-test.

The cells are the engine's specification (``pylstm/reference``), plain loops without exceptions, memory or threads; the
header carries their text. What it computes differs from the engine's kernels by rounding and by the C library's ``exp``
and ``tanh``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from pylstm import _core
from pylstm.typing import FloatArray

from ._container import replacing
from ._document import Document

CELLS = {
    "lstm": ("lstm.hpp", "Lstm", 3),
    "peephole_lstm": ("lstm.hpp", "Lstm", 3),
    "coupled_lstm": ("lstm.hpp", "CoupledLstm", 2),
    "gru": ("gru.hpp", "Gru", 0),
    "rnn": ("rnn.hpp", "Rnn<false>", 0),
    "rnn_relu": ("rnn.hpp", "Rnn<true>", 0),
}
"""Cells that need no memory of their own: file, name, and weights of each unit beside those of the products."""

USED = {"cell", "n_features", "hidden_sizes", "proj_size", "n_outputs", "pooling"}
"""Fields of a network's description that the header has."""

IGNORED = {"dropout", "input_dropout", "recurrent_dropout", "variational", "merge"}
"""Those that do not matter for predictions in one direction; any other has to be off."""

NO_NAMES = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class compl
concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete do
double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace
new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires return
short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef
typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
main std pylstm NULL EOF NAN INFINITY linux unix
"""
"""Keywords and alternative tokens of C++20 (lex.key, lex.digraph); in the last line what programs have already, macros
of the C library and of compilers among it."""

TEST_STEPS = 16

TEMPLATE = """\
// {title}
// float32; C++17; no exceptions, RTTI, allocation, files or threads. Written by pylstm {version}, BSD-3-Clause.
//
//   {name}::State state{{}};  // zeros: before the first step
//   {name}::step(state, x);  // x [inputs]: the next time step
//   {name}::read(state, y);  // y [outputs], after the steps so far
//   {name}::self_test() < {name}::self_test_tolerance  // what it computes here against what it computed there
//
// Outputs are {outputs_are}.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace {name} {{

{cells}
inline constexpr std::size_t inputs = {inputs}, outputs = {outputs}, depth = {depth};
inline constexpr std::size_t units[depth] = {{{units}}};

/// Row-major, of layer 0, 1, ...; a GRU's bias_hn follows its bias.
namespace weights {{

{arrays}
}}  // namespace weights

namespace detail {{

using Cell = pylstm::reference::{cell};

{test}
struct Layer {{
  std::size_t inputs, units, width;  // width: of its outputs
  const float *weight_ih, *weight_hh, *bias, *unit_weights, *weight_hr;  // weight_hr: null without a projection
  std::size_t h, c;  // where its states begin
}};
inline constexpr Layer layers[depth] = {{
{layers}}};

inline void product(const float* weight, const float* v, std::size_t rows, std::size_t columns, float* z) {{
  for (std::size_t row = 0; row < rows; ++row) {{
    float sum = 0;
    for (std::size_t k = 0; k < columns; ++k) sum += weight[row * columns + k] * v[k];
    z[row] = sum;
  }}
}}

}}  // namespace detail

struct State {{
  float h[{h_size}], c[{c_size}], pooled[{width}];
  std::size_t steps;
}};

/// One time step.  x [inputs].
inline void step(State& state, const float* x) {{
  namespace d = detail;
  float z_x[d::Cell::gates_x * {most_units}], z_h[d::Cell::gates_h * {most_units}], gates[d::Cell::kept * {most_units}];
  float m[{most_units}], h_prev[{most_width}], c_prev[{most_units}];
  for (const d::Layer& layer : d::layers) {{
    const std::size_t H = layer.units;
    float *const h = state.h + layer.h, *const c = state.c + layer.c;
    std::copy_n(h, layer.width, h_prev);
    std::copy_n(c, H, c_prev);
    d::product(layer.weight_ih, x, d::Cell::gates_x * H, layer.inputs, z_x);
    d::product(layer.weight_hh, h_prev, d::Cell::gates_h * H, layer.width, z_h);
    pylstm::reference::Forward<float> a{{}};
    a.H = H, a.z_x = z_x, a.z_h = z_h, a.bias = layer.bias, a.h_prev = h_prev, a.c_prev = c_prev;
    a.unit_weights = layer.unit_weights, a.clip = std::numeric_limits<float>::infinity();
    a.gates = gates, a.h = layer.weight_hr == nullptr ? h : m, a.c = c;
    d::Cell::forward<pylstm::reference::Saturating>(a);
    if (layer.weight_hr != nullptr) d::product(layer.weight_hr, m, layer.width, H, h);
    x = h;
  }}
  for (std::size_t j = 0; j < {width}; ++j) {{
    {pool}
  }}
  ++state.steps;
}}

/// y [outputs] after the steps so far.
inline void read(const State& state, float* y) {{
  float top[{width}];
  for (std::size_t j = 0; j < {width}; ++j) top[j] = {read};
  detail::product(weights::head_weight, top, outputs, {width}, y);
  for (std::size_t k = 0; k < outputs; ++k) y[k] += weights::head_bias[k];
}}

inline constexpr float self_test_tolerance = 1e-4f;

/// Largest difference from what the network gave where it was trained, in units of 1 + |y|.
inline float self_test() {{
  State state{{}};
  for (std::size_t t = 0; t < {test_steps}; ++t) step(state, detail::test_x + t * inputs);
  float y[outputs], largest = 0;
  read(state, y);
  for (std::size_t k = 0; k < outputs; ++k) {{
    const float expected = detail::test_y[k], error = std::fabs(y[k] - expected) / (1 + std::fabs(expected));
    if (!(error <= largest)) largest = error;
  }}
  return largest;
}}

}}  // namespace {name}
"""


def write_header(document: Document, outputs_are: str, path: str | os.PathLike[str], name: str, include: str) -> None:
    """Write `document` as a header with everything in namespace `name`; `include` has the engine's headers.

    Raises
    ------
    ValueError
        If the network is not one that goes one step at a time without memory, a weight is not finite, or `name` is no
        C++ name.
    """
    a = document.architecture
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", name) or name in NO_NAMES.split():
        msg = f"name is {name!r}, expected a name for a C++ namespace, no keyword or reserved name"
        raise ValueError(msg)
    if a["cell"] not in CELLS:
        msg = f"a header cannot have the cell {a['cell']!r}, expected one of {', '.join(CELLS)}"
        raise ValueError(msg)
    ignored = IGNORED if len(a["hidden_sizes"]) > 1 else {*IGNORED, "residual"}  # of layers above the first
    for field, value in a.items():
        if field not in USED | ignored and value:
            msg = f"a header cannot have {field}={value!r}: it goes one step at a time, with memory for states alone"
            raise ValueError(msg)
    if a["pooling"] not in POOL:
        msg = f"a header cannot have pooling={a['pooling']!r}, expected one of {', '.join(POOL)}"
        raise ValueError(msg)

    if not all(np.isfinite(array).all() for array in document.parameters.values()):
        msg = "a header cannot have weights that are NaN or infinite"
        raise ValueError(msg)

    file, cell, n_unit_weights = CELLS[a["cell"]]
    parameters = {key: array.astype(np.float32) for key, array in document.parameters.items()}
    network = _core.Network(dtype="float32", **a)
    network.set_parameters(parameters)
    test_x = np.random.default_rng(0).uniform(-1, 1, (1, TEST_STEPS, a["n_features"])).astype(np.float32)
    test = {"test_x": test_x, "test_y": network.predict(test_x)}

    arrays, layers, h, c = {}, "", 0, 0
    inputs, widths = a["n_features"], []
    for number, units in enumerate(a["hidden_sizes"]):
        own = {
            key.rpartition(".")[2]: array for key, array in parameters.items() if key.startswith(f"layers.{number}.")
        }
        bias = np.concatenate([own["bias"], own.get("bias_hn", [])])
        beside = own.get("peephole", np.zeros(n_unit_weights * units))
        width = own["weight_hh"].shape[1]
        names = []
        for key, array in {
            "weight_ih": own["weight_ih"],
            "weight_hh": own["weight_hh"],
            "bias": bias,
            "unit_weights": beside,
            "weight_hr": own.get("weight_hr", np.empty(0)),
        }.items():
            names.append(f"weights::{key}_{number}" if array.size else "nullptr")
            if array.size:
                arrays[f"{key}_{number}"] = array
        layers += f"    {{{inputs}, {units}, {width}, {', '.join(names)}, {h}, {c}}},\n"
        h, c, inputs = h + width, c + units, width
        widths.append(width)
    arrays |= {"head_weight": parameters["head.weight"], "head_bias": parameters["head.bias"]}
    text = TEMPLATE.format(
        title=f"A trained network: {a['cell']}, hidden sizes {', '.join(map(str, a['hidden_sizes']))}.",
        version=_core.version(),
        outputs_are=outputs_are,
        name=name,
        cells=_cells(Path(include), file),
        cell=cell,
        inputs=a["n_features"],
        outputs=a["n_outputs"],
        depth=len(widths),
        units=", ".join(map(str, a["hidden_sizes"])),
        arrays="".join(_array(key, array) for key, array in arrays.items()),
        test="".join(_array(key, array) for key, array in test.items()),
        layers=layers,
        h_size=h,
        c_size=c,
        width=widths[-1],
        most_units=max(a["hidden_sizes"]),
        most_width=max(widths),
        pool=POOL[a["pooling"]][0].format(top=h - widths[-1]),
        read=POOL[a["pooling"]][1].format(top=h - widths[-1]),
        test_steps=TEST_STEPS,
    )
    with replacing(path) as out:
        out.write(text.encode())


POOL = {
    "last": ("state.pooled[j] = state.h[{top} + j];", "state.pooled[j]"),
    "mean": (
        "state.pooled[j] += state.h[{top} + j];",
        "state.pooled[j] / static_cast<float>(std::max<std::size_t>(state.steps, 1))",
    ),
    "max": (
        "state.pooled[j] = state.steps == 0 ? state.h[{top} + j] : std::max(state.pooled[j], state.h[{top} + j]);",
        "state.pooled[j]",
    ),
}
"""What a step adds to ``state.pooled``, and what the head reads of it."""


def _cells(include: Path, file: str) -> str:
    """Return the text of the cell's equations, without the lines that only files need."""
    parts = []
    for name in ("activation.hpp", "step.hpp", file):
        text = (include / "pylstm" / "reference" / name).read_text(encoding="utf-8")
        parts.append("\n".join(line for line in text.splitlines() if not line.startswith("#")).strip())
    return "\n\n".join(parts) + "\n"


def _array(name: str, array: FloatArray) -> str:
    values = [re.sub(r"(?<!\.)0+p", "p", float(value).hex()) + "f" for value in np.asarray(array, np.float32).ravel()]
    lines = [", ".join(values[start : start + 8]) for start in range(0, len(values), 8)]
    body = ",\n    ".join(lines)
    return f"alignas(64) inline constexpr float {name}[{len(values)}] = {{\n    {body}}};\n"
