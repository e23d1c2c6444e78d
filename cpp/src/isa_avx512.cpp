#include "tables.hpp"

namespace {

/// For narrow layers, where this build has them: the kernels of half as wide vectors.
#if defined(PYLSTM_HAS_avx2)
constexpr const pylstm::kernels::KernelTable<float>* half_float = &pylstm::dispatch::avx2_float;
constexpr const pylstm::kernels::KernelTable<double>* half_double = &pylstm::dispatch::avx2_double;
#else
constexpr const pylstm::kernels::KernelTable<float>* half_float = nullptr;
constexpr const pylstm::kernels::KernelTable<double>* half_double = nullptr;
#endif

}  // namespace

constinit const pylstm::kernels::KernelTable<float> pylstm::dispatch::avx512_float =
    pylstm::kernels::kernel_table<float, pylstm::simd::avx512>(half_float);
constinit const pylstm::kernels::KernelTable<double> pylstm::dispatch::avx512_double =
    pylstm::kernels::kernel_table<double, pylstm::simd::avx512>(half_double);
