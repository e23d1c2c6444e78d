#include "tables.hpp"

constinit const pylstm::kernels::KernelTable<float> pylstm::dispatch::generic_float =
    pylstm::kernels::kernel_table<float, pylstm::simd::generic>();
constinit const pylstm::kernels::KernelTable<double> pylstm::dispatch::generic_double =
    pylstm::kernels::kernel_table<double, pylstm::simd::generic>();
