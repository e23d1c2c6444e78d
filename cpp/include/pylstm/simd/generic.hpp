/// The vector vocabulary on the compiler's own vectors: any target of GCC and Clang.  No FMA: `fma` rounds twice.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "pylstm/base/inline.hpp"

namespace pylstm::simd {

struct generic {
  static constexpr char name[] = "generic";
  static constexpr std::size_t registers = 16;
  template <class T>
  struct vector;
  template <class T>
  using vec = vector<T>;
};

/// Bytes of a vector.  Where there are no vector registers it is one number: GCC keeps a larger one in memory, and a
/// step on a Cortex-M4 is 1.4 times as many instructions.
template <class T>
inline constexpr std::size_t generic_bytes =
#if defined(__arm__) && !defined(__ARM_NEON)
    sizeof(T);
#else
    16;
#endif

template <class T>
struct generic::vector {
  using scalar = T;
  using integer = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  static constexpr std::size_t lanes = generic_bytes<T> / sizeof(T);
  static constexpr bool unrolls = false, fuses = false;
  typedef T floats __attribute__((vector_size(generic_bytes<T>)));
  typedef integer integers __attribute__((vector_size(generic_bytes<T>)));
  typedef std::make_unsigned_t<integer> unsigned_integers __attribute__((vector_size(generic_bytes<T>)));
  floats v;

  PYLSTM_INLINE static vector load(const T* p) {
    vector a;
    std::memcpy(&a.v, p, sizeof a.v);
    return a;
  }
  PYLSTM_INLINE static vector load_first(const T* p, std::size_t n) {
    vector a = zero();
    std::memcpy(&a.v, p, n * sizeof(T));
    return a;
  }
  PYLSTM_INLINE static vector set1(T x) { return {x - floats{}}; }  // -0 stays -0, as it would not by addition
  PYLSTM_INLINE static vector zero() { return {floats{}}; }
  PYLSTM_INLINE void store(T* p) const { std::memcpy(p, &v, sizeof v); }
  PYLSTM_INLINE void store_first(T* p, std::size_t n) const { std::memcpy(p, &v, n * sizeof(T)); }

  PYLSTM_INLINE friend vector operator+(vector a, vector b) { return {a.v + b.v}; }
  PYLSTM_INLINE friend vector operator-(vector a, vector b) { return {a.v - b.v}; }
  PYLSTM_INLINE friend vector operator*(vector a, vector b) { return {a.v * b.v}; }
  PYLSTM_INLINE friend vector operator/(vector a, vector b) { return {a.v / b.v}; }
  PYLSTM_INLINE friend vector fma(vector a, vector b, vector c) { return {a.v * b.v + c.v}; }
  PYLSTM_INLINE friend vector fnma(vector a, vector b, vector c) { return {c.v - a.v * b.v}; }
  PYLSTM_INLINE friend vector add_product(vector a, vector b, vector sum) { return fma(a, b, sum); }
  PYLSTM_INLINE friend vector min(vector a, vector b) { return {a.v < b.v ? a.v : b.v}; }
  PYLSTM_INLINE friend vector max(vector a, vector b) { return {a.v > b.v ? a.v : b.v}; }
  PYLSTM_INLINE friend vector zero_unless_less(vector a, vector b, vector x) { return {a.v < b.v ? x.v : floats{}}; }
  PYLSTM_INLINE friend vector sqrt(vector a) {
#pragma GCC unroll 4
    for (std::size_t s = 0; s < lanes; ++s) a.v[s] = std::sqrt(a.v[s]);
    return a;
  }
  PYLSTM_INLINE friend vector abs(vector a) { return {floats(integers(a.v) & ~sign_bit())}; }
  PYLSTM_INLINE friend vector copysign(vector magnitude, vector sign) {
    return {floats(integers(magnitude.v) | (integers(sign.v) & sign_bit()))};
  }
  PYLSTM_INLINE friend vector low_bits_to_exponent(vector a) {
    constexpr int mantissa = std::numeric_limits<T>::digits - 1;
    return {floats(unsigned_integers(a.v) << mantissa)};
  }
  template <std::size_t lane>
  PYLSTM_INLINE friend vector broadcast(vector a) {
    return set1(a.v[lane]);
  }
  PYLSTM_INLINE friend T sum(vector a) {
#pragma GCC unroll 4
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
      for (std::size_t s = 0; s < half; ++s) a.v[s] += a.v[s + half];
    }
    return a.v[0];
  }
  PYLSTM_INLINE friend vector zip_low(vector a, vector b) { return zip(a, b, 0); }
  PYLSTM_INLINE friend vector zip_high(vector a, vector b) { return zip(a, b, lanes / 2); }

 private:
  PYLSTM_INLINE static vector zip(vector a, vector b, std::size_t first) {
    vector zipped = zero();  // GCC 14 takes it for uninitialised otherwise
#pragma GCC unroll 4
    for (std::size_t s = 0; s < lanes; ++s) zipped.v[s] = (s % 2 == 0 ? a : b).v[first + s / 2];
    return zipped;
  }
  PYLSTM_INLINE static integers sign_bit() { return integers{} + std::numeric_limits<integer>::min(); }
};

}  // namespace pylstm::simd
