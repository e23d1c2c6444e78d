/// What the seed decides: dropout, zoneout and the initial parameters.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "combinations.hpp"
#include "networks.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/layers/dropout.hpp"
#include "pylstm/network/network.hpp"
#include "support.hpp"

using namespace pylstm::testing;
namespace kernels = pylstm::kernels;

TEST_CASE("variational dropout drops the same at all steps") {
  for (const bool variational : {false, true}) {
    const Config config{.cell = kernels::cell_from_name("rnn"),
                        .inputs = 6,
                        .hidden_sizes = {40},
                        .input_dropout = variational ? 0.5 : 0,
                        .pooling = Pooling::none};
    Network<double> network(config);
    network.initialize(1);
    Parameters<double> all = parameters_of(network);
    std::fill(all["layers.0.weight_hh"].begin(), all["layers.0.weight_hh"].end(), 0.0);
    set(network, network.parameters(), all);
    Batch<double> batch = random_batch<double>(config, 5, 3, 1);
    for (std::size_t t = 1; t < 5; ++t)
      std::copy_n(batch.x.begin(), 18, batch.x.begin() + static_cast<std::ptrdiff_t>(t * 18));
    const std::vector<double> out = outputs(network, batch, As::training);
    for (std::size_t t = 1; t < 5; ++t)
      for (std::size_t n = 0; n < 3; ++n) CHECK(out[t * 3 + n] == out[n]);
    CHECK((out != outputs(network, batch, As::prediction)) == variational);
  }
}

TEST_CASE("zoneout of all but nothing keeps the state, and prediction takes its expectation") {
  // One relu unit without recurrent weights: h_t = k h_(t-1) + (1 - k) x_t.
  Config config{.cell = kernels::cell_from_name("rnn_relu"), .inputs = 1, .hidden_sizes = {1}};
  config.zoneout = 0.25;
  Network<double> network(config);
  set(network, network.parameters(),
      {{"layers.0.weight_ih", {1}},
       {"layers.0.weight_hh", {0}},
       {"layers.0.bias", {0}},
       {"head.weight", {1}},
       {"head.bias", {0}}});
  constexpr std::size_t rows = 4000;
  Batch<double> batch = random_batch<double>(config, 3, rows, 1);
  for (std::size_t n = 0; n < rows; ++n)
    for (std::size_t t = 0; t < 3; ++t) batch.x[t * rows + n] = static_cast<double>(1 + t);
  const double expected = 0.25 * (0.25 * (0.75 * 1) + 0.75 * 2) + 0.75 * 3;
  CHECK(outputs(network, batch, As::prediction)[0] == doctest::Approx(expected).epsilon(1e-14));
  double sum = 0;
  for (const double h : outputs(network, batch, As::training)) {
    CHECK((h == 0 || h == 1 || h == 2 || h == 3));
    sum += h;
  }
  // Five standard deviations; that of one row is below 1.
  CHECK(std::abs(sum / rows - expected) < 5 / std::sqrt(rows));
}

TEST_CASE("dropout keeps the expectation") {
  constexpr std::size_t units = 1000, samples = 100;
  const std::vector<double> ones(units, 1);
  for (const double rate : {0.1, 0.5, 0.9}) {
    CAPTURE(rate);
    double sum = 0;
    std::size_t dropped = 0;
    std::vector<double> to(units);
    for (std::size_t sample = 0; sample < samples; ++sample) {
      pylstm::layers::dropout(ones.data(), to.data(), units, rate, {.seed = 1, .epoch = 2, .layer = 0}, sample, 3);
      for (const double value : to) {
        sum += value;
        dropped += value == 0;
        CHECK((value == 0 || value == 1 / (1 - rate)));
      }
    }
    // Five standard deviations of a binomial distribution.
    const double n = units * samples, deviation = 5 * std::sqrt(rate * (1 - rate) / n);
    CHECK(std::abs(static_cast<double>(dropped) / n - rate) < deviation);
    CHECK(std::abs(sum / n - 1) < deviation / (1 - rate));
  }
}

TEST_CASE("a dropout mask depends on seed, epoch, layer, sample, step and unit, and on nothing else") {
  constexpr std::size_t units = 4096;
  struct Key {
    pylstm::layers::DropoutKey key;
    std::uint64_t sample;
    std::size_t step;
  };
  const auto mask = [](const Key& k, std::size_t size) {
    const std::vector<float> ones(size, 1);
    std::vector<float> to(size);
    pylstm::layers::dropout(ones.data(), to.data(), size, 0.5, k.key, k.sample, k.step);
    return to;
  };
  const Key key{{.seed = 1, .epoch = 2, .layer = 0}, 3, 4};
  const std::vector<float> of_key = mask(key, units);
  CHECK(mask(key, units) == of_key);
  CHECK(mask(key, 100) == std::vector<float>(of_key.begin(), of_key.begin() + 100));

  const Key others[] = {{{.seed = 2, .epoch = 2, .layer = 0}, 3, 4}, {{.seed = 1, .epoch = 3, .layer = 0}, 3, 4},
                        {{.seed = 1, .epoch = 2, .layer = 1}, 3, 4}, {{.seed = 1, .epoch = 2, .layer = 0}, 4, 4},
                        {{.seed = 1, .epoch = 2, .layer = 0}, 3, 5}, {{.seed = 2, .epoch = 1, .layer = 0}, 3, 4},
                        {{.seed = 1, .epoch = 2, .layer = 0}, 4, 3}};
  for (const Key& other : others) {
    const std::vector<float> of_other = mask(other, units);
    double agree = 0;
    for (std::size_t j = 0; j < units; ++j) agree += of_key[j] == of_other[j];
    // Independent masks agree in half of the units: five standard deviations.
    CHECK(std::abs(agree / units - 0.5) < 5 * 0.5 / std::sqrt(units));
  }
}

TEST_CASE("dropout acts in training alone") {
  const Config config = stacks[2];
  Config dropped = with_dropout(config, 0.5);
  dropped.zoneout = 0;
  Network<double> without(config), with(dropped);
  without.initialize(1);
  with.initialize(1);
  const Batch<double> batch = random_batch<double>(config, 5, 4, 2);
  CHECK(outputs(with, batch, As::prediction) == outputs(without, batch, As::prediction));
  CHECK(outputs(without, batch, As::training) == outputs(without, batch, As::prediction));
  CHECK(outputs(with, batch, As::training) != outputs(without, batch, As::training));

  Batch<double> next_epoch = batch;
  ++next_epoch.pass.epoch;
  CHECK(outputs(with, next_epoch, As::training) != outputs(with, batch, As::training));
}

TEST_CASE("a sample's dropout does not depend on the batch it is in") {
  const Config config = with_dropout(stacks[1], 0.5);
  Network<double> network(config);
  network.initialize(1);
  Batch<double> batch = random_batch<double>(config, 5, 4, 2);
  batch.lengths = {3, 5, 4, 5};
  const std::size_t samples[] = {30, 10, 20, 40};
  batch.pass.samples = samples;
  const std::vector<double> together = outputs(network, batch, As::training);
  for (std::size_t n = 0; n < 4; ++n) {
    Batch<double> alone = random_batch<double>(config, batch.lengths[n], 1, 0);
    for (std::size_t t = 0; t < batch.lengths[n]; ++t)
      std::copy_n(batch.x.data() + (t * 4 + n) * 3, 3, alone.x.data() + t * 3);
    alone.pass.samples = samples + n;
    const std::vector<double> row = outputs(network, alone, As::training);
    CHECK(row == std::vector<double>{together[2 * n], together[2 * n + 1]});
  }
}

TEST_CASE_TEMPLATE("recurrent weights begin orthogonal, gate by gate", T, float, double) {
  constexpr double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-12;
  for (const std::size_t H : {1U, 5U, 17U, 64U}) {
    CAPTURE(H);
    Network<T> network({.inputs = 3, .hidden_sizes = {H}});
    network.initialize(7);
    const std::vector<T> all = parameters_of(network).at("layers.0.weight_hh");
    const std::vector<double> w = convert<double>(all);
    double worst = 0;
    for (std::size_t gate = 0; gate < 4; ++gate)
      for (std::size_t a = 0; a < H; ++a)
        for (std::size_t b = 0; b < H; ++b) {
          double dot = 0;
          for (std::size_t k = 0; k < H; ++k) dot += w[(gate * H + k) * H + a] * w[(gate * H + k) * H + b];
          worst = std::max(worst, std::abs(dot - (a == b ? 1 : 0)));
        }
    CHECK(worst < tolerance);
    if (H > 1)
      CHECK_FALSE(std::equal(w.begin(), w.begin() + static_cast<std::ptrdiff_t>(H * H),
                             w.begin() + static_cast<std::ptrdiff_t>(H * H)));
  }
}

TEST_CASE_TEMPLATE("biases begin at zero, those of the forget gates at one", T, float, double) {
  for (const Config& config : stacks) {
    Network<T> network(config);
    network.initialize(7);
    for (const auto& entry : parameters_of(network)) {
      const std::string& name = entry.first;
      const std::vector<T>& values = entry.second;
      if (!is_bias(name)) continue;
      CAPTURE(name);
      std::vector<T> expected(values.size(), T(0));
      const auto H = static_cast<std::ptrdiff_t>(values.size() / 4);
      if (name != "head.bias") std::fill(expected.begin() + H, expected.begin() + 2 * H, T(1));
      CHECK(values == expected);
    }
  }
}

TEST_CASE("input and head weights fill the interval of Glorot and Bengio") {
  const std::size_t I = 40, H = 60, O = 50;
  Network<float> network({.inputs = I, .hidden_sizes = {H}, .outputs = O});
  network.initialize(7);
  const Parameters<float> all = parameters_of(network);
  const auto check = [&](const char* name, std::size_t fan_in, std::size_t fan_out) {
    CAPTURE(name);
    const double limit = std::sqrt(6.0 / static_cast<double>(fan_in + fan_out));
    double largest = 0, squares = 0, sum = 0;
    const auto& values = all.at(name);
    for (const float w : values) {
      largest = std::max(largest, std::abs(static_cast<double>(w)));
      squares += static_cast<double>(w) * w;
      sum += w;
    }
    const double n = static_cast<double>(values.size());
    CHECK(largest <= limit * (1 + 1e-7));
    CHECK(largest > 0.99 * limit);
    CHECK(std::abs(sum / n) < 5 * limit / std::sqrt(3 * n));
    CHECK(squares / n == doctest::Approx(limit * limit / 3).epsilon(0.1));
  };
  check("layers.0.weight_ih", I, H);
  check("head.weight", H, O);
}

TEST_CASE_TEMPLATE("the seed alone decides the initial bits", T, float, double) {
  for (const Config& config : stacks) {
    Network<T> first(config), second(config);
    first.initialize(7);
    second.initialize(8);
    CHECK(largest_difference(parameters_of(first), parameters_of(second)) > 0.1);
    second.initialize(7);
    CHECK(same_bits(first.parameters(), second.parameters()));
    for (const std::string& isa : pylstm::available_isas()) {
      CAPTURE(isa);
      pylstm::set_isa(isa);
      Network<T> other(config);
      other.initialize(7);
      CHECK(parameters_of(other) == parameters_of(first));
    }
    pylstm::set_isa(pylstm::available_isas().front());
  }
}
