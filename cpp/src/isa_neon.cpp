#include "tables.hpp"

constinit const pylstm::kernels::KernelTable<float> pylstm::dispatch::neon_float =
    pylstm::kernels::kernel_table<float, pylstm::simd::neon>();
constinit const pylstm::kernels::KernelTable<double> pylstm::dispatch::neon_double =
    pylstm::kernels::kernel_table<double, pylstm::simd::neon>();
