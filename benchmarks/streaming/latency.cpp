// One stream, one input, H units, a dense head of one output: nanoseconds per step, and the latency of single steps.
//   latency_<isa> [hidden ...]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "pylstm/pylstm.hpp"

namespace {

using namespace pylstm;
using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point start) {
  return std::chrono::duration<double>(clock_type::now() - start).count();
}

template <class T>
struct Latencies {
  double best, median;                 ///< ns per step, steps one after the other
  double median_single, p9999, worst;  ///< ns of a single step, the clock's own time included
};

template <class T>
Latencies<T> measure(std::size_t hidden, kernels::CellChoice cell) {
  static const kernels::KernelTable<T> table = kernels::kernel_table<T, simd::PYLSTM_BENCHMARK_ISA>();
  network::Network<T> network({.cell = cell, .inputs = 1, .hidden_sizes = {hidden}, .outputs = 1}, table);
  network.initialize(1);
  stream::Stream<T> stream(std::move(network));
  std::vector<T> x(1024);
  RandomStream random(random_key(2));
  for (T& value : x) value = static_cast<T>(2 * random.next_uniform() - 1);
  T y = 0;
  const auto step = [&](std::size_t t) { stream.step(&x[t % x.size()], &y); };

  std::vector<double> slices;
  const std::size_t steps = std::max<std::size_t>(500, 2'000'000 / (hidden * hidden + 100));
  for (std::size_t slice = 0; slice < 400; ++slice) {
    const auto start = clock_type::now();
    for (std::size_t t = 0; t < steps; ++t) step(t);
    slices.push_back(1e9 * seconds_since(start) / static_cast<double>(steps));
  }
  std::vector<float> singles(1'000'000);
  for (std::size_t t = 0; t < singles.size(); ++t) {
    const auto start = clock_type::now();
    step(t);
    singles[t] = static_cast<float>(1e9 * seconds_since(start));
  }
  std::sort(slices.begin(), slices.end());
  std::sort(singles.begin(), singles.end());
  return {slices.front(), slices[slices.size() / 2], singles[singles.size() / 2],
          singles[singles.size() - singles.size() / 10'000], singles.back()};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::size_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::strtoul(argv[i], nullptr, 10));
  if (sizes.empty()) sizes = {8, 16, 32, 64, 128};
  std::printf("%s: one input, one layer, one output; ns\n", simd::PYLSTM_BENCHMARK_ISA::name);
  std::printf("%-8s %6s %10s %10s   %14s %10s %10s\n", "type", "hidden", "best", "median", "single: median", "p99.99",
              "worst");
  const auto print = [](const char* type, std::size_t hidden, const auto& l) {
    std::printf("%-8s %6zu %10.1f %10.1f   %14.0f %10.0f %10.0f\n", type, hidden, l.best, l.median, l.median_single,
                l.p9999, l.worst);
  };
  for (const std::size_t hidden : sizes) print("float", hidden, measure<float>(hidden, {}));
  for (const std::size_t hidden : sizes) print("double", hidden, measure<double>(hidden, {}));
}
