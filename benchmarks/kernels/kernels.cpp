// Kernels and layers of one instruction set, timed alone: GFLOP/s and the share of the fused-multiply-add peak that the
// same program measures first.  Every size is steps, batch, inputs, hidden.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pylstm/pylstm.hpp"

namespace {

using namespace pylstm;
using Isa = simd::PYLSTM_BENCHMARK_ISA;

/// One thread's FMA peak: chains enough to hide the latency, in registers.
template <class T>
double measure_peak() {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t chains = Isa::registers > 16 ? 24 : 12, passes = 20'000;
  V acc[chains];
  for (std::size_t i = 0; i < chains; ++i) acc[i] = V::set1(static_cast<T>(i));
  const volatile T seed = T(0.999);
  const V scale = V::set1(seed), shift = V::set1(1 - seed);
  double best = 0;
  for (int slice = 0; slice < 20; ++slice) {
    const auto began = std::chrono::steady_clock::now();
    for (std::size_t pass = 0; pass < passes; ++pass) {
#pragma GCC unroll 24
      for (std::size_t i = 0; i < chains; ++i) acc[i] = fma(acc[i], scale, shift);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    best = std::max(best, 2.0 * passes * chains * V::lanes / seconds);
  }
  T sink[V::lanes];
  for (const V& v : acc) {
    v.store(sink);
    benchmark::DoNotOptimize(sink);
  }
  return best;
}

template <class T>
double peak() {
  static const double value = measure_peak<T>();
  return value;
}

template <class T>
Buffer<T> random_buffer(std::size_t size, std::uint64_t seed, double scale) {
  Buffer<T> buffer(size);
  RandomStream random(random_key(seed));
  for (T& value : buffer) value = static_cast<T>(scale * (2 * random.next_uniform() - 1));
  return buffer;
}

/// A layer with weights and data, time-major.
template <class T>
struct Problem {
  std::size_t T_, B, I, H;
  kernels::KernelTable<T> table = kernels::kernel_table<T, Isa>();
  layers::RecurrentLayer<T> layer{table.cell({}), I, H};
  Buffer<T> panels{layer.shape().size(), T(0)}, dpanels{layer.shape().size()};
  Buffer<T> x, y, dy, dx;
  layers::Tape<T> tape;
  layers::Workspace<T> work;
  Interrupt never;
  Schedule schedule{.steps = T_, .rows = B};

  explicit Problem(const benchmark::State& state)
      : T_(size(state, 0)), B(size(state, 1)), I(size(state, 2)), H(size(state, 3)) {
    const double scale = 1 / std::sqrt(static_cast<double>(H));
    const Buffer<T> w = random_buffer<T>(4 * H * I, 1, scale), u = random_buffer<T>(4 * H * H, 2, scale),
                    b = random_buffer<T>(4 * H, 3, scale);
    layer.pack({.weight_ih = w.data(), .weight_hh = u.data(), .bias = b.data()}, panels.data());
    x = random_buffer<T>(T_ * B * I, 4, 1);
    dy = random_buffer<T>(T_ * B * H, 5, 1);
    y = Buffer<T>(T_ * B * H);
    dx = Buffer<T>(T_ * B * I);
  }

  static std::size_t size(const benchmark::State& state, std::size_t i) {
    return static_cast<std::size_t>(state.range(i));
  }
  template <class U>
  Sequence<U> rows(U* data, std::size_t width) const {
    return {data, static_cast<std::ptrdiff_t>(B * width), static_cast<std::ptrdiff_t>(width), nullptr};
  }
  void forward(bool training) {
    layer.forward(panels.data(), schedule, rows<const T>(x.data(), I), rows(y.data(), H), {},
                  training ? &tape : nullptr, work, never);
  }
  void backward(bool weights, bool inputs) {
    layers::SequenceGradients<T> g;
    g.dy = rows<const T>(dy.data(), H);
    if (weights) g.dpanels = dpanels.data();
    if (inputs) g.dx = rows(dx.data(), I);
    layer.backward(panels.data(), schedule, rows<const T>(x.data(), I), tape, g, work, never);
  }
};

void report(benchmark::State& state, double flops_of_a_pass, double peak_flops) {
  const double flops = flops_of_a_pass * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(flops / 1e9, benchmark::Counter::kIsRate);
  state.counters["peak%"] = benchmark::Counter(100 * flops / peak_flops, benchmark::Counter::kIsRate);
}

template <class T>
double product_flops(const Problem<T>& p) {
  return 2.0 * static_cast<double>(p.T_ * p.B) * 4 * static_cast<double>(p.H * (p.I + p.H));
}

template <class T, bool training>
void forward(benchmark::State& state) {
  Problem<T> p(state);
  for (auto _ : state) p.forward(training);
  report(state, product_flops(p), peak<T>());
}

template <class T>
void backward_recurrence(benchmark::State& state) {
  Problem<T> p(state);
  p.forward(true);
  for (auto _ : state) p.backward(false, false);
  report(state, 2.0 * static_cast<double>(p.T_ * p.B) * 4 * static_cast<double>(p.H * p.H), peak<T>());
}

template <class T>
void backward(benchmark::State& state) {
  Problem<T> p(state);
  p.forward(true);
  for (auto _ : state) p.backward(true, true);
  report(state, 2 * product_flops(p), peak<T>());
}

template <class T>
void training_step(benchmark::State& state) {
  Problem<T> p(state);
  for (auto _ : state) {
    p.forward(true);
    p.backward(true, true);
  }
  report(state, 3 * product_flops(p), peak<T>());
}

using Sizes = std::vector<std::int64_t>;

/// The grid of benchmarks/peers/cases.py.
const std::vector<Sizes> grid{{32, 1, 8, 16},     {32, 32, 1, 32},     {50, 32, 8, 64},    {100, 64, 16, 128},
                              {100, 32, 64, 256}, {64, 128, 128, 512}, {35, 20, 650, 650}, {35, 20, 1500, 1500},
                              {784, 64, 1, 128},  {24, 256, 32, 64}};

Sizes parse(const std::string& text) {
  Sizes sizes;
  std::istringstream stream(text);
  for (std::string number; std::getline(stream, number, ',');) sizes.push_back(std::stol(number));
  if (sizes.size() != 4) throw std::invalid_argument("\"" + text + "\" is no size, expected steps,batch,inputs,hidden");
  return sizes;
}

void add(const std::string& name, void (*function)(benchmark::State&), const std::vector<Sizes>& cases) {
  benchmark::internal::Benchmark* const b = benchmark::RegisterBenchmark(name.c_str(), function);
  for (const Sizes& sizes : cases) b->Args(sizes);
  b->Unit(benchmark::kMicrosecond)->UseRealTime();
}

template <class T>
void add_all(const std::string& type, const std::vector<Sizes>& cases) {
  add("inference/" + type, forward<T, false>, cases);
  add("training_forward/" + type, forward<T, true>, cases);
  add("backward_recurrence/" + type, backward_recurrence<T>, cases);
  add("backward/" + type, backward<T>, cases);
  add("training_step/" + type, training_step<T>, cases);
}

}  // namespace

/// kernels_<isa> [--benchmark_...] [steps,batch,inputs,hidden ...]
int main(int argc, char** argv) {
  ThreadPool::instance().set_threads(1);
  benchmark::Initialize(&argc, argv);
  std::vector<Sizes> cases;
  for (int i = 1; i < argc; ++i) cases.push_back(parse(argv[i]));
  if (cases.empty()) cases = grid;
  add_all<float>("float", cases);
  add_all<double>("double", cases);
  benchmark::AddCustomContext("isa", Isa::name);
  benchmark::AddCustomContext("peak float GFLOP/s", std::to_string(peak<float>() / 1e9));
  benchmark::AddCustomContext("peak double GFLOP/s", std::to_string(peak<double>() / 1e9));
  benchmark::RunSpecifiedBenchmarks();
}
