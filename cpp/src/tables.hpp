/// The tables that the files isa_*.cpp define, one pair for each ISA of the target architecture.
#pragma once

#include "pylstm/kernels/table.hpp"

namespace pylstm::dispatch {

extern const kernels::KernelTable<float> generic_float, avx2_float, avx512_float, neon_float;
extern const kernels::KernelTable<double> generic_double, avx2_double, avx512_double, neon_double;

}  // namespace pylstm::dispatch
