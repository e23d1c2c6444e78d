/// The read-out: what the head reads of the top layer, what it makes of it, and the way back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/dense.hpp"
#include "pylstm/layers/pooling.hpp"
#include "pylstm/layers/walk.hpp"
#include "pylstm/network/config.hpp"

namespace pylstm::network {

/// Memory of a read-out, kept from one call to the next.
template <class T>
struct ReadOutWorkspace {
  Sequence<const T> top;                   ///< outputs of the top layer; null where its last states are read
  Buffer<T> all_tops;                      ///< those that attention keeps of all segments of a walk
  Buffer<T> read, dread;                   ///< [rows][width] that the head reads
  std::vector<std::size_t> maximum_steps;  ///< [rows][width]
  Buffer<T> attention, dscores;            ///< [steps][rows]: shares of the steps, and the gradients of their scores
  Buffer<T> doutputs_padded, head_rows, head_transposed;
  std::vector<const T*> in, d;
  std::vector<T*> out;
};

/// The top layer's outputs come in `work.top`, one segment of a walk after the other; last states in `work.read`.
template <class T>
class ReadOut {
 public:
  using Segment = layers::Segment;

  /// Of a top layer of so many outputs.
  ReadOut(Pooling pooling, std::size_t width, std::size_t outputs, const kernels::KernelTable<T>& table)
      : pooling_(pooling), head_(table.fitting(outputs), width, outputs) {}

  const layers::DenseLayer<T>& head() const { return head_; }
  std::size_t width() const { return head_.shape().inputs; }
  std::size_t outputs() const { return head_.shape().units; }
  bool every_step() const { return pooling_ == Pooling::none; }

  /// Room for what is read of each row, where last states are to be written.
  T* rows_read(const Schedule& schedule, ReadOutWorkspace<T>& work) const {
    work.read.reserve(checked_product(schedule.rows, width()));
    return work.read.data();
  }

  /// Takes in a segment, as far as what is read does not need all of them.
  void take(const Schedule& schedule, const Segment& segment, ReadOutWorkspace<T>& work) const {
    if (pooling_ == Pooling::mean) {
      layers::pool_mean(schedule, segment, work.top, width(), work.read.data());
    } else if (pooling_ == Pooling::max) {
      work.maximum_steps.resize(schedule.rows * width());
      layers::pool_max(schedule, segment, work.top, width(), work.read.data(), work.maximum_steps.data());
    }
  }
  /// Keeps a segment for `attend`, where the next one takes its place.
  void keep(const Schedule& schedule, const Segment& segment, ReadOutWorkspace<T>& work) const {
    work.all_tops.reserve(checked_product(schedule.steps, schedule.rows, width()));
    const Sequence<T> all = layers::in_walk_order(work.all_tops.data(), schedule, width());
    layers::for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
      std::copy_n(work.top.row(t, n), width(), all.row(t, n));
    });
    if (segment.end == schedule.steps) work.top = all;
  }
  /// What is read of all steps, weighed by their scores under the query.
  void attend(const Schedule& schedule, const T* query, ReadOutWorkspace<T>& work) const {
    work.attention.reserve(checked_product(schedule.steps, schedule.rows));
    layers::pool_attention(schedule, work.top, query, width(), work.read.data(), work.attention.data());
  }

  /// The head's outputs [rows][O], or of a segment's steps, where every step is read.
  void forward(const Schedule& schedule, const Segment& segment, const T* head, T* outputs,
               ReadOutWorkspace<T>& work) const {
    list_read(schedule, segment, work);
    list_rows(schedule, segment, outputs, this->outputs(), 0, work.out);
    head_.forward(head, work.in, work.out, work.head_rows);
  }

  /// Writes the head's gradients, or adds to them if it `continues` after another segment, and that of what it has
  /// read: in `dtop`, where that is the segment's steps, else in `work.dread`.
  void backward(const Schedule& schedule, const Segment& segment, bool continues, const T* head, const T* doutputs,
                T* dhead, Buffer<T>& dtop, ReadOutWorkspace<T>& work) const {
    const std::size_t padded = head_.shape().padded_units();
    list_read(schedule, segment, work);
    list_rows(schedule, segment, doutputs, outputs(), 0, work.d);
    Buffer<T>& dread = every_step() ? dtop : work.dread;
    dread.reserve(checked_product(schedule.rows, every_step() ? segment.steps() : 1, width()));
    list_rows(schedule, segment, dread.data(), width(), segment.begin, work.out);
    work.doutputs_padded.reserve(checked_product(work.d.size(), padded));
    std::fill_n(work.doutputs_padded.data(), work.d.size() * padded, T(0));
    for (std::size_t i = 0; i < work.d.size(); ++i) {
      std::copy_n(work.d[i], outputs(), work.doutputs_padded.data() + i * padded);
      work.d[i] = work.doutputs_padded.data() + i * padded;
    }
    head_.backward(head, work.in, work.d, work.out, !continues, dhead, work.head_transposed);
  }
  /// The query's gradient, which is zero when it comes, and what `unpool` needs.
  void unattend(const Schedule& schedule, T* dquery, ReadOutWorkspace<T>& work) const {
    work.dscores.reserve(checked_product(schedule.steps, schedule.rows));
    layers::score_gradients(schedule, work.top, work.dread.data(), work.attention.data(), width(), work.dscores.data(),
                            dquery);
  }
  /// The gradient of a segment's outputs, of those that are pooled.
  void unpool(const Schedule& schedule, const Segment& segment, const T* query, Buffer<T>& dtop,
              ReadOutWorkspace<T>& work) const {
    dtop.reserve(checked_product(segment.steps(), schedule.rows, width()));
    const Sequence<T> dy = layers::in_walk_order(dtop.data(), schedule, width(), segment.begin);
    const T* const dread = work.dread.data();
    if (pooling_ == Pooling::mean) return layers::unpool_mean(schedule, segment, dread, width(), dy);
    if (pooling_ == Pooling::max) {
      return layers::unpool_max(schedule, segment, dread, work.maximum_steps.data(), width(), dy);
    }
    layers::unpool_attention(schedule, segment, query, dread, work.attention.data(), work.dscores.data(), width(), dy);
  }

 private:
  /// Lists rows of what goes with the head's items: of every row, or of every real step of the segment, last step
  /// first.  `data` begins with step `first`.
  template <class U>
  void list_rows(const Schedule& schedule, const Segment& segment, U* data, std::size_t row_width, std::size_t first,
                 std::vector<U*>& list) const {
    list.clear();
    if (!every_step()) {
      for (std::size_t n = 0; n < schedule.rows; ++n) list.push_back(data + n * row_width);
      return;
    }
    layers::for_each_step_back(schedule, segment, [&](std::size_t t, std::size_t n) {
      list.push_back(data + ((t - first) * schedule.rows + n) * row_width);
    });
  }

  /// Lists what the head reads.
  void list_read(const Schedule& schedule, const Segment& segment, ReadOutWorkspace<T>& work) const {
    if (!every_step()) return list_rows(schedule, segment, std::as_const(work.read).data(), width(), 0, work.in);
    work.in.clear();
    layers::for_each_step_back(schedule, segment,
                               [&](std::size_t t, std::size_t n) { work.in.push_back(work.top.row(t, n)); });
  }

  Pooling pooling_;
  layers::DenseLayer<T> head_;
};

}  // namespace pylstm::network
