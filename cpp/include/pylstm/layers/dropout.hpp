/// Inverted dropout (Srivastava et al. 2014) with masks that depend on their key alone.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "pylstm/base/random.hpp"

namespace pylstm::layers {

/// What a mask is for: each kind, and each direction of a layer, has masks of its own.
enum class Masked : std::uint64_t { outputs, inputs, recurrent, held };

/// Which mask: together with the sample, the step and the unit it decides what is dropped.
struct DropoutKey {
  std::uint64_t seed = 0, epoch = 0, layer = 0;
  Masked what = Masked::outputs;
  std::uint64_t direction = 0;

  std::uint64_t row(std::uint64_t sample, std::size_t step) const {
    return random_key(seed, epoch, sample, layer | static_cast<std::uint64_t>(what) << 32 | direction << 48, step);
  }
};

/// Calls visit(j, hit): `hit` with probability `rate`, for the units of one sample at one step.
template <class Visit>
void for_each_unit(std::size_t units, double rate, std::uint64_t row, Visit visit) {
  const auto threshold = static_cast<std::uint64_t>(std::ceil(rate * 0x1p53));
  for (std::size_t j = 0; j < units; ++j) visit(j, (mix(row ^ j) >> 11) < threshold);
}

/// Calls visit(j, first, second): two draws for each unit, from the halves of one number.
template <class Visit>
void for_each_unit_twice(std::size_t units, double rate, std::uint64_t row, Visit visit) {
  const auto threshold = static_cast<std::uint64_t>(std::ceil(rate * 0x1p32));
  for (std::size_t j = 0; j < units; ++j) {
    const std::uint64_t bits = mix(row ^ j);
    visit(j, bits >> 32 < threshold, (bits & 0xffffffff) < threshold);
  }
}

/// to[j] = from[j] / (1 - rate), or 0 with probability `rate`, for the units of one sample at one step.
template <class T>
void dropout(const T* from, T* to, std::size_t units, double rate, const DropoutKey& key, std::uint64_t sample,
             std::size_t step) {
  const T scale = static_cast<T>(1 / (1 - rate));
  for_each_unit(units, rate, key.row(sample, step),
                [&](std::size_t j, bool hit) { to[j] = hit ? T(0) : from[j] * scale; });
}

}  // namespace pylstm::layers
