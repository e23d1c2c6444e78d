/// The mini-batch step as one call: gather, forward, loss, backward, clip, update.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "pylstm/base/interrupt.hpp"
#include "pylstm/layers/walk.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/train/batch.hpp"
#include "pylstm/train/checks.hpp"
#include "pylstm/train/clip.hpp"
#include "pylstm/train/loss.hpp"
#include "pylstm/train/optimiser.hpp"
#include "pylstm/train/samples.hpp"

namespace pylstm::train {

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
  /// epoch, as `progress` sees it, the network has these, and here is the average.  Without averaging an epoch drops
  /// them: training goes on from the average.
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
      if (trainer_.config_.averaging == 0) {
        trainer_.latest_ = {};
      } else if (trainer_.latest_.size() == 0) {
        trainer_.latest_ = trainer_.network_->parameters();
      }
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

}  // namespace pylstm::train
