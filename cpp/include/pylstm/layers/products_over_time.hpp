/// Backpropagation's products over a chunk of steps: gradients of weights and inputs from those of the gates.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/operands.hpp"
#include "pylstm/layers/row_shares.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// Rows [begin, end) of the backward recurrence, a run of some share's, and where theirs lies.
template <class T>
struct BackwardRun {
  std::size_t share, begin, end;
  kernels::BackwardOperands<T> operands;
  std::size_t listed = 0;  ///< rows of a chunk, for dx

  bool belongs_to(const Share& of_threads, const RowShares& shares) const {
    return of_threads.begin(shares.count) <= share && share < of_threads.end(shares.count);
  }
};

/// `list` first, then every `share`.
template <class T>
class ProductsOverTime {
 public:
  /// Of chunks of at most `most_steps` steps; `runs` are those of the backward recurrence, in `shares`.
  ProductsOverTime(const kernels::CellKernels<T>& cell, const RowShares& shares, std::vector<BackwardRun<T>>& runs,
                   const SequenceGradients<T>& gradients, std::size_t most_steps, Workspace<T>& work)
      : cell_(cell),
        shares_(shares),
        runs_(runs),
        a_(runs.front().operands),
        g_(gradients),
        most_steps_(most_steps),
        most_(most_steps * shares.rows),
        work_(work) {
    work_.in.resize(lists * most_);
    work_.d.resize(gradient_lists * most_);
    work_.out.resize(most_);
  }

  /// Whether dx takes `Workspace::input_transposed`; of a few inputs it takes the panels as they are.
  static bool takes_transposed(const kernels::PanelShape& shape) { return shape.inputs > kernels::few_columns; }

  /// Lists the rows of the steps of a segment, last step first: the order in which every weight's gradient is summed.
  void list(Sequence<const T> x, const Segment& segment, const Schedule& schedule) {
    rows_ = parts_ = 0;
    for (BackwardRun<T>& run : runs_) run.listed = 0;
    for (std::size_t t = segment.end; t-- > segment.begin;) {
      const std::size_t first = segment.first_row(schedule, t), active = schedule.active_at(t);
      for (BackwardRun<T>& run : runs_) {
        list_run(run, t, std::clamp(first, run.begin, run.end), std::clamp(active, run.begin, run.end), x);
      }
    }
  }

  /// A share of dW and dx over the rows listed.  dW is owned by tile: never summed per share.  dx is of the rows whose
  /// gradients the share's thread has computed itself, unless threads share the units.
  /// `fresh`: sums begin at zero.
  void share(const Share& share, bool fresh) const {
    if (g_.dpanels != nullptr) weights(share, fresh);
    if (!g_.dx) return;
    for (const BackwardRun<T>& run : runs_) {
      if (shares_.count == 1) {
        inputs_gradient(run, share.begin(run.listed), share.end(run.listed));
      } else if (run.belongs_to(share, shares_)) {
        inputs_gradient(run, 0, run.listed);
      }
    }
  }

 private:
  /// Lists of rows in `work.in`: what multiplies gradients, and parts of those of the units' own weights.
  enum List : std::size_t { inputs, states, dweights, unprojected, reset_states, lists };
  /// And in `work.d`: gradients of the sums, those of h, and once more those of the sums, run by run.
  enum GradientList : std::size_t { sums, projected, sums_of_runs, gradient_lists };

  const T** in(List list) const { return work_.in.data() + list * most_; }
  const T** d(GradientList list) const { return work_.d.data() + list * most_; }
  const kernels::PanelShape& shape() const { return a_.shape; }
  std::size_t first_of(const BackwardRun<T>& run) const { return run.begin * most_steps_; }

  void inputs_gradient(const BackwardRun<T>& run, std::size_t begin, std::size_t end) const {
    const T* const* const gradients = d(sums_of_runs) + first_of(run) + begin;
    T* const* const out = work_.out.data() + first_of(run) + begin;
    if (takes_transposed(shape())) {
      cell_.input.transposed({.shape = transposed(shape(), kernels::input_part(shape())),
                              .gates = cell_.input.gates,
                              .panels = work_.input_transposed.data(),
                              .d = gradients,
                              .out = out,
                              .n = end - begin,
                              .d_block_stride = a_.dgates.block_stride});
    } else {
      cell_.input.few_columns({.shape = shape(),
                               .part = kernels::input_part(shape()),
                               .gates = cell_.input.gates,
                               .panels = a_.panels,
                               .d = gradients,
                               .out = out,
                               .n = end - begin,
                               .d_block_stride = a_.dgates.block_stride});
    }
  }

  void list_run(BackwardRun<T>& run, std::size_t t, std::size_t begin, std::size_t end, const Sequence<const T>& x) {
    const kernels::BackwardOperands<T>& a = run.operands;
    const Rows<const T> x_rows = x.at(t);
    const Rows<T> dx_rows = g_.dx.at(t);
    const T *const dgates = a.dgates.at(t), *const h = a.h.at(t), *const h_reset = a.h_reset.at(t),
                   *const dh = a.projection ? a.dh.at(t) : nullptr, *const m = a.projection ? a.m.at(t + 1) : nullptr;
    for (std::size_t row = begin; row < end; ++row, ++rows_) {
      d(sums)[rows_] = dgates + row * a.dgates.row_width;
      in(inputs)[rows_] = x_rows.row(row);
      in(states)[rows_] = h + row * a.h.row_width;
      if (h_reset != nullptr) in(reset_states)[rows_] = h_reset + row * a.h_reset.row_width;
      if (a.projection) {
        d(projected)[rows_] = dh + row * a.dh.row_width;
        in(unprojected)[rows_] = m + row * a.m.row_width;
      }
      if (!dx_rows) continue;
      const std::size_t at = first_of(run) + run.listed++;
      d(sums_of_runs)[at] = d(sums)[rows_];
      work_.out[at] = dx_rows.row(row);
    }
    if (!a.dweights || begin == end) return;
    const std::size_t last = cell_.parts(end);
    for (std::size_t part = begin / cell_.dweights_rows; part < last; ++part) {
      in(dweights)[parts_++] = a.dweights.row(t, part);
    }
  }

  /// Threads share the weights by blocks of units and by k within them: in so many even shares of the blocks that each
  /// reads few gradients and few inputs, most of which another thread's cache has.
  std::size_t shares_of_blocks(std::size_t threads, std::size_t ks) const {
    const std::size_t blocks = shape().blocks(), gradients = shape().padded_units() * shape().slots;
    std::size_t best = 1, least = gradients + ks / threads;
    for (std::size_t shares = 2; shares <= std::min(threads, blocks); ++shares) {
      const bool even = threads % shares == 0 && (blocks % shares == 0 || blocks >= 4 * shares);
      const std::size_t reads = gradients / shares + ks * shares / threads;
      if (even && reads < least) best = shares, least = reads;
    }
    return best;
  }

  void weights(const Share& share, bool fresh) const {
    // k counts the inputs, then the bias and the units' own weights as one, then the rows of h, then those behind the
    // reset gate.
    const std::size_t bias = shape().inputs, h = bias + 1, reset = h + shape().recurrent,
                      end = reset + (shape().reset_slots > 0 ? shape().recurrent : 0);
    const std::size_t blocks = shape().blocks(), block_shares = shares_of_blocks(share.size, end),
                      k_shares = share.size / block_shares;
    const Share block{share.index / k_shares, block_shares}, k{share.index % k_shares, k_shares};
    const std::size_t block_begin = block.begin(blocks), block_end = block.end(blocks);
    const std::size_t k_begin = k.begin(end), k_end = k.end(end);
    const auto outer = [&](const kernels::PanelKernels<T>& kernel, List list, std::size_t first, std::size_t last,
                           std::size_t offset) {
      kernel.outer({.d = d(sums),
                    .in = in(list),
                    .n = rows_,
                    .d_block_stride = a_.dgates.block_stride,
                    .fresh = fresh,
                    .k_begin = std::clamp(k_begin, first, last) - first,
                    .k_end = std::clamp(k_end, first, last) - first,
                    .dw = g_.dpanels + offset,
                    .block_size = shape().block_size(),
                    .block_begin = block_begin,
                    .block_end = block_end});
    };
    const auto sum_rows = [&](const T* const* list, std::size_t rows, const History<T>& history, std::size_t count,
                              std::size_t offset) {
      cell_.sum_rows({.rows = list,
                      .n = rows,
                      .block_stride = history.block_stride,
                      .fresh = fresh,
                      .count = count,
                      .sums = g_.dpanels + offset,
                      .sums_block_stride = shape().block_size(),
                      .block_begin = block_begin,
                      .block_end = block_end});
    };
    outer(cell_.input, inputs, 0, bias, 0);
    if (k_begin <= bias && bias < k_end) {
      // The bias follows the units' own weights: where the equations give its gradient, the sums are of both.
      const bool bias_apart = cell_.dweights > cell_.unit_weights;
      if (!bias_apart) sum_rows(d(sums), rows_, a_.dgates, shape().bias_slots, shape().bias_offset());
      if (a_.dweights) sum_rows(in(dweights), parts_, a_.dweights, cell_.dweights, shape().unit_weights_offset());
    }
    outer(cell_.recurrent, states, h, reset, shape().recurrent_offset());
    if (end > reset) outer(cell_.reset, reset_states, reset, end, shape().reset_offset());
    if (!a_.projection) return;
    const kernels::PanelShape& projection = a_.projection.shape;
    cell_.projection_outer({.d = d(projected),
                            .in = in(unprojected),
                            .n = rows_,
                            .d_block_stride = shape().lanes,
                            .fresh = fresh,
                            .k_begin = share.begin(shape().units),
                            .k_end = share.end(shape().units),
                            .dw = g_.dpanels + shape().size(),
                            .block_size = projection.block_size(),
                            .block_begin = 0,
                            .block_end = projection.blocks()});
  }

  const kernels::CellKernels<T>& cell_;
  const RowShares& shares_;
  std::vector<BackwardRun<T>>& runs_;
  const kernels::BackwardOperands<T>& a_;  ///< of the first run: strides and options are those of all
  const SequenceGradients<T>& g_;
  const std::size_t most_steps_, most_;
  Workspace<T>& work_;
  std::size_t rows_ = 0, parts_ = 0;
};

}  // namespace pylstm::layers
