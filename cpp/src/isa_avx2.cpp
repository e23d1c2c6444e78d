#include "tables.hpp"

constinit const pylstm::kernels::KernelTable<float> pylstm::dispatch::avx2_float =
    pylstm::kernels::kernel_table<float, pylstm::simd::avx2>();
constinit const pylstm::kernels::KernelTable<double> pylstm::dispatch::avx2_double =
    pylstm::kernels::kernel_table<double, pylstm::simd::avx2>();
