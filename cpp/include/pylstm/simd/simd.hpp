/// What a vector is, and the best one the compiler's flags allow.
#pragma once

#include <concepts>
#include <cstddef>

#include "pylstm/simd/avx2.hpp"
#include "pylstm/simd/avx512.hpp"
#include "pylstm/simd/generic.hpp"
#include "pylstm/simd/neon.hpp"

namespace pylstm::simd {

/// `min(limit, x)` and `max(limit, x)` keep a NaN in x; `zero_unless_less(a, b, x)` is x where a < b, else 0;
/// `low_bits_to_exponent(a)` shifts the low bits of a's mantissa to the place of the sign and the exponent, all others
/// out. `add_product(a, b, sum)` is fma(a, b, sum) in the register of `sum`, and a and b are in registers too.
/// `zip_low(a, b)` is a0 b0 a1 b1 ... of the lower halves, `zip_high` of the upper ones.
/// `broadcast<lane>(a)` has that number of a everywhere; `sum(a)` adds the upper half of the numbers to the lower until
/// one is left.
/// `unrolls`: several products of a tile go in one turn of its loop, which costs code.  `fuses`: fma rounds once.
template <class V>
concept Vector = requires(V a, const typename V::scalar* in, typename V::scalar* out, std::size_t n) {
  { V::lanes } -> std::convertible_to<std::size_t>;
  { V::unrolls } -> std::convertible_to<bool>;
  { V::fuses } -> std::convertible_to<bool>;
  { V::load(in) } -> std::same_as<V>;
  { V::load_first(in, n) } -> std::same_as<V>;
  { V::set1(*in) } -> std::same_as<V>;
  { V::zero() } -> std::same_as<V>;
  a.store(out);
  a.store_first(out, n);
  { a + a - a * a / a } -> std::same_as<V>;
  { fma(a, a, a) } -> std::same_as<V>;
  { fnma(a, a, a) } -> std::same_as<V>;
  { add_product(a, a, a) } -> std::same_as<V>;
  { min(a, max(a, a)) } -> std::same_as<V>;
  { zero_unless_less(a, a, a) } -> std::same_as<V>;
  { sqrt(abs(a)) } -> std::same_as<V>;
  { copysign(a, low_bits_to_exponent(a)) } -> std::same_as<V>;
  { sum(a) } -> std::same_as<typename V::scalar>;
  { broadcast<0>(zip_low(a, zip_high(a, a))) } -> std::same_as<V>;
};

#if defined(__AVX512F__) && defined(__AVX512DQ__)
using native = avx512;
#elif defined(__AVX2__) && defined(__FMA__)
using native = avx2;
#elif defined(__aarch64__) || defined(_M_ARM64)
using native = neon;
#else
using native = generic;
#endif

/// For n numbers in one step, Isa or one of half as wide vectors if two of them hold all: no part of a vector is idle,
/// divisions take half the time, and what is stored is read again sooner.
template <class Isa, class T, std::size_t n>
struct Fitting {
  using type = Isa;
};
#if defined(__AVX512F__) && defined(__AVX512DQ__)
template <class T, std::size_t n>
  requires(n <= 2 * avx2::vec<T>::lanes)
struct Fitting<avx512, T, n> {
  using type = avx2;
};
#endif

}  // namespace pylstm::simd
