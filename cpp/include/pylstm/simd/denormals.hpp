/// Flush-to-zero for the time a kernel runs, on this thread only; the caller's mode comes back.
#pragma once

#include <cstdint>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

#include "pylstm/base/inline.hpp"

namespace pylstm::simd {

/// Denormal results are zero and denormal inputs count as zero while one of these lives.
/// A mode that is set already is left alone: writing it makes x86 wait for all arithmetic before it.
class FlushDenormals {
 public:
#if defined(__SSE2__) || defined(_M_X64)
  PYLSTM_INLINE FlushDenormals() : saved_(_mm_getcsr()) {
    if (!already_set()) _mm_setcsr(static_cast<unsigned>(saved_) | mode);
  }
  PYLSTM_INLINE ~FlushDenormals() {
    if (!already_set()) _mm_setcsr(static_cast<unsigned>(saved_));
  }
#elif defined(__aarch64__)
  PYLSTM_INLINE FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    if (!already_set()) asm volatile("msr fpcr, %0" : : "r"(saved_ | mode));
  }
  PYLSTM_INLINE ~FlushDenormals() {
    if (!already_set()) asm volatile("msr fpcr, %0" : : "r"(saved_));
  }
#elif defined(__arm__) && defined(__ARM_FP)
  PYLSTM_INLINE FlushDenormals() {
    std::uint32_t before;
    asm volatile("vmrs %0, fpscr" : "=r"(before));
    saved_ = before;
    if (!already_set()) asm volatile("vmsr fpscr, %0" : : "r"(before | static_cast<std::uint32_t>(mode)));
  }
  PYLSTM_INLINE ~FlushDenormals() {
    if (!already_set()) asm volatile("vmsr fpscr, %0" : : "r"(static_cast<std::uint32_t>(saved_)));
  }
#else
  PYLSTM_INLINE FlushDenormals() {}
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__aarch64__) || defined(__arm__)
  static constexpr std::uint64_t mode = std::uint64_t{1} << 24;  // FZ
#else
  static constexpr unsigned mode = 0x8040;  // flush to zero, denormals are zero
#endif
  PYLSTM_INLINE bool already_set() const { return (saved_ & mode) == mode; }

  std::uint64_t saved_ = 0;
};

}  // namespace pylstm::simd
