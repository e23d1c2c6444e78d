/// A cell's equations over rows and blocks of units, between the products.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/activation.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/simd/several.hpp"

namespace pylstm::kernels {

/// One step's arrays for `rows` rows and `blocks` blocks, each from its first row and block.
/// States are [rows][row_stride], gates [slots][S] for each row of a block.
template <class T>
struct PointwiseShape {
  std::size_t rows, blocks;
  std::size_t units;  ///< H
  std::size_t row_stride, gates_block_stride;
  const T* unit_weights;            ///< [unit weights][S], [bias slots][S] of the first block
  std::size_t unit_weights_stride;  ///< elements of a block of the panels
  T clip;
  const cells::Activations* activations;  ///< null: the cell's own
  bool few_inputs;                        ///< `PanelShape::few_inputs`
};

template <class T>
struct PointwiseForward {
  PointwiseShape<T> shape;
  T* gates;  ///< in: sums; out, with keep_gates: what backward needs
  const T *h_prev, *c_prev;
  T *h, *c;
  bool keep_gates;
  T* kept;  ///< out, for cells that keep more than gates: of the first row; may be null
  std::size_t kept_stride;
  // For cells that take the sums of x and h apart: where those of x lie.
  const T* x_sums;
  std::size_t x_block_stride, x_row_width;
  // For cells that reset the state before its product (kernels/reset.hpp).
  const T* h_read;        ///< h_prev as the products read it
  T* h_reset;             ///< out
  const T* reset_panels;  ///< of the first block
};

template <class T>
struct PointwiseBackward {
  PointwiseShape<T> shape;
  const T* gates;
  T* dgates;
  std::size_t dgates_block_stride;
  T* dweights;  ///< [unit weights][S] for each row of a block
  std::size_t dweights_block_stride;
  const T* kept;  ///< as forward left it
  std::size_t kept_stride;
  const T *h_prev, *c_prev, *c, *dh;
  T *dc, *dh_shortcut;
  // For cells that reset the state before its product.
  const T *h_read, *dropout;  ///< dropout: factors of h_prev in h_read, or null
  const T* reset_transposed;
  T *h_reset, *dh_reset;  ///< out, and scratch
};

/// Vectors that go through a cell's equations side by side.  With AVX2 three are no faster, four slower (spills), and
/// of one row and two blocks every further one is computed in vain.
inline constexpr std::size_t pointwise_group = 2;

/// From one vector of a group to the next.
struct Strides {
  std::size_t state, gates, dgates, dweights, unit_weights;
};

/// Visits rows x blocks, a line of N neighbours at a time, along the rows or, of a row or two, along the blocks: calls
/// visit(row, block, at, strides), vector i lying at[i] strides from (row, block).
/// The last of a line may be repeated, which every cell allows: a group reads before it writes.
template <std::size_t N, class T, class Visit>
PYLSTM_INLINE void for_each_group(const PointwiseShape<T>& shape, const Strides& by_rows, const Strides& by_blocks,
                                  Visit visit) {
  const bool along_blocks = shape.rows < 3 && shape.blocks > shape.rows;
  const Strides strides = along_blocks ? by_blocks : by_rows;
  const std::size_t lines = along_blocks ? shape.rows : shape.blocks, length = along_blocks ? shape.blocks : shape.rows;
  for (std::size_t line = 0; line < lines; ++line) {
    for (std::size_t first = 0; first < length; first += N) {
      std::size_t at[N];
#pragma GCC unroll 8
      for (std::size_t i = 0; i < N; ++i) at[i] = std::min(i, length - 1 - first);
      if (along_blocks) {
        visit(line, first, at, strides);
      } else {
        visit(first, line, at, strides);
      }
    }
  }
}

/// What both directions take beside the step's arrays.
template <class Cell, class V, std::size_t S, class Units, class T, std::size_t N>
PYLSTM_INLINE void load_options(Units& units, const PointwiseShape<T>& shape, std::size_t block,
                                const std::size_t (&at)[N], const Strides& strides) {
  using Vectors = simd::Several<V, N>;
  units.activation = Cell::activation::of(shape.activations);
  if constexpr (Cell::clips) units.clip = Vectors::set1(shape.clip);
#pragma GCC unroll 4
  for (std::size_t w = 0; w < Cell::unit_weights; ++w) {
    const T* const weights = shape.unit_weights + block * shape.unit_weights_stride + w * S;
    units.weight[w] = Vectors::each(
        [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(weights + at[i] * strides.unit_weights); });
  }
}

template <class T, class Isa, cells::Cell Cell>
void pointwise_forward(const PointwiseForward<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t N = pointwise_group, S = V::lanes, slots = Cell::slots;
  using Units = simd::Several<V, N>;
  const PointwiseShape<T> shape = a.shape;
  for_each_group<N>(
      shape, {shape.row_stride, slots * S, 0, 0, 0}, {S, shape.gates_block_stride, 0, 0, shape.unit_weights_stride},
      [&](std::size_t row, std::size_t block, const std::size_t (&at)[N], const Strides& strides) PYLSTM_INLINE_LAMBDA {
        const std::size_t state = row * shape.row_stride + block * S;
        T* const gates = a.gates + block * shape.gates_block_stride + row * slots * S;
        const auto state_at = [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * strides.state; };
        const auto gates_at = [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * strides.gates; };
        const auto load = [&](const T* data, auto offset) PYLSTM_INLINE_LAMBDA {
          return Units::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(data + offset(i)); });
        };
        cells::Forward<Units, Cell> units;
#pragma GCC unroll 8
        for (std::size_t g = 0; g < slots; ++g) units.slot[g] = load(gates + g * S, gates_at);
        if constexpr (Cell::has_shortcut) units.h_prev = load(a.h_prev + state, state_at);
        if constexpr (Cell::has_memory) units.c_prev = load(a.c_prev + state, state_at);
        load_options<Cell, V, S>(units, shape, block, at, strides);
        Cell::forward(units);
        units.h.each_store(a.h + state, state_at);
        if constexpr (Cell::has_memory) units.c.each_store(a.c + state, state_at);
        if (a.keep_gates) {
#pragma GCC unroll 8
          for (std::size_t g = 0; g < slots; ++g) units.slot[g].each_store(gates + g * S, gates_at);
        }
      });
}

template <class T, class Isa, cells::Cell Cell>
void pointwise_backward(const PointwiseBackward<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t N = pointwise_group, S = V::lanes, slots = Cell::slots;
  using Units = simd::Several<V, N>;
  const PointwiseShape<T> shape = a.shape;
  constexpr std::size_t W = Cell::unit_weights;
  for_each_group<N>(
      shape, {shape.row_stride, slots * S, slots * S, W * S, 0},
      {S, shape.gates_block_stride, a.dgates_block_stride, a.dweights_block_stride, shape.unit_weights_stride},
      [&](std::size_t row, std::size_t block, const std::size_t (&at)[N], const Strides& strides) PYLSTM_INLINE_LAMBDA {
        const std::size_t state = row * shape.row_stride + block * S;
        const T* const gates = a.gates + block * shape.gates_block_stride + row * slots * S;
        T* const dgates = a.dgates + block * a.dgates_block_stride + row * slots * S;
        const auto state_at = [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * strides.state; };
        const auto load = [&](const T* data, auto offset) PYLSTM_INLINE_LAMBDA {
          return Units::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(data + offset(i)); });
        };
        cells::Backward<Units, Cell> units;
#pragma GCC unroll 8
        for (std::size_t g = 0; g < slots; ++g) {
          units.slot[g] =
              load(gates + g * S, [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * strides.gates; });
        }
        units.dh = load(a.dh + state, state_at);
        if constexpr (Cell::has_shortcut) units.h_prev = load(a.h_prev + state, state_at);
        if constexpr (Cell::has_memory) {
          units.c_prev = load(a.c_prev + state, state_at);
          units.c = load(a.c + state, state_at);
          units.dc = load(a.dc + state, state_at);
        }
        load_options<Cell, V, S>(units, shape, block, at, strides);
        Cell::backward(units);
#pragma GCC unroll 8
        for (std::size_t g = 0; g < slots; ++g) {
          units.slot[g].each_store(dgates + g * S,
                                   [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * strides.dgates; });
        }
#pragma GCC unroll 4
        for (std::size_t w = 0; w < W; ++w) {
          units.dweight[w].each_store(a.dweights + block * a.dweights_block_stride + (row * W + w) * S,
                                      [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * strides.dweights; });
        }
        if constexpr (Cell::has_memory) units.dc.each_store(a.dc + state, state_at);
        if constexpr (Cell::has_shortcut) units.dh_prev.each_store(a.dh_shortcut + state, state_at);
      });
}

}  // namespace pylstm::kernels
