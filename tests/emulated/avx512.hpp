/// Stands in for pylstm/simd/avx512.hpp where there is AVX2 only: pairs of AVX2 vectors, the tiles, tails and masks of
/// AVX-512. Forced into the files of that ISA by the preset avx512-emulated. Their bits are those of AVX-512: every
/// operation of the vocabulary is exact or correctly rounded.
#pragma once

#if defined(__AVX2__) && defined(__FMA__)
#include <algorithm>
#include <cstddef>

#include "pylstm/simd/avx2.hpp"

namespace pylstm::simd {

struct avx512 {
  static constexpr char name[] = "avx512";
  static constexpr std::size_t registers = 32;
  template <class T>
  struct vector;
  template <class T>
  using vec = vector<T>;
};

template <class T>
struct avx512::vector {
  using scalar = T;
  using half = avx2::vector<T>;
  static constexpr std::size_t lanes = 2 * half::lanes;
  static constexpr bool unrolls = true, fuses = true;
  half low, high;

  static vector load(const T* p) { return {half::load(p), half::load(p + half::lanes)}; }
  static vector load_first(const T* p, std::size_t n) {
    return {half::load_first(p, first(n)), half::load_first(p + first(n), n - first(n))};
  }
  static vector set1(T x) { return {half::set1(x), half::set1(x)}; }
  static vector zero() { return {half::zero(), half::zero()}; }
  void store(T* p) const {
    low.store(p);
    high.store(p + half::lanes);
  }
  void store_first(T* p, std::size_t n) const {
    if (n < half::lanes) return low.store_first(p, n);
    low.store(p);
    if (n == lanes) return high.store(p + half::lanes);
    high.store_first(p + half::lanes, n - half::lanes);
  }

  friend vector operator+(vector a, vector b) { return {a.low + b.low, a.high + b.high}; }
  friend vector operator-(vector a, vector b) { return {a.low - b.low, a.high - b.high}; }
  friend vector operator*(vector a, vector b) { return {a.low * b.low, a.high * b.high}; }
  friend vector operator/(vector a, vector b) { return {a.low / b.low, a.high / b.high}; }
  friend vector fma(vector a, vector b, vector c) { return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)}; }
  friend vector fnma(vector a, vector b, vector c) { return {fnma(a.low, b.low, c.low), fnma(a.high, b.high, c.high)}; }
  friend vector add_product(vector a, vector b, vector sum) { return fma(a, b, sum); }
  friend vector min(vector a, vector b) { return {min(a.low, b.low), min(a.high, b.high)}; }
  friend vector max(vector a, vector b) { return {max(a.low, b.low), max(a.high, b.high)}; }
  friend vector zero_unless_less(vector a, vector b, vector x) {
    return {zero_unless_less(a.low, b.low, x.low), zero_unless_less(a.high, b.high, x.high)};
  }
  friend vector sqrt(vector a) { return {sqrt(a.low), sqrt(a.high)}; }
  friend vector abs(vector a) { return {abs(a.low), abs(a.high)}; }
  friend vector copysign(vector magnitude, vector sign) {
    return {copysign(magnitude.low, sign.low), copysign(magnitude.high, sign.high)};
  }
  friend vector low_bits_to_exponent(vector a) { return {low_bits_to_exponent(a.low), low_bits_to_exponent(a.high)}; }
  template <std::size_t lane>
  friend vector broadcast(vector a) {
    if constexpr (lane < half::lanes) {
      return {broadcast<lane>(a.low), broadcast<lane>(a.low)};
    } else {
      return {broadcast<lane - half::lanes>(a.high), broadcast<lane - half::lanes>(a.high)};
    }
  }
  friend T sum(vector a) { return sum(a.low + a.high); }
  friend vector zip_low(vector a, vector b) { return {zip_low(a.low, b.low), zip_high(a.low, b.low)}; }
  friend vector zip_high(vector a, vector b) { return {zip_low(a.high, b.high), zip_high(a.high, b.high)}; }

 private:
  static std::size_t first(std::size_t n) { return std::min(n, half::lanes); }
};

}  // namespace pylstm::simd
#endif
