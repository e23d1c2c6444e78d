/// The forward recurrence of one layer: products of the state with the recurrent weights, and between them the cell's
/// equations.
///
/// A step goes block by block of units: the product of all rows, whose sums stay in L1, then the equations
/// (kernels/pointwise.hpp).  The products know a cell by its slots alone, so all cells share them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/pointwise.hpp"
#include "pylstm/kernels/product.hpp"
#include "pylstm/kernels/recurrence.hpp"
#include "pylstm/kernels/state_noise.hpp"
#include "pylstm/kernels/step.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::kernels {

/// Operands of the forward recurrence.  h.row(t), c.row(t) are the states before step t; S divides their width.
template <class T>
struct ForwardOperands {
  const Schedule* schedule;
  PanelShape shape;
  const T* panels;
  CellOptions<T> options = {};
  void (*pointwise)(const PointwiseForward<T>&);
  Projection<T> projection;
  StateNoise<T> noise = {};
  Sequence<const T> x;        ///< rows of I
  Sequence<T> y = {};         ///< rows of the outputs; may be null
  History<T> h = {}, c = {};  ///< h: what products read; c may be null: a cell without memory
  /// What the equations give, of step t at t + 1.  m: h itself, unless a projection or a dropout comes between;
  /// c_new: c itself without zoneout.
  History<T> m = {}, c_new = {};
  History<T> gates = {};  ///< [slots][S] for each block
  bool gates_kept;  ///< by block and step; otherwise every group of `most_blocks` blocks uses the first ones' memory
  T* h_reset = nullptr;      ///< [rows][padded H] the state behind the reset gate, for cells with reset slots
  bool input_product_ready;  ///< `x_sums` holds bias + W x
  bool keep_gates;           ///< leave in `gates` what backward needs
  History<T> kept = {};      ///< out: what the equations keep beside, a row for each row; may be null
  /// Of one row, neither gates kept nor input product, projection or noise: takes the place of all but y.  Or null.
  void (*step)(const PanelShape&, const StepOperands<T>&) = nullptr;
  History<T> x_sums = {};  ///< with `input_product_ready` those of that product: `gates`, or [input slots][S]
};

/// Where one step's operands lie: rows n of `width` elements, of gates in every block.
template <class T>
struct ForwardStep {
  std::size_t t;
  Rows<const T> x;
  Rows<T> y;
  const T *h_prev, *m_prev, *c_prev;
  T *h, *m, *c, *c_new, *gates;

  PYLSTM_INLINE ForwardStep(const ForwardOperands<T>& a, std::size_t step)
      : t(step),
        x(a.x.at(t)),
        y(a.y.at(t)),
        h_prev(a.h.at(t)),
        m_prev(a.m.at(t)),
        c_prev(a.c.at(t)),
        h(a.h.at(t + 1)),
        m(a.m.at(t + 1)),
        c(a.c.at(t + 1)),
        c_new(a.c_new.at(t + 1)),
        gates(a.gates.at(t)) {}
};

/// Recurrent inputs whose weights make a chunk; where that is not all of them, `gates` holds the sums in between.
template <class V, class T>
PYLSTM_INLINE std::size_t forward_depth(const PanelShape& shape, std::size_t blocks) {
  return chunk_depth(shape.recurrent, blocks * shape.recurrent_slots * shape.lanes * sizeof(T), shape.lanes,
                     recurrent_chunk_bytes<V>);
}

/// What a product must know of a cell.
template <std::size_t Slots, auto input, auto recurrent, bool WholeRows, bool Apart>
struct Layout {
  static constexpr std::size_t slots = Slots;
  static constexpr auto input_slots = input, recurrent_slots = recurrent;
  static constexpr bool whole_rows = WholeRows;  ///< the equations need all units of a row
  static constexpr bool apart = Apart;           ///< and take bias and sums of x and h apart
};

/// Blocks that one tile may take: with few slots or few rows several, for independent chains enough.
inline constexpr std::size_t most_blocks = 8;

/// Rows [n, n + R), blocks [block, block + P), recurrent inputs [k_begin, k_end).  `fused`: the input product first.
template <class Layout, bool fused, class V, std::size_t R, std::size_t P, class T>
PYLSTM_INLINE void forward_tile(const ForwardOperands<T>& a, const ForwardStep<T>& step, T* gates, std::size_t n,
                                std::size_t block, std::size_t k_begin, std::size_t k_end, Ahead<T> ahead) {
  constexpr std::size_t S = V::lanes, slots = Layout::slots, G = Layout::recurrent_slots.size();
  // The slots whose sums the tile holds, and which of these the recurrent product adds to.
  constexpr auto held = [] {
    if constexpr (fused) {
      return all_slots<slots>();
    } else {
      return Layout::recurrent_slots;
    }
  }();
  constexpr std::size_t sums = held.size();
  const std::size_t block_size = a.shape.block_size(), gates_stride = a.gates.block_stride;
  const T* const panel = a.panels + block * block_size;
  const auto sum_at = [&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA {
    constexpr auto at = held;
    return gates + i / sums * gates_stride + ((n + r) * slots + at[i % sums]) * S;
  };

  V acc[R][P * sums];
  const T* rows[R];
  if (Layout::apart && k_begin == 0) {
    for_each_sum<R, P * sums>([&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA { acc[r][i] = V::zero(); });
  } else if (!fused || k_begin > 0) {
    for_each_sum<R, P * sums>([&](std::size_t r, std::size_t i)
                                  PYLSTM_INLINE_LAMBDA { acc[r][i] = V::load(sum_at(r, i)); });
  } else {
    for_each_sum<R, P * sums>([&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA {
      acc[r][i] = V::load(panel + i / sums * block_size + a.shape.bias_offset() + i % sums * S);
    });
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) rows[r] = step.x.row(n + r);
    if constexpr (fused) {
      accumulate<sums, Layout::input_slots, R, P>(acc, rows, a.shape.inputs, panel, block_size, {});
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) rows[r] = step.h_prev + (n + r) * a.h.row_width + k_begin;
  const T* const weights = panel + a.shape.recurrent_offset() + k_begin * G * S;
  if constexpr (fused) {
    accumulate<sums, Layout::recurrent_slots, R, P>(acc, rows, k_end - k_begin, weights, block_size, ahead);
  } else {
    accumulate<sums, all_slots<G>(), R, P>(acc, rows, k_end - k_begin, weights, block_size, ahead);
  }
  for_each_sum<R, P * sums>([&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA { acc[r][i].store(sum_at(r, i)); });
}

/// y of one step, a row at a time: vectors written as they are computed would go to as many pages as there are rows.
template <class V, class T>
void copy_outputs(const ForwardOperands<T>& a, const ForwardStep<T>& step, std::size_t row_begin, std::size_t row_end,
                  std::size_t j_begin, std::size_t j_end) {
  const T* const outputs = a.projection ? step.h : step.m;
  for (std::size_t n = row_begin; n < row_end; ++n) {
    const T* const h = outputs + n * a.h.row_width;
    T* const y = step.y.row(n);
    for (std::size_t j = j_begin; j < j_end; j += V::lanes) store_within(V::load(h + j), y + j, j_end - j);
  }
}

/// What the regularisers make of the states of rows and blocks of one step.
template <class V, class T>
void disturb(const ForwardOperands<T>& a, const ForwardStep<T>& step, std::size_t begin, std::size_t end,
             std::size_t j_begin, std::size_t j_end) {
  const std::size_t width = a.shape.padded_units();
  for (std::size_t n = begin; n < end; ++n) {
    const std::size_t at = n * width;
    if (a.noise.holds()) {
      hold<V>(a.noise.hold_h_row(step.t, n), step.m_prev + at, step.m + at, step.m + at, j_begin, j_end);
      if (a.c) hold<V>(a.noise.hold_c_row(step.t, n), step.c_prev + at, step.c_new + at, step.c + at, j_begin, j_end);
    }
    if (!a.noise.drops()) continue;
    for (std::size_t j = at + j_begin; j < at + j_end; j += V::lanes) {
      (V::load(step.m + j) * V::load(a.noise.dropout + j)).store(step.h + j);
    }
  }
}

/// The equations of rows and blocks of one step.
template <class Layout, class V, class T>
PYLSTM_INLINE void forward_units(const ForwardOperands<T>& a, const ForwardStep<T>& step, T* gates, std::size_t n,
                                 std::size_t rows, std::size_t block, std::size_t blocks) {
  const std::size_t width = a.shape.padded_units(), at = n * width + block * a.shape.lanes;
  a.pointwise({.shape = {.rows = rows,
                         .blocks = blocks,
                         .units = a.shape.units,
                         .row_stride = width,
                         .gates_block_stride = a.gates.block_stride,
                         .unit_weights = a.panels + block * a.shape.block_size() + a.shape.unit_weights_offset(),
                         .unit_weights_stride = a.shape.block_size(),
                         .clip = a.options.clip,
                         .activations = a.options.chosen(),
                         .few_inputs = Layout::apart && a.shape.few_inputs()},
               .gates = gates + n * a.gates.row_width,
               .h_prev = step.m_prev + at,
               .c_prev = shifted(step.c_prev, at),
               .h = step.m + at,
               .c = shifted(step.c_new, at),
               .keep_gates = a.keep_gates,
               .kept = shifted(a.kept.at(step.t), n * a.kept.row_width),
               .kept_stride = a.kept.row_width,
               .x_sums = Layout::apart ? a.x_sums.at(step.t) + n * a.x_sums.row_width : nullptr,
               .x_block_stride = a.x_sums.block_stride,
               .x_row_width = a.x_sums.row_width,
               .h_read = step.h_prev + at,
               .h_reset = shifted(a.h_reset, at),
               .reset_panels = a.panels + block * a.shape.block_size() + a.shape.reset_offset()});
  if (a.noise.holds() || a.noise.drops()) {
    disturb<V>(a, step, n, n + rows, block * V::lanes, (block + blocks) * V::lanes);
  }
}

/// h of rows [begin, end) from m.
template <class T, class Isa>
void project(const ForwardOperands<T>& a, const ForwardStep<T>& step, std::size_t begin, std::size_t end) {
  const PanelShape& shape = a.projection.shape;
  for_each_row_list(step.m, a.m.row_width, step.h, a.h.row_width, begin, end,
                    [&](const T* const* in, T* const* out, std::size_t count) {
                      affine<T, Isa, 1, all_slots<1>(), false>({.shape = shape,
                                                                .panels = a.projection.panels,
                                                                .in = in,
                                                                .out = out,
                                                                .n = count,
                                                                .out_block_stride = shape.lanes,
                                                                .columns = shape.lanes,
                                                                .block_begin = 0,
                                                                .block_end = shape.blocks()});
                    });
}

/// Where the sums of rows from `begin` on and a block lie.
template <class T>
PYLSTM_INLINE const T* sums_of_rows(const ForwardOperands<T>& a, std::size_t t, std::size_t begin, std::size_t block) {
  return a.gates.at(t) + block * a.gates.block_stride + begin * a.gates.row_width;
}

/// Asks for what the products and the equations of rows and a block will read and write: a tape, or the product of the
/// input, which have long left the cache.  Out of line: every tile's code would have a copy.
template <class V, class T>
[[gnu::noinline]] void request_sums(const ForwardOperands<T>& a, std::size_t t, std::size_t begin, std::size_t end,
                                    std::size_t block) {
  asm volatile("");  // or GCC drops the calls: to it a prefetch has no effect
  constexpr std::size_t line = 64 / sizeof(T);
  const T* const sums = sums_of_rows(a, t, begin, block);
  for (std::size_t i = 0; i < (end - begin) * a.gates.row_width; i += line) __builtin_prefetch(sums + i, 1, 2);
}

/// And for the states after the step.
template <class V, class T>
[[gnu::noinline]] void request_states(const ForwardOperands<T>& a, std::size_t t, std::size_t begin, std::size_t end,
                                      std::size_t block) {
  asm volatile("");
  const std::size_t width = a.shape.padded_units(), at = block * V::lanes;
  for (std::size_t n = begin; n < end; ++n) __builtin_prefetch(a.m.at(t + 1) + n * width + at, 1, 2);
  for (std::size_t n = begin; a.c_new && n < end; ++n) __builtin_prefetch(a.c_new.at(t + 1) + n * width + at, 1, 2);
}

/// And for where `copy_outputs` will write.
template <class V, class T>
[[gnu::noinline]] void request_outputs(const Rows<T>& y, std::size_t row_begin, std::size_t row_end, std::size_t j) {
  asm volatile("");
  for (std::size_t n = row_begin; n < row_end; ++n) __builtin_prefetch(y.row(n) + j, 1, 2);
}

/// Runs the steps of a range.  Rows that have ended are not touched.
template <class Layout, bool fused, class Isa, class T>
PYLSTM_INLINE void forward_range(const ForwardOperands<T>& a, const Range& range) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t G = Layout::recurrent_slots.size(), sums = fused ? Layout::slots : G;
  constexpr std::size_t wide = std::max<std::size_t>(1, 4 / sums);  // blocks that give a tile four vectors
  constexpr std::size_t most = max_rows<Isa>(wide * sums);
  const std::size_t K = a.shape.recurrent, per_k = G * V::lanes;
  const bool asks = asks_ahead<V>(K * per_k * a.shape.blocks() * sizeof(T));
  const std::size_t cached_bytes = a.keep_gates ? resident_bytes : 8 * resident_bytes;  // without a tape they are new
  const bool requests = a.gates.block_stride * a.shape.blocks() * sizeof(T) > cached_bytes;
  const auto recurrent_panel = [&](std::size_t block) {
    return a.panels + block * a.shape.block_size() + a.shape.recurrent_offset();
  };
  for (std::size_t t = range.step_begin; t < range.step_end; ++t) {
    const std::size_t row_end = std::min(range.row_end, a.schedule->active_at(t));
    if (row_end <= range.row_begin) break;
    const ForwardStep<T> step(a, t);
    const std::size_t n = range.row_begin, rows = row_end - n;
    std::size_t block = range.block_begin;
    const auto gates_of_group = [&] { return step.gates + (a.gates_kept ? block * a.gates.block_stride : 0); };
    // Few rows: several blocks of units in flight hide the latency of the FMA chains.
    const auto few_rows = [&]<std::size_t R, std::size_t P>(std::integral_constant<std::size_t, R>,
                                                            std::integral_constant<std::size_t, P>) {
      static_assert(P <= most_blocks);
      for (; block + P <= range.block_end; block += P) {
        T* const gates = gates_of_group();
        forward_tile<Layout, fused, V, R, P>(a, step, gates, n, block, 0, K, {});
        if (!Layout::whole_rows) forward_units<Layout, V>(a, step, gates, n, rows, block, P);
      }
    };
    constexpr std::integral_constant<std::size_t, 1> one;
    constexpr std::integral_constant<std::size_t, 2> two;
    constexpr std::integral_constant<std::size_t, std::min(most_blocks, 2 * wide)> twice;
    if constexpr (most >= 4) {
      constexpr std::integral_constant<std::size_t, std::min(most_blocks, 4 * wide)> four_times;
      if (rows == 1) few_rows(one, four_times);
      if (rows == 2) few_rows(two, twice);
    }
    if constexpr (most >= 2) {
      if (rows == 1) few_rows(one, twice);
    }
    const auto all_rows = [&]<std::size_t P>(std::integral_constant<std::size_t, P>) {
      const std::size_t depth = forward_depth<V, T>(a.shape, P);
      const bool streams = asks && P == 1;
      for (; block + P <= range.block_end; block += P) {
        T* const gates = gates_of_group();
        if (step.y && !a.projection) request_outputs<V>(step.y, n, row_end, block * V::lanes);
        const std::size_t next_block = block + P < a.shape.blocks() ? block + P : range.block_begin;
        const bool last = block + P >= range.block_end;
        const std::size_t asked_t = last ? t + 1 : t, asked_block = last ? range.block_begin : block + P;
        for (std::size_t k = 0; k < K; k += depth) {
          const std::size_t end = std::min(k + depth, K);
          const T* const next = end < K ? recurrent_panel(block) + end * per_k : recurrent_panel(next_block);
          for_each_tile<max_rows<Isa>(P * sums)>(
              n, row_end, [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t first) {
                // In its turns a tile asks for the next weights, or if these are in L2 for its rows' next sums.
                const std::size_t turns = (end - k + unrolled - 1) / unrolled;
                Ahead<T> ahead;
                if (streams) ahead = Ahead<T>::template share<V, R>(next, depth * per_k, first - n, rows, turns);
                if (requests && k == 0 && asked_t < range.step_end) {
                  request_states<V>(a, asked_t, first, first + R, asked_block);
                  if (streams || !asks_in_turns<V, R>(end - k)) {
                    request_sums<V>(a, asked_t, first, first + R, asked_block);
                  } else {
                    ahead = Ahead<T>::template lines<V>(sums_of_rows(a, asked_t, first, asked_block),
                                                        R * a.gates.row_width, turns);
                  }
                }
                forward_tile<Layout, fused, V, R, P>(a, step, gates, first, block, k, end, ahead);
              });
        }
        if (!Layout::whole_rows) forward_units<Layout, V>(a, step, gates, n, rows, block, P);
      }
    };
    if constexpr (wide > 1) all_rows(std::integral_constant<std::size_t, wide>{});
    all_rows(one);
    if (Layout::whole_rows) forward_units<Layout, V>(a, step, step.gates, n, rows, 0, a.shape.blocks());
    if (a.projection) project<T, Isa>(a, step, n, row_end);
    if (step.y) {
      const std::size_t end = a.projection ? a.shape.padded_recurrent() : range.block_end * V::lanes;
      copy_outputs<V>(a, step, n, row_end, range.block_begin * V::lanes, std::min(end, a.shape.recurrent));
    }
  }
}

/// `forward_range` by `step`.
template <class V, class T>
PYLSTM_INLINE void forward_row(const ForwardOperands<T>& a, const Range& range) {
  for (std::size_t t = range.step_begin; t < range.step_end && a.schedule->active_at(t) > 0; ++t) {
    const ForwardStep<T> step(a, t);
    a.step(a.shape, {.panels = a.panels,
                     .x = step.x.row(0),
                     .h_prev = step.h_prev,
                     .h = step.h,
                     .c = step.c,
                     .clip = a.options.clip,
                     .descending = t % 2 != 0});
    if (step.y) copy_outputs<V>(a, step, 0, 1, 0, a.shape.recurrent);
  }
}

template <class T, class Isa, class Layout>
void forward_steps(const ForwardOperands<T>& a, const Range& range) {
  const simd::FlushDenormals flush;
  if (a.step != nullptr) return forward_row<typename Isa::template vec<T>>(a, range);
  if constexpr (!Layout::whole_rows) {
    if (!a.input_product_ready) return forward_range<Layout, true, Isa>(a, range);
  }
  forward_range<Layout, false, Isa>(a, range);
}

}  // namespace pylstm::kernels
