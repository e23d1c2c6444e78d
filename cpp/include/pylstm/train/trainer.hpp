/// The mini-batch step as one call: gather, forward, loss, backward, clip, update.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "pylstm/base/interrupt.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/layers/walk.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/train/clip.hpp"
#include "pylstm/train/loss.hpp"
#include "pylstm/train/optimiser.hpp"
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

/// Fails unless y belongs to x: `width` numbers for each sequence or, `every_step`, for each of its steps.
inline void check_items(std::string_view name, const SampleView& y, const SampleView& x, std::size_t width,
                        bool every_step) {
  require(y.samples == x.samples, name, " has ", y.samples, " samples, expected ", x.samples, ", as x");
  y.check(name, width);
  for (std::size_t n = 0; n < x.samples; ++n) {
    const std::size_t expected = every_step ? x.length(n) : 1;
    require(y.length(n) == expected, name, "[", n, "] has ", y.length(n), " steps, expected ", expected);
  }
}

/// Fails unless every class has an output, of items that weigh something.  `weights` are checked already.
inline void check_classes(std::string_view name, const SampleView& y, const std::optional<SampleView>& weights,
                          std::size_t classes) {
  std::vector<double> labels(y.steps), given(weights ? weights->steps : 0);
  for (std::size_t n = 0; n < y.samples; ++n) {
    y.gather(&n, 1, labels.data());
    if (weights) weights->gather(&n, 1, given.data());
    for (std::size_t t = 0; t < y.length(n); ++t) {
      const double label = labels[t];
      if (weights && given[weights->length(n) == 1 ? 0 : t] == 0) continue;
      require(label >= 0 && label < static_cast<double>(classes) && label == std::floor(label), name, " holds class ",
              label, ", expected integers from 0 to ", classes, " - 1");
    }
  }
}

/// Fails unless they are weights of x's sequences or, where these have items of their own, of the steps.
inline void check_weights(std::string_view name, const SampleView& weights, const SampleView& x, bool every_step) {
  check_items(name, weights, x, 1, every_step && (weights.lengths != nullptr || weights.steps != 1));
  std::vector<double> numbers(weights.steps);
  for (std::size_t n = 0; n < weights.samples; ++n) {
    weights.gather(&n, 1, numbers.data());
    for (std::size_t t = 0; t < weights.length(n); ++t) {
      require(numbers[t] >= 0 && std::isfinite(numbers[t]), name, " holds ", numbers[t],
              ", expected finite numbers >= 0");
    }
  }
}

/// Fails unless a network with this loss can learn from them.
inline void check_learnt(const network::Config& network, const Loss& loss, const SampleView& x, const SampleView& y,
                         const std::optional<SampleView>& weights) {
  const bool every_step = network.pooling == network::Pooling::none;
  x.check("x", network.features());
  check_items("y", y, x, loss.targets(network.outputs), every_step);
  if (weights) check_weights("weights", *weights, x, every_step);
  if (loss.kind == LossKind::cross_entropy) check_classes("y", y, weights, network.outputs);
}

/// Fails where one of [0, count) is no sample.
template <class Order>
void check_order(const Order& order, std::size_t count, std::size_t samples) {
  for (std::size_t i = 0; i < count; ++i) {
    require(order[i] < samples, "sample ", order[i], " is wanted, expected 0 to ", samples, " - 1");
  }
}

struct TrainerConfig {
  OptimiserConfig optimiser = {};
  Loss loss = {};
  double max_grad_norm = std::numeric_limits<double>::infinity();
  double max_grad_value = std::numeric_limits<double>::infinity();  ///< of an element, before the norm is taken
  std::uint64_t seed = 0;                                           ///< of the dropout masks
  /// Not 0: between epochs the network has an exponential average of its parameters over the updates, with this decay.
  double averaging = 0;
  std::size_t checkpoint = 0, tbptt_steps = 0;  ///< as in `network::TrainingPass`
};

/// Samples to learn from: y has one step, or as many as x where the network reads out every step; weights have one
/// feature, and one step or as many as y; or there are none.
struct Batches {
  SampleView x, y;
  std::optional<SampleView> weights;
  std::vector<std::size_t> order;  ///< samples in the order in which they are cut into batches
  std::size_t batch_size = 32;
  std::uint64_t epoch = 0;
};

/// Refers to the network: it must neither be moved nor end before.
template <class T>
class Trainer {
 public:
  Trainer(network::Network<T>& network, const TrainerConfig& config)
      : network_(&network),
        config_(config),
        optimiser_(config.optimiser, network.parameters().size(), network.table()),
        gradients_(network.parameters().size(), T(0)) {
    config.loss.check(network.config().outputs);
    require(config.averaging >= 0 && config.averaging < 1, "averaging is ", config.averaging,
            ", expected a number in [0, 1)");
    network.check_pass({.checkpoint = config.checkpoint, .tbptt_steps = config.tbptt_steps});
    require(static_cast<T>(std::min(config.max_grad_value, 1.0)) > 0, "max_grad_value is ", config.max_grad_value,
            ", expected a positive number");
    require(config.max_grad_norm > 0, "max_grad_norm is ", config.max_grad_norm, ", expected a positive number");
  }

  Optimiser<T>& optimiser() { return optimiser_; }
  network::Network<T>& network() { return *network_; }

  /// The parameters that the next update changes, where the network's are an average of them; else empty.  During an
  /// epoch, as `progress` sees it, the network has these, and here is the average.
  const Buffer<T>& latest() const { return latest_; }
  /// Not during an epoch.
  void set_latest(Buffer<T> parameters) {
    require(!in_epoch_, "an epoch is running, expected set_latest between epochs");
    require(parameters.size() == 0 || parameters.size() == gradients_.size(), "latest has ", parameters.size(),
            " elements, expected ", gradients_.size(), ", as the parameters");
    latest_ = std::move(parameters);
  }

  /// One pass over the batches.  Returns the weighted mean of their losses; NaN as soon as a loss is not finite, with
  /// that batch not applied.  `progress` hears the number of samples done after each batch.  Throws Interrupted,
  /// parameters whole.
  double run_epoch(const Batches& batches, Interrupt& interrupt,
                   const std::function<void(std::size_t)>& progress = {}) {
    require(batches.batch_size >= 1, "batch_size is 0, expected at least 1");
    require(network_->parameters().size() == gradients_.size(), "the network has ", network_->parameters().size(),
            " parameters, expected ", gradients_.size(), ": those of the network that the trainer was made for");
    check_learnt(network_->config(), config_.loss, batches.x, batches.y, batches.weights);
    check_order(batches.order, batches.order.size(), batches.x.samples);
    const LatestInNetwork latest_in_network(*this);
    double loss = 0, weight = 0;
    for (std::size_t first = 0; first < batches.order.size(); first += batches.batch_size) {
      const std::size_t rows = std::min(batches.batch_size, batches.order.size() - first);
      const double batch_loss = step(batches, batches.order.data() + first, rows, interrupt);
      if (!std::isfinite(batch_loss)) return std::numeric_limits<double>::quiet_NaN();
      loss += batch_loss * targets_.weight();
      weight += targets_.weight();
      if (progress) progress(first + rows);
    }
    return weight > 0 ? loss / weight : 0;
  }

 private:
  /// While it lives the network has its latest parameters, and `latest_` their average.
  class LatestInNetwork {
   public:
    explicit LatestInNetwork(Trainer& trainer) : trainer_(trainer) {
      if (trainer_.config_.averaging > 0 && trainer_.latest_.size() == 0)
        trainer_.latest_ = trainer_.network_->parameters();
      swap();
      trainer_.in_epoch_ = true;
    }
    ~LatestInNetwork() {
      swap();
      trainer_.in_epoch_ = false;
    }
    LatestInNetwork(const LatestInNetwork&) = delete;
    LatestInNetwork& operator=(const LatestInNetwork&) = delete;

   private:
    void swap() {
      if (trainer_.config_.averaging > 0) std::swap(trainer_.latest_, trainer_.network_->parameters());
    }
    Trainer& trainer_;
  };

  void average() {
    const T decay = static_cast<T>(config_.averaging), share = static_cast<T>(1 - config_.averaging);
    const T* const now = network_->parameters().data();
    for (std::size_t k = 0; k < latest_.size(); ++k) latest_[k] = decay * latest_[k] + share * now[k];
  }

  double step(const Batches& batches, const std::size_t* samples, std::size_t rows, Interrupt& interrupt) {
    interrupt.poll();
    interrupt.throw_if_requested();
    const std::size_t outputs = network_->config().outputs;
    batch_.gather(batches.x, samples, rows);
    const bool every_step = network_->config().pooling == network::Pooling::none;
    targets_.gather(batch_, batches.y, batches.weights, every_step);
    predictions_.reserve(checked_product(targets_.places(), outputs));
    dpredictions_.reserve(predictions_.size());

    const Schedule schedule = batch_.schedule();
    const network::TrainingPass pass{.seed = config_.seed,
                                     .epoch = batches.epoch,
                                     .samples = batch_.samples().data(),
                                     .checkpoint = config_.checkpoint,
                                     .tbptt_steps = config_.tbptt_steps};
    double loss = 0;
    const auto differentiate = [&](const layers::Segment& segment) {
      const layers::Segment items{.begin = segment.begin, .end = every_step ? segment.end : 1};
      loss += targets_.loss(items, config_.loss, predictions_.data(), outputs, dpredictions_.data());
      return std::isfinite(loss) && targets_.weight() > 0;
    };
    if (!network_->gradient(schedule, batch_.x(), predictions_.data(), dpredictions_.data(), pass, gradients_.data(),
                            work_, interrupt, differentiate)) {
      return loss;
    }
    return apply() ? loss : std::numeric_limits<double>::quiet_NaN();
  }

  /// Clips and updates; false, with nothing changed, where the gradient is not finite.
  bool apply() {
    if (std::isfinite(config_.max_grad_value)) {
      const T most = static_cast<T>(std::min(config_.max_grad_value, double{std::numeric_limits<T>::max()}));
      for (T& g : gradients_) g = std::isnan(g) ? g : std::clamp(g, -most, most);
    }
    const double norm = global_norm(*network_, gradients_);
    if (!std::isfinite(norm)) return false;
    const double scale = norm > config_.max_grad_norm ? config_.max_grad_norm / norm : 1;
    optimiser_.advance(scale);
    T* const parameters = network_->parameters().data();
    const auto update = [&](std::size_t begin, std::size_t n, bool decays) {
      optimiser_.update(parameters, gradients_.data(), begin, n, decays);
    };
    if (optimiser_.config().alpha == 0) {
      update(0, gradients_.size(), false);
    } else {
      for (const auto& [shape, offset, decayed] : network_->parts()) {
        for (std::size_t block = 0; block < shape.blocks(); ++block) {
          const std::size_t begin = offset + block * shape.block_size();
          update(begin, decayed, true);
          update(begin + decayed, shape.block_size() - decayed, false);
        }
      }
    }
    if (config_.averaging > 0) average();
    return true;
  }

  network::Network<T>* network_;
  TrainerConfig config_;
  Optimiser<T> optimiser_;
  Buffer<T> latest_, gradients_, predictions_, dpredictions_;
  bool in_epoch_ = false;
  GatheredBatch<T> batch_;
  BatchTargets<T> targets_;
  network::NetworkWorkspace<T> work_;
};

#if defined(PYLSTM_DISPATCH)  // compiled there
extern template class Trainer<float>;
extern template class Trainer<double>;
#endif

/// Which samples are meant, in which order.
struct Chosen {
  const std::size_t* samples = nullptr;  ///< null: the first `count`
  std::size_t count = 0;

  std::size_t operator[](std::size_t i) const { return samples == nullptr ? i : samples[i]; }
};

/// Samples that are predicted together: fewer where they are long, since a batch is in memory as a whole.
inline std::size_t rows_at_once(const network::Config& network, std::size_t steps, std::size_t wanted) {
  constexpr std::size_t most_numbers = std::size_t{32} << 20;  // of all inputs, or of a layer's outputs
  std::size_t widest = network.inputs;
  const std::size_t directions = network.bidirectional && network.merge == network::Merge::concat ? 2 : 1;
  for (const std::size_t units : network.hidden_sizes) widest = std::max(widest, checked_product(units, directions));
  return std::clamp<std::size_t>(most_numbers / std::max<std::size_t>(1, checked_product(steps, widest)), 1, wanted);
}

/// Calls visit(first, batch, predictions) for the chosen samples, `wanted` at a time or fewer from the `first` on;
/// predictions lie as `Network::predict` leaves them.
template <class T, class Visit>
void for_each_prediction(const network::Network<T>& network, const SampleView& x, const Chosen& chosen,
                         Interrupt& interrupt, std::size_t wanted, Visit visit) {
  require(wanted >= 1, "batch_size is 0, expected at least 1");
  x.check("x", network.config().features());
  const std::size_t size = rows_at_once(network.config(), x.steps, wanted);
  check_order(chosen, chosen.count, x.samples);
  network::NetworkWorkspace<T> work;
  GatheredBatch<T> batch;
  Buffer<T> predictions;
  std::vector<std::size_t> samples;
  for (std::size_t first = 0; first < chosen.count; first += size) {
    samples.resize(std::min(size, chosen.count - first));
    for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = chosen[first + i];
    batch.gather(x, samples.data(), samples.size());
    const Schedule schedule = batch.schedule();
    predictions.reserve(
        checked_product(network.config().places(schedule.steps), schedule.rows, network.config().outputs));
    interrupt.poll();
    interrupt.throw_if_requested();
    network.predict(schedule, batch.x(), predictions.data(), work, interrupt);
    visit(first, std::as_const(batch), std::as_const(predictions));
  }
}

/// outputs [chosen][O].  Of a network that reads out every step [chosen][x.steps][O]: those of the i-th chosen sample
/// from row starts[i] on, or i * x.steps without `starts`; past a sequence's end they are left as they are.
template <class T>
void predict(const network::Network<T>& network, const SampleView& x, const Chosen& chosen, T* outputs,
             Interrupt& interrupt, const std::size_t* starts = nullptr, std::size_t batch_size = 256) {
  const network::Config& config = network.config();
  const std::size_t O = config.outputs;
  const auto copy = [&](std::size_t begin, const GatheredBatch<T>& batch, const Buffer<T>& from) {
    const Schedule schedule = batch.schedule();
    for (std::size_t n = 0; n < schedule.rows; ++n) {
      const std::size_t i = begin + batch.places()[n];
      const std::size_t row = starts != nullptr ? starts[i] : i * config.places(x.steps);
      for (std::size_t t = 0; t < config.places(schedule.length(n)); ++t) {
        std::copy_n(from.data() + (t * schedule.rows + n) * O, O, outputs + (row + t) * O);
      }
    }
  };
  for_each_prediction(network, x, chosen, interrupt, batch_size, copy);
}

/// Of all samples.
template <class T>
void predict(const network::Network<T>& network, const SampleView& x, T* outputs, Interrupt& interrupt) {
  predict(network, x, {.samples = nullptr, .count = x.samples}, outputs, interrupt);
}

/// The weighted mean loss of the chosen samples.
template <class T>
double mean_loss(const network::Network<T>& network, const Loss& loss, const SampleView& x, const SampleView& y,
                 const std::optional<SampleView>& weights, const Chosen& chosen, Interrupt& interrupt,
                 std::size_t batch_size = 256) {
  double sum = 0, weight = 0;
  BatchTargets<T> targets;
  loss.check(network.config().outputs);
  check_learnt(network.config(), loss, x, y, weights);
  const auto add = [&](std::size_t, const GatheredBatch<T>& batch, const Buffer<T>& predicted) {
    targets.gather(batch, y, weights, network.config().pooling == network::Pooling::none);
    sum += targets.loss(loss, predicted.data(), network.config().outputs, nullptr) * targets.weight();
    weight += targets.weight();
  };
  for_each_prediction(network, x, chosen, interrupt, batch_size, add);
  return weight > 0 ? sum / weight : 0;
}

}  // namespace pylstm::train
