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
#include "pylstm/simd/several.hpp"

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
  History<T> gates;          ///< [slots][S] for each block; may be null where none of the following needs it
  bool input_product_ready;  ///< gates hold bias + W x (`input_product`)
  bool keep_gates;           ///< leave in `gates` what backward needs
};

/// Where one step's operands lie: rows n of `width` elements, of gates in every block.
template <class T>
struct ForwardStep {
  Rows<const T> x;
  Rows<T> y;
  const T *h_prev, *c_prev;
  T *h, *c, *gates;

  PYLSTM_INLINE ForwardStep(const ForwardOperands<T>& a, std::size_t t)
      : x(a.x.at(t)),
        y(a.y.at(t)),
        h_prev(a.h.at(t)),
        c_prev(a.c.at(t)),
        h(a.h.at(t + 1)),
        c(a.c.at(t + 1)),
        gates(a.gates.at(t)) {}
};

/// Recurrent inputs whose weights make a chunk; where that is not all of them, `gates` holds the sums in between.
template <class T>
std::size_t forward_depth(const PanelShape& shape) {
  return chunk_depth(shape.units, shape.recurrent_slots * shape.lanes * sizeof(T), shape.lanes);
}

/// Rows [n, n + R), blocks [block, block + P), recurrent inputs [k_begin, k_end): after the last of them, the cell.
template <class Cell, class V, std::size_t R, std::size_t P, class T>
PYLSTM_INLINE void forward_tile(const ForwardOperands<T>& a, const ForwardStep<T>& step, std::size_t n,
                                std::size_t block, std::size_t k_begin, std::size_t k_end, Ahead<T> ahead) {
  constexpr std::size_t S = V::lanes, slots = Cell::slots;
  const std::size_t block_size = a.shape.block_size(), width = a.h.row_width, gates_stride = a.gates.block_stride();
  const T* const panel = a.panels + block * block_size;
  T* const gates = a.gates ? step.gates + block * gates_stride + n * slots * S : nullptr;

  V acc[R][P * slots];
  const T* rows[R];
  if (a.input_product_ready || k_begin > 0) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (std::size_t p = 0; p < P; ++p) {
#pragma GCC unroll 8
        for (std::size_t g = 0; g < slots; ++g) {
          acc[r][p * slots + g] = V::load(gates + p * gates_stride + (r * slots + g) * S);
        }
      }
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
    for (std::size_t r = 0; r < R; ++r) rows[r] = step.x.row(n + r);
    accumulate<slots, Cell::input_slots, R, P>(acc, rows, a.shape.inputs, panel, block_size, {panel, 0});
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) rows[r] = step.h_prev + (n + r) * width + k_begin;
  accumulate<slots, Cell::recurrent_slots, R, P>(
      acc, rows, k_end - k_begin, panel + a.shape.recurrent_offset() + k_begin * Cell::recurrent_slots.size() * S,
      block_size, ahead);
  if (k_end < a.shape.units) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (std::size_t p = 0; p < P; ++p) {
#pragma GCC unroll 8
        for (std::size_t g = 0; g < slots; ++g) {
          acc[r][p * slots + g].store(gates + p * gates_stride + (r * slots + g) * S);
        }
      }
    }
    return;
  }

  // The tile's units side by side: vector i is row i / P, block i % P.
  using Units = simd::Several<V, R * P>;
  const auto at = [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return (n + i / P) * width + (block + i % P) * S; };
  cells::Forward<Units, slots> units;
#pragma GCC unroll 8
  for (std::size_t g = 0; g < slots; ++g) {
    units.slot[g] = Units::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return acc[i / P][i % P * slots + g]; });
  }
  units.h_prev = Units::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(step.h_prev + at(i)); });
  if constexpr (Cell::has_memory) {
    units.c_prev = Units::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(step.c_prev + at(i)); });
  }
  Cell::forward(units);
  units.h.each_store(step.h, at);
  if constexpr (Cell::has_memory) units.c.each_store(step.c, at);
  if (a.keep_gates) {
#pragma GCC unroll 8
    for (std::size_t g = 0; g < slots; ++g) {
      units.slot[g].each_store(
          gates, [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return i % P * gates_stride + (i / P * slots + g) * S; });
    }
  }
}

/// y of one step, a row at a time: vectors written as they are computed would go to as many pages as there are rows.
template <class V, class T>
void copy_outputs(const ForwardOperands<T>& a, const ForwardStep<T>& step, std::size_t row_begin, std::size_t row_end,
                  std::size_t j_begin, std::size_t j_end) {
  for (std::size_t n = row_begin; n < row_end; ++n) {
    const T* const h = step.h + n * a.h.row_width;
    T* const y = step.y.row(n);
    for (std::size_t j = j_begin; j < j_end; j += V::lanes) store_within(V::load(h + j), y + j, j_end - j);
  }
}

/// Runs the steps of a range.  Rows that have ended are not touched.
template <class T, class Isa, cells::Cell Cell>
void forward_steps(const ForwardOperands<T>& a, const Range& range) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t most = max_rows<Isa>(Cell::slots);
  const simd::FlushDenormals flush;
  const std::size_t H = a.shape.units, per_k = Cell::recurrent_slots.size() * V::lanes,
                    depth = forward_depth<T>(a.shape);
  const bool streams = H * per_k * (range.block_end - range.block_begin) * sizeof(T) > resident_bytes;
  const auto recurrent_panel = [&](std::size_t block) {
    return a.panels + block * a.shape.block_size() + a.shape.recurrent_offset();
  };
  for (std::size_t t = range.step_begin; t < range.step_end; ++t) {
    const std::size_t row_end = std::min(range.row_end, a.schedule->active_at(t));
    if (row_end <= range.row_begin) break;
    const ForwardStep<T> step(a, t);
    const std::size_t n = range.row_begin, rows = row_end - n;
    std::size_t block = range.block_begin;
    // Few rows: several blocks of units in flight hide the latency of the FMA chains.
    const auto blocks_at_once = [&]<std::size_t R, std::size_t P>(std::integral_constant<std::size_t, R>,
                                                                  std::integral_constant<std::size_t, P>) {
      for (; block + P <= range.block_end; block += P) {
        forward_tile<Cell, V, R, P>(a, step, n, block, 0, H, {a.panels, 0});
      }
    };
    constexpr std::integral_constant<std::size_t, 1> one;
    constexpr std::integral_constant<std::size_t, 2> two;
    if constexpr (most >= 4) {
      constexpr std::integral_constant<std::size_t, 4> four;
      if (rows == 1) blocks_at_once(one, four);
      if (rows == 2) blocks_at_once(two, two);
    }
    if constexpr (most >= 2) {
      if (rows == 1) blocks_at_once(one, two);
    }
    for (; block < range.block_end; ++block) {
      const std::size_t next_block = block + 1 < range.block_end ? block + 1 : range.block_begin;
      for (std::size_t k = 0; k < H; k += depth) {
        const std::size_t end = std::min(k + depth, H);
        const T* const next = end < H ? recurrent_panel(block) + end * per_k : recurrent_panel(next_block);
        for_each_tile<most>(n, row_end, [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t first) {
          forward_tile<Cell, V, R, 1>(
              a, step, first, block, k, end,
              streams ? Ahead<T>::template share<R>(next, depth * per_k, first - n, rows, end - k) : Ahead<T>{next, 0});
        });
      }
    }
    if (step.y) {
      copy_outputs<V>(a, step, n, row_end, range.block_begin * V::lanes, std::min(range.block_end * V::lanes, H));
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
  History<T> dgates;              ///< out: gradients of the sums, [slots][S] for each block
  Sequence<const T> dy;           ///< rows of H; may be null
  const T *dh_n, *dc_n;           ///< [rows][H] in the caller's row order; may be null
  T *dc, *dh_shortcut;            ///< [rows][padded H] carried from step to step
  T* dh;                          ///< [rows][padded H] sums between chunks
  T *dh0, *dc0;                   ///< out: [rows][H] in the caller's row order (`initial_gradients`)
};

/// Where one step's operands lie, as in ForwardStep.
template <class T>
struct BackwardStep {
  Rows<const T> dy;
  const T *h_prev, *c_prev, *c, *gates, *dgates_next;
  T* dgates;

  PYLSTM_INLINE BackwardStep(const BackwardOperands<T>& a, std::size_t t)
      : dy(a.dy.at(t)),
        h_prev(a.h.at(t)),
        c_prev(a.c.at(t)),
        c(a.c.at(t + 1)),
        gates(a.gates.at(t)),
        dgates_next(a.dgates.at(t + 1)),
        dgates(a.dgates.at(t)) {}
};

/// Gradient of the state after the row's last step, or zero.
template <class V, class T>
PYLSTM_INLINE V final_gradient(const T* gradient, const PanelShape& shape, std::size_t caller_row, std::size_t j) {
  return gradient == nullptr ? V::zero() : load_within<V>(gradient + caller_row * shape.units + j, shape.units - j);
}

/// Rows [n, n+R), vectors [block, block+NV), units [j_begin, j_end) of the product: after the last of them, the cell.
/// `continues`: the rows have a step t + 1, whose gradients the product takes.
template <class Cell, class V, std::size_t R, std::size_t NV, class T>
PYLSTM_INLINE void backward_tile(const BackwardOperands<T>& a, const BackwardStep<T>& step, std::size_t n,
                                 std::size_t block, bool continues, std::size_t j_begin, std::size_t j_end,
                                 Ahead<T> ahead) {
  constexpr std::size_t S = V::lanes, slots = Cell::slots;
  const std::size_t H = a.shape.units, width = a.shape.padded_units();
  const std::size_t row = slots * S, gates_stride = a.gates.block_stride(), dgates_stride = a.dgates.block_stride();
  const T* const gates = step.gates + block * gates_stride + n * row;
  T* const dgates = step.dgates + block * dgates_stride + n * row;

  // The tape has long left the cache: asked for now, it is there when the product is done.
  constexpr std::size_t line = 64 / sizeof(T);
#pragma GCC unroll 4
  for (std::size_t v = 0; v < NV; ++v) {
    for (std::size_t i = 0; i < R * row; i += line) __builtin_prefetch(gates + v * gates_stride + i);
  }
  if constexpr (Cell::has_memory) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t i = 0; i < NV * S; i += line) __builtin_prefetch(step.c_prev + (n + r) * width + block * S + i);
    }
  }

  V dh[R][NV];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const T* const dy = step.dy ? step.dy.row(n + r) : nullptr;
#pragma GCC unroll 8
    for (std::size_t v = 0; v < NV; ++v) {
      const std::size_t j = (block + v) * S;
      if (j_begin > 0) {
        dh[r][v] = V::load(a.dh + (n + r) * width + j);
        continue;
      }
      dh[r][v] = dy != nullptr ? load_within<V>(dy + j, H - j) : V::zero();
      if (!continues) dh[r][v] = dh[r][v] + final_gradient<V>(a.dh_n, a.shape, a.schedule->caller_row(n + r), j);
      if constexpr (Cell::has_shortcut) {
        if (continues) dh[r][v] = dh[r][v] + V::load(a.dh_shortcut + (n + r) * width + j);
      }
    }
  }
  if (continues) {
    const T* rows[R];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) rows[r] = step.dgates_next + (n + r) * row;
    const T* const panel = a.recurrent_transposed + block * H * Cell::recurrent_slots.size() * S;
    accumulate_gates<slots, Cell::recurrent_slots, R, NV>(dh, rows, dgates_stride, j_begin, j_end, panel, ahead);
  }
  if (j_end < H) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < NV; ++v) dh[r][v].store(a.dh + (n + r) * width + (block + v) * S);
    }
    return;
  }

  // The rows of one block side by side.
  using Units = simd::Several<V, R>;
#pragma GCC unroll 8
  for (std::size_t v = 0; v < NV; ++v) {
    const std::size_t j = (block + v) * S;
    const auto at = [&](std::size_t r) PYLSTM_INLINE_LAMBDA { return (n + r) * width + j; };
    const auto load = [&](const T* data) PYLSTM_INLINE_LAMBDA {
      return Units::each([&](std::size_t r) PYLSTM_INLINE_LAMBDA { return V::load(data + at(r)); });
    };
    cells::Backward<Units, slots> units;
#pragma GCC unroll 8
    for (std::size_t g = 0; g < slots; ++g) {
      units.slot[g] = Units::each(
          [&](std::size_t r) PYLSTM_INLINE_LAMBDA { return V::load(gates + v * gates_stride + r * row + g * S); });
    }
    units.h_prev = load(step.h_prev);
    units.dh = Units::each([&](std::size_t r) PYLSTM_INLINE_LAMBDA { return dh[r][v]; });
    if constexpr (Cell::has_memory) {
      units.c_prev = load(step.c_prev);
      units.c = load(step.c);
      units.dc = continues ? load(a.dc) : Units::each([&](std::size_t r) PYLSTM_INLINE_LAMBDA {
        return final_gradient<V>(a.dc_n, a.shape, a.schedule->caller_row(n + r), j);
      });
    }
    Cell::backward(units);
#pragma GCC unroll 8
    for (std::size_t g = 0; g < slots; ++g) {
      units.slot[g].each_store(dgates + v * dgates_stride,
                               [&](std::size_t r) PYLSTM_INLINE_LAMBDA { return r * row + g * S; });
    }
    if constexpr (Cell::has_memory) units.dc.each_store(a.dc, at);
    if constexpr (Cell::has_shortcut) units.dh_prev.each_store(a.dh_shortcut, at);
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
    accumulate_gates<Cell::slots, Cell::recurrent_slots, R, NV>(dh, rows, a.dgates.block_stride(), 0, H, panel,
                                                                {panel, 0});
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
    const BackwardStep<T> step(a, t);
    const auto tiles = [&](std::size_t begin, std::size_t end, bool continues) {
      for_each_transposed_tile<Isa, T>(
          shape, range.block_begin, range.block_end, continues ? shape.units : 1, begin, end,
          [&]<std::size_t R, std::size_t NV>(std::integral_constant<std::size_t, R>,
                                             std::integral_constant<std::size_t, NV>, std::size_t n, std::size_t block,
                                             std::size_t j_begin, std::size_t j_end) {
            // The next chunk, as large; after the last group's the first.
            const std::size_t next_block = block + NV < range.block_end ? block + NV : range.block_begin;
            const T* const next =
                a.recurrent_transposed + (j_end < shape.units
                                              ? block * shape.block_size() + j_end * shape.gates * NV * V::lanes
                                              : next_block * shape.block_size());
            const std::size_t chunk = (j_end - j_begin) * shape.gates;
            backward_tile<Cell, V, R, NV>(
                a, step, n, block, continues, j_begin, continues ? j_end : shape.units,
                streams ? Ahead<T>::template share<R>(next, chunk * NV * V::lanes, n - begin, end - begin, chunk)
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
    for_each_transposed_tile<Isa, T>(
        shape, range.block_begin, range.block_end, 1, begin, end,
        [&]<std::size_t R, std::size_t NV>(
            std::integral_constant<std::size_t, R>, std::integral_constant<std::size_t, NV>, std::size_t n,
            std::size_t block, std::size_t, std::size_t) { initial_tile<Cell, V, R, NV>(a, n, block, continues); });
  };
  const std::size_t running = std::clamp(a.schedule->active_at(0), range.row_begin, range.row_end);
  tiles(range.row_begin, running, true);
  tiles(running, range.row_end, false);
}

}  // namespace pylstm::kernels
