/// The vector vocabulary on 64-bit Arm (Advanced SIMD).
#pragma once

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>

#include <cstddef>
#include <cstring>

#include "pylstm/base/inline.hpp"

namespace pylstm::simd {

struct neon {
  static constexpr char name[] = "neon";
  static constexpr std::size_t registers = 32;
  template <class T>
  struct vector;
  template <class T>
  using vec = vector<T>;
};

template <>
struct neon::vector<float> {
  using scalar = float;
  static constexpr std::size_t lanes = 4;
  static constexpr bool unrolls = true, fuses = true;
  float32x4_t v;

  PYLSTM_INLINE static vector load(const float* p) { return {vld1q_f32(p)}; }
  PYLSTM_INLINE static vector load_first(const float* p, std::size_t n) {
    float whole[lanes] = {};
    std::memcpy(whole, p, n * sizeof(float));
    return load(whole);
  }
  PYLSTM_INLINE static vector set1(float x) { return {vdupq_n_f32(x)}; }
  PYLSTM_INLINE static vector zero() { return {vdupq_n_f32(0.0F)}; }
  PYLSTM_INLINE void store(float* p) const { vst1q_f32(p, v); }
  PYLSTM_INLINE void store_first(float* p, std::size_t n) const {
    float whole[lanes];
    store(whole);
    std::memcpy(p, whole, n * sizeof(float));
  }

  PYLSTM_INLINE friend vector operator+(vector a, vector b) { return {vaddq_f32(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator-(vector a, vector b) { return {vsubq_f32(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator*(vector a, vector b) { return {vmulq_f32(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator/(vector a, vector b) { return {vdivq_f32(a.v, b.v)}; }
  PYLSTM_INLINE friend vector fma(vector a, vector b, vector c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
  PYLSTM_INLINE friend vector fnma(vector a, vector b, vector c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
  PYLSTM_INLINE friend vector add_product(vector a, vector b, vector sum) { return fma(a, b, sum); }
  PYLSTM_INLINE friend vector min(vector a, vector b) { return {vminq_f32(a.v, b.v)}; }
  PYLSTM_INLINE friend vector max(vector a, vector b) { return {vmaxq_f32(a.v, b.v)}; }
  PYLSTM_INLINE friend vector zero_unless_less(vector a, vector b, vector x) {
    return {vreinterpretq_f32_u32(vandq_u32(vcltq_f32(a.v, b.v), vreinterpretq_u32_f32(x.v)))};
  }
  PYLSTM_INLINE friend vector sqrt(vector a) { return {vsqrtq_f32(a.v)}; }
  PYLSTM_INLINE friend vector abs(vector a) { return {vabsq_f32(a.v)}; }
  PYLSTM_INLINE friend vector copysign(vector magnitude, vector sign) {
    return {vbslq_f32(vdupq_n_u32(0x80000000U), sign.v, magnitude.v)};
  }
  PYLSTM_INLINE friend vector low_bits_to_exponent(vector a) {
    return {vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(a.v), 23))};
  }
  template <std::size_t lane>
  PYLSTM_INLINE friend vector broadcast(vector a) {
    return {vdupq_laneq_f32(a.v, lane)};
  }
  PYLSTM_INLINE friend float sum(vector a) {
    const float32x2_t halves = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
    return vget_lane_f32(halves, 0) + vget_lane_f32(halves, 1);
  }
  PYLSTM_INLINE friend vector zip_low(vector a, vector b) { return {vzip1q_f32(a.v, b.v)}; }
  PYLSTM_INLINE friend vector zip_high(vector a, vector b) { return {vzip2q_f32(a.v, b.v)}; }
};

template <>
struct neon::vector<double> {
  using scalar = double;
  static constexpr std::size_t lanes = 2;
  static constexpr bool unrolls = true, fuses = true;
  float64x2_t v;

  PYLSTM_INLINE static vector load(const double* p) { return {vld1q_f64(p)}; }
  PYLSTM_INLINE static vector load_first(const double* p, std::size_t n) {
    double whole[lanes] = {};
    std::memcpy(whole, p, n * sizeof(double));
    return load(whole);
  }
  PYLSTM_INLINE static vector set1(double x) { return {vdupq_n_f64(x)}; }
  PYLSTM_INLINE static vector zero() { return {vdupq_n_f64(0.0)}; }
  PYLSTM_INLINE void store(double* p) const { vst1q_f64(p, v); }
  PYLSTM_INLINE void store_first(double* p, std::size_t n) const {
    double whole[lanes];
    store(whole);
    std::memcpy(p, whole, n * sizeof(double));
  }

  PYLSTM_INLINE friend vector operator+(vector a, vector b) { return {vaddq_f64(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator-(vector a, vector b) { return {vsubq_f64(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator*(vector a, vector b) { return {vmulq_f64(a.v, b.v)}; }
  PYLSTM_INLINE friend vector operator/(vector a, vector b) { return {vdivq_f64(a.v, b.v)}; }
  PYLSTM_INLINE friend vector fma(vector a, vector b, vector c) { return {vfmaq_f64(c.v, a.v, b.v)}; }
  PYLSTM_INLINE friend vector fnma(vector a, vector b, vector c) { return {vfmsq_f64(c.v, a.v, b.v)}; }
  PYLSTM_INLINE friend vector add_product(vector a, vector b, vector sum) { return fma(a, b, sum); }
  PYLSTM_INLINE friend vector min(vector a, vector b) { return {vminq_f64(a.v, b.v)}; }
  PYLSTM_INLINE friend vector max(vector a, vector b) { return {vmaxq_f64(a.v, b.v)}; }
  PYLSTM_INLINE friend vector zero_unless_less(vector a, vector b, vector x) {
    return {vreinterpretq_f64_u64(vandq_u64(vcltq_f64(a.v, b.v), vreinterpretq_u64_f64(x.v)))};
  }
  PYLSTM_INLINE friend vector sqrt(vector a) { return {vsqrtq_f64(a.v)}; }
  PYLSTM_INLINE friend vector abs(vector a) { return {vabsq_f64(a.v)}; }
  PYLSTM_INLINE friend vector copysign(vector magnitude, vector sign) {
    return {vbslq_f64(vdupq_n_u64(0x8000000000000000ULL), sign.v, magnitude.v)};
  }
  PYLSTM_INLINE friend vector low_bits_to_exponent(vector a) {
    return {vreinterpretq_f64_s64(vshlq_n_s64(vreinterpretq_s64_f64(a.v), 52))};
  }
  template <std::size_t lane>
  PYLSTM_INLINE friend vector broadcast(vector a) {
    return {vdupq_laneq_f64(a.v, lane)};
  }
  PYLSTM_INLINE friend double sum(vector a) { return vgetq_lane_f64(a.v, 0) + vgetq_lane_f64(a.v, 1); }
  PYLSTM_INLINE friend vector zip_low(vector a, vector b) { return {vzip1q_f64(a.v, b.v)}; }
  PYLSTM_INLINE friend vector zip_high(vector a, vector b) { return {vzip2q_f64(a.v, b.v)}; }
};

}  // namespace pylstm::simd
#endif
