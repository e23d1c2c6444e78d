/// Flush-to-zero for the time a kernel runs, on this thread only; the caller's mode comes back.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

#include "pylstm/base/inline.hpp"

namespace pylstm::simd {

/// The control register of this thread's arithmetic, and its bits that flush denormals: none where there is no such.
struct FloatControl {
#if defined(__SSE2__) || defined(_M_X64)
  using Word = std::uint32_t;
  static constexpr Word flush = 0x8040;  // denormal results are zero, denormal inputs are zero
  PYLSTM_INLINE static Word read() { return _mm_getcsr(); }
  PYLSTM_INLINE static void write(Word word) { _mm_setcsr(word); }

  /// By arithmetic: to read the register, too, waits for all arithmetic before it.
  /// Inputs first: where they are no zeros, a denormal result may cost 150 cycles.
  PYLSTM_INLINE static bool flushes() {
    float denormal = std::numeric_limits<float>::denorm_min(), smallest = std::numeric_limits<float>::min();
    hide(denormal);
    hide(smallest);
    bool input_is_zero = denormal == 0.0F;
    hide(input_is_zero);
    if (!input_is_zero) return false;
    float half = smallest * 0.5F;
    hide(half);
    return std::bit_cast<std::uint32_t>(half) == 0;
  }

 private:
  /// To the compiler a value from elsewhere: not known in advance, and not computed again once the register is written.
  PYLSTM_INLINE static void hide(float& x) { asm volatile("" : "+x"(x)); }
  PYLSTM_INLINE static void hide(bool& x) { asm volatile("" : "+r"(x)); }
#else
#if defined(__aarch64__) || (defined(__arm__) && defined(__ARM_FP))
  using Word = std::uintptr_t;                  // as wide as a general register
  static constexpr Word flush = Word{1} << 24;  // FZ
  PYLSTM_INLINE static Word read() {
    Word word;
#if defined(__aarch64__)
    asm volatile("mrs %0, fpcr" : "=r"(word));
#else
    asm volatile("vmrs %0, fpscr" : "=r"(word));
#endif
    return word;
  }
  PYLSTM_INLINE static void write(Word word) {
#if defined(__aarch64__)
    asm volatile("msr fpcr, %0" : : "r"(word));
#else
    asm volatile("vmsr fpscr, %0" : : "r"(word));
#endif
  }
#else
  using Word = std::uint32_t;
  static constexpr Word flush = 0;
  PYLSTM_INLINE static Word read() { return 0; }
  PYLSTM_INLINE static void write(Word) {}
#endif
  PYLSTM_INLINE static bool flushes() { return (read() & flush) == flush; }
#endif
};

/// Denormal results are zero and denormal inputs count as zero while one of these lives.
/// A mode that is set already is left alone: writing it makes x86 wait for all arithmetic before it.
class FlushDenormals {
 public:
  PYLSTM_INLINE FlushDenormals() : already_(FloatControl::flushes()) {
    if (already_) return;
    saved_ = FloatControl::read();
    FloatControl::write(saved_ | FloatControl::flush);
  }
  PYLSTM_INLINE ~FlushDenormals() {
    if (!already_) FloatControl::write(saved_);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  bool already_;
  FloatControl::Word saved_ = 0;
};

}  // namespace pylstm::simd
