/// exp, sigmoid and tanh, written once for any vector.
///
/// exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= 0.347, and exp(r) - 1 = r + r^2 q(r): q is a minimax
/// polynomial with a relative error of exp(r) - 1 of 1.4e-8 (float) and 2e-17 (double).  Only operations that IEEE 754
/// fixes are used, so every ISA with FMA gives the same bits.  Bounds (tests/cpp/test_activations.cpp): 3 ULP where the
/// result is a normal number.
#pragma once

#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"

namespace pylstm::simd {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float log2e = 0x1.715476p+0F;
  static constexpr float largest = 88.0F;            ///< 2^127 is the largest power
  static constexpr float integer = 0x1.8p23F + 127;  ///< x + integer rounds x; its low bits are the exponent of 2^x
  static constexpr float tanh_is_one = 10.0F;        ///< tanh rounds to 1 from 9.01 on
  static constexpr float q[] = {0x1.6bebe4p-10F, 0x1.1227b0p-7F, 0x1.555674p-5F, 0x1.5554b0p-3F, 0x1.fffffep-2F};
};

template <>
struct ExpConstants<double> {
  static constexpr double log2e = 0x1.71547652b82fep+0;
  static constexpr double largest = 709.0;
  static constexpr double integer = 0x1.8p52 + 1023;
  static constexpr double tanh_is_one = 20.0;  ///< tanh rounds to 1 from 19.07 on
  static constexpr double q[] = {
      0x1.ae6c536908e9cp-26, 0x1.28a209b297459p-22, 0x1.71de87be0bffdp-19, 0x1.a019a746c6a2ap-16, 0x1.a01a0175277edp-13,
      0x1.6c16c17ee8a34p-10, 0x1.1111111118f94p-7,  0x1.5555555552287p-5,  0x1.5555555555539p-3,  0x1.0000000000005p-1};
};

/// ln 2 = high + low.  With all bits in `high`, x - n * high is near enough to r for its powers, and the chain is
/// shorter; otherwise n * high is exact.
template <class T, bool fused>
struct Ln2 {
  static constexpr double high = 0x1.62e42fefa0000p-1, low = 0x1.cf79abc9e3b3ap-40;
  static constexpr bool whole = false;
};
template <>
struct Ln2<float, true> {
  static constexpr float high = 0x1.62e430p-1F, low = -0x1.05c610p-29F;
  static constexpr bool whole = true;
};
template <>
struct Ln2<float, false> {
  static constexpr float high = 0x1.62e400p-1F, low = 0x1.7f7d1cp-20F;
  static constexpr bool whole = false;
};

/// exp(x) = power * (1 + p).
template <class V>
struct ExpParts {
  V power, p;
};

/// `factor * argument` = x, the factor a power of two: who has the argument before x need not wait for x.
template <class V>
PYLSTM_INLINE ExpParts<V> exp_parts(V x, V argument, typename V::scalar factor) {
  using T = typename V::scalar;
  using C = ExpConstants<T>;
  using L = Ln2<T, V::fuses>;
  constexpr std::size_t last = std::extent_v<decltype(C::q)> - 1, odd = last % 2;
  const V shifted = fma(argument, V::set1(factor * C::log2e), V::set1(C::integer)), n = shifted - V::set1(C::integer);
  const V near_r = fnma(n, V::set1(L::high), x), r = fnma(n, V::set1(L::low), near_r);
  const V s = L::whole ? near_r : r, s2 = s * s;
  // Two coefficients at a time: the chain is half as long as Horner's.
  V q = odd ? V::set1(C::q[0]) : fma(V::set1(C::q[0]), s, V::set1(C::q[1]));
#pragma GCC unroll 8
  for (std::size_t i = 2 - odd; i < last; i += 2) q = fma(q, s2, fma(V::set1(C::q[i]), s, V::set1(C::q[i + 1])));
  return {low_bits_to_exponent(shifted), fma(s2, fma(q, s, V::set1(C::q[last])), r)};
}

/// exp(x) for |x| <= `largest`; x beyond it counts as `largest`.
template <class V>
PYLSTM_INLINE V exp_clamped(V x) {
  using C = ExpConstants<typename V::scalar>;
  x = min(V::set1(C::largest), max(V::set1(-C::largest + 1), x));
  const ExpParts<V> e = exp_parts(x, x, 1);
  return fma(e.p, e.power, e.power);
}

/// 1 / (1 + exp(-x)); 1 + exp is one multiply-add of the parts.
template <class V>
PYLSTM_INLINE V sigmoid(V x) {
  using C = ExpConstants<typename V::scalar>;
  x = min(V::set1(C::largest - 1), max(V::set1(-C::largest), x));
  const ExpParts<V> e = exp_parts(V::zero() - x, x, -1);
  const V one = V::set1(1);
  return one / fma(e.p, e.power, e.power + one);
}

/// expm1(2|x|) / (exp(2|x|) + 1), with the sign of x.
template <class V>
PYLSTM_INLINE V tanh(V x) {
  using C = ExpConstants<typename V::scalar>;
  const V magnitude = min(V::set1(C::tanh_is_one), abs(x)), one = V::set1(1);
  const ExpParts<V> e = exp_parts(magnitude + magnitude, magnitude, 2);
  return copysign(fma(e.p, e.power, e.power - one) / fma(e.p, e.power, e.power + one), x);
}

}  // namespace pylstm::simd
