/// Training with the large products by the program's BLAS, here OpenBLAS or any other CBLAS, beside the engine's own:
///   blas [steps [rows [inputs [units]]]]
#include <cblas.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <vector>

#include "pylstm/blas.hpp"
#include "pylstm/pylstm.hpp"

namespace {

struct Blas {
  static void gemm(bool transposed, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b,
                   float* c) {
    const auto size = [](std::size_t value) { return static_cast<int>(value); };
    cblas_sgemm(CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, CblasNoTrans, size(m), size(n), size(k), 1, a,
                size(transposed ? m : k), b, size(n), 0, c, size(n));
  }
};

struct Result {
  double milliseconds = std::numeric_limits<double>::infinity();  ///< of a training step, the fastest
  std::vector<float> y;
};

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int place, std::size_t otherwise) {
    return argc > place ? std::strtoull(argv[place], nullptr, 10) : otherwise;
  };
  const std::size_t steps = argument(1, 35), rows = argument(2, 20), inputs = argument(3, 256),
                    units = argument(4, 256);
#if defined(OPENBLAS_VERSION)
  openblas_set_num_threads(1);  // the engine has threads of its own
#endif

  std::vector<float> x(rows * steps * inputs), y(rows);
  pylstm::RandomStream random(1);
  for (float& value : x) value = static_cast<float>(2 * random.next_uniform() - 1);
  for (std::size_t n = 0; n < rows; ++n) y[n] = x[n * steps * inputs];
  const auto stride = [](std::size_t values) { return static_cast<std::ptrdiff_t>(values * sizeof(float)); };
  const pylstm::train::SampleView view{x.data(),       false,    rows, steps, inputs, stride(steps * inputs),
                                       stride(inputs), stride(1)};
  pylstm::train::Batches batches;
  batches.x = view;
  batches.y = {y.data(), false, rows, 1, 1, stride(1), stride(1), stride(1)};
  batches.batch_size = rows;
  batches.order.resize(rows);
  std::iota(batches.order.begin(), batches.order.end(), std::size_t{0});

  const auto& own = pylstm::active_kernels<float>();
  const auto table = pylstm::blas::kernel_table<Blas>(own);
  std::vector<pylstm::network::Network<float>> networks;
  std::vector<pylstm::train::Trainer<float>> trainers;
  for (const auto* kernels : {&own, &table}) {
    networks.emplace_back(pylstm::network::Config{.inputs = inputs, .hidden_sizes = {units}}, *kernels);
    networks.back().initialize(1);
  }
  for (auto& network : networks) trainers.emplace_back(network, pylstm::train::TrainerConfig{});

  Result results[2];
  pylstm::Interrupt never;
  for (int step = 0; step < 20; ++step) {  // in turns: both see the same machine
    for (std::size_t which = 0; which < 2; ++which) {
      const auto start = std::chrono::steady_clock::now();
      trainers[which].run_epoch(batches, never);
      const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
      results[which].milliseconds = std::min(results[which].milliseconds, time.count());
    }
  }
  for (std::size_t which = 0; which < 2; ++which) {
    results[which].y.resize(rows);
    pylstm::train::predict(networks[which], view, results[which].y.data(), never);
  }
  float difference = 0;
  for (std::size_t n = 0; n < rows; ++n) {
    difference = std::max(difference, std::fabs(results[0].y[n] - results[1].y[n]));
  }
  std::printf("a training step: %.2f ms with the engine's products, %.2f ms with the BLAS's\n", results[0].milliseconds,
              results[1].milliseconds);
  std::printf("predictions after 20 steps differ by at most %.2g\n", static_cast<double>(difference));
  return difference < 1e-3F ? 0 : 1;
}
