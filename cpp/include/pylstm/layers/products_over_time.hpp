/// Backpropagation's products over a chunk of steps: gradients of weights and inputs from those of the gates.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/operands.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// `list` first, then every `share`.
template <class T>
class ProductsOverTime {
 public:
  /// Of chunks of at most `most` rows; `operands` are those of the backward recurrence.
  ProductsOverTime(const kernels::CellKernels<T>& cell, const kernels::BackwardOperands<T>& operands,
                   const SequenceGradients<T>& gradients, std::size_t most, Workspace<T>& work)
      : cell_(cell), a_(operands), g_(gradients), most_(most), work_(work) {
    work_.in.resize(lists * most);
    work_.d.resize(2 * most);
    work_.out.resize(most);
  }

  /// Whether dx takes `Workspace::input_transposed`; of a few inputs it takes the panels as they are.
  static bool takes_transposed(const kernels::PanelShape& shape) { return shape.inputs > kernels::few_columns; }

  /// Lists the rows of the steps of a segment, last step first: the order in which every weight's gradient is summed.
  void list(Sequence<const T> x, const Segment& segment, const Schedule& schedule) {
    rows_ = parts_ = 0;
    for_each_step_back(schedule, segment, [&](std::size_t t, std::size_t row) {
      const std::size_t n = rows_++;
      work_.d[n] = a_.dgates.row(t, row);
      in(inputs)[n] = x.row(t, row);
      in(states)[n] = a_.h.row(t, row);
      if (a_.h_reset) in(reset_states)[n] = a_.h_reset.row(t, row);
      if (a_.projection) {
        work_.d[most_ + n] = a_.dh.row(t, row);
        in(unprojected)[n] = a_.m.row(t + 1, row);
      }
      if (g_.dx) work_.out[n] = g_.dx.row(t, row);
    });
    for (std::size_t t = segment.end; a_.dweights && t-- > segment.begin;) {
      const std::size_t first = segment.first_row(schedule, t), active = schedule.active_at(t);
      const std::size_t end = first < active ? cell_.parts(active) : 0;
      for (std::size_t part = first / cell_.dweights_rows; part < end; ++part) {
        in(dweights)[parts_++] = a_.dweights.row(t, part);
      }
    }
  }

  /// A share of dW and dx over the rows listed.  dW is owned by tile: never summed per share.
  /// `fresh`: sums begin at zero.
  void share(const Share& share, bool fresh) const {
    if (g_.dpanels != nullptr) weights(share, fresh);
    if (!g_.dx) return;
    const std::size_t begin = share.begin(rows_);
    if (!takes_transposed(shape())) {
      cell_.input.few_columns({.shape = shape(),
                               .part = kernels::input_part(shape()),
                               .gates = cell_.input.gates,
                               .panels = a_.panels,
                               .d = work_.d.data() + begin,
                               .out = work_.out.data() + begin,
                               .n = share.end(rows_) - begin,
                               .d_block_stride = a_.dgates.block_stride()});
      return;
    }
    cell_.input.transposed({.shape = transposed(shape(), kernels::input_part(shape())),
                            .gates = cell_.input.gates,
                            .panels = work_.input_transposed.data(),
                            .d = work_.d.data() + begin,
                            .out = work_.out.data() + begin,
                            .n = share.end(rows_) - begin,
                            .d_block_stride = a_.dgates.block_stride()});
  }

 private:
  /// Lists of rows in `work.in`: what multiplies gradients, and parts of those of the units' own weights.
  enum List : std::size_t { inputs, states, dweights, unprojected, reset_states, lists };

  const T** in(List list) const { return work_.in.data() + list * most_; }
  const kernels::PanelShape& shape() const { return a_.shape; }

  void weights(const Share& share, bool fresh) const {
    // k counts the inputs, then the bias and the units' own weights as one, then the rows of h, then those behind the
    // reset gate.
    const std::size_t bias = shape().inputs, h = bias + 1, reset = h + shape().recurrent,
                      end = reset + (shape().reset_slots > 0 ? shape().recurrent : 0);
    const std::size_t blocks = shape().blocks();
    const bool by_blocks = blocks % share.size == 0 || blocks >= 4 * share.size;
    const std::size_t k_begin = by_blocks ? 0 : share.begin(end), k_end = by_blocks ? end : share.end(end);
    const std::size_t block_begin = by_blocks ? share.begin(blocks) : 0,
                      block_end = by_blocks ? share.end(blocks) : blocks;
    const auto outer = [&](const kernels::PanelKernels<T>& kernel, List list, std::size_t first, std::size_t last,
                           std::size_t offset) {
      kernel.outer({.d = work_.d.data(),
                    .in = in(list),
                    .n = rows_,
                    .d_block_stride = a_.dgates.block_stride(),
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
                      .block_stride = history.block_stride(),
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
      if (!bias_apart) sum_rows(work_.d.data(), rows_, a_.dgates, shape().bias_slots, shape().bias_offset());
      if (a_.dweights) sum_rows(in(dweights), parts_, a_.dweights, cell_.dweights, shape().unit_weights_offset());
    }
    outer(cell_.recurrent, states, h, reset, shape().recurrent_offset());
    if (end > reset) outer(cell_.reset, reset_states, reset, end, shape().reset_offset());
    if (!a_.projection) return;
    const kernels::PanelShape& projection = a_.projection.shape;
    cell_.projection_outer({.d = work_.d.data() + most_,
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
  const kernels::BackwardOperands<T>& a_;
  const SequenceGradients<T>& g_;
  const std::size_t most_;
  Workspace<T>& work_;
  std::size_t rows_ = 0, parts_ = 0;
};

}  // namespace pylstm::layers
