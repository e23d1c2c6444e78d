/// Samples as a trainer takes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "networks.hpp"
#include "pylstm/train/samples.hpp"
#include "pylstm/train/trainer.hpp"
#include "support.hpp"

namespace pylstm::testing {

using train::Batches;
using train::SampleView;
using train::Trainer;

/// [n][T][I] and [n][O], and an epoch over them.
template <class T>
struct Samples {
  std::size_t n, steps, inputs, outputs;
  std::vector<T> x, y;
  std::vector<double> weights;  ///< empty: none

  static SampleView view(const std::vector<T>& v, std::size_t n, std::size_t steps, std::size_t width) {
    const auto bytes = [](std::size_t elements) { return static_cast<std::ptrdiff_t>(elements * sizeof(T)); };
    return {v.data(), sizeof(T) == sizeof(double), n, steps, width, bytes(steps * width), bytes(width), bytes(1)};
  }

  Batches batches(std::size_t batch_size, std::uint64_t epoch = 0) const {
    Batches b{.x = view(x, n, steps, inputs),
              .y = view(y, n, 1, outputs),
              .weights = std::nullopt,
              .order = {},
              .batch_size = batch_size,
              .epoch = epoch};
    constexpr std::ptrdiff_t size = sizeof(double);
    if (!weights.empty()) b.weights = SampleView{weights.data(), true, n, 1, 1, size, size, size};
    for (std::size_t k = 0; k < n; ++k) b.order.push_back(k);
    return b;
  }

  /// x as a network takes it, [T][n][I].
  std::vector<T> time_major() const {
    std::vector<T> sorted(x.size());
    for (std::size_t k = 0; k < n; ++k)
      for (std::size_t t = 0; t < steps; ++t)
        for (std::size_t i = 0; i < inputs; ++i) sorted[(t * n + k) * inputs + i] = x[(k * steps + t) * inputs + i];
    return sorted;
  }
};

template <class T>
Samples<T> random_samples(const Config& config, std::size_t n, std::size_t steps, std::uint64_t seed) {
  return {n,
          steps,
          config.inputs,
          config.outputs,
          random_values<T>(n * steps * config.inputs, seed),
          random_values<T>(n * config.outputs, seed + 1),
          {}};
}

template <class T>
double run_epoch(Trainer<T>& trainer, const Batches& batches) {
  Interrupt never;
  return trainer.run_epoch(batches, never);
}

}  // namespace pylstm::testing
