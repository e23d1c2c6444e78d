#include "tables.hpp"

constinit const pylstm::kernels::KernelTable<float> pylstm::dispatch::avx512_float =
    pylstm::kernels::kernel_table<float, pylstm::simd::avx512>(&avx2_float);
constinit const pylstm::kernels::KernelTable<double> pylstm::dispatch::avx512_double =
    pylstm::kernels::kernel_table<double, pylstm::simd::avx512>(&avx2_double);
