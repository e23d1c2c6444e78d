// One stream, one input, H units, a dense head of one output: nanoseconds per step, and the latency of single steps.
//   latency_<isa> [repeats]
// Twice: in a thread like any other, and in one that flushes denormals itself, as audio programs do.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "pylstm/pylstm.hpp"

namespace {

using namespace pylstm;
using clock_type = std::chrono::steady_clock;
using Isa = simd::PYLSTM_BENCHMARK_ISA;

double nanoseconds_since(clock_type::time_point start) {
  return std::chrono::duration<double, std::nano>(clock_type::now() - start).count();
}

double quantile(std::vector<float> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

template <class T>
std::vector<T> inputs() {
  std::vector<T> x(1024);
  RandomStream random(random_key(2));
  for (T& value : x) value = static_cast<T>(2 * random.next_uniform() - 1);
  return x;
}

/// ns per step of many.
template <class T, class Stream>
float slice(Stream& stream, const std::vector<T>& x, std::size_t steps) {
  static T y[512];
  const auto start = clock_type::now();
  for (std::size_t t = 0; t < steps; ++t) stream.step(&x[t % x.size()], &y[t % 512]);
  return static_cast<float>(nanoseconds_since(start) / static_cast<double>(steps));
}

/// ns per step of many, in blocks of 512 as audio comes.
template <class T, class Stream>
float slice_of_blocks(Stream& stream, const std::vector<T>& x, std::size_t steps) {
  constexpr std::size_t block = 512;
  static T y[block];
  const std::size_t blocks = (steps + block - 1) / block;
  const auto start = clock_type::now();
  for (std::size_t b = 0; b < blocks; ++b) stream.run(&x[b * block % x.size()], y, block);
  return static_cast<float>(nanoseconds_since(start) / static_cast<double>(blocks * block));
}

/// ns of single steps, the clock's own time included.
template <class T, class Stream>
std::vector<float> singles(Stream& stream, const std::vector<T>& x) {
  std::vector<float> times(1'000'000);
  T y = 0;
  for (std::size_t t = 0; t < times.size(); ++t) {
    const auto start = clock_type::now();
    stream.step(&x[t % x.size()], &y);
    times[t] = static_cast<float>(nanoseconds_since(start));
  }
  return times;
}

template <class T, std::size_t H>
void measure(const char* type, std::size_t repeats) {
  network::Network<T> network({.inputs = 1, .hidden_sizes = {H}, .outputs = 1});
  network.initialize(1);
  using Fixed = stream::StaticStream<T, 1, H, 1, kernels::CellChoice{}, Isa>;
  const auto fixed = std::make_unique<Fixed>(stream::static_stream<Fixed>(network));
  stream::Stream<T> stream(std::move(network));
  const std::vector<T> x = inputs<T>();
  std::vector<float> of_stream, of_stream_blocks, of_fixed, of_blocks;
  const std::size_t steps = std::max<std::size_t>(500, 2'000'000 / (H * H + 100));
  for (std::size_t repeat = 0; repeat < repeats; ++repeat) {  // in turns: both see the same machine
    of_stream.push_back(slice(stream, x, steps));
    of_stream_blocks.push_back(slice_of_blocks(stream, x, steps));
    of_fixed.push_back(slice(*fixed, x, steps));
    of_blocks.push_back(slice_of_blocks(*fixed, x, steps));
  }
  const std::vector<float> single = singles(stream, x), single_fixed = singles(*fixed, x);
  std::printf("%-8s %4zu", type, H);
  const auto print = [](const std::vector<float>& steps_alone, const std::vector<float>& blocks,
                        const std::vector<float>& one) {
    std::printf(" %8.1f %8.1f %8.1f %8.1f %7.0f %7.0f", quantile(steps_alone, 0), quantile(steps_alone, 0.5),
                quantile(blocks, 0), quantile(blocks, 0.5), quantile(one, 0.5), quantile(one, 0.9999));
  };
  print(of_stream, of_stream_blocks, single);
  print(of_fixed, of_blocks, single_fixed);
  std::printf("\n");
}

template <class T>
void measure_sizes(const char* type, std::size_t repeats) {
  measure<T, 8>(type, repeats);
  measure<T, 16>(type, repeats);
  measure<T, 32>(type, repeats);
  measure<T, 64>(type, repeats);
  measure<T, 128>(type, repeats);
}

void measure_types(std::size_t repeats) {
  measure_sizes<float>("float", repeats);
  measure_sizes<double>("double", repeats);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t repeats = std::max<std::size_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 400, 1);
  set_isa(Isa::name);
  std::printf(
      "%s; ns per step: one after the other and in blocks of 512 (best, median), single steps (median, 99.99 %%)\n",
      Isa::name);
  std::printf("%-13s %-53s %s\n", "", "Stream: steps, blocks, single", "StaticStream: steps, blocks, single");
  measure_types(repeats);
  std::printf("the thread flushes denormals\n");
  const simd::FlushDenormals flush;
  measure_types(repeats);
}
