/// Several vectors as one.
#pragma once

#include <cstddef>
#include <utility>

#include "pylstm/base/inline.hpp"

namespace pylstm::simd {

/// N vectors side by side: every operation is applied to all of them, so that the N chains of a formula go through the
/// processor together. On a Zen 3 a sigmoid takes 22 slots of an FMA unit alone, 18 as one of three.
template <class V, std::size_t N>
struct Several {
  using scalar = typename V::scalar;
  static constexpr bool fuses = V::fuses;
  V v[N];

  template <class Make>
  PYLSTM_INLINE static Several each(Make make) {
    // Not a loop: arrays indexed in loops stay in memory unless every one of them is unrolled early.
    return [&]<std::size_t... I>(std::index_sequence<I...>)
               PYLSTM_INLINE_LAMBDA { return Several{{make(I)...}}; }(std::make_index_sequence<N>{});
  }
  /// Vector i goes to to + at(i).
  template <class At>
  PYLSTM_INLINE void each_store(scalar* to, At at) const {
    [&]<std::size_t... I>(std::index_sequence<I...>)
        PYLSTM_INLINE_LAMBDA { (v[I].store(to + at(I)), ...); }(std::make_index_sequence<N>{});
  }

  PYLSTM_INLINE static Several set1(scalar x) {
    return each([&](std::size_t) PYLSTM_INLINE_LAMBDA { return V::set1(x); });
  }
  PYLSTM_INLINE static Several zero() {
    return each([](std::size_t) PYLSTM_INLINE_LAMBDA { return V::zero(); });
  }

  PYLSTM_INLINE friend Several operator+(Several a, Several b) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return a.v[i] + b.v[i]; });
  }
  PYLSTM_INLINE friend Several operator-(Several a, Several b) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return a.v[i] - b.v[i]; });
  }
  PYLSTM_INLINE friend Several operator*(Several a, Several b) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return a.v[i] * b.v[i]; });
  }
  PYLSTM_INLINE friend Several operator/(Several a, Several b) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return a.v[i] / b.v[i]; });
  }
  PYLSTM_INLINE friend Several fma(Several a, Several b, Several c) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return fma(a.v[i], b.v[i], c.v[i]); });
  }
  PYLSTM_INLINE friend Several fnma(Several a, Several b, Several c) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return fnma(a.v[i], b.v[i], c.v[i]); });
  }
  PYLSTM_INLINE friend Several min(Several a, Several b) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return min(a.v[i], b.v[i]); });
  }
  PYLSTM_INLINE friend Several max(Several a, Several b) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return max(a.v[i], b.v[i]); });
  }
  PYLSTM_INLINE friend Several zero_unless_less(Several a, Several b, Several x) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return zero_unless_less(a.v[i], b.v[i], x.v[i]); });
  }
  PYLSTM_INLINE friend Several sqrt(Several a) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return sqrt(a.v[i]); });
  }
  PYLSTM_INLINE friend Several abs(Several a) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return abs(a.v[i]); });
  }
  PYLSTM_INLINE friend Several copysign(Several a, Several b) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return copysign(a.v[i], b.v[i]); });
  }
  PYLSTM_INLINE friend Several low_bits_to_exponent(Several a) {
    return each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return low_bits_to_exponent(a.v[i]); });
  }
};

}  // namespace pylstm::simd
