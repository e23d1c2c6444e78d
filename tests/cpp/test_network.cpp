/// The network: predictions against the reference, gradients against central differences, dropout, initialisation.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "combinations.hpp"
#include "networks.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/layers/dropout.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/reference/recurrent.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;

}  // namespace

TEST_CASE("predictions are those of the reference, layer upon layer") {
  for (const Config& config : stacks)
    for (const bool ragged : {false, true})
      for (const bool reverse : {false, true}) {
        CAPTURE(config.hidden_sizes.size());
        CAPTURE(ragged);
        CAPTURE(reverse);
        Network<double> network(config);
        network.initialize(1);
        Batch<double> batch = random_batch<double>(config, 6, 7, 2);
        if (ragged) batch.lengths = {3, 6, 0, 1, 6, 2, 5};
        batch.reverse = reverse;

        const Parameters<double> all = parameters_of(network);
        std::vector<double> x = batch.x, h_n;
        std::size_t inputs = config.inputs;
        for (std::size_t l = 0; l < config.hidden_sizes.size(); ++l) {
          const std::string layer = "layers." + std::to_string(l) + ".";
          const auto r = pylstm::reference::forward<double>({.T = batch.T_,
                                                             .N = batch.N,
                                                             .I = inputs,
                                                             .H = config.hidden_sizes[l],
                                                             .x = x,
                                                             .weight_ih = all.at(layer + "weight_ih"),
                                                             .weight_hh = all.at(layer + "weight_hh"),
                                                             .bias = all.at(layer + "bias"),
                                                             .lengths = batch.lengths,
                                                             .reverse = reverse});
          x = r.y;
          h_n = r.h_n;
          inputs = config.hidden_sizes[l];
        }
        const std::vector<double> fast = outputs(network, batch, As::prediction);
        for (std::size_t n = 0; n < batch.N; ++n)
          for (std::size_t o = 0; o < config.outputs; ++o) {
            double expected = all.at("head.bias")[o];
            for (std::size_t j = 0; j < inputs; ++j)
              expected += all.at("head.weight")[o * inputs + j] * h_n[n * inputs + j];
            CHECK(fast[n * config.outputs + o] == doctest::Approx(expected).epsilon(1e-13));
          }
      }
}

TEST_CASE("the network's gradients are those of central differences") {
  // (f(x + e) - f(x - e)) / 2e is off by e^2 f'''/6 + u f / e: 1e-10 at a loss of about 1.
  constexpr double step = 0x1p-18, tolerance = 1e-6;
  std::uint64_t seed = 0;
  for (const Config& plain : stacks)
    for (const double dropout : {0.0, 0.4})
      for (const bool ragged : {false, true})
        for (const bool weighted : {false, true}) {
          const Config config = with_dropout(plain, dropout);
          CAPTURE(config.hidden_sizes.size());
          CAPTURE(dropout);
          CAPTURE(ragged);
          CAPTURE(weighted);
          Network<double> network(config);
          network.initialize(++seed);
          Batch<double> batch = random_batch<double>(config, 6, 4, seed);
          const std::size_t samples[] = {12, 3, 40, 7};
          batch.pass.samples = samples;
          if (ragged) batch.lengths = {4, 6, 3, 5};
          if (weighted) batch.weights = {1, 0.5, 0, 3};
          batch.reverse = ragged && weighted;

          const Parameters<double> exact = unpacked(network, gradients(network, batch));
          const Parameters<double> at = parameters_of(network);
          for (const auto& entry : exact) {
            const std::string& name = entry.first;
            const std::vector<double>& gradient = entry.second;
            double worst = 0, largest = 0;
            for (std::size_t k = 0; k < gradient.size(); k += quick() ? 7 : 1) {
              const auto moved = [&](double by) {
                Parameters<double> all = at;
                all[name][k] += by;
                set(network, network.parameters(), all);
                return loss(network, batch, outputs(network, batch, As::training));
              };
              worst = std::max(worst, std::abs((moved(step) - moved(-step)) / (2 * step) - gradient[k]));
            }
            for (const double g : gradient) largest = std::max(largest, std::abs(g));
            CAPTURE(name);
            CHECK(largest > 1e-4);
            CHECK(worst <= tolerance * largest);
          }
        }
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
  Network<double> without(config), with(with_dropout(config, 0.5));
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

TEST_CASE("no samples, no steps") {
  const Config& config = stacks[1];
  Network<double> network(config);
  network.initialize(1);
  Batch<double> batch = random_batch<double>(config, 0, 3, 1);
  const std::vector<double> bias = parameters_of(network).at("head.bias");
  CHECK(outputs(network, batch, As::prediction) ==
        std::vector<double>{bias[0], bias[1], bias[0], bias[1], bias[0], bias[1]});
  CHECK(outputs(network, random_batch<double>(config, 4, 0, 1), As::training).empty());
}

TEST_CASE("impossible configurations are refused by name") {
  const auto make = [](Config config) { Network<float> network(std::move(config)); };
  CHECK_THROWS_WITH_AS(make({.inputs = 0}), "inputs is 0, expected at least 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.outputs = 0}), "outputs is 0, expected at least 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.hidden_sizes = {}}), "hidden_sizes is empty, expected at least one layer",
                       std::invalid_argument);
  CHECK_THROWS_AS(make({.hidden_sizes = {4, 0}}), std::invalid_argument);
  CHECK_THROWS_AS(make({.dropout = 1}), std::invalid_argument);
  CHECK_THROWS_AS(make({.inputs = std::numeric_limits<std::size_t>::max() / 8}), std::length_error);
  CHECK_THROWS_AS(pylstm::set_isa("abacus"), std::invalid_argument);
}
