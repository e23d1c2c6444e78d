/// A trained network on a microcontroller, in float32 and without exceptions, RTTI, heap or operating system: the step
/// of the header that `export_header` wrote, and the engine's stream over the same weights.
#include <bit>
#include <cstddef>
#include <cstdint>

#include "debugger.hpp"
#include "pylstm/stream/static_stream.hpp"
#include "sine.hpp"  // run writes it

namespace {

using Stream = pylstm::stream::StaticStream<float, sine::inputs, sine::units[0], sine::outputs>;

constexpr std::size_t steps = 20;

/// Stands for a converter: step t of a signal between -5/8 and 5/8.
float sample(std::size_t t) { return static_cast<float>(static_cast<int>(3 * t % 11) - 5) / 8; }

/// Prints the bits of every output of `step`, and the ticks of the clock for a step.
template <class Step>
void run(const char* name, const Step& step) {
  static float y[steps][sine::outputs];
  const debugger::Clock clock;
  for (std::size_t t = 0; t < steps; ++t) {
    const float x[sine::inputs] = {sample(t)};
    step(x, y[t]);
  }
  const std::uint32_t ticks = clock.ticks();
  debugger::print(name);
  debugger::print(", ticks for a step: ");
  debugger::print(ticks / steps, 10);
  debugger::print(", outputs:");
  for (const auto& outputs : y) {
    for (const float value : outputs) {
      debugger::print(" ");
      debugger::print(std::bit_cast<std::uint32_t>(value), 16);
    }
  }
  debugger::print("\n");
}

}  // namespace

int main() {
  if (!(sine::self_test() < sine::self_test_tolerance)) {
    debugger::print("self-test failed\n");
    return 1;
  }
  debugger::print("self-test passed\n");

  static sine::State state{};
  run("header", [](const float* x, float* y) {
    sine::step(state, x);
    sine::read(state, y);
  });

  static Stream stream({.weight_ih = sine::weights::weight_ih_0,
                        .weight_hh = sine::weights::weight_hh_0,
                        .bias = sine::weights::bias_0,
                        .head_weight = sine::weights::head_weight,
                        .head_bias = sine::weights::head_bias});
  run("engine", [](const float* x, float* y) { stream.step(x, y); });
  return 0;
}
