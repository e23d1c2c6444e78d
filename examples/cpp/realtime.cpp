/// A real-time loop: an LSTM filters a signal sample by sample, and a histogram tells how long each step took.
///   realtime [steps] [hidden size]
/// The network has random weights here; in a program of yours it is trained, or its parameters are set.
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "pylstm/pylstm.hpp"

namespace {

/// Counts latencies without allocation: eight bins for every doubling.
class Histogram {
 public:
  void add(std::uint64_t nanoseconds) {
    ++counts_[bin(nanoseconds)];
    ++total_;
  }
  /// Upper end of the bin that holds the given share of all.
  double quantile(double share) const {
    const double wanted = share * static_cast<double>(total_);
    double seen = 0;
    std::size_t i = 0;
    while (i + 1 < counts_.size() && (seen += static_cast<double>(counts_[i])) < wanted) ++i;
    return end(i);
  }
  void print() const {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] > 0) std::printf("  <%10.0f ns %12llu\n", end(i), static_cast<unsigned long long>(counts_[i]));
    }
  }

 private:
  static std::size_t bin(std::uint64_t value) {
    if (value < 8) return value;
    const auto doubling = static_cast<std::size_t>(std::bit_width(value)) - 4;
    return 8 * (doubling + 1) + (value >> doubling) % 8;
  }
  static double end(std::size_t i) {
    if (i < 8) return static_cast<double>(i + 1);
    return std::ldexp(static_cast<double>(8 + i % 8 + 1), static_cast<int>(i / 8) - 1);
  }

  std::array<std::uint64_t, 512> counts_{};
  std::uint64_t total_ = 0;
};

int run(int argc, char** argv) {
  const std::size_t steps = argc > 1 ? std::stoul(argv[1]) : 100'000, hidden = argc > 2 ? std::stoul(argv[2]) : 32;
  if (steps == 0) throw std::runtime_error("usage: realtime [steps] [hidden size]");
  pylstm::network::Network<float> network({.inputs = 1, .hidden_sizes = {hidden}, .outputs = 1});
  network.initialize(1);
  pylstm::stream::Stream<float> stream(std::move(network));  // the last allocation

  using clock = std::chrono::steady_clock;
  const pylstm::simd::FlushDenormals flush;  // once for all steps: each would do it for itself otherwise
  Histogram histogram;
  float output = 0;
  for (std::size_t t = 0; t < steps; ++t) {
    const float sample = std::sin(0.01F * static_cast<float>(t % 628));  // what a sensor would give
    const auto start = clock::now();
    stream.step(&sample, &output);
    const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now() - start);
    histogram.add(static_cast<std::uint64_t>(elapsed.count()));
  }

  histogram.print();
  std::printf("%zu steps of %zu units: median %.0f ns, 99.99 %% below %.0f ns; last output %g\n", steps, hidden,
              histogram.quantile(0.5), histogram.quantile(0.9999), static_cast<double>(output));
  return std::isfinite(output) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
