/// A batch as a network takes it: samples and what they are to be, gathered from where they lie.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/layers/walk.hpp"
#include "pylstm/train/loss.hpp"
#include "pylstm/train/samples.hpp"

namespace pylstm::train {

/// Sequences of one batch, time-major and longest first, and what belongs to each of them.
template <class T>
class GatheredBatch {
 public:
  /// Takes x of `count` samples.
  void gather(const SampleView& x, const std::size_t* samples, std::size_t count) {
    places_.resize(count);
    std::iota(places_.begin(), places_.end(), std::size_t{0});
    if (x.lengths != nullptr) {
      std::stable_sort(places_.begin(), places_.end(),
                       [&](std::size_t a, std::size_t b) { return x.length(samples[a]) > x.length(samples[b]); });
    }
    samples_.resize(count);
    std::vector<std::size_t> lengths(count);
    for (std::size_t n = 0; n < count; ++n) {
      samples_[n] = samples[places_[n]];
      lengths[n] = x.length(samples_[n]);
    }
    const std::size_t steps = count > 0 ? lengths[0] : 0;
    features_ = x.features;
    order_ = layers::BatchOrder(steps, std::move(lengths), false);
    x_.reserve(checked_product(steps, count, features_));
    x.gather(samples_.data(), count, x_.data());
  }

  Schedule schedule() const { return order_.schedule(); }
  const std::vector<std::size_t>& samples() const { return samples_; }
  /// Which of the samples that were asked for each row is.
  const std::vector<std::size_t>& places() const { return places_; }
  Sequence<const T> x() const { return layers::in_walk_order<const T>(x_.data(), schedule(), features_); }

 private:
  std::vector<std::size_t> samples_, places_;
  layers::BatchOrder order_;
  std::size_t features_ = 0;
  Buffer<T> x_;
};

/// What a batch is to be: targets and weights of its items, which are its sequences or their real steps.
/// Items lie in runs of neighbours: one run of all sequences, or one for each step.
template <class T>
class BatchTargets {
 public:
  void gather(const GatheredBatch<T>& batch, const SampleView& y, const std::optional<SampleView>& weights,
              bool every_step) {
    const Schedule schedule = batch.schedule();
    steps_ = every_step ? schedule.steps : 1;
    stride_ = schedule.rows;
    per_item_ = y.features;
    y_.reserve(checked_product(steps_, stride_, per_item_));
    y.gather(batch.samples().data(), stride_, y_.data());
    weighted_ = weights.has_value();
    if (weighted_) {
      weights_.reserve(checked_product(steps_, stride_));
      weights->gather(batch.samples().data(), stride_, weights_.data());
      if (every_step && weights->lengths == nullptr && weights->steps == 1) {  // one for all steps of a sequence
        for (std::size_t t = 1; t < steps_; ++t) std::copy_n(weights_.data(), stride_, weights_.data() + t * stride_);
      }
    }
    items_.clear();
    weight_ = 0;
    for (std::size_t t = 0; t < steps_; ++t) {
      items_.push_back(every_step ? schedule.active_at(t) : schedule.rows);
      for (std::size_t n = 0; n < items_.back(); ++n) weight_ += weighted_ ? weights_.data()[t * stride_ + n] : 1;
    }
  }

  double weight() const { return weight_; }  ///< sum over the items
  std::size_t places() const { return steps_ * stride_; }

  /// The loss of outputs [steps][rows][O] and, where wanted, its gradient; or what a segment's steps add to it.
  double loss(const Loss& of, const T* outputs, std::size_t width, T* gradient) const {
    return loss({.begin = 0, .end = steps_}, of, outputs, width, gradient);
  }
  double loss(const layers::Segment& segment, const Loss& of, const T* outputs, std::size_t width, T* gradient) const {
    double sum = 0;
    for (std::size_t t = segment.begin; t < segment.end; ++t) {
      const std::size_t at = t * stride_;
      sum += of.add(outputs + at * width, y_.data() + at * per_item_, weighted_ ? weights_.data() + at : nullptr,
                    items_[t], width, weight_, gradient ? gradient + at * width : nullptr);
    }
    return sum;
  }

 private:
  std::size_t steps_ = 1, stride_ = 0, per_item_ = 1;
  bool weighted_ = false;
  double weight_ = 0;
  std::vector<std::size_t> items_;
  Buffer<T> y_;
  Buffer<double> weights_;
};

}  // namespace pylstm::train
