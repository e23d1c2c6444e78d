/// Flush-to-zero for the time a kernel runs, on this thread only; the caller's mode comes back.
#pragma once

#include <cstdint>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

#include "pylstm/base/inline.hpp"

namespace pylstm::simd {

/// Denormal results are zero and denormal inputs count as zero while one of these lives.
class FlushDenormals {
 public:
#if defined(__SSE2__) || defined(_M_X64)
  PYLSTM_INLINE FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(static_cast<unsigned>(saved_) | 0x8040U); }
  PYLSTM_INLINE ~FlushDenormals() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
  PYLSTM_INLINE FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(saved_ | (std::uint64_t{1} << 24)));
  }
  PYLSTM_INLINE ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#elif defined(__arm__) && defined(__ARM_FP)
  PYLSTM_INLINE FlushDenormals() {
    std::uint32_t mode;
    asm volatile("vmrs %0, fpscr" : "=r"(mode));
    asm volatile("vmsr fpscr, %0" : : "r"(mode | (std::uint32_t{1} << 24)));
    saved_ = mode;
  }
  PYLSTM_INLINE ~FlushDenormals() { asm volatile("vmsr fpscr, %0" : : "r"(static_cast<std::uint32_t>(saved_))); }
#else
  PYLSTM_INLINE FlushDenormals() {}
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  [[maybe_unused]] std::uint64_t saved_ = 0;
};

}  // namespace pylstm::simd
