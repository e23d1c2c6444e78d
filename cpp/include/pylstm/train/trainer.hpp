/// The mini-batch step as one call: gather, forward, loss, backward, clip, update.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "pylstm/base/interrupt.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/train/clip.hpp"
#include "pylstm/train/loss.hpp"
#include "pylstm/train/optimiser.hpp"

namespace pylstm::train {

/// A view of samples [n][steps][features], float or double, any strides (in bytes): an array, its windows, a mapped
/// file.
struct SampleView {
  const void* data = nullptr;
  bool is_double = false;
  std::size_t samples = 0, steps = 0, features = 0;
  std::ptrdiff_t sample_stride = 0, step_stride = 0, feature_stride = 0;

  /// Copies samples[0..rows) to time-major [steps][rows][features]: shuffling, transposing and casting are this one
  /// pass.
  template <class T>
  void gather(const std::size_t* indices, std::size_t rows, T* out) const {
    if (is_double) {
      gather_as<double>(indices, rows, out);
    } else {
      gather_as<float>(indices, rows, out);
    }
  }

 private:
  template <class From, class T>
  void gather_as(const std::size_t* indices, std::size_t rows, T* out) const {
    const auto at = [](const char* p) { return static_cast<T>(*reinterpret_cast<const From*>(p)); };
    for (std::size_t n = 0; n < rows; ++n) {
      const char* const sample =
          static_cast<const char*>(data) + static_cast<std::ptrdiff_t>(indices[n]) * sample_stride;
      T* to = out + n * features;
      for (std::size_t t = 0; t < steps; ++t, to += rows * features) {
        const char* from = sample + static_cast<std::ptrdiff_t>(t) * step_stride;
        for (std::size_t k = 0; k < features; ++k, from += feature_stride) to[k] = at(from);
      }
    }
  }
};

struct TrainerConfig {
  OptimiserConfig optimiser;
  double max_grad_norm = std::numeric_limits<double>::infinity();
  std::uint64_t seed = 0;  ///< of the dropout masks
};

/// Samples to learn from.  y: one step, [n][1][outputs].  weights [n] or null.
struct Batches {
  SampleView x, y;
  const double* weights = nullptr;
  std::vector<std::size_t> order;  ///< samples in the order in which they are cut into batches
  std::size_t batch_size = 32;
  std::uint64_t epoch = 0;
};

template <class T>
class Trainer {
 public:
  Trainer(network::Network<T>& network, const TrainerConfig& config)
      : network_(&network),
        config_(config),
        optimiser_(config.optimiser, network.parameters().size(), network.table()),
        gradients_(network.parameters().size()) {
    require(config.max_grad_norm > 0, "max_grad_norm is ", config.max_grad_norm, ", expected a positive number");
  }

  Optimiser<T>& optimiser() { return optimiser_; }
  network::Network<T>& network() { return *network_; }

  /// One pass over the batches.  Returns the weighted mean of their losses; NaN as soon as a loss is not finite, with
  /// that batch not applied.  `progress` hears the number of samples done after each batch.  Throws Interrupted,
  /// parameters whole.
  double run_epoch(const Batches& batches, Interrupt& interrupt,
                   const std::function<void(std::size_t)>& progress = {}) {
    double loss = 0, weight = 0;
    for (std::size_t first = 0; first < batches.order.size(); first += batches.batch_size) {
      const std::size_t rows = std::min(batches.batch_size, batches.order.size() - first);
      SquaredError<T> error;
      const double batch_loss = step(batches, batches.order.data() + first, rows, error, interrupt);
      if (!std::isfinite(batch_loss)) return std::numeric_limits<double>::quiet_NaN();
      loss += batch_loss * error.weight;
      weight += error.weight;
      if (progress) progress(first + rows);
    }
    return weight > 0 ? loss / weight : 0;
  }

 private:
  double step(const Batches& batches, const std::size_t* samples, std::size_t rows, SquaredError<T>& error,
              Interrupt& interrupt) {
    interrupt.poll();
    interrupt.throw_if_requested();
    const SampleView& x = batches.x;
    const std::size_t outputs = network_->config().outputs;
    x_.reserve(checked_product(x.steps, rows, x.features));
    y_.reserve(rows * outputs);
    predictions_.reserve(rows * outputs);
    dpredictions_.reserve(rows * outputs);
    x.gather(samples, rows, x_.data());
    batches.y.gather(samples, rows, y_.data());
    weights_.clear();
    if (batches.weights) {
      for (std::size_t n = 0; n < rows; ++n) weights_.push_back(batches.weights[samples[n]]);
    }

    const Schedule schedule{.steps = x.steps, .rows = rows};
    const Sequence<const T> sequence{x_.data(), static_cast<std::ptrdiff_t>(rows * x.features),
                                     static_cast<std::ptrdiff_t>(x.features), nullptr};
    const network::TrainingPass pass{.seed = config_.seed, .epoch = batches.epoch, .samples = samples};
    network_->forward_training(schedule, sequence, predictions_.data(), pass, work_, interrupt);
    const double loss = error(predictions_.data(), y_.data(), batches.weights ? weights_.data() : nullptr, rows,
                              outputs, dpredictions_.data());
    if (!std::isfinite(loss) || error.weight == 0) return loss;
    network_->backward(schedule, sequence, dpredictions_.data(), pass, gradients_.data(), work_, interrupt);
    return apply() ? loss : std::numeric_limits<double>::quiet_NaN();
  }

  /// Clips and updates; false, with nothing changed, where the gradient is not finite.
  bool apply() {
    const double norm = global_norm(*network_, gradients_);
    if (!std::isfinite(norm)) return false;
    const double scale = norm > config_.max_grad_norm ? config_.max_grad_norm / norm : 1;
    optimiser_.advance();
    T* const parameters = network_->parameters().data();
    if (optimiser_.config.alpha == 0) {
      optimiser_.update(parameters, gradients_.data(), 0, gradients_.size(), scale, false);
      return true;
    }
    for (const auto& [shape, offset] : network_->parts()) {
      for (std::size_t block = 0; block < shape.blocks(); ++block) {
        const std::size_t begin = offset + block * shape.block_size();
        optimiser_.update(parameters, gradients_.data(), begin, shape.bias_offset(), scale, true);
        optimiser_.update(parameters, gradients_.data(), begin + shape.bias_offset(),
                          shape.block_size() - shape.bias_offset(), scale, false);
      }
    }
    return true;
  }

  network::Network<T>* network_;
  TrainerConfig config_;
  Optimiser<T> optimiser_;
  Buffer<T> gradients_, x_, y_, predictions_, dpredictions_;
  std::vector<double> weights_;
  network::NetworkWorkspace<T> work_;
};

/// outputs [samples][O] of samples in order, `batch` at a time.
template <class T>
void predict(const network::Network<T>& network, const SampleView& x, T* outputs, Interrupt& interrupt,
             std::size_t batch = 256) {
  network::NetworkWorkspace<T> work;
  Buffer<T> gathered;
  std::vector<std::size_t> indices;
  for (std::size_t first = 0; first < x.samples; first += batch) {
    const std::size_t rows = std::min(batch, x.samples - first);
    indices.resize(rows);
    for (std::size_t n = 0; n < rows; ++n) indices[n] = first + n;
    gathered.reserve(checked_product(x.steps, rows, x.features));
    x.gather(indices.data(), rows, gathered.data());
    const Schedule schedule{.steps = x.steps, .rows = rows};
    const Sequence<const T> sequence{gathered.data(), static_cast<std::ptrdiff_t>(rows * x.features),
                                     static_cast<std::ptrdiff_t>(x.features), nullptr};
    interrupt.poll();
    interrupt.throw_if_requested();
    network.predict(schedule, sequence, outputs + first * network.config().outputs, work, interrupt);
  }
}

}  // namespace pylstm::train
