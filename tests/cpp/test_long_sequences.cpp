/// Long sequences: checkpoints change no bit and save memory; truncated backpropagation cuts where it says.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "combinations.hpp"
#include "fast_layer.hpp"
#include "networks.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/reference/recurrent.hpp"
#include "pylstm/train/trainer.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;
using pylstm::Buffer;
using pylstm::Interrupt;
using pylstm::Schedule;
using pylstm::layers::Segment;
using pylstm::layers::Segments;
using pylstm::train::Batches;
using pylstm::train::SampleView;
using pylstm::train::Trainer;
using pylstm::train::TrainerConfig;
namespace kernels = pylstm::kernels;
namespace reference = pylstm::reference;

constexpr std::size_t about_root = TrainingPass::about_root;

/// The gradient as a trainer takes it, with the targets of `batch`.
template <class T>
Buffer<T> trained_gradient(const Network<T>& network, const Batch<T>& batch, NetworkWorkspace<T>& work) {
  const std::size_t O = network.config().outputs;
  std::vector<T> predictions(batch.targets.size()), d(batch.targets.size());
  double total = 0;
  batch.for_each_item(network.config(), [&](std::size_t, double w) { total += w; });
  Buffer<T> result(network.parameters().size(), std::numeric_limits<T>::quiet_NaN());  // to be overwritten
  const BatchOrder order = batch.order();
  const Schedule schedule = order.schedule();
  const bool every_step = network.config().pooling == Pooling::none;
  Interrupt never;
  network.gradient(schedule, time_major(batch, schedule, network.config().features()), predictions.data(), d.data(),
                   batch.pass, result.data(), work, never, [&](const Segment& segment) {
                     batch.for_each_item(network.config(), [&](std::size_t place, double w) {
                       const std::size_t t = place / batch.N;
                       if (every_step && (t < segment.begin || t >= segment.end)) return;
                       pylstm::train::Loss{}.add(predictions.data() + place * O, batch.targets.data() + place * O, &w,
                                                 1, O, total, d.data() + place * O);
                     });
                     return true;
                   });
  return result;
}

template <class T>
Buffer<T> trained_gradient(const Network<T>& network, const Batch<T>& batch) {
  NetworkWorkspace<T> work;
  return trained_gradient(network, batch, work);
}

/// Elements that a pass keeps of every step at once, beside inputs and outputs of the network.
template <class T>
std::size_t kept(const NetworkWorkspace<T>& work) {
  std::size_t size = work.embedded.size() + work.dropped.size() + work.doutputs.size() + work.dinputs.size() +
                     work.read_out.all_tops.size() + work.read_out.doutputs_padded.size() + work.read_out.in.size() +
                     work.read_out.out.size();
  for (const Buffer<T>& outputs : work.outputs) size += outputs.size();
  for (const auto& layer : work.layers) {
    size += layer.addend.size();
    for (const auto& direction : layer.directions) {
      const auto& tape = direction.tape;
      size += tape.h.size() + tape.c.size() + tape.gates.size() + tape.m.size() + tape.c_new.size();
      size += direction.hold.size() + direction.borders.size();
    }
  }
  return size;
}

/// What tells long sequences apart; one direction.
std::vector<Config> long_networks() {
  std::vector<Config> all;
  for (const auto& [how, pooling] : pylstm::network::pooling_names)
    for (const bool residual : {false, true})
      all.push_back({.inputs = 5, .hidden_sizes = {5, 5}, .outputs = 2, .residual = residual, .pooling = pooling});
  return all;
}

/// Gradients of the layers of a network of one direction without dropout by the reference: row after row, the states
/// carried from segment to segment and nothing handed back.
Parameters<double> reference_gradients(const Network<double>& network, const Batch<double>& batch, std::size_t steps) {
  const Config& config = network.config();
  const std::size_t O = config.outputs, layers = config.hidden_sizes.size();
  const Parameters<double> all = parameters_of(network);
  const std::vector<double>& head = all.at("head.weight");
  const std::vector<double> predictions = outputs(network, batch, As::prediction);
  std::vector<double> d(predictions.size());
  double total = 0;
  batch.for_each_item(config, [&](std::size_t, double w) { total += w; });
  batch.for_each_item(config, [&](std::size_t place, double w) {
    pylstm::train::Loss{}.add(predictions.data() + place * O, batch.targets.data() + place * O, &w, 1, O, total,
                              d.data() + place * O);
  });
  Parameters<double> sums;
  const auto add = [&](std::size_t l, const char* name, const std::vector<double>& values) {
    std::vector<double>& sum = sums["layers." + std::to_string(l) + "." + name];
    sum.resize(values.size());
    for (std::size_t k = 0; k < values.size(); ++k) sum[k] += values[k];
  };
  const BatchOrder order = batch.order();
  const Schedule schedule = order.schedule();
  const auto x = time_major(batch, schedule, config.inputs);
  for (std::size_t n = 0; n < batch.N; ++n) {
    const std::size_t length = schedule.length(n), width = head.size() / O;
    std::vector<std::size_t> borders{0};
    if (config.pooling == Pooling::last) {
      if (length > steps) borders.push_back(length - steps);
    } else {
      while (borders.back() + steps < length) borders.push_back(borders.back() + steps);
    }
    borders.push_back(length);
    std::vector<std::vector<double>> h(layers), c(layers);
    for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
      const std::size_t begin = borders[i], T = borders[i + 1] - begin;
      if (T == 0) continue;
      std::vector<double> between;
      for (std::size_t t = begin; t < begin + T; ++t)
        between.insert(between.end(), x.row(t, n), x.row(t, n) + config.inputs);
      std::vector<reference::Problem<double>> problems;
      std::vector<reference::Result<double>> results;
      for (std::size_t l = 0; l < layers; ++l) {
        reference::Problem<double> problem = reference_problem(config, all, l, false);
        problem.T = T;
        problem.N = 1;
        problem.x = between;
        problem.h0 = h[l];
        problem.c0 = c[l];
        results.push_back(reference::forward<double>(problem));
        problems.push_back(problem);
        between = results.back().y;
        h[l] = results.back().h_n;
        c[l] = results.back().c_n;
      }
      if (config.pooling == Pooling::last && i + 2 < borders.size()) continue;
      const auto gradient_of_head = [&](std::size_t place, double share) {
        std::vector<double> sum(width);
        for (std::size_t o = 0; o < O; ++o)
          for (std::size_t j = 0; j < width; ++j) sum[j] += share * d[place * O + o] * head[o * width + j];
        return sum;
      };
      std::vector<double> dy, dh_n;
      const std::size_t row = schedule.caller_row(n);
      if (config.pooling == Pooling::last) dh_n = gradient_of_head(row, 1);
      for (std::size_t t = begin; t < begin + T && dh_n.empty(); ++t) {
        const std::vector<double> of_step = config.pooling == Pooling::none
                                                ? gradient_of_head(t * batch.N + n, 1)
                                                : gradient_of_head(row, 1 / static_cast<double>(length));
        dy.insert(dy.end(), of_step.begin(), of_step.end());
      }
      for (std::size_t l = layers; l-- > 0;) {
        const auto g = reference::backward<double>(problems[l], results[l], dy, dh_n, {});
        add(l, "weight_ih", g.weight_ih);
        const auto size = all.at("layers." + std::to_string(l) + ".weight_hh").size();
        const auto behind_reset = g.weight_hh.begin() + static_cast<std::ptrdiff_t>(size);
        add(l, "weight_hh", {g.weight_hh.begin(), behind_reset});
        add(l, "weight_hn", {behind_reset, g.weight_hh.end()});
        add(l, "weight_hr", g.weight_hr);
        add(l, "bias", g.bias);
        add(l, "bias_hn", g.bias_recurrent);
        if (config.cell.options.peepholes) add(l, "peephole", g.unit_weights);
        dy = g.x;
        dh_n.clear();
      }
    }
  }
  return sums;
}

template <class T>
struct LongSamples {
  std::vector<T> x, y;
  std::size_t n, steps;
  Config config;

  LongSamples(const Config& of, std::size_t samples, std::size_t length)
      : x(random_values<T>(samples * length * of.inputs, 1)),
        y(random_values<T>(samples * (of.pooling == Pooling::none ? length : 1) * of.outputs, 2)),
        n(samples),
        steps(length),
        config(of) {}

  static SampleView view(const std::vector<T>& v, std::size_t n, std::size_t steps, std::size_t width) {
    const auto bytes = [](std::size_t elements) { return static_cast<std::ptrdiff_t>(elements * sizeof(T)); };
    return {v.data(), sizeof(T) == sizeof(double), n, steps, width, bytes(steps * width), bytes(width), bytes(1)};
  }

  Batches batches(std::uint64_t epoch) const {
    Batches b{.x = view(x, n, steps, config.inputs),
              .y = view(y, n, config.pooling == Pooling::none ? steps : 1, config.outputs),
              .weights = std::nullopt,
              .order = {},
              .batch_size = 4,
              .epoch = epoch};
    for (std::size_t k = 0; k < n; ++k) b.order.push_back(k);
    return b;
  }
};

}  // namespace

TEST_CASE("segments cover a walk, and one of them may be shorter") {
  for (const std::size_t steps : {0U, 1U, 6U, 7U, 100U})
    for (const std::size_t length : {0U, 1U, 3U, 7U, 200U})
      for (const bool from_beginning : {false, true}) {
        const Segments segments{.steps = steps, .length = length, .from_beginning = from_beginning};
        CAPTURE(steps);
        CAPTURE(length);
        std::size_t end = 0;
        for (std::size_t i = 0; i < segments.count(); ++i) {
          CHECK(segments[i].begin == end);
          end = segments[i].end;
          const bool shorter = i == (from_beginning ? segments.count() - 1 : 0);
          if (!shorter) CHECK(segments[i].steps() == length);
          if (length > 0) CHECK(segments[i].steps() <= length);
        }
        CHECK(end == steps);
      }
}

TEST_CASE_TEMPLATE("a checkpoint changes no bit of outputs and gradients", T, float, double) {
  std::size_t count = 0;
  for (const Config& plain : all_networks())
    for (const bool ragged : {false, true}) {
      const Config config = with_dropout(plain, ragged ? 0.4 : 0);
      CAPTURE(name(config));
      CAPTURE(ragged);
      Network<T> network(config);
      network.initialize(1);
      Batch<T> batch = random_batch<T>(config, 11, 5, ++count);
      if (ragged) batch.lengths = {4, 11, 0, 8, 1};
      batch.reverse = count % 3 == 0;
      const std::vector<T> expected = outputs(network, batch, As::training);
      const Buffer<T> gradient = gradients(network, batch);
      for (const std::size_t checkpoint : {std::size_t{1}, std::size_t{3}, std::size_t{100}, about_root}) {
        CAPTURE(checkpoint);
        batch.pass.checkpoint = checkpoint;
        CHECK(outputs(network, batch, As::training) == expected);
        CHECK(same_bits(gradients(network, batch), gradient));
        if (quick()) break;
      }
    }
}

TEST_CASE("a checkpoint changes no bit, however the work is shared") {
  struct Case {
    std::size_t inputs, hidden, rows;
    bool ragged = true;
  };
  // Chunks shorter than segments and longer ones; products of inputs ahead of the recurrence; units shared by threads.
  // Of one length 70 rows are two groups.
  for (const Case& c : {Case{3, 33, 70}, Case{3, 33, 70, false}, Case{60, 20, 9}, Case{3, 256, 2}})
    for (const char* const cell : {"lstm", "gru", "layernorm_lstm"})
      for (const Pooling pooling : {Pooling::last, Pooling::none}) {
        const Config config{.cell = kernels::cell_from_name(cell),
                            .inputs = c.inputs,
                            .hidden_sizes = {c.hidden, 12},
                            .outputs = 2,
                            .dropout = 0.25,
                            .recurrent_dropout = 0.2,
                            .zoneout = 0.1,
                            .pooling = pooling};
        CAPTURE(name(config));
        CAPTURE(c.rows);
        Network<float> network(config);
        network.initialize(1);
        Batch<float> batch = random_batch<float>(config, 40, c.rows, 2);
        batch.lengths.assign(c.rows, batch.T_);
        for (std::size_t n = 1; c.ragged && n < c.rows; n += 3) batch.lengths[n] = n % batch.T_;
        const Buffer<float> gradient = gradients(network, batch);
        for (const std::size_t threads : {1U, 2U, 3U})
          for (const std::size_t checkpoint : {std::size_t{13}, about_root}) {
            CAPTURE(threads);
            CAPTURE(checkpoint);
            const Threads scope(threads);
            batch.pass.checkpoint = checkpoint;
            CHECK(same_bits(gradients(network, batch), gradient));
          }
      }
}

TEST_CASE_TEMPLATE("a checkpoint changes no bit of what is learnt", T, float, double) {
  for (const Pooling pooling : {Pooling::last, Pooling::none})
    for (const bool bidirectional : {false, true}) {
      Config config{.inputs = 2, .hidden_sizes = {7, 6}, .outputs = 2, .bidirectional = bidirectional};
      config.pooling = pooling;
      config = with_dropout(config, 0.3);
      CAPTURE(name(config));
      const LongSamples<T> samples(config, 6, 30);
      std::optional<Buffer<T>> expected;
      double expected_loss = 0;
      for (const std::size_t checkpoint : {std::size_t{0}, about_root, std::size_t{4}}) {
        CAPTURE(checkpoint);
        Network<T> network(config);
        network.initialize(1);
        Trainer<T> trainer(network, {.seed = 3, .checkpoint = checkpoint});
        Interrupt never;
        double loss = 0;
        for (std::uint64_t epoch = 0; epoch < 3; ++epoch) loss = trainer.run_epoch(samples.batches(epoch), never);
        if (!expected) {
          expected = network.parameters();
          expected_loss = loss;
        }
        CHECK(same_bits(network.parameters(), *expected));
        CHECK(loss == expected_loss);
      }
    }
}

TEST_CASE("a workspace serves passes with and without checkpoints in turn") {
  const Config config{.inputs = 3, .hidden_sizes = {6, 5}, .outputs = 2, .zoneout = 0.2, .pooling = Pooling::mean};
  Network<double> network(config);
  network.initialize(1);
  NetworkWorkspace<double> work;
  for (const std::size_t steps : {20U, 7U, 31U}) {
    Batch<double> batch = random_batch<double>(config, steps, 4, steps);
    const Buffer<double> expected = trained_gradient(network, batch);
    for (const std::size_t checkpoint : {std::size_t{5}, std::size_t{0}, about_root, std::size_t{3}}) {
      batch.pass.checkpoint = checkpoint;
      CHECK(same_bits(trained_gradient(network, batch, work), expected));
    }
  }
}

TEST_CASE("with a checkpoint memory grows with the root of the number of steps") {
  const Threads one(1);  // each has a gap of its own in every history
  for (const Config& plain : long_networks()) {
    if (plain.pooling == Pooling::attention) continue;  // keeps the outputs of the top layer
    const Config config = with_dropout(plain, 0.3);
    CAPTURE(name(config));
    Network<float> network(config);
    network.initialize(1);
    const auto kept_for = [&](std::size_t steps, std::size_t checkpoint) {
      Batch<float> batch = random_batch<float>(config, steps, 3, 1);
      batch.pass.checkpoint = checkpoint;
      NetworkWorkspace<float> work;
      trained_gradient(network, batch, work);
      return static_cast<double>(kept(work));
    };
    CHECK(kept_for(1024, 0) > 3.9 * kept_for(256, 0));
    CHECK(kept_for(1024, about_root) < 2.1 * kept_for(256, about_root));
    CHECK(kept_for(1024, about_root) < 0.1 * kept_for(1024, 0));
  }
}

TEST_CASE("truncated backpropagation does not grow with the sequence where it needs no step twice") {
  const Threads one(1);
  for (const Pooling pooling : {Pooling::last, Pooling::none}) {
    const Config config{.inputs = 5, .hidden_sizes = {5, 5}, .outputs = 2, .dropout = 0.2, .pooling = pooling};
    CAPTURE(name(config));
    Network<float> network(config);
    network.initialize(1);
    const auto kept_for = [&](std::size_t steps) {
      Batch<float> batch = random_batch<float>(config, steps, 3, 1);
      batch.pass.tbptt_steps = 40;
      NetworkWorkspace<float> work;
      trained_gradient(network, batch, work);
      return kept(work);
    };
    CHECK(kept_for(1200) == kept_for(400));
  }
}

TEST_CASE("truncated backpropagation is that of the reference, cut") {
  // Sums of about 100 products of numbers below 1.
  constexpr double tolerance = 1e-12;
  for (const auto& [cell_name, cell] : kernels::cell_names)
    for (const Pooling pooling : {Pooling::last, Pooling::mean, Pooling::none})
      for (const bool ragged : {false, true})
        for (const std::size_t steps : {1U, 4U, 5U, 13U, 50U}) {
          const bool projects = cell_name.ends_with("lstm") && ragged;
          const Config config{.cell = cell,
                              .inputs = 3,
                              .hidden_sizes = {6, 5},
                              .projection = projects ? 4U : 0U,
                              .outputs = 2,
                              .pooling = pooling};
          CAPTURE(name(config));
          CAPTURE(ragged);
          CAPTURE(steps);
          Network<double> network(config);
          network.initialize(1);
          Batch<double> batch = random_batch<double>(config, 13, 5, 3);
          if (ragged) {
            batch.lengths = {4, 13, 0, 9, 1};
            batch.weights = {1, 0.5, 3, 2, 1};
          }
          batch.reverse = steps == 4;
          const Parameters<double> expected = reference_gradients(network, batch, steps);
          batch.pass.tbptt_steps = steps;
          for (const std::size_t checkpoint : {0U, 3U, 5U}) {
            CAPTURE(checkpoint);
            batch.pass.checkpoint = checkpoint;
            const Parameters<double> found = unpacked(network, trained_gradient(network, batch));
            for (const auto& parameter : expected) {
              const auto& name = parameter.first;
              const auto& values = parameter.second;
              if (values.empty()) continue;
              CAPTURE(name);
              double worst = 0;
              for (std::size_t k = 0; k < values.size(); ++k)
                worst = std::max(worst, std::abs(values[k] - found.at(name)[k]));
              CHECK(worst <= tolerance);
            }
          }
        }
}

TEST_CASE_TEMPLATE("truncated to as many steps as there are, nothing is cut", T, float, double) {
  for (const Config& plain : all_networks()) {
    if (plain.bidirectional) continue;
    const Config config = with_dropout(plain, 0.3);
    CAPTURE(name(config));
    Network<T> network(config);
    network.initialize(1);
    Batch<T> batch = random_batch<T>(config, 9, 4, 1);
    batch.lengths = {9, 3, 0, 7};
    const Buffer<T> gradient = trained_gradient(network, batch);
    for (const std::size_t steps : {std::size_t{9}, std::numeric_limits<std::size_t>::max()})
      for (const std::size_t checkpoint : {0U, 4U}) {
        batch.pass.tbptt_steps = steps;
        batch.pass.checkpoint = checkpoint;
        CHECK(same_bits(trained_gradient(network, batch), gradient));
      }
  }
}

TEST_CASE_TEMPLATE("a checkpoint changes no bit of truncated backpropagation that looks back anyway", T, float,
                   double) {
  for (const Config& plain : all_networks()) {
    if (plain.bidirectional || plain.pooling == Pooling::none) continue;  // `none` sums in the order of time
    const Config config = with_dropout(plain, 0.3);
    CAPTURE(name(config));
    Network<T> network(config);
    network.initialize(1);
    Batch<T> batch = random_batch<T>(config, 23, 4, 1);
    batch.lengths = {23, 5, 0, 14};
    batch.pass.tbptt_steps = 4;
    const Buffer<T> gradient = trained_gradient(network, batch);
    for (const std::size_t checkpoint : {std::size_t{1}, std::size_t{6}, about_root}) {
      CAPTURE(checkpoint);
      batch.pass.checkpoint = checkpoint;
      CHECK(same_bits(trained_gradient(network, batch), gradient));
    }
    batch.pass.tbptt_steps = 0;
    CHECK_FALSE(same_bits(trained_gradient(network, batch), gradient));
  }
}

TEST_CASE(
    "neither threads nor a checkpoint change a bit of truncated backpropagation, with groups of rows or without") {
  for (const auto& [how, pooling] : pylstm::network::pooling_names)
    for (const auto& [hidden, ragged] : {std::pair{33U, true}, {33U, false}, {64U, true}, {64U, false}, {256U, true}}) {
      const std::size_t rows = hidden == 256 ? 2 : 41;
      const Config config{.cell = kernels::cell_from_name(hidden == 64 ? "layernorm_lstm" : "lstm"),
                          .inputs = 3,
                          .hidden_sizes = {hidden, 12},
                          .outputs = 2,
                          .pooling = pooling};
      CAPTURE(name(config));
      Network<float> network(config);
      network.initialize(1);
      Batch<float> batch = random_batch<float>(config, 30, rows, 2);
      batch.lengths.assign(rows, batch.T_);
      for (std::size_t n = 1; ragged && n < rows; n += 3) batch.lengths[n] = n % batch.T_;
      for (const std::size_t steps : {7U, 13U}) {  // with 13 enough for two groups
        CAPTURE(steps);
        batch.pass.tbptt_steps = steps;
        const Buffer<float> gradient = trained_gradient(network, batch);
        for (const std::size_t threads : {1U, 2U, 3U}) {
          const Threads scope(threads);
          CHECK(same_bits(trained_gradient(network, batch), gradient));
        }
        if (pooling == Pooling::none) continue;  // sums in the order of time
        batch.pass.checkpoint = 6;
        CHECK(same_bits(trained_gradient(network, batch), gradient));
        batch.pass.checkpoint = 0;
      }
    }
}

TEST_CASE("two directions are not truncated") {
  const Config config{.inputs = 2, .hidden_sizes = {4}, .bidirectional = true};
  Network<float> network(config);
  CHECK_THROWS_AS(Trainer<float>(network, {.tbptt_steps = 5}), std::invalid_argument);
  Batch<float> batch = random_batch<float>(config, 8, 2, 1);
  batch.pass.tbptt_steps = 3;
  CHECK_THROWS_AS(trained_gradient(network, batch), std::invalid_argument);
}
