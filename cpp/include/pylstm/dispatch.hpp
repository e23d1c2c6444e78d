/// Which ISAs exist in this build, which one is active, how to force one.
///
/// Header-only programs (pylstm::core) have the one ISA of their compiler flags.  With pylstm::dispatch the best of
/// several is chosen once, from cpuid; PYLSTM_ISA in the environment forces one.
#pragma once

#include <string>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/kernels/table.hpp"

namespace pylstm {

#if defined(PYLSTM_DISPATCH)

/// ISAs of this build that this machine can run, best first.
std::vector<std::string> available_isas();

/// Makes `name` the active ISA; throws std::invalid_argument, naming the choices, where it is unknown or unavailable.
/// Objects made before keep the kernels they were made with.
void set_isa(const std::string& name);

/// The active kernels.  The first call reads PYLSTM_ISA and may throw as `set_isa` does.
template <class T>
const kernels::KernelTable<T>& active_kernels();
template <>
const kernels::KernelTable<float>& active_kernels<float>();
template <>
const kernels::KernelTable<double>& active_kernels<double>();

#else

inline std::vector<std::string> available_isas() { return {simd::native::name}; }

inline void set_isa(const std::string& name) {
  require(name == simd::native::name, "ISA is \"", name, "\", expected \"", simd::native::name,
          "\": the only one of a build without pylstm::dispatch");
}

template <class T>
inline const kernels::KernelTable<T>& active_kernels() {
  static constexpr kernels::KernelTable<T> table = kernels::kernel_table<T, simd::native>();
  return table;
}

#endif

}  // namespace pylstm
