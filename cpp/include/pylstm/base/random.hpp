/// Counter-based random numbers: a value depends on its key alone, so neither threads nor the order of work change it.
#pragma once

#include <cmath>
#include <cstdint>

namespace pylstm {

/// The mixing function of SplitMix64 (Steele, Lea & Flood 2014).
constexpr std::uint64_t mix(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// One key out of several: seed, epoch, sample, layer, step, unit ...
template <class... Parts>
constexpr std::uint64_t random_key(std::uint64_t first, Parts... parts) {
  std::uint64_t key = mix(first);
  ((key = mix(key ^ static_cast<std::uint64_t>(parts))), ...);
  return key;
}

/// Uniform in [0, 1) with 53 bits.
constexpr double uniform(std::uint64_t key) { return static_cast<double>(key >> 11) * 0x1p-53; }

/// A sequence of numbers from one seed.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t seed) : key_(mix(seed)) {}
  double next_uniform() { return uniform(random_key(key_, counter_++)); }
  /// Standard normal (Box & Muller 1958).
  double next_normal() {
    const double radius = std::sqrt(-2 * std::log(1 - next_uniform()));
    return radius * std::cos(6.283185307179586 * next_uniform());
  }

 private:
  std::uint64_t key_, counter_ = 0;
};

}  // namespace pylstm
