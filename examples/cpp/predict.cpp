/// Forecasts the value after the end of a series with a model that Python saved (examples/python/save_model.py):
///   predict model.safetensors series.csv n_steps
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "pylstm/io/model_file.hpp"
#include "pylstm/pylstm.hpp"

namespace {

/// Numbers, one a line, after a header.
std::vector<double> read_series(const char* path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(std::string("cannot read ") + path);
  std::vector<double> values;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) values.push_back(std::stod(line));
  return values;
}

int run(int argc, char** argv) {
  if (argc != 4) throw std::runtime_error("usage: predict model.safetensors series.csv n_steps");
  const auto description = pylstm::io::describe(argv[1]);
  std::printf("%s\n", pylstm::io::to_json(description).c_str());
  const std::size_t steps = std::stoul(argv[3]);
  if (description.config.features() != 1 || description.config.places(steps) * description.config.outputs != 1) {
    throw std::runtime_error("the model is not for one value after one series");
  }

  const std::vector<double> series = read_series(argv[2]);
  if (steps > series.size()) throw std::runtime_error("the series is too short");
  constexpr std::ptrdiff_t stride = sizeof(double);
  const double* const window = series.data() + (series.size() - steps);
  const pylstm::train::SampleView x{window, true, 1, steps, 1, stride, stride, stride};
  std::visit(
      [&]<class T>(const pylstm::network::Network<T>& network) {
        T y = 0;
        pylstm::Interrupt never;
        pylstm::train::predict(network, x, &y, never);
        std::printf("next value: %.9g\n", static_cast<double>(y));
      },
      pylstm::io::load_any(argv[1]));
  return 0;
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
