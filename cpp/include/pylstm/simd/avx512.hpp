/// The vector vocabulary on AVX-512 (F, DQ, BW, VL).
#pragma once

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>

#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/simd/avx2.hpp"

namespace pylstm::simd {

// GCC takes the undefined operands of its own intrinsics for a mistake (gcc.gnu.org/PR105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

struct avx512 {
  static constexpr char name[] = "avx512";
  static constexpr std::size_t registers = 32;
  template <class T>
  struct vector;
  template <class T>
  using vec = vector<T>;
};

template <>
struct avx512::vector<float> {
  using scalar = float;
  using mask = __mmask16;
  static constexpr std::size_t lanes = 16;
  static constexpr bool unrolls = true, fuses = true;
  __m512 v;

  PYLSTM_INLINE static vector load(const float* p) { return {_mm512_loadu_ps(p)}; }
  PYLSTM_INLINE static vector load_first(const float* p, std::size_t n) { return {_mm512_maskz_loadu_ps(first(n), p)}; }
  PYLSTM_INLINE static vector set1(float x) { return {_mm512_set1_ps(x)}; }
  PYLSTM_INLINE static vector zero() { return {_mm512_setzero_ps()}; }
  PYLSTM_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  PYLSTM_INLINE void store_first(float* p, std::size_t n) const { _mm512_mask_storeu_ps(p, first(n), v); }
  PYLSTM_INLINE static mask first(std::size_t n) { return static_cast<mask>((1U << n) - 1U); }

  PYLSTM_INLINE friend vector operator+(vector a, vector b) { return {_mm512_add_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator-(vector a, vector b) { return {_mm512_sub_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator*(vector a, vector b) { return {_mm512_mul_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator/(vector a, vector b) { return {_mm512_div_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector fma(vector a, vector b, vector c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  PYLSTM_INLINE friend vector fnma(vector a, vector b, vector c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
  PYLSTM_INLINE friend vector add_product(vector a, vector b, vector sum) {
#ifdef __GNUC__
    asm("vfmadd231ps %2, %1, %0" : "+v"(sum.v) : "v"(a.v), "v"(b.v));
    return sum;
#else
    return fma(a, b, sum);
#endif
  }
  PYLSTM_INLINE friend vector min(vector a, vector b) { return {_mm512_min_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector max(vector a, vector b) { return {_mm512_max_ps(a.v, b.v)}; }
  PYLSTM_INLINE friend vector zero_unless_less(vector a, vector b, vector x) {
    return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), x.v)};
  }
  PYLSTM_INLINE friend vector sqrt(vector a) { return {_mm512_sqrt_ps(a.v)}; }
  PYLSTM_INLINE friend vector abs(vector a) { return {_mm512_abs_ps(a.v)}; }
  PYLSTM_INLINE friend vector copysign(vector magnitude, vector sign) {
    return {_mm512_or_ps(magnitude.v, _mm512_and_ps(sign.v, _mm512_set1_ps(-0.0F)))};
  }
  PYLSTM_INLINE friend vector low_bits_to_exponent(vector a) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 23))};
  }
  template <std::size_t lane>
  PYLSTM_INLINE friend vector broadcast(vector a) {
    return {_mm512_permutexvar_ps(_mm512_set1_epi32(lane), a.v)};
  }
  PYLSTM_INLINE friend float sum(vector a) {
    return sum(avx2::vector<float>{_mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1))});
  }
  PYLSTM_INLINE friend vector zip_low(vector a, vector b) {
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return {_mm512_permutex2var_ps(a.v, order, b.v)};
  }
  PYLSTM_INLINE friend vector zip_high(vector a, vector b) {
    const __m512i order = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return {_mm512_permutex2var_ps(a.v, order, b.v)};
  }
};

template <>
struct avx512::vector<double> {
  using scalar = double;
  using mask = __mmask8;
  static constexpr std::size_t lanes = 8;
  static constexpr bool unrolls = true, fuses = true;
  __m512d v;

  PYLSTM_INLINE static vector load(const double* p) { return {_mm512_loadu_pd(p)}; }
  PYLSTM_INLINE static vector load_first(const double* p, std::size_t n) {
    return {_mm512_maskz_loadu_pd(first(n), p)};
  }
  PYLSTM_INLINE static vector set1(double x) { return {_mm512_set1_pd(x)}; }
  PYLSTM_INLINE static vector zero() { return {_mm512_setzero_pd()}; }
  PYLSTM_INLINE void store(double* p) const { _mm512_storeu_pd(p, v); }
  PYLSTM_INLINE void store_first(double* p, std::size_t n) const { _mm512_mask_storeu_pd(p, first(n), v); }
  PYLSTM_INLINE static mask first(std::size_t n) { return static_cast<mask>((1U << n) - 1U); }

  PYLSTM_INLINE friend vector operator+(vector a, vector b) { return {_mm512_add_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator-(vector a, vector b) { return {_mm512_sub_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator*(vector a, vector b) { return {_mm512_mul_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator/(vector a, vector b) { return {_mm512_div_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector fma(vector a, vector b, vector c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
  PYLSTM_INLINE friend vector fnma(vector a, vector b, vector c) { return {_mm512_fnmadd_pd(a.v, b.v, c.v)}; }
  PYLSTM_INLINE friend vector add_product(vector a, vector b, vector sum) {
#ifdef __GNUC__
    asm("vfmadd231pd %2, %1, %0" : "+v"(sum.v) : "v"(a.v), "v"(b.v));
    return sum;
#else
    return fma(a, b, sum);
#endif
  }
  PYLSTM_INLINE friend vector min(vector a, vector b) { return {_mm512_min_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector max(vector a, vector b) { return {_mm512_max_pd(a.v, b.v)}; }
  PYLSTM_INLINE friend vector zero_unless_less(vector a, vector b, vector x) {
    return {_mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ), x.v)};
  }
  PYLSTM_INLINE friend vector sqrt(vector a) { return {_mm512_sqrt_pd(a.v)}; }
  PYLSTM_INLINE friend vector abs(vector a) { return {_mm512_abs_pd(a.v)}; }
  PYLSTM_INLINE friend vector copysign(vector magnitude, vector sign) {
    return {_mm512_or_pd(magnitude.v, _mm512_and_pd(sign.v, _mm512_set1_pd(-0.0)))};
  }
  PYLSTM_INLINE friend vector low_bits_to_exponent(vector a) {
    return {_mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(a.v), 52))};
  }
  template <std::size_t lane>
  PYLSTM_INLINE friend vector broadcast(vector a) {
    return {_mm512_permutexvar_pd(_mm512_set1_epi64(lane), a.v)};
  }
  PYLSTM_INLINE friend double sum(vector a) {
    return sum(avx2::vector<double>{_mm256_add_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1))});
  }
  PYLSTM_INLINE friend vector zip_low(vector a, vector b) {
    return {_mm512_permutex2var_pd(a.v, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b.v)};
  }
  PYLSTM_INLINE friend vector zip_high(vector a, vector b) {
    return {_mm512_permutex2var_pd(a.v, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b.v)};
  }
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace pylstm::simd
#endif
