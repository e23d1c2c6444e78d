/// Trains an LSTM on a CSV and forecasts one step ahead, without Python:  train series.csv [n_steps] [epochs]
/// The last column of the file is the series; a first line that is no number is a header.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "pylstm/pylstm.hpp"

namespace {

std::vector<double> read_last_column(const char* path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(std::string("cannot read ") + path);
  std::vector<double> values;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty()) continue;
    const char* const text = line.c_str() + (line.rfind(',') == std::string::npos ? 0 : line.rfind(',') + 1);
    char* end = nullptr;
    const double value = std::strtod(text, &end);
    if (end != text && std::isfinite(value)) {
      values.push_back(value);
    } else if (number > 1) {
      throw std::runtime_error("line " + std::to_string(number) + " of " + path + " ends in \"" + text +
                               "\", expected a number");
    }
  }
  return values;
}

int run(int argc, char** argv) {
  if (argc < 2) throw std::runtime_error("usage: train series.csv [n_steps] [epochs]");
  std::vector<double> series = read_last_column(argv[1]);
  const std::size_t steps = argc > 2 ? std::stoul(argv[2]) : 24, epochs = argc > 3 ? std::stoul(argv[3]) : 20;
  if (steps == 0 || series.size() < 5 * (steps + 1))
    throw std::runtime_error("the series is too short for its windows");

  // The last 20 % are held out; the scale is that of the rest.
  const std::size_t windows = series.size() - steps, training = windows * 4 / 5;
  const auto end = series.begin() + static_cast<std::ptrdiff_t>(training + steps);
  const double count = static_cast<double>(training + steps), mean = std::accumulate(series.begin(), end, 0.0) / count;
  double variance = 0;
  for (auto value = series.begin(); value != end; ++value) variance += (*value - mean) * (*value - mean) / count;
  const double scale = std::sqrt(variance);
  for (double& value : series) value = (value - mean) / scale;

  // Windows are views: window n starts at series[n], its target follows it.
  constexpr std::ptrdiff_t stride = sizeof(double);
  const auto window_view = [&](std::size_t first, std::size_t n) {
    return pylstm::train::SampleView{series.data() + first, true, n, steps, 1, stride, stride, stride};
  };
  pylstm::network::Network<float> network({.inputs = 1, .hidden_sizes = {32}, .outputs = 1});
  network.initialize(1);
  pylstm::train::Trainer<float> trainer(network, {.optimiser = {.learning_rate = 3e-3}, .max_grad_norm = 1});
  pylstm::train::Batches batches;
  batches.x = window_view(0, training);
  batches.y = {series.data() + steps, true, training, 1, 1, stride, stride, stride};
  batches.order.resize(training);
  std::iota(batches.order.begin(), batches.order.end(), std::size_t{0});

  pylstm::Interrupt never;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    batches.epoch = epoch;
    for (std::size_t i = training; i-- > 1;) {  // Fisher & Yates
      std::swap(batches.order[i], batches.order[pylstm::random_key(epoch, i) % (i + 1)]);
    }
    std::printf("epoch %zu  loss %.5f\n", epoch + 1, trainer.run_epoch(batches, never));
  }

  const std::size_t held_out = windows - training;
  std::vector<float> forecast(held_out);
  pylstm::train::predict(network, window_view(training, held_out), forecast.data(), never);
  double error = 0, naive = 0;
  for (std::size_t n = 0; n < held_out; ++n) {
    const double truth = series[training + n + steps], last = series[training + n + steps - 1];
    error += (forecast[n] - truth) * (forecast[n] - truth) / static_cast<double>(held_out);
    naive += (last - truth) * (last - truth) / static_cast<double>(held_out);
  }
  std::printf("test RMSE: LSTM %.4f, last value %.4f\n", scale * std::sqrt(error), scale * std::sqrt(naive));
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
