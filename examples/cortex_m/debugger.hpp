/// What a program says to the debugger it runs under, or to QEMU (Arm semihosting), and a clock.
#pragma once

#include <cstdint>

namespace debugger {

inline void call(int operation, const void* argument) {
  register int r0 asm("r0") = operation;
  register const void* r1 asm("r1") = argument;
  asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

inline void print(const char* text) { call(0x04, text); }  // SYS_WRITE0

inline void print(std::uint32_t value, unsigned base) {
  char text[33] = {};
  char* digit = text + 32;
  do *--digit = "0123456789abcdef"[value % base];
  while ((value /= base) != 0);
  print(digit);
}

[[noreturn]] inline void exit(int status) {
  const std::uint32_t block[2] = {0x20026, static_cast<std::uint32_t>(status)};  // ADP_Stopped_ApplicationExit
  call(0x20, block);                                                             // SYS_EXIT_EXTENDED
  for (;;) {
  }
}

/// Ticks of the processor's clock since this was made, below 2^24 (SysTick).
class Clock {
 public:
  Clock() {
    registers()[1] = most;  // reload
    registers()[2] = 0;     // current
    registers()[0] = 5;     // on, the processor's clock, no interrupt
  }
  std::uint32_t ticks() const { return most - registers()[2]; }

 private:
  static constexpr std::uint32_t most = 0xffffff;
  static volatile std::uint32_t* registers() { return reinterpret_cast<volatile std::uint32_t*>(0xe000e010); }
};

}  // namespace debugger
