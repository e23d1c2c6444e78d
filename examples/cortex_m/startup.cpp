/// From reset to main on a Cortex-M with a floating-point unit.
#include <cstdint>
#include <cstring>

#include "debugger.hpp"

int main();

extern "C" {

extern std::uint32_t stack_top, data_begin, data_end, data_source, bss_begin, bss_end;  // memory.ld

[[noreturn]] void reset() {
  *reinterpret_cast<volatile std::uint32_t*>(0xe000ed88) |= 0xfU << 20;  // CPACR: the floating-point unit on
  asm volatile("dsb\n\tisb");
  std::memcpy(&data_begin, &data_source, reinterpret_cast<char*>(&data_end) - reinterpret_cast<char*>(&data_begin));
  std::memset(&bss_begin, 0, reinterpret_cast<char*>(&bss_end) - reinterpret_cast<char*>(&bss_begin));
  debugger::exit(main());
}

[[noreturn]] void fault() {
  debugger::print("fault\n");
  debugger::exit(2);
}

/// Stack pointer, reset, NMI and the faults; no interrupt is on.
[[gnu::section(".vectors"), gnu::used]] const void* const vectors[] = {
    &stack_top,
    reinterpret_cast<const void*>(reset),
    reinterpret_cast<const void*>(fault),
    reinterpret_cast<const void*>(fault),
    reinterpret_cast<const void*>(fault),
    reinterpret_cast<const void*>(fault),
    reinterpret_cast<const void*>(fault),
};
}
