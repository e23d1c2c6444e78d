/// Prints the bits of what model files predict:  stranger n_samples n_steps file...
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "pylstm/io/model_file.hpp"
#include "pylstm/pylstm.hpp"

int main(int argc, char** argv) {
  try {
    const std::size_t samples = std::stoul(argv[1]), steps = std::stoul(argv[2]);
    for (int i = 3; i < argc; ++i) {
      const auto network = pylstm::io::load<float>(argv[i]);
      const std::size_t features = network.config().inputs;
      std::vector<float> x;  // as in tests/model/models.py
      for (std::size_t n = 0; n < samples; ++n)
        for (std::size_t t = 0; t < steps; ++t)
          for (std::size_t k = 0; k < features; ++k)
            x.push_back((static_cast<float>((7 * n + 3 * t + k) % 11) - 5) / 8);
      const auto stride = [](std::size_t elements) { return static_cast<std::ptrdiff_t>(elements * sizeof(float)); };
      std::vector<float> y(samples * network.config().outputs);
      pylstm::Interrupt never;
      pylstm::train::predict(
          network, {x.data(), false, samples, steps, features, stride(steps * features), stride(features), stride(1)},
          y.data(), never);
      for (const float value : y) std::printf("%a ", static_cast<double>(value));
      std::printf("\n");
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
