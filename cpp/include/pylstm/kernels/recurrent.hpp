/// One recurrent layer over time: the fused forward step and the fused backward step.
///
/// A tile's accumulators hold all gates of its units when the k loop ends, so the cell's equations run on registers and
/// no pre-activation is stored.  Backward, the tile dG[t+1] U is the gradient of h[t] for exactly the units whose
/// equations follow.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::kernels {

/// What part of the work a call does: steps, scheduled rows, and blocks of S units.
struct Range {
  std::size_t step_begin, step_end, row_begin, row_end, block_begin, block_end;
};

/// Operands of the forward recurrence.  h.row(t), c.row(t) are the states before step t; S divides their width.
template <class T>
struct ForwardOperands {
  const Schedule* schedule;
  PanelShape shape;
  const T* panels;
  Sequence<const T> x;  ///< rows of I
  Sequence<T> y;        ///< rows of H; may be null
  History<T> h, c;
  History<T> gates;          ///< [blocks][slots][S]; null: not wanted
  bool input_product_ready;  ///< gates hold bias + W x (`input_product`)
  bool keep_gates;           ///< leave in `gates` what backward needs
};

template <class Cell, class V, std::size_t R, std::size_t P, class T>
PYLSTM_INLINE void forward_tile(const ForwardOperands<T>& a, std::size_t t, std::size_t n, std::size_t block,
                                Ahead<T> ahead) {
  constexpr std::size_t S = V::lanes, slots = Cell::slots;
  const std::size_t block_size = a.shape.block_size();
  const T* const panel = a.panels + block * block_size;

  V acc[R][P * slots];
  const T* rows[R];
  if (a.input_product_ready) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const T* const gates = a.gates.row(t, n + r) + block * slots * S;
#pragma GCC unroll 32
      for (std::size_t v = 0; v < P * slots; ++v) acc[r][v] = V::load(gates + v * S);
    }
  } else {
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) {
#pragma GCC unroll 8
      for (std::size_t g = 0; g < slots; ++g) {
        const V bias = V::load(panel + p * block_size + a.shape.bias_offset() + g * S);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < R; ++r) acc[r][p * slots + g] = bias;
      }
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) rows[r] = a.x.row(t, n + r);
    accumulate<slots, Cell::input_slots, R, P>(acc, rows, a.shape.inputs, panel, block_size, {panel, 0});
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) rows[r] = a.h.row(t, n + r);
  accumulate<slots, Cell::recurrent_slots, R, P>(acc, rows, a.shape.units, panel + a.shape.recurrent_offset(),
                                                 block_size, ahead);

#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) {
      const std::size_t j = (block + p) * S;
      cells::Forward<V, slots> unit;
#pragma GCC unroll 8
      for (std::size_t g = 0; g < slots; ++g) unit.slot[g] = acc[r][p * slots + g];
      unit.h_prev = V::load(rows[r] + j);
      if constexpr (Cell::has_memory) unit.c_prev = V::load(a.c.row(t, n + r) + j);
      Cell::forward(unit);
      unit.h.store(a.h.row(t + 1, n + r) + j);
      if constexpr (Cell::has_memory) unit.c.store(a.c.row(t + 1, n + r) + j);
      if (a.keep_gates) {
        T* const gates = a.gates.row(t, n + r) + (block + p) * slots * S;
#pragma GCC unroll 8
        for (std::size_t g = 0; g < slots; ++g) unit.slot[g].store(gates + g * S);
      }
      if (a.y) store_within(unit.h, a.y.row(t, n + r) + j, a.shape.units - j);
    }
  }
}

/// Runs the steps of a range.  Rows that have ended are not touched.
template <class T, class Isa, cells::Cell Cell>
void forward_steps(const ForwardOperands<T>& a, const Range& range) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t most = max_rows<Isa>(Cell::slots);
  const simd::FlushDenormals flush;
  const std::size_t panel_size = a.shape.units * Cell::recurrent_slots.size() * V::lanes;
  const bool streams = panel_size * (range.block_end - range.block_begin) * sizeof(T) > resident_bytes;
  for (std::size_t t = range.step_begin; t < range.step_end; ++t) {
    const std::size_t row_end = std::min(range.row_end, a.schedule->active_at(t));
    if (row_end <= range.row_begin) break;
    const std::size_t n = range.row_begin, rows = row_end - n;
    std::size_t block = range.block_begin;
    // Few rows: several blocks of units in flight hide the latency of the FMA chains.
    if constexpr (most >= 4) {
      if (rows == 1) {
        for (; block + 4 <= range.block_end; block += 4) forward_tile<Cell, V, 1, 4>(a, t, n, block, {a.panels, 0});
      }
    }
    if constexpr (most >= 2) {
      if (rows == 1) {
        for (; block + 2 <= range.block_end; block += 2) forward_tile<Cell, V, 1, 2>(a, t, n, block, {a.panels, 0});
      } else if (rows == 2 && most >= 4) {
        for (; block + 2 <= range.block_end; block += 2)
          forward_tile<Cell, V, (most >= 4 ? 2 : 1), 2>(a, t, n, block, {a.panels, 0});
      }
    }
    for (; block < range.block_end; ++block) {
      const std::size_t next_block = block + 1 < range.block_end ? block + 1 : range.block_begin;
      const T* const next = a.panels + next_block * a.shape.block_size() + a.shape.recurrent_offset();
      for_each_tile<most>(n, row_end, [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t first) {
        forward_tile<Cell, V, R, 1>(a, t, first, block,
                                    streams
                                        ? Ahead<T>::template share<R>(next, panel_size, first - n, rows, a.shape.units)
                                        : Ahead<T>{next, 0});
      });
    }
  }
}

/// Operands of the backward recurrence, t descending.
template <class T>
struct BackwardOperands {
  const Schedule* schedule;
  PanelShape shape;
  const T* recurrent_transposed;  ///< transposed panels of the recurrent part
  History<const T> h, c, gates;   ///< the tape of the forward recurrence
  History<T> dgates;              ///< out: gradients of the sums, [blocks][slots][S]
  Sequence<const T> dy;           ///< rows of H; may be null
  const T *dh_n, *dc_n;           ///< [rows][H] in the caller's row order; may be null
  T *dc, *dh_shortcut;            ///< [rows][padded H] carried from step to step
  T *dh0, *dc0;                   ///< out: [rows][H] in the caller's row order (`initial_gradients`)
};

/// Gradient of the state after the row's last step, or zero.
template <class V, class T>
PYLSTM_INLINE V final_gradient(const T* gradient, const PanelShape& shape, std::size_t caller_row, std::size_t j) {
  return gradient == nullptr ? V::zero() : load_within<V>(gradient + caller_row * shape.units + j, shape.units - j);
}

/// Rows [n, n+R), vectors [block, block+NV).  `continues`: the rows have a step t + 1.
template <class Cell, class V, std::size_t R, std::size_t NV, class T>
PYLSTM_INLINE void backward_tile(const BackwardOperands<T>& a, std::size_t t, std::size_t n, std::size_t block,
                                 bool continues, Ahead<T> ahead) {
  constexpr std::size_t S = V::lanes, slots = Cell::slots;
  const std::size_t H = a.shape.units, width = a.shape.padded_units();

  V dh[R][NV];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < NV; ++v) {
      const std::size_t j = (block + v) * S;
      dh[r][v] = a.dy ? load_within<V>(a.dy.row(t, n + r) + j, H - j) : V::zero();
      if (!continues) dh[r][v] = dh[r][v] + final_gradient<V>(a.dh_n, a.shape, a.schedule->caller_row(n + r), j);
      if constexpr (Cell::has_shortcut) {
        if (continues) dh[r][v] = dh[r][v] + V::load(a.dh_shortcut + (n + r) * width + j);
      }
    }
  }
  if (continues) {
    const T* rows[R];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) rows[r] = a.dgates.row(t + 1, n + r);
    const T* const panel = a.recurrent_transposed + block * H * Cell::recurrent_slots.size() * S;
    accumulate_gates<slots, Cell::recurrent_slots, R, NV>(dh, rows, H, panel, ahead);
  }

#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < NV; ++v) {
      const std::size_t j = (block + v) * S;
      const T* const gates = a.gates.row(t, n + r) + (block + v) * slots * S;
      cells::Backward<V, slots> unit;
#pragma GCC unroll 8
      for (std::size_t g = 0; g < slots; ++g) unit.slot[g] = V::load(gates + g * S);
      unit.h_prev = V::load(a.h.row(t, n + r) + j);
      unit.dh = dh[r][v];
      if constexpr (Cell::has_memory) {
        unit.c_prev = V::load(a.c.row(t, n + r) + j);
        unit.c = V::load(a.c.row(t + 1, n + r) + j);
        unit.dc = continues ? V::load(a.dc + (n + r) * width + j)
                            : final_gradient<V>(a.dc_n, a.shape, a.schedule->caller_row(n + r), j);
      }
      Cell::backward(unit);
      T* const dgates = a.dgates.row(t, n + r) + (block + v) * slots * S;
#pragma GCC unroll 8
      for (std::size_t g = 0; g < slots; ++g) unit.slot[g].store(dgates + g * S);
      if constexpr (Cell::has_memory) unit.dc.store(a.dc + (n + r) * width + j);
      if constexpr (Cell::has_shortcut) unit.dh_prev.store(a.dh_shortcut + (n + r) * width + j);
    }
  }
}

/// Gradients of the initial states: one product more, without the cell's equations.
template <class Cell, class V, std::size_t R, std::size_t NV, class T>
PYLSTM_INLINE void initial_tile(const BackwardOperands<T>& a, std::size_t n, std::size_t block, bool continues) {
  constexpr std::size_t S = V::lanes;
  const std::size_t H = a.shape.units, width = a.shape.padded_units();
  V dh[R][NV];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < NV; ++v) {
      const std::size_t j = (block + v) * S;
      dh[r][v] = V::zero();
      if (!continues) dh[r][v] = final_gradient<V>(a.dh_n, a.shape, a.schedule->caller_row(n + r), j);
      if constexpr (Cell::has_shortcut) {
        if (continues) dh[r][v] = V::load(a.dh_shortcut + (n + r) * width + j);
      }
    }
  }
  if (continues) {
    const T* rows[R];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) rows[r] = a.dgates.row(0, n + r);
    const T* const panel = a.recurrent_transposed + block * H * Cell::recurrent_slots.size() * S;
    accumulate_gates<Cell::slots, Cell::recurrent_slots, R, NV>(dh, rows, H, panel, {panel, 0});
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const std::size_t row = a.schedule->caller_row(n + r);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < NV; ++v) {
      const std::size_t j = (block + v) * S;
      store_within(dh[r][v], a.dh0 + row * H + j, H - j);
      if constexpr (Cell::has_memory) {
        const V dc = continues ? V::load(a.dc + (n + r) * width + j) : final_gradient<V>(a.dc_n, a.shape, row, j);
        store_within(dc, a.dc0 + row * H + j, H - j);
      }
    }
  }
}

/// Runs the steps of a range, last first.  A block range must begin and end at groups of the transposed panels.
template <class T, class Isa, cells::Cell Cell>
void backward_steps(const BackwardOperands<T>& a, const Range& range) {
  using V = typename Isa::template vec<T>;
  const simd::FlushDenormals flush;
  const TransposedShape shape = transposed(a.shape, recurrent_part(a.shape));
  const bool streams = shape.block_size() * (range.block_end - range.block_begin) * sizeof(T) > resident_bytes;
  for (std::size_t t = range.step_end; t-- > range.step_begin;) {
    const auto tiles = [&](std::size_t begin, std::size_t end, bool continues) {
      for_each_transposed_tile<Isa>(
          shape, range.block_begin, range.block_end, begin, end,
          [&]<std::size_t R, std::size_t NV>(std::integral_constant<std::size_t, R>,
                                             std::integral_constant<std::size_t, NV>, std::size_t n,
                                             std::size_t block) {
            // The next group, nearly as large; after the last one the first.
            const T* const next = a.recurrent_transposed +
                                  (block + NV < range.block_end ? block + NV : range.block_begin) * shape.block_size();
            backward_tile<Cell, V, R, NV>(a, t, n, block, continues,
                                          streams
                                              ? Ahead<T>::template share<R>(next, NV * shape.block_size(), n - begin,
                                                                            end - begin, shape.units * shape.gates)
                                              : Ahead<T>{next, 0});
          });
    };
    const std::size_t running = std::clamp(a.schedule->active_at(t + 1), range.row_begin, range.row_end);
    const std::size_t started = std::clamp(a.schedule->active_at(t), range.row_begin, range.row_end);
    tiles(range.row_begin, running, true);
    tiles(running, started, false);
  }
}

/// dh0 and dc0 of a range's rows and blocks, after its backward steps have reached step 0.
template <class T, class Isa, cells::Cell Cell>
void initial_gradients(const BackwardOperands<T>& a, const Range& range) {
  using V = typename Isa::template vec<T>;
  const simd::FlushDenormals flush;
  const TransposedShape shape = transposed(a.shape, recurrent_part(a.shape));
  const auto tiles = [&](std::size_t begin, std::size_t end, bool continues) {
    for_each_transposed_tile<Isa>(
        shape, range.block_begin, range.block_end, begin, end,
        [&]<std::size_t R, std::size_t NV>(std::integral_constant<std::size_t, R>,
                                           std::integral_constant<std::size_t, NV>, std::size_t n, std::size_t block) {
          initial_tile<Cell, V, R, NV>(a, n, block, continues);
        });
  };
  const std::size_t running = std::clamp(a.schedule->active_at(0), range.row_begin, range.row_end);
  tiles(range.row_begin, running, true);
  tiles(running, range.row_end, false);
}

}  // namespace pylstm::kernels
