/// The vector vocabulary on AVX2 with FMA.
#pragma once

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#include <cstddef>

#include "pylstm/base/inline.hpp"

namespace pylstm::simd {

struct avx2 {
  static constexpr char name[] = "avx2";
  static constexpr std::size_t registers = 16;
  template <class T>
  struct vector;
  template <class T>
  using vec = vector<T>;
};

template <>
struct avx2::vector<float> {
  using scalar = float;
  static constexpr std::size_t lanes = 8;
  static constexpr bool unrolls = true, fuses = true;
  __m256 v;

  PYLSTM_INLINE static vector load(const float* p) { return {_mm256_loadu_ps(p)}; }
  PYLSTM_INLINE static vector load_first(const float* p, std::size_t n) { return {_mm256_maskload_ps(p, first(n))}; }
  PYLSTM_INLINE static vector set1(float x) { return {_mm256_set1_ps(x)}; }
  PYLSTM_INLINE static vector zero() { return {_mm256_setzero_ps()}; }
  PYLSTM_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
  /// Parts of 4, 2 and 1: a masked store takes 12 cycles of a Zen 3.
  PYLSTM_INLINE void store_first(float* p, std::size_t n) const {
    __m128 part = _mm256_castps256_ps128(v);
    if ((n & 4) != 0) {
      _mm_storeu_ps(p, part);
      part = _mm256_extractf128_ps(v, 1);
      p += 4;
    }
    if ((n & 2) != 0) {
      _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
      part = _mm_movehl_ps(part, part);
      p += 2;
    }
    if ((n & 1) != 0) _mm_store_ss(p, part);
  }
  PYLSTM_INLINE static __m256i first(std::size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  PYLSTM_INLINE friend vector operator+(vector a, vector b) { return {_mm256_add_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator-(vector a, vector b) { return {_mm256_sub_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator*(vector a, vector b) { return {_mm256_mul_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator/(vector a, vector b) { return {_mm256_div_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector fma(vector a, vector b, vector c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  PYLSTM_INLINE friend vector fnma(vector a, vector b, vector c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
  PYLSTM_INLINE friend vector add_product(vector a, vector b, vector sum) {
#ifdef __GNUC__
    asm("vfmadd231ps %2, %1, %0" : "+x"(sum.v) : "x"(a.v), "x"(b.v));
    return sum;
#else
    return fma(a, b, sum);
#endif
  }
  PYLSTM_INLINE friend vector min(vector a, vector b) { return {_mm256_min_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector max(vector a, vector b) { return {_mm256_max_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector zero_unless_less(vector a, vector b, vector x) {
    return {_mm256_and_ps(_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ), x.v)};
  }
  PYLSTM_INLINE friend vector sqrt(vector a) { return {_mm256_sqrt_ps(a.v)}; }
  PYLSTM_INLINE friend vector abs(vector a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), a.v)}; }
  PYLSTM_INLINE friend vector copysign(vector magnitude, vector sign) {
    return {_mm256_or_ps(magnitude.v, _mm256_and_ps(sign.v, _mm256_set1_ps(-0.0F)))};
  }
  PYLSTM_INLINE friend vector low_bits_to_exponent(vector a) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.v), 23))};
  }
  template <std::size_t lane>
  PYLSTM_INLINE friend vector broadcast(vector a) {
    return {_mm256_permutevar8x32_ps(a.v, _mm256_set1_epi32(lane))};
  }
  PYLSTM_INLINE friend float sum(vector a) {
    __m128 halves = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    halves = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
    return _mm_cvtss_f32(_mm_add_ss(halves, _mm_movehdup_ps(halves)));
  }
  PYLSTM_INLINE friend vector zip_low(vector a, vector b) {
    return {_mm256_permute2f128_ps(_mm256_unpacklo_ps(a.v, b.v), _mm256_unpackhi_ps(a.v, b.v), 0x20)};
  }
  PYLSTM_INLINE friend vector zip_high(vector a, vector b) {
    return {_mm256_permute2f128_ps(_mm256_unpacklo_ps(a.v, b.v), _mm256_unpackhi_ps(a.v, b.v), 0x31)};
  }
};

template <>
struct avx2::vector<double> {
  using scalar = double;
  static constexpr std::size_t lanes = 4;
  static constexpr bool unrolls = true, fuses = true;
  __m256d v;

  PYLSTM_INLINE static vector load(const double* p) { return {_mm256_loadu_pd(p)}; }
  PYLSTM_INLINE static vector load_first(const double* p, std::size_t n) { return {_mm256_maskload_pd(p, first(n))}; }
  PYLSTM_INLINE static vector set1(double x) { return {_mm256_set1_pd(x)}; }
  PYLSTM_INLINE static vector zero() { return {_mm256_setzero_pd()}; }
  PYLSTM_INLINE void store(double* p) const { _mm256_storeu_pd(p, v); }
  /// Parts of 2 and 1, as of floats.
  PYLSTM_INLINE void store_first(double* p, std::size_t n) const {
    __m128d part = _mm256_castpd256_pd128(v);
    if ((n & 2) != 0) {
      _mm_storeu_pd(p, part);
      part = _mm256_extractf128_pd(v, 1);
      p += 2;
    }
    if ((n & 1) != 0) _mm_store_sd(p, part);
  }
  PYLSTM_INLINE static __m256i first(std::size_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(n)), _mm256_setr_epi64x(0, 1, 2, 3));
  }

  PYLSTM_INLINE friend vector operator+(vector a, vector b) { return {_mm256_add_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator-(vector a, vector b) { return {_mm256_sub_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator*(vector a, vector b) { return {_mm256_mul_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator/(vector a, vector b) { return {_mm256_div_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector fma(vector a, vector b, vector c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
  PYLSTM_INLINE friend vector fnma(vector a, vector b, vector c) { return {_mm256_fnmadd_pd(a.v, b.v, c.v)}; }
  PYLSTM_INLINE friend vector add_product(vector a, vector b, vector sum) {
#ifdef __GNUC__
    asm("vfmadd231pd %2, %1, %0" : "+x"(sum.v) : "x"(a.v), "x"(b.v));
    return sum;
#else
    return fma(a, b, sum);
#endif
  }
  PYLSTM_INLINE friend vector min(vector a, vector b) { return {_mm256_min_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector max(vector a, vector b) { return {_mm256_max_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector zero_unless_less(vector a, vector b, vector x) {
    return {_mm256_and_pd(_mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ), x.v)};
  }
  PYLSTM_INLINE friend vector sqrt(vector a) { return {_mm256_sqrt_pd(a.v)}; }
  PYLSTM_INLINE friend vector abs(vector a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v)}; }
  PYLSTM_INLINE friend vector copysign(vector magnitude, vector sign) {
    return {_mm256_or_pd(magnitude.v, _mm256_and_pd(sign.v, _mm256_set1_pd(-0.0)))};
  }
  PYLSTM_INLINE friend vector low_bits_to_exponent(vector a) {
    return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a.v), 52))};
  }
  template <std::size_t lane>
  PYLSTM_INLINE friend vector broadcast(vector a) {
    return {_mm256_permute4x64_pd(a.v, lane * 0x55)};
  }
  PYLSTM_INLINE friend double sum(vector a) {
    const __m128d halves = _mm_add_pd(_mm256_castpd256_pd128(a.v), _mm256_extractf128_pd(a.v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(halves, _mm_unpackhi_pd(halves, halves)));
  }
  PYLSTM_INLINE friend vector zip_low(vector a, vector b) {
    return {_mm256_permute2f128_pd(_mm256_unpacklo_pd(a.v, b.v), _mm256_unpackhi_pd(a.v, b.v), 0x20)};
  }
  PYLSTM_INLINE friend vector zip_high(vector a, vector b) {
    return {_mm256_permute2f128_pd(_mm256_unpacklo_pd(a.v, b.v), _mm256_unpackhi_pd(a.v, b.v), 0x31)};
  }
};

}  // namespace pylstm::simd
#endif
