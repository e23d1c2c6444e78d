/// Backpropagation's products over a chunk of steps: gradients of weights and inputs from those of the gates.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/input_gradients.hpp"
#include "pylstm/layers/norm_of_inputs.hpp"
#include "pylstm/layers/operands.hpp"
#include "pylstm/layers/plan.hpp"
#include "pylstm/layers/row_shares.hpp"
#include "pylstm/layers/walk.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::layers {

/// Rows [begin, end) of the backward recurrence, a run of some share's, and where theirs lies.  Threads count what they
/// list at the same time: no two runs share a cache line.
template <class T>
struct alignas(64) BackwardRun {
  std::size_t share, begin, end;
  kernels::BackwardOperands<T> operands;
  std::size_t listed = 0;  ///< rows of a chunk, for dx

  bool belongs_to(const Share& of_threads, const RowShares& shares) const {
    return of_threads.begin(shares.count) <= share && share < of_threads.end(shares.count);
  }
};

/// For each chunk either `list`, then of every share `share_inputs` and `share_weights`, with a meeting between them if
/// `meets`, or `own` of every share; at the end `finish`.
template <class T>
class ProductsOverTime {
 public:
  /// Of chunks of at most `most_steps` steps; `runs` are those of the backward recurrence, in `shares`.  Weight
  /// gradients are summed over each of `groups` of rows apart; `finish` adds them up.
  ProductsOverTime(const kernels::CellKernels<T>& cell, const InputGradients<T>& of_inputs, const NormOfInputs<T>& norm,
                   const RowShares& shares, const RowShares& groups, std::vector<BackwardRun<T>>& runs,
                   const SequenceGradients<T>& gradients, std::size_t most_steps, Workspace<T>& work)
      : cell_(cell),
        inputs_(of_inputs),
        norm_(norm),
        shares_(shares),
        groups_(groups),
        runs_(runs),
        a_(runs.front().operands),
        g_(gradients),
        most_steps_(most_steps),
        most_(most_steps * shares.rows),
        size_(shape().size() + a_.projection.shape.size()),
        work_(work) {
    work_.in.resize(lists * most_);
    work_.d.resize(gradient_lists * most_);
    work_.out.resize(most_);
    if (norm_) norm_.reserve(most_, groups_.count);
    if (groups_.count > 1) work_.sums.reserve(checked_product(groups_.count, size_));
  }

  /// Whether each share of the memory has whole groups, so that its thread may go through all products alone.
  bool owns_groups() const { return groups_.count % shares_.count == 0; }

  /// All products of the steps of a segment and the rows whose gradients the share's thread has computed itself.
  void own(const Share& share, Sequence<const T> x, const Segment& segment, const Schedule& schedule, bool fresh) {
    for (BackwardRun<T>& run : runs_) {
      if (run.belongs_to(share, shares_)) run.listed = 0;
    }
    const std::size_t each = groups_.count / shares_.count, begin = share.begin(shares_.count) * each,
                      end = share.end(shares_.count) * each;
    for (std::size_t group = begin; group < end; ++group) list_group(group, x, segment, schedule);
    if (meets()) share_inputs(share);
    for (std::size_t group = begin; wants_weights() && group < end; ++group) weights(group, Share{}, fresh);
    if (!meets()) share_inputs(share);
  }

  /// Lists the rows of the steps of a segment.
  void list(Sequence<const T> x, const Segment& segment, const Schedule& schedule) {
    for (BackwardRun<T>& run : runs_) run.listed = 0;
    for (std::size_t group = 0; group < groups_.count; ++group) list_group(group, x, segment, schedule);
  }

  /// Whether any product takes the weights of the inputs.
  bool wants_inputs() const { return g_.dx || (norm_ && wants_weights()); }
  /// Whether dW takes what dx of all shares has left.
  bool meets() const { return static_cast<bool>(norm_); }

  /// A share of dx over the rows listed: of those whose gradients its thread has computed itself, unless threads share
  /// the units.
  void share_inputs(const Share& share) const {
    if (!wants_inputs()) return;
    for (const BackwardRun<T>& run : runs_) {
      if (shares_.count == 1) {
        inputs_gradient(run, share.begin(run.listed), share.end(run.listed));
      } else if (run.belongs_to(share, shares_)) {
        inputs_gradient(run, 0, run.listed);
      }
    }
  }

  /// And of dW, which is owned by tile: of a group never summed per share.  `fresh`: sums begin at zero.
  void share_weights(const Share& share, bool fresh) const {
    if (!wants_weights()) return;
    const std::size_t each = share.size / groups_.count;  // shares of a group
    for (std::size_t group = 0; group < groups_.count; ++group) {
      if (each * groups_.count != share.size) {
        weights(group, share, fresh);
      } else if (share.index / each == group) {
        weights(group, {share.index % each, each}, fresh);
      }
    }
  }

  /// dW through the norm of the inputs, and of several groups, from what each has; with the sums a segment before goes
  /// on.
  void finish(std::size_t threads) const {
    if (!wants_weights()) return;
    for (std::size_t group = 0; norm_ && group < groups_.count; ++group) norm_.finish(group, dpanels(group));
    if (groups_.count == 1) return;
    ThreadPool::instance().run(threads, [&](const Share& share) {
      const simd::FlushDenormals flush;
      const std::size_t begin = share.begin(size_), count = share.end(size_) - begin;
      std::copy_n(dpanels(0) + begin, count, g_.dpanels + begin);
      for (std::size_t group = 1; group < groups_.count; ++group) {
        add(dpanels(group) + begin, count, g_.dpanels + begin);
      }
    });
  }

 private:
  /// Lists of rows in `work.in`: what multiplies gradients, and parts of those of the units' own weights.
  enum List : std::size_t { inputs, states, dweights, unprojected, reset_states, lists };
  /// And in `work.d`: gradients of the sums, those of h, once more those of the sums, run by run, and those of the norm
  /// of the inputs.
  enum GradientList : std::size_t { sums, projected, sums_of_runs, normed, gradient_lists };
  /// How much of them a group has.  A cache line of its own: threads count at the same time.
  struct alignas(64) Listed {
    std::size_t rows = 0, parts = 0;
  };

  const T** in(List list) const { return work_.in.data() + list * most_; }
  const T** d(GradientList list) const { return work_.d.data() + list * most_; }
  const kernels::PanelShape& shape() const { return a_.shape; }
  T* dpanels(std::size_t group) const { return groups_.count == 1 ? g_.dpanels : work_.sums.data() + group * size_; }
  bool wants_weights() const { return g_.dpanels != nullptr; }
  /// Where the lists of rows from `row` on begin.
  std::size_t first_of(std::size_t row) const { return row * most_steps_; }

  void inputs_gradient(const BackwardRun<T>& run, std::size_t begin, std::size_t end) const {
    const std::size_t first = first_of(run.begin) + begin;
    inputs_.run(d(sums_of_runs) + first, a_.dgates.block_stride, work_.out.data() + first, end - begin);
    if (norm_) norm_.go_back(first, first + end - begin);
  }

  /// Last step first: the order in which every weight's gradient is summed.
  void list_group(std::size_t group, const Sequence<const T>& x, const Segment& segment, const Schedule& schedule) {
    listed_[group] = {};
    const std::size_t group_begin = groups_.begin(group), group_end = groups_.end(group);
    for (std::size_t t = segment.end; t-- > segment.begin;) {
      const std::size_t begin = std::max(segment.first_row(schedule, t), group_begin),
                        end = std::min(schedule.active_at(t), group_end);
      for (BackwardRun<T>& run : runs_) {
        const std::size_t run_begin = std::max(begin, run.begin), run_end = std::min(end, run.end);
        if (run_begin < run_end) list_run(group, run, t, run_begin, run_end, x);
      }
    }
  }

  void list_run(std::size_t group, BackwardRun<T>& run, std::size_t t, std::size_t begin, std::size_t end,
                const Sequence<const T>& x) {
    const kernels::BackwardOperands<T>& a = run.operands;
    const Rows<const T> x_rows = x.at(t);
    const Rows<T> dx_rows = g_.dx.at(t);
    const T *const dgates = a.dgates.at(t), *const kept = a.kept.at(t), *const h = a.h.at(t),
                   *const h_reset = a.h_reset.at(t), *const dh = a.projection ? a.dh.at(t) : nullptr,
                   *const m = a.projection ? a.m.at(t + 1) : nullptr;
    const std::size_t first = first_of(groups_.begin(group));
    Listed& listed = listed_[group];
    for (std::size_t row = begin; row < end; ++row) {
      const std::size_t at = first + listed.rows++;
      d(sums)[at] = dgates + row * a.dgates.row_width;
      in(inputs)[at] = x_rows.row(row);
      in(states)[at] = h + row * a.h.row_width;
      if (h_reset != nullptr) in(reset_states)[at] = h_reset + row * a.h_reset.row_width;
      if (a.projection) {
        d(projected)[at] = dh + row * a.dh.row_width;
        in(unprojected)[at] = m + row * a.m.row_width;
      }
      if (!wants_inputs()) continue;
      const std::size_t at_run = first_of(run.begin) + run.listed++;
      d(sums_of_runs)[at_run] = d(sums)[at];
      T* const dx = dx_rows ? dx_rows.row(row) : nullptr;
      work_.out[at_run] = dx;
      if (!norm_) continue;
      norm_.list(at_run, in(inputs)[at], kept + row * a.kept.row_width, dx);
      in(inputs)[at] = norm_.z(at_run);
      d(normed)[at] = work_.out[at_run] = norm_.v(at_run);
    }
    if (!a.dweights) return;
    for (std::size_t part = begin / cell_.dweights_rows; part < cell_.parts(end); ++part) {
      in(dweights)[first + listed.parts++] = a.dweights.row(t, part);
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

  void weights(std::size_t group, const Share& share, bool fresh) const {
    const Listed& listed = listed_[group];
    const std::size_t first = first_of(groups_.begin(group));
    T* const sums_of_group = dpanels(group);
    // k counts the inputs, then the bias and the units' own weights as one, then the rows of h, then those behind the
    // reset gate.
    const std::size_t bias = shape().inputs, h = bias + 1, reset = h + shape().recurrent,
                      end = reset + (shape().reset_slots > 0 ? shape().recurrent : 0);
    const std::size_t blocks = shape().blocks(), block_shares = shares_of_blocks(share.size, end),
                      k_shares = share.size / block_shares;
    const Share block{share.index / k_shares, block_shares}, k{share.index % k_shares, k_shares};
    const std::size_t block_begin = block.begin(blocks), block_end = block.end(blocks);
    const std::size_t k_begin = k.begin(end), k_end = k.end(end);
    const auto outer = [&](const kernels::PanelKernels<T>& kernel, List list, std::size_t from, std::size_t to, T* dw,
                           std::size_t block_size) {
      kernel.outer({.d = d(sums) + first,
                    .in = in(list) + first,
                    .n = listed.rows,
                    .d_block_stride = a_.dgates.block_stride,
                    .fresh = fresh,
                    .k_begin = std::clamp(k_begin, from, to) - from,
                    .k_end = std::clamp(k_end, from, to) - from,
                    .dw = dw,
                    .block_size = block_size,
                    .block_begin = block_begin,
                    .block_end = block_end});
    };
    const auto sum_rows = [&](const T* const* list, std::size_t rows, const History<T>& history, std::size_t slot,
                              std::size_t slots, std::size_t offset) {
      cell_.sum_rows({.rows = list + first,
                      .n = rows,
                      .block_stride = history.block_stride,
                      .fresh = fresh,
                      .slot = slot,
                      .slots = slots,
                      .sums = sums_of_group + offset,
                      .sums_block_stride = shape().block_size(),
                      .block_begin = block_begin,
                      .block_end = block_end});
    };
    outer(cell_.input, inputs, 0, bias, norm_ ? norm_.sums(group) : sums_of_group, inputs_.shape.block_size());
    if (k_begin <= bias && bias < k_end) {
      // The bias follows the units' own weights: where the equations give its gradient, the sums are of both.
      const bool bias_apart = cell_.dweights > cell_.unit_weights;
      if (!bias_apart) sum_rows(d(sums), listed.rows, a_.dgates, 0, shape().bias_slots, shape().bias_offset());
      // The gains of x come first.
      const std::size_t begin = norm_ ? shape().input_slots : 0;
      if (a_.dweights) {
        sum_rows(in(dweights), listed.parts, a_.dweights, begin, cell_.dweights, shape().unit_weights_offset());
      }
    }
    outer(cell_.recurrent, states, h, reset, sums_of_group + shape().recurrent_offset(), shape().block_size());
    if (end > reset) {
      outer(cell_.reset, reset_states, reset, end, sums_of_group + shape().reset_offset(), shape().block_size());
    }
    if (norm_) norm_.sum_products(group, d(normed) + first, in(inputs) + first, listed.rows, share, fresh);
    if (!a_.projection) return;
    const kernels::PanelShape& projection = a_.projection.shape;
    cell_.projection_outer({.d = d(projected) + first,
                            .in = in(unprojected) + first,
                            .n = listed.rows,
                            .d_block_stride = shape().lanes,
                            .fresh = fresh,
                            .k_begin = share.begin(shape().units),
                            .k_end = share.end(shape().units),
                            .dw = sums_of_group + shape().size(),
                            .block_size = projection.block_size(),
                            .block_begin = 0,
                            .block_end = projection.blocks()});
  }

  const kernels::CellKernels<T>& cell_;
  const InputGradients<T>& inputs_;
  NormOfInputs<T> norm_;
  const RowShares& shares_;
  const RowShares groups_;
  std::vector<BackwardRun<T>>& runs_;
  const kernels::BackwardOperands<T>& a_;  ///< of the first run: strides and options are those of all
  const SequenceGradients<T>& g_;
  const std::size_t most_steps_, most_;
  const std::size_t size_;  ///< elements of dpanels
  Workspace<T>& work_;
  std::array<Listed, most_row_groups> listed_;
};

}  // namespace pylstm::layers
