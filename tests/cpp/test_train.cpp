/// Training: optimisers, clipping, sample weights and interrupted epochs, against formulas written out once more.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "combinations.hpp"
#include "fast_layer.hpp"
#include "networks.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/train/clip.hpp"
#include "pylstm/train/optimiser.hpp"
#include "pylstm/train/trainer.hpp"
#include "samples.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;
using pylstm::Buffer;
using pylstm::Interrupt;
using pylstm::train::Optimiser;
using pylstm::train::OptimiserConfig;
using pylstm::train::Solver;
using pylstm::train::TrainerConfig;

TrainerConfig plain_descent(double learning_rate = 1) {
  TrainerConfig config;
  config.optimiser = {.solver = Solver::sgd, .learning_rate = learning_rate, .momentum = 0, .nesterov = false};
  return config;
}

/// The optimisers as the documentation of torch.optim writes them, one parameter tensor at a time.
struct PlainOptimiser {
  OptimiserConfig c;
  std::map<std::string, std::vector<double>> first = {}, second = {};
  int t = 0;  ///< updates, counted by the caller

  void update(const std::string& name, std::vector<double>& p, std::vector<double> g, double weight_decay) {
    auto& m = first[name];
    auto& v = second[name];
    m.resize(p.size());
    v.resize(p.size());
    for (std::size_t k = 0; k < p.size(); ++k) {
      if (c.solver == Solver::adamw) {
        p[k] -= c.learning_rate * weight_decay * p[k];
      } else {
        g[k] += weight_decay * p[k];
      }
      if (c.solver == Solver::sgd) {
        m[k] = t == 1 ? g[k] : c.momentum * m[k] + g[k];
        p[k] -= c.learning_rate * (c.nesterov ? g[k] + c.momentum * m[k] : m[k]);
      } else if (c.solver == Solver::rmsprop) {
        v[k] = c.rho * v[k] + (1 - c.rho) * g[k] * g[k];
        p[k] -= c.learning_rate * g[k] / (std::sqrt(v[k]) + c.epsilon);
      } else {
        m[k] = c.beta_1 * m[k] + (1 - c.beta_1) * g[k];
        v[k] = c.beta_2 * v[k] + (1 - c.beta_2) * g[k] * g[k];
        const double m_hat = m[k] / (1 - std::pow(c.beta_1, t)), v_hat = v[k] / (1 - std::pow(c.beta_2, t));
        p[k] -= c.learning_rate * m_hat / (std::sqrt(v_hat) + c.epsilon);
      }
    }
  }
};

struct NamedOptimiser {
  const char* name;
  OptimiserConfig config;
};

const NamedOptimiser all_optimisers[] = {
    {"gradient descent", {.solver = Solver::sgd, .learning_rate = 0.1, .momentum = 0, .nesterov = false}},
    {"momentum", {.solver = Solver::sgd, .learning_rate = 0.1, .momentum = 0.8, .nesterov = false}},
    {"Nesterov", {.solver = Solver::sgd, .learning_rate = 0.1, .momentum = 0.8, .nesterov = true}},
    {"Adam", {.solver = Solver::adam, .learning_rate = 0.02, .beta_1 = 0.8, .beta_2 = 0.99, .epsilon = 1e-3}},
    {"AdamW", {.solver = Solver::adamw, .learning_rate = 0.02, .beta_1 = 0.8, .beta_2 = 0.99, .epsilon = 1e-3}},
    {"RMSprop", {.solver = Solver::rmsprop, .learning_rate = 0.02, .epsilon = 1e-3, .rho = 0.9}},
};

double plain_norm(const Parameters<double>& all) {
  double sum = 0;
  for (const auto& [name, values] : all)
    for (const double a : values) sum += a * a;
  return std::sqrt(sum);
}

template <class T>
double distance(const Parameters<T>& a, const Parameters<T>& b) {
  double sum = 0;
  for (const auto& [name, values] : a)
    for (std::size_t k = 0; k < values.size(); ++k)
      sum += std::pow(static_cast<double>(values[k]) - static_cast<double>(b.at(name)[k]), 2);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("an epoch's loss is the weighted mean of the squared errors before the updates") {
  const Config& config = stacks[1];
  Network<double> network(config);
  network.initialize(1);
  Samples<double> samples = random_samples<double>(config, 5, 4, 2);
  samples.weights = {1, 2, 0, 0.5, 4};
  Batch<double> batch = random_batch<double>(config, 4, 5, 0);
  batch.x = samples.time_major();
  batch.targets = samples.y;
  batch.weights = samples.weights;
  const double expected = loss(network, batch, outputs(network, batch, As::prediction));

  Trainer<double> trainer(network, plain_descent(1e-12));  // too small a step for the next batch to notice
  for (const std::size_t batch_size : {1U, 2U, 5U, 100U}) {
    CAPTURE(batch_size);
    CHECK(run_epoch(trainer, samples.batches(batch_size)) == doctest::Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE_TEMPLATE("each optimiser makes the steps of its formula", T, float, double) {
  // Five steps of about ten operations on numbers of about 1.
  constexpr double tolerance = 64 * std::numeric_limits<T>::epsilon();
  const std::size_t size = 37;
  for (const std::string& isa : pylstm::available_isas()) {
    pylstm::set_isa(isa);
    for (const NamedOptimiser& of : all_optimisers)
      for (const double alpha : {0.0, 0.3})
        for (const bool decays : {true, false}) {
          CAPTURE(isa);
          CAPTURE(of.name);
          CAPTURE(alpha);
          CAPTURE(decays);
          OptimiserConfig config = of.config;
          config.alpha = alpha;
          Optimiser<T> optimiser(config, size, pylstm::active_kernels<T>());
          PlainOptimiser plain{config};
          std::vector<T> p = random_values<T>(size, 1);
          std::vector<double> expected = convert<double>(p);
          for (std::uint64_t step = 1; step <= 5; ++step) {
            const std::vector<T> gradient = random_values<T>(size, 10 + step);
            const double clip = step == 3 ? 0.25 : 1;
            std::vector<double> clipped = convert<double>(gradient);
            for (double& g : clipped) g *= clip;
            ++plain.t;
            plain.update("p", expected, clipped, decays ? alpha : 0);
            optimiser.advance(clip);
            optimiser.update(p.data(), gradient.data(), 0, 20, decays);
            optimiser.update(p.data(), gradient.data(), 20, size - 20, decays);
          }
          double worst = 0;
          for (std::size_t k = 0; k < size; ++k)
            worst = std::max(worst, std::abs(static_cast<double>(p[k]) - expected[k]));
          CHECK(worst <= tolerance);
        }
  }
  pylstm::set_isa(pylstm::available_isas().front());
}

namespace {

/// Neither biases nor gains, which are 1 where nothing is normalised away.
bool is_weight(const std::string& name) {
  return !is_bias(name) && !name.ends_with("bias_c") && name.find(".gain_") == std::string::npos;
}

void check_steps(const NamedOptimiser& of, const Config& config) {
  CAPTURE(of.name);
  Network<double> network(config);
  network.initialize(1);
  TrainerConfig trainer_config{.optimiser = of.config, .max_grad_norm = 0.3, .seed = 11};
  trainer_config.optimiser.alpha = 0.2;
  Trainer<double> trainer(network, trainer_config);
  const Samples<double> samples = random_samples<double>(config, 6, 4, 2);

  Network<double> other = network;
  PlainOptimiser plain{trainer_config.optimiser};
  std::size_t clipped = 0;
  for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
    run_epoch(trainer, samples.batches(6, epoch));

    Batch<double> batch = random_batch<double>(config, 4, 6, 0);
    batch.x = samples.time_major();
    batch.targets = samples.y;
    batch.pass.epoch = epoch;
    Parameters<double> all = parameters_of(other), gradient = unpacked(other, gradients(other, batch));
    const double norm = plain_norm(gradient);
    ++plain.t;
    for (auto& [name, values] : all) {
      if (norm > 0.3)
        for (double& g : gradient[name]) g *= 0.3 / norm;
      plain.update(name, values, gradient[name], is_weight(name) ? 0.2 : 0);
    }
    set(other, other.parameters(), all);
    clipped += norm > 0.3;
    CHECK(largest_difference(parameters_of(network), all) < 1e-12);
  }
  CHECK(clipped > 0);
}

}  // namespace

TEST_CASE("a trainer's steps are gradient, clipping, L2 on weights alone, and the optimiser's formula") {
  Config normalized = stacks[1];
  normalized.cell = {.kind = pylstm::kernels::CellKind::layer_norm_lstm};
  for (const NamedOptimiser& of : all_optimisers)
    for (const Config& config : {stacks[1], normalized}) check_steps(of, with_dropout(config, 0.3));
}

TEST_CASE_TEMPLATE("the norm is that of all gradients, whatever their size", T, float, double) {
  std::vector<Config> configs(std::begin(stacks), std::end(stacks));
  for (const auto& [name, cell] : pylstm::kernels::cell_names)
    configs.push_back({.cell = cell, .inputs = 3, .hidden_sizes = {7}, .outputs = 2});
  for (const std::string& isa : pylstm::available_isas())
    for (const Config& config : configs) {
      CAPTURE(isa);
      pylstm::set_isa(isa);
      const Network<T> network(config);
      // (1e30)^2 overflows in float, (1e-30)^2 underflows.
      for (const double scale : {1.0, 1e30, 1e-30}) {
        CAPTURE(scale);
        Buffer<T> flat(network.parameters().size(), T(0));
        Parameters<T> values = unpacked(network, flat);
        double sum = 0;
        std::uint64_t seed = 0;
        for (auto& [name, part] : values) {
          part = random_values<T>(part.size(), ++seed);
          for (T& a : part) {
            a = static_cast<T>(a * scale);
            sum += std::pow(static_cast<double>(a) / scale, 2);
          }
        }
        set(network, flat, values);
        CHECK(pylstm::train::global_norm(network, flat) / scale == doctest::Approx(std::sqrt(sum)).epsilon(1e-12));
      }
    }
  pylstm::set_isa(pylstm::available_isas().front());
}

TEST_CASE_TEMPLATE("clipping cuts the step to the limit, and leaves a smaller one alone", T, float, double) {
  const Config& config = stacks[1];
  for (const double size : {1.0, 1e25}) {
    CAPTURE(size);
    Network<T> network(config);
    network.initialize(1);
    const Parameters<T> before = parameters_of(network);
    Samples<T> samples = random_samples<T>(config, 8, 5, 2);
    for (T& y : samples.y) y = static_cast<T>(size * (static_cast<double>(y) + 3));

    const auto step = [&](double limit) {
      Network<T> copy = network;
      TrainerConfig trainer_config = plain_descent();
      trainer_config.max_grad_norm = limit;
      Trainer<T> trainer(copy, trainer_config);
      run_epoch(trainer, samples.batches(8));
      return parameters_of(copy);
    };
    CHECK(distance(step(0.5), before) == doctest::Approx(0.5).epsilon(sizeof(T) == 4 ? 1e-5 : 1e-12));
    CHECK(step(1e35) == step(std::numeric_limits<double>::infinity()));
    CHECK(step(0.5) != step(1e35));
  }
}

TEST_CASE("a weight of k counts as k copies") {
  const Config& config = stacks[1];
  Samples<double> weighted = random_samples<double>(config, 4, 5, 1);
  weighted.weights = {1, 3, 0, 2};
  Samples<double> repeated = weighted;
  repeated.weights.clear();
  Batches copies = repeated.batches(6);
  copies.order = {0, 1, 1, 1, 3, 3};

  Network<double> first(config);
  first.initialize(1);
  Network<double> second = first;
  Trainer<double> by_weight(first, plain_descent()), by_copies(second, plain_descent());
  const double loss_by_weight = run_epoch(by_weight, weighted.batches(4));
  CHECK(loss_by_weight == doctest::Approx(run_epoch(by_copies, copies)).epsilon(1e-14));
  CHECK(largest_difference(parameters_of(first), parameters_of(second)) < 1e-14);
}

TEST_CASE("a batch without weight is skipped") {
  const Config& config = stacks[0];
  Samples<double> samples = random_samples<double>(config, 6, 4, 1);
  samples.weights = {1, 2, 0, 0, 1, 1};
  Network<double> first(config);
  first.initialize(1);
  Network<double> second = first;
  Trainer<double> all(first, {}), some(second, {});
  Batches without = samples.batches(2);
  without.order = {0, 1, 4, 5};
  const double loss_of_all = run_epoch(all, samples.batches(2));
  CHECK(loss_of_all == run_epoch(some, without));
  CHECK(same_bits(first.parameters(), second.parameters()));
  CHECK(all.optimiser().state().updates == 2);

  samples.weights = {0, 0, 0, 0, 0, 0};
  CHECK(run_epoch(all, samples.batches(2)) == 0);
  CHECK(same_bits(first.parameters(), second.parameters()));
}

TEST_CASE("an interrupted epoch leaves the parameters of its last complete batch, and can be resumed") {
  const Config config = with_dropout({.inputs = 4, .hidden_sizes = {48, 48}, .outputs = 1}, 0.2);
  const std::size_t batch_size = 16, samples_in_all = 12 * batch_size;
  const Samples<float> samples = random_samples<float>(config, samples_in_all, quick() ? 5 : 40, 1);
  const auto fresh = [&] {
    Network<float> network(config);
    network.initialize(1);
    return network;
  };
  const auto part = [&](std::size_t begin, std::size_t end) {
    Batches batches = samples.batches(batch_size);
    batches.order.assign(batches.order.begin() + static_cast<std::ptrdiff_t>(begin),
                         batches.order.begin() + static_cast<std::ptrdiff_t>(end));
    return batches;
  };
  Network<float> whole = fresh();
  Trainer<float> to_the_end(whole, {});
  run_epoch(to_the_end, part(0, samples_in_all));

  // Asked between batches, and (the tenth answer is yes, whenever that is asked) in the middle of one.
  for (const bool between : {true, false})
    for (const std::size_t threads : {1U, 3U}) {
      const std::size_t checkpoint = threads == 1 ? 0 : 7;  // the same bits
      CAPTURE(between);
      CAPTURE(threads);
      const Threads scope(threads);
      Network<float> network = fresh();
      std::optional<Trainer<float>> trainer;
      std::size_t done = 0, asked = 0;
      Interrupt interrupt([&] {
        // Slow, so that the next look is due within a batch.
        if (!between) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return between ? done == 3 * batch_size : ++asked == 10;
      });
      const auto progress = [&](std::size_t n) {
        done = n;
        if (between) std::this_thread::sleep_for(std::chrono::milliseconds(11));
      };
      // A fast machine may take several epochs until it is asked for the tenth time.
      for (bool stopped = false; !stopped;) {
        network = fresh();
        trainer.emplace(network, TrainerConfig{.checkpoint = checkpoint});
        done = 0;
        try {
          trainer->run_epoch(part(0, samples_in_all), interrupt, progress);
        } catch (const pylstm::Interrupted&) {
          stopped = true;
        }
      }
      if (between) CHECK(done == 3 * batch_size);

      Network<float> other = fresh();
      Trainer<float> to_there(other, {});
      run_epoch(to_there, part(0, done));
      CHECK(same_bits(network.parameters(), other.parameters()));
      CHECK(trainer->optimiser().state().updates == done / batch_size);

      run_epoch(*trainer, part(done, samples_in_all));
      CHECK(same_bits(network.parameters(), whole.parameters()));
    }
}

TEST_CASE_TEMPLATE("a loss or a gradient that is not finite leaves its batch unapplied", T, float, double) {
  const Config& config = stacks[1];
  constexpr T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  const auto spoilt = [&](std::size_t sample, T x, T y) {
    Samples<T> samples = random_samples<T>(config, 8, 4, 1);
    if (x != 0) samples.x[sample * 4 * 3 + 5] = x;
    if (y != 0) samples.y[sample * 2 + 1] = y;
    return samples;
  };
  const Samples<T> all[] = {spoilt(5, 0, nan), spoilt(4, 0, infinity), spoilt(5, nan, 0), spoilt(4, -infinity, 0)};
  for (const Samples<T>& samples : all) {
    Network<T> network(config);
    network.initialize(1);
    Network<T> other = network;
    Trainer<T> trainer(network, {}), until_then(other, {});
    CHECK(std::isnan(run_epoch(trainer, samples.batches(2))));
    Batches good = samples.batches(2);
    good.order.resize(4);
    CHECK(std::isfinite(run_epoch(until_then, good)));
    CHECK(same_bits(network.parameters(), other.parameters()));
    CHECK(same_bits(trainer.optimiser().state().first, until_then.optimiser().state().first));
    CHECK(trainer.optimiser().state().updates == 2);
  }
}

TEST_CASE("an epoch without samples changes nothing") {
  const Config& config = stacks[1];
  Network<double> network(config);
  network.initialize(1);
  const Network<double> before = network;
  Trainer<double> trainer(network, {});
  CHECK(run_epoch(trainer, random_samples<double>(config, 0, 4, 1).batches(2)) == 0);
  CHECK(same_bits(network.parameters(), before.parameters()));
}

TEST_CASE("settings that no optimiser can use are refused") {
  const Config config;
  Network<float> network(config);
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const OptimiserConfig& bad :
       {OptimiserConfig{.learning_rate = infinity}, OptimiserConfig{.momentum = nan}, OptimiserConfig{.beta_1 = 1},
        OptimiserConfig{.beta_2 = 2}, OptimiserConfig{.epsilon = -1}, OptimiserConfig{.epsilon = 0},
        OptimiserConfig{.epsilon = 1e-50}, OptimiserConfig{.epsilon = infinity}, OptimiserConfig{.rho = 3},
        OptimiserConfig{.alpha = infinity}, OptimiserConfig{.learning_rate = 1e40},
        OptimiserConfig{.learning_rate = 1e-60}, OptimiserConfig{.beta_1 = 0.99999999999},
        OptimiserConfig{.beta_2 = 0.99999999999}, OptimiserConfig{.rho = 0.99999999999}}) {
    CHECK_THROWS_AS(Trainer<float>(network, {.optimiser = bad}), std::invalid_argument);
    Trainer<float> trainer(network, {});
    CHECK_THROWS_AS(trainer.optimiser().configure(bad), std::invalid_argument);
    CHECK(trainer.optimiser().config().learning_rate == OptimiserConfig{}.learning_rate);
  }
  Network<double> of_doubles(config);
  CHECK_NOTHROW(Trainer<double>(of_doubles, {.optimiser = {.epsilon = 1e-50}}));
  CHECK_THROWS_AS(Trainer<float>(network, {}).optimiser().configure({.solver = Solver::sgd}), std::invalid_argument);
}

TEST_CASE("impossible settings of a trainer are refused") {
  CHECK_THROWS_AS(pylstm::from_name("solver", pylstm::train::solver_names, "guess"), std::invalid_argument);
  Network<float> network({});
  TrainerConfig config;
  config.optimiser.learning_rate = 0;
  CHECK_THROWS_AS(Trainer<float>(network, config), std::invalid_argument);
  config = {};
  config.max_grad_norm = 0;
  CHECK_THROWS_AS(Trainer<float>(network, config), std::invalid_argument);
}

TEST_CASE("without averaging training goes on from the average, and forgets what it was of") {
  const Config config{.inputs = 3, .hidden_sizes = {4}, .outputs = 2};
  const Samples<double> samples = random_samples<double>(config, 6, 5, 1);
  Network<double> network(config);
  network.initialize(1);
  Trainer<double> averaging(network, {.averaging = 0.5});
  run_epoch(averaging, samples.batches(3));
  Network<double> other = network;
  Trainer<double> plain(network, {}), fresh(other, {});
  plain.set_latest(averaging.latest());
  run_epoch(plain, samples.batches(3));
  run_epoch(fresh, samples.batches(3));
  CHECK(plain.latest().size() == 0);
  CHECK(same_bits(network.parameters(), other.parameters()));
}

TEST_CASE("a trainer notices that it was made for another network, and that an epoch is running") {
  const Config config{.inputs = 3, .hidden_sizes = {4}, .outputs = 2};
  const Samples<double> samples = random_samples<double>(config, 6, 5, 1);
  Network<double> network(config);
  network.initialize(1);
  Trainer<double> trainer(network, {.averaging = 0.5});
  Interrupt never;
  std::size_t refused = 0;
  trainer.run_epoch(samples.batches(3), never, [&](std::size_t) {
    CHECK_THROWS_AS(trainer.set_latest({}), std::invalid_argument);
    ++refused;
  });
  CHECK(refused == 2);
  const std::size_t size = network.parameters().size();
  CHECK(trainer.latest().size() == size);
  CHECK_NOTHROW(trainer.set_latest({}));
  network = Network<double>({.inputs = 3, .hidden_sizes = {64}, .outputs = 2});
  CHECK_THROWS_WITH_AS(run_epoch(trainer, samples.batches(3)),
                       doctest::Contains(("expected " + std::to_string(size)).c_str()), std::invalid_argument);
}

TEST_CASE("a state of another size is refused and changes nothing") {
  Network<float> network(Config{});
  Trainer<float> trainer(network, {.averaging = 0.5});
  CHECK_THROWS_AS(trainer.set_latest(Buffer<float>(1)), std::invalid_argument);
  CHECK(trainer.latest().size() == 0);
  const std::size_t size = network.parameters().size();
  CHECK_THROWS_AS(trainer.optimiser().set_state({.first = Buffer<float>(size, 0.F), .second = {}, .updates = 1}),
                  std::invalid_argument);
  CHECK(trainer.optimiser().state().updates == 0);
  CHECK(trainer.optimiser().state().second.size() == size);
}
