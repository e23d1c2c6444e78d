/// libFuzzer: whatever the bytes, a model or a ModelFormatError.  -DPYLSTM_BUILD_FUZZERS=ON, with Clang;
/// then `build/<preset>/tests/cpp/fuzz_model_file CORPUS tests/data/model_files/0.1.0 -max_total_time=3600`.
#include <cstddef>
#include <cstdint>

#include "pylstm/io/model_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto networks = pylstm::io::load_any(std::span(reinterpret_cast<const std::byte*>(data), size));
    static_cast<void>(networks);
  } catch (const pylstm::io::ModelFormatError&) {
  }
  return 0;
}
