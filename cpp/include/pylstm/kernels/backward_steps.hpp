/// Backpropagation through the recurrence of one layer, last step first: the cell's equations, and between them
/// products of the gates' gradients with the transposed recurrent weights.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/pointwise.hpp"
#include "pylstm/kernels/product.hpp"
#include "pylstm/kernels/recurrence.hpp"
#include "pylstm/kernels/state_noise.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::kernels {

/// Operands of the backward recurrence, t descending.
template <class T>
struct BackwardOperands {
  const Schedule* schedule;
  PanelShape shape;
  const T* panels;
  const T* recurrent_transposed;  ///< transposed panels of the recurrent part
  CellOptions<T> options = {};
  GateRows recurrent_gates;
  void (*pointwise)(const PointwiseBackward<T>&);
  StateNoise<T> noise = {};
  History<const T> h = {}, c = {}, m = {}, c_new = {}, gates = {}, kept = {};  ///< the tape of the forward recurrence
  History<T> dgates = {};     ///< out: gradients of the sums, [slots][S] for each block
  History<T> dweights = {};   ///< out: parts of the gradients of the units' own weights, likewise; null: none
  std::size_t dweights_rows;  ///< rows whose parts are one row of them
  bool whole_rows;            ///< the equations need all units of a row
  const T* reset_transposed;  ///< for cells with reset slots: transposed panels of these,
  History<T> h_reset = {};    ///< the state behind the reset gate, computed once more,
  T* dh_reset = nullptr;      ///< and [rows][padded H] its gradient, zero past H
  Projection<T> projection;
  Sequence<const T> dy;                      ///< rows of h; may be null
  const T *dh_n, *dc_n;                      ///< [rows][width of h], [rows][H] in the caller's row order; may be null
  T *dc = nullptr, *dh_shortcut = nullptr;   ///< [rows][padded H] carried from step to step; null: the cell has none
  bool has_shortcut;                         ///< the equations write dh_shortcut; otherwise zoneout alone does
  T *dh_held = nullptr, *dc_held = nullptr;  ///< [rows][padded H] what zoneout hands on of a step's gradients
  History<T> dh = {};                        ///< gradients of h, of a step or of a chunk of them
  T* dm = nullptr;                           ///< [rows][padded H] gradients of m, zero past H; with a projection
};

/// `to` = the gradient of the state after the row's last step, or zero, plus that of its output there.
/// Rows [begin, end), elements [j_begin, j_end) of `width`, of which `columns` exist.
template <class V, class T>
void start_rows(const Schedule& schedule, const Rows<const T>& dy, const T* final_gradient, std::size_t columns,
                std::size_t begin, std::size_t end, std::size_t j_begin, std::size_t j_end, T* to, std::size_t width) {
  for (std::size_t n = begin; n < end; ++n) {
    const T* const dy_row = dy ? dy.row(n) : nullptr;
    const T* const final_row = shifted(final_gradient, schedule.caller_row(n) * columns);
    for (std::size_t j = j_begin; j < j_end; j += V::lanes) {
      const V output = dy ? load_within<V>(dy_row + j, columns - j) : V::zero();
      const V state = final_row != nullptr ? load_within<V>(final_row + j, columns - j) : V::zero();
      (output + state).store(to + n * width + j);
    }
  }
}

/// dh of rows [n, n + R) and blocks [block, block + NV): dy and the shortcut, plus units [j_begin, j_end) of the
/// product of `dgates`, one step's gradients.
template <class V, std::size_t R, std::size_t NV, class T>
PYLSTM_INLINE void backward_tile(const BackwardOperands<T>& a, const Rows<const T>& dy, const T* dgates, T* dh_rows,
                                 std::size_t n, std::size_t block, std::size_t j_begin, std::size_t j_end,
                                 Ahead<T> ahead) {
  constexpr std::size_t S = V::lanes;
  const std::size_t columns = a.shape.recurrent, width = a.dh.row_width;
  V dh[R][NV];
  for_each_sum<R, NV>([&](std::size_t r, std::size_t v) PYLSTM_INLINE_LAMBDA {
    const std::size_t j = (block + v) * S, at = (n + r) * width + j;
    if (j_begin > 0) {
      dh[r][v] = V::load(dh_rows + at);
    } else if (a.noise.drops()) {  // the mask is over the product alone
      dh[r][v] = V::zero();
    } else {
      dh[r][v] = dy ? load_within<V>(dy.row(n + r) + j, columns - j) : V::zero();
      if (a.dh_shortcut != nullptr) dh[r][v] = dh[r][v] + V::load(a.dh_shortcut + at);
    }
  });
  const T* rows[R];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) rows[r] = dgates + (n + r) * a.dgates.row_width;
  const T* const panel = a.recurrent_transposed + block * a.shape.units * a.shape.recurrent_slots * S;
  accumulate_gates<R, NV, S>(dh, rows, a.recurrent_gates, a.dgates.block_stride, j_begin, j_end, panel, ahead);
  for_each_sum<R, NV>([&](std::size_t r, std::size_t v)
                          PYLSTM_INLINE_LAMBDA { dh[r][v].store(dh_rows + (n + r) * width + (block + v) * S); });
}

/// dh of rows [begin, end) where it is the product alone: under its mask, and with what bypasses the product.
template <class V, class T>
void mask_product(const BackwardOperands<T>& a, const Rows<const T>& dy, T* dh, std::size_t begin, std::size_t end,
                  std::size_t j_begin, std::size_t j_end) {
  for (std::size_t n = begin; n < end; ++n) {
    const T* const dy_row = dy ? dy.row(n) : nullptr;
    for (std::size_t j = j_begin; j < j_end; j += V::lanes) {
      const std::size_t at = n * a.dh.row_width + j;
      V around = dy_row != nullptr ? load_within<V>(dy_row + j, a.shape.recurrent - j) : V::zero();
      if (a.dh_shortcut != nullptr) around = around + V::load(a.dh_shortcut + at);
      fma(V::load(a.noise.dropout + at), V::load(dh + at), around).store(dh + at);
    }
  }
}

/// dh before a step of rows that have one: `dy` of the step before (or none), through the step's `dgates`.
/// `before(row, rows, block, blocks)` goes ahead of each tile, `after(block, blocks)` follows each group of blocks.
template <class T, class Isa, class Before, class After>
PYLSTM_INLINE void recurrent_gradient(const BackwardOperands<T>& a, const Range& range, const Rows<const T>& dy,
                                      const T* dgates, T* dh, std::size_t row_end, Before before, After after) {
  using V = typename Isa::template vec<T>;
  const TransposedShape shape = transposed(a.shape, recurrent_part(a.shape));
  const std::size_t block_begin = a.projection ? 0 : range.block_begin,
                    block_end = a.projection ? shape.blocks() : range.block_end;
  const bool asks = asks_ahead<V>(shape.block_size() * (block_end - block_begin) * sizeof(T));
  const std::size_t begin = range.row_begin;
  for_each_transposed_group(
      shape, block_begin, block_end,
      [&]<std::size_t NV>(std::integral_constant<std::size_t, NV> vectors, std::size_t block) {
        for_each_transposed_tile<Isa, T>(
            shape, vectors, begin, row_end,
            [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t n, std::size_t j_begin,
                               std::size_t j_end) {
              // The next chunk, as large; after the last group's the first.
              const std::size_t next_block = block + NV < block_end ? block + NV : block_begin;
              const T* const next =
                  a.recurrent_transposed + (j_end < shape.units
                                                ? block * shape.block_size() + j_end * shape.gates * NV * V::lanes
                                                : next_block * shape.block_size());
              const std::size_t chunk = j_end - j_begin;
              before(n, R, block, NV);
              backward_tile<V, R, NV>(a, dy, dgates, dh, n, block, j_begin, j_end,
                                      asks ? Ahead<T>::template share<V, R>(next, chunk * shape.gates * NV * V::lanes,
                                                                            n - begin, row_end - begin, chunk)
                                           : Ahead<T>{});
            });
        after(block, NV);
      });
}

/// Asks for what the equations of rows and blocks will read: the tape has long left the cache.
template <class T>
PYLSTM_INLINE void request_tape(const BackwardOperands<T>& a, std::size_t t, std::size_t begin, std::size_t end,
                                std::size_t block, std::size_t blocks) {
  constexpr std::size_t line = 64 / sizeof(T);
  const std::size_t row = a.gates.row_width, width = a.shape.padded_units();
  if (a.projection) return;  // blocks of h are not blocks of units
  if (a.kept) return;        // the equations ask for what they kept, and the rest with it
  for (std::size_t p = 0; p < blocks; ++p) {
    const T* const gates = a.gates.at(t) + (block + p) * a.gates.block_stride;
    for (std::size_t i = begin * row; i < end * row; i += line) __builtin_prefetch(gates + i);
  }
  if (!a.c) return;
  for (std::size_t n = begin; n < end; ++n) {
    const T* const c_prev = a.c.at(t) + n * width + block * a.shape.lanes;
    for (std::size_t i = 0; i < blocks * a.shape.lanes; i += line) __builtin_prefetch(c_prev + i);
  }
}

/// dm of rows [begin, end) from dh.
template <class T, class Isa>
void unproject(const BackwardOperands<T>& a, const T* dh, std::size_t begin, std::size_t end) {
  const PanelShape& shape = a.projection.shape;
  for_each_row_list(dh, a.dh.row_width, a.dm, a.shape.padded_units(), begin, end,
                    [&](const T* const* in, T* const* out, std::size_t count) {
                      transposed_product<T, Isa>({.shape = transposed(shape, input_part(shape)),
                                                  .gates = gate_rows<1, all_slots<1>()>(shape.lanes),
                                                  .panels = a.projection.transposed,
                                                  .d = in,
                                                  .out = out,
                                                  .n = count,
                                                  .d_block_stride = shape.lanes});
                    });
}

/// Zoneout: what of a step's gradients goes to the states before it is set aside.
template <class V, class T>
void release_states(const BackwardOperands<T>& a, std::size_t t, T* dh, std::size_t begin, std::size_t end,
                    std::size_t j_begin, std::size_t j_end) {
  for (std::size_t n = begin; n < end; ++n) {
    const std::size_t at = n * a.shape.padded_units();
    release<V>(a.noise.hold_h_row(t, n), dh + at, a.dh_held + at, j_begin, j_end);
    if (a.dc != nullptr) release<V>(a.noise.hold_c_row(t, n), a.dc + at, a.dc_held + at, j_begin, j_end);
  }
}

/// And joins, after the equations, what these hand on.
template <class V, class T>
void add_held(const BackwardOperands<T>& a, std::size_t begin, std::size_t end, std::size_t j_begin,
              std::size_t j_end) {
  for (std::size_t n = begin; n < end; ++n) {
    for (std::size_t j = n * a.shape.padded_units() + j_begin; j < n * a.shape.padded_units() + j_end; j += V::lanes) {
      const V held = V::load(a.dh_held + j);
      (a.has_shortcut ? V::load(a.dh_shortcut + j) + held : held).store(a.dh_shortcut + j);
      if (a.dc != nullptr) (V::load(a.dc + j) + V::load(a.dc_held + j)).store(a.dc + j);
    }
  }
}

/// Before step `after` of a range's rows and blocks: dh through the gates of that step, and the equations of the step
/// before.  There is none before step 0: then dh and dc are those of the states that the rows begin with.
/// One function: its tiles are in many sizes.
template <class T, class Isa>
[[gnu::noinline]] void step_back(const BackwardOperands<T>& a, const Range& range, std::size_t after) {
  using V = typename Isa::template vec<T>;
  const bool is_step = after > 0;
  const std::size_t t = is_step ? after - 1 : 0;
  const std::size_t width = a.shape.padded_units(), S = V::lanes;
  const std::size_t running = std::clamp(a.schedule->active_at(after), range.row_begin, range.row_end);
  const std::size_t started =
      is_step ? std::clamp(a.schedule->active_at(t), range.row_begin, range.row_end) : range.row_end;
  if (started == range.row_begin) return;
  const Rows<const T> dy = is_step ? a.dy.at(t) : Rows<const T>{};
  T* const dh = a.dh.at(t);
  start_rows<V>(*a.schedule, dy, a.dh_n, a.shape.recurrent, running, started, range.block_begin * S,
                a.projection ? a.dh.row_width : range.block_end * S, dh, a.dh.row_width);
  if (a.dc != nullptr) {
    start_rows<V>(*a.schedule, {}, a.dc_n, a.shape.units, running, started, range.block_begin * S, range.block_end * S,
                  a.dc, width);
  }
  const auto equations = [&](std::size_t block, std::size_t blocks) {
    const std::size_t n = range.row_begin, at = n * width + block * S;
    const std::size_t j_begin = block * S, j_end = j_begin + blocks * S;
    if (a.noise.drops()) mask_product<V>(a, dy, dh, n, running, j_begin, j_end);
    if (!is_step) return;
    if (a.noise.holds()) release_states<V>(a, t, dh, n, started, j_begin, j_end);
    const std::size_t gates_stride = a.gates.block_stride, dgates_stride = a.dgates.block_stride;
    a.pointwise({.shape = {.rows = started - n,
                           .blocks = blocks,
                           .units = a.shape.units,
                           .row_stride = width,
                           .gates_block_stride = gates_stride,
                           .unit_weights = a.panels + block * a.shape.block_size() + a.shape.unit_weights_offset(),
                           .unit_weights_stride = a.shape.block_size(),
                           .clip = a.options.clip,
                           .activations = a.options.chosen(),
                           .few_inputs = a.shape.few_inputs()},
                 .gates = a.gates.at(t) + block * gates_stride + n * a.gates.row_width,
                 .dgates = a.dgates.at(t) + block * dgates_stride + n * a.dgates.row_width,
                 .dgates_block_stride = dgates_stride,
                 .dweights = shifted(a.dweights.at(t),
                                     block * a.dweights.block_stride + n / a.dweights_rows * a.dweights.row_width),
                 .dweights_block_stride = a.dweights.block_stride,
                 .kept = shifted(a.kept.at(t), n * a.kept.row_width),
                 .kept_stride = a.kept.row_width,
                 .h_prev = a.m.at(t) + at,
                 .c_prev = shifted(a.c.at(t), at),
                 .c = shifted(a.c_new.at(t + 1), at),
                 .dh = (a.projection ? a.dm : dh) + at,
                 .dc = shifted(a.dc, at),
                 .dh_shortcut = shifted(a.dh_shortcut, at),
                 .h_read = a.h.at(t) + at,
                 .dropout = shifted(a.noise.dropout, at),
                 .reset_transposed = a.reset_transposed,
                 .h_reset = shifted(a.h_reset.at(t), at),
                 .dh_reset = shifted(a.dh_reset, at)});
    if (a.noise.holds()) add_held<V>(a, n, started, j_begin, j_end);
  };
  // Otherwise the equations follow their group of blocks, whose gradients of h are in L1.
  const bool at_once = a.whole_rows || a.projection || running == range.row_begin;
  if (running > range.row_begin) {
    recurrent_gradient<T, Isa>(
        a, range, dy, a.dgates.at(after), dh, running,
        [&](std::size_t n, std::size_t rows, std::size_t block, std::size_t blocks) {
          if (is_step) request_tape(a, t, n, n + rows, block, blocks);
        },
        [&](std::size_t block, std::size_t blocks) {
          if (!at_once) equations(block, blocks);
        });
  }
  if (is_step && a.projection) unproject<T, Isa>(a, dh, range.row_begin, started);
  if (at_once) equations(range.block_begin, range.block_end - range.block_begin);
}

/// Runs the steps of a range, last first.  A block range must begin and end at groups of the transposed panels.
template <class T, class Isa>
void backward_steps(const BackwardOperands<T>& a, const Range& range) {
  const simd::FlushDenormals flush;
  for (std::size_t t = range.step_end; t-- > range.step_begin;) step_back<T, Isa>(a, range, t + 1);
}

/// dh before step 0 of a range's rows and blocks, after its backward steps have reached it: written to a.dh.at(0).
template <class T, class Isa>
void initial_gradient(const BackwardOperands<T>& a, const Range& range) {
  const simd::FlushDenormals flush;
  step_back<T, Isa>(a, range, 0);
}

}  // namespace pylstm::kernels
