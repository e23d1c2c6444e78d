/// What several test files need: how much to test, and distances between floating-point numbers.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace pylstm::testing {

/// PYLSTM_TEST_QUICK=1: fewer sizes, for emulators and sanitizers.
inline bool quick() {
  static const bool set = std::getenv("PYLSTM_TEST_QUICK") != nullptr;
  return set;
}

/// Distance of `got` from `exact` in units of the spacing of Real around `exact`.
template <class Real, class Wide>
double ulp_distance(Real got, Wide exact) {
  if (std::isnan(got) || std::isnan(exact)) return std::isnan(got) && std::isnan(exact) ? 0 : INFINITY;
  if (std::isinf(got) || std::isinf(exact)) return static_cast<Wide>(got) == exact ? 0 : INFINITY;
  constexpr int digits = std::numeric_limits<Real>::digits, smallest = std::numeric_limits<Real>::min_exponent;
  int exponent = smallest;
  if (exact != 0) std::frexp(exact, &exponent);
  return static_cast<double>(
      std::abs(std::ldexp(static_cast<Wide>(got) - exact, digits - std::max(exponent, smallest))));
}

/// Equal bits: +0 is not -0, a NaN equals itself.
template <class Real>
bool same_bits(Real a, Real b) {
  using Bits = std::conditional_t<sizeof(Real) == 4, std::uint32_t, std::uint64_t>;
  return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b);
}
template <class Real>
bool same_bits(const std::vector<Real>& a, const std::vector<Real>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Real)) == 0);
}

}  // namespace pylstm::testing
