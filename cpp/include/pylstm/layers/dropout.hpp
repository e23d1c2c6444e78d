/// Inverted dropout (Srivastava et al. 2014) with masks that depend on their key alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pylstm/base/random.hpp"

namespace pylstm::layers {

/// What is dropped: each has masks of its own.
enum class Dropped : std::uint64_t { outputs, inputs };

/// Which mask: together with the sample, the step and the unit it decides what is dropped.
struct DropoutKey {
  std::uint64_t seed = 0, epoch = 0, layer = 0;
  Dropped what = Dropped::outputs;
};

/// to[j] = from[j] / (1 - rate), or 0 with probability `rate`, for the units of one sample at one step.
template <class T>
void dropout(const T* from, T* to, std::size_t units, double rate, const DropoutKey& key, std::uint64_t sample,
             std::size_t step) {
  const std::uint64_t row =
      random_key(key.seed, key.epoch, sample, key.layer | static_cast<std::uint64_t>(key.what) << 32, step);
  const T scale = static_cast<T>(1 / (1 - rate));
  for (std::size_t j = 0; j < units; ++j) to[j] = uniform(mix(row ^ j)) < rate ? T(0) : from[j] * scale;
}

}  // namespace pylstm::layers
