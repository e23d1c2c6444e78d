/// The network: predictions against the reference, gradients against central differences.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "combinations.hpp"
#include "fast_layer.hpp"
#include "networks.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/reference/recurrent.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;
using pylstm::Buffer;
using pylstm::Interrupt;
using pylstm::Schedule;
namespace kernels = pylstm::kernels;
namespace reference = pylstm::reference;

/// Biases that are not those of the initialisation: a network that forgot one would show.
template <class T>
void randomize_biases(Network<T>& network, std::uint64_t seed) {
  Parameters<T> all = parameters_of(network);
  for (auto& [name, values] : all)
    if (name.find("weight") == std::string::npos) values = random_values<T>(values.size(), ++seed);
  set(network, network.parameters(), all);
}

/// Outputs of a layer [T][N][width], and the state of each row at the end of the walk, [N][width].
template <class T>
struct Layer {
  std::vector<T> y, h_n = {};
  std::size_t width = 0;
};

/// One direction of layer l by the reference.
Layer<double> reference_direction(const Config& config, const Batch<double>& batch, const Parameters<double>& all,
                                  std::size_t l, const Layer<double>& below, bool second) {
  reference::Problem<double> problem = reference_problem(config, all, l, second);
  problem.T = batch.T_;
  problem.N = batch.N;
  problem.x = below.y;
  problem.lengths = batch.lengths;
  problem.reverse = batch.reverse != second;
  const auto r = reference::forward<double>(problem);
  return {r.y, r.h_n, problem.width()};
}

Layer<double> merged(Merge merge, const Layer<double>& first, const Layer<double>& second) {
  const bool sum = merge == Merge::sum;
  const std::size_t H = first.width;
  const auto rows = [&](const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> both;
    for (std::size_t row = 0; row < a.size(); row += H) {
      for (std::size_t j = row; j < row + H; ++j) both.push_back(sum ? a[j] + b[j] : a[j]);
      for (std::size_t j = row; j < row + H && !sum; ++j) both.push_back(b[j]);
    }
    return both;
  };
  return {rows(first.y, second.y), rows(first.h_n, second.h_n), sum ? H : 2 * H};
}

/// Layer l, both directions, with what a residual layer adds.
Layer<double> reference_layer(const Config& config, const Batch<double>& batch, const Parameters<double>& all,
                              std::size_t l, const Layer<double>& below) {
  Layer<double> layer = reference_direction(config, batch, all, l, below, false);
  const std::size_t H = layer.width;
  if (config.bidirectional)
    layer = merged(config.merge, layer, reference_direction(config, batch, all, l, below, true));
  if (!config.residual || l == 0) return layer;
  for (std::size_t k = 0; k < layer.y.size(); ++k) layer.y[k] += below.y[k];
  for (std::size_t n = 0; n < batch.N; ++n)
    for (std::size_t j = 0; j < layer.width; ++j) {
      const std::size_t length = batch.lengths.empty() ? batch.T_ : batch.lengths[n];
      const std::size_t end = batch.reverse == (j < H) ? 0 : length - 1;
      if (length > 0) layer.h_n[n * layer.width + j] += below.y[(end * batch.N + n) * layer.width + j];
    }
  return layer;
}

/// What the head reads for every item of the batch, in the order of `Batch::for_each_item`.
std::vector<std::vector<double>> read_out(const Config& config, const Batch<double>& batch,
                                          const Parameters<double>& all, const Layer<double>& top) {
  const std::size_t W = top.width;
  const auto y = [&](std::size_t t, std::size_t n) {
    const auto row = top.y.begin() + static_cast<std::ptrdiff_t>((t * batch.N + n) * W);
    return std::vector<double>(row, row + static_cast<std::ptrdiff_t>(W));
  };
  const auto length = [&](std::size_t n) { return batch.lengths.empty() ? batch.T_ : batch.lengths[n]; };
  std::vector<std::vector<double>> read;
  if (config.pooling == Pooling::none) {
    const BatchOrder rows = batch.order();
    const Schedule schedule = rows.schedule();
    pylstm::layers::for_each_step(schedule, [&](std::size_t t, std::size_t n) {
      const std::size_t row = schedule.caller_row(n);
      read.push_back(y(batch.reverse ? length(row) - 1 - t : t, row));
    });
    return read;
  }
  for (std::size_t n = 0; n < batch.N; ++n) {
    std::vector<double> pooled(W), score;
    double total = 0;
    for (std::size_t t = 0; t < length(n) && config.pooling == Pooling::attention; ++t) {
      const std::vector<double>& query = all.at("attention.query");
      score.push_back(std::exp(std::inner_product(query.begin(), query.end(), y(t, n).begin(), 0.0)));
      total += score.back();
    }
    for (std::size_t j = 0; j < W; ++j) {
      if (config.pooling == Pooling::last) pooled[j] = top.h_n[n * W + j];
      for (std::size_t t = 0; t < length(n); ++t) {
        const double value = y(t, n)[j];
        if (config.pooling == Pooling::mean) pooled[j] += value / static_cast<double>(length(n));
        if (config.pooling == Pooling::max) pooled[j] = t == 0 ? value : std::max(pooled[j], value);
        if (config.pooling == Pooling::attention) pooled[j] += score[t] / total * value;
      }
    }
    read.push_back(pooled);
  }
  return read;
}

/// Every parameter's gradient against central differences, `every`-th element from `first` on.
void check_gradients(const Config& config, const Batch<double>& batch, std::size_t every, std::size_t first = 0) {
  // (f(x + e) - f(x - e)) / 2e is off by e^2 f'''/6 + u f / e: 1e-10 at a loss of about 1 and f''' up to 1e2; layer
  // normalisation of a few units has far larger ones.
  constexpr double step = 0x1p-20, tolerance = 1e-6;
  CAPTURE(name(config));
  CAPTURE(batch.lengths.empty());
  CAPTURE(batch.reverse);
  Network<double> network(config);
  network.initialize(batch.T_ + batch.N);
  randomize_biases(network, 3);
  const Parameters<double> exact = unpacked(network, gradients(network, batch));
  const Parameters<double> at = parameters_of(network);
  double network_largest = 0;
  for (const auto& [name, gradient] : exact)
    for (const double g : gradient) network_largest = std::max(network_largest, std::abs(g));
  for (const auto& entry : exact) {
    const std::string& name = entry.first;
    const std::vector<double>& gradient = entry.second;
    double worst = 0, largest = 0;
    for (std::size_t k = std::min(first % every, gradient.size() - 1); k < gradient.size(); k += every) {
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
    // All units of a layer of rectifiers may be off.
    if (config.cell.kind != kernels::CellKind::rnn_relu) CHECK(largest > 1e-4 * network_largest);
    CHECK(worst <= tolerance * network_largest);
  }
}

}  // namespace

TEST_CASE("predictions are those of the reference, layer upon layer") {
  std::vector<Config> configs(std::begin(stacks), std::end(stacks));
  configs.insert(configs.end(), all_networks().begin(), all_networks().end());
  for (const Config& config : configs)
    for (const bool ragged : {false, true})
      for (const bool reverse : {false, true}) {
        CAPTURE(name(config));
        CAPTURE(ragged);
        CAPTURE(reverse);
        Network<double> network(config);
        network.initialize(1);
        randomize_biases(network, 3);
        Batch<double> batch = random_batch<double>(config, 6, 7, 2);
        if (ragged) batch.lengths = {3, 6, 0, 1, 6, 2, 5};
        batch.reverse = reverse;

        const Parameters<double> all = parameters_of(network);
        Layer<double> layer{.y = batch.x, .width = config.inputs};
        if (config.vocabulary > 0) {
          layer.y.clear();
          for (const double token : batch.x) {
            const auto row = all.at("embedding.weight").begin() + static_cast<std::ptrdiff_t>(token) * 3;
            layer.y.insert(layer.y.end(), row, row + 3);
          }
        }
        for (std::size_t l = 0; l < config.hidden_sizes.size(); ++l)
          layer = reference_layer(config, batch, all, l, layer);
        const std::vector<std::vector<double>> read = read_out(config, batch, all, layer);
        const std::vector<double> fast = outputs(network, batch, As::prediction);
        std::size_t item = 0;
        batch.for_each_item(config, [&](std::size_t place, double) {
          for (std::size_t o = 0; o < config.outputs; ++o) {
            double expected = all.at("head.bias")[o];
            for (std::size_t j = 0; j < layer.width; ++j)
              expected += all.at("head.weight")[o * layer.width + j] * read[item][j];
            CHECK(fast[place * config.outputs + o] == doctest::Approx(expected).epsilon(1e-13));
          }
          ++item;
        });
        CHECK(item == read.size());
      }
}

TEST_CASE("two directions are two networks of one direction, to the bit") {
  for (const auto& named : kernels::cell_names)
    for (const bool ragged : {false, true})
      for (const bool reverse : {false, true})
        for (const Pooling pooling : {Pooling::last, Pooling::max})
          for (const Merge merge : {Merge::concat, Merge::sum}) {
            // The largest sum is not the sum of the largest.
            if (merge == Merge::sum && pooling == Pooling::max) continue;
            CAPTURE(named.first);
            CAPTURE(ragged);
            CAPTURE(reverse);
            const std::size_t H = 5, N = 6;
            const Config one{.cell = named.second, .inputs = 3, .hidden_sizes = {H}, .pooling = pooling};
            Config both = one;
            both.bidirectional = true;
            both.merge = merge;
            Network<float> first(one), second(one), together(both);
            first.initialize(1);
            second.initialize(2);
            together.initialize(3);
            Parameters<float> all = parameters_of(together);
            for (const auto& [name, values] : parameters_of(first))
              if (name.starts_with("layers.0.")) all[name] = values;
            for (const auto& [name, values] : parameters_of(second))
              if (name.starts_with("layers.0.")) all["layers.0.reverse." + name.substr(9)] = values;
            set(together, together.parameters(), all);

            Batch<float> batch = random_batch<float>(one, 9, N, 4);
            if (ragged) batch.lengths = {3, 9, 0, 1, 9, 7};
            batch.reverse = reverse;
            Batch<float> other_way = batch;
            other_way.reverse = !reverse;
            NetworkWorkspace<float> work[3];
            outputs(first, batch, As::prediction, work[0]);
            outputs(second, other_way, As::prediction, work[1]);
            outputs(together, batch, As::prediction, work[2]);
            std::vector<float> expected;
            for (std::size_t n = 0; n < N; ++n) {
              const float *const f = work[0].read_out.read.data() + n * H, *const r =
                                                                               work[1].read_out.read.data() + n * H;
              if (merge == Merge::concat) {
                expected.insert(expected.end(), f, f + H);
                expected.insert(expected.end(), r, r + H);
              } else {
                std::transform(f, f + H, r, std::back_inserter(expected), std::plus<>());
              }
            }
            CHECK(std::equal(expected.begin(), expected.end(), work[2].read_out.read.data()));
          }
}

TEST_CASE_TEMPLATE("without dropout a pass in training has the bits of a prediction", T, float, double) {
  for (const Config& config : all_networks())
    for (const bool ragged : {false, true}) {
      CAPTURE(name(config));
      CAPTURE(ragged);
      Network<T> network(config);
      network.initialize(1);
      Batch<T> batch = random_batch<T>(config, 6, 4, 2);
      if (ragged) batch.lengths = {4, 6, 0, 1};
      CHECK(outputs(network, batch, As::training) == outputs(network, batch, As::prediction));
    }
}

TEST_CASE_TEMPLATE("layers that half a vector holds give the bits of whole vectors", T, float, double) {
  const kernels::KernelTable<T>& table = pylstm::active_kernels<T>();
  const std::vector<std::string> isas = pylstm::available_isas();
  CHECK((table.half != nullptr) == (std::string(table.isa) == "avx512" && std::ranges::count(isas, "avx2") > 0));
  kernels::KernelTable<T> whole = table;
  whole.half = nullptr;
  std::vector<Config> mixed = all_networks();
  for (const auto& [name, cell] : kernels::cell_names)  // narrow below wide and above
    mixed.push_back({.cell = cell, .inputs = 2, .hidden_sizes = {4, 21, 3}, .outputs = 9, .bidirectional = true});
  for (const Config& config : mixed) {
    CAPTURE(name(config));
    Network<T> a(config), b(config, whole);
    a.initialize(1);
    b.initialize(1);
    randomize_biases(a, 2);
    randomize_biases(b, 2);
    CHECK(parameters_of(a) == parameters_of(b));
    Batch<T> batch = random_batch<T>(config, 5, 7, 3);
    batch.lengths = {4, 5, 0, 1, 5, 2, 3};
    CHECK(outputs(a, batch, As::prediction) == outputs(b, batch, As::prediction));
    CHECK(unpacked(a, gradients(a, batch)) == unpacked(b, gradients(b, batch)));
  }
}

TEST_CASE("the number of threads changes no bit of outputs and gradients") {
  for (const bool bidirectional : {false, true})
    for (const Merge merge : {Merge::concat, Merge::sum})
      for (const auto& [how, pooling] : pylstm::network::pooling_names)
        for (const auto& lengths : {std::pair{2U, true}, {70U, true}, {70U, false}}) {  // the last: two groups
          const std::size_t rows = lengths.first;
          const bool ragged = lengths.second;
          const Config config{.inputs = 3,
                              .hidden_sizes = {33, 20},
                              .outputs = 2,
                              .dropout = 0.25,
                              .bidirectional = bidirectional,
                              .merge = merge,
                              .pooling = pooling};
          CAPTURE(name(config));
          CAPTURE(rows);
          CAPTURE(ragged);
          Network<float> network(config);
          network.initialize(1);
          Batch<float> batch = random_batch<float>(config, quick() ? 10 : 40, rows, 2);
          batch.lengths.assign(rows, batch.T_);
          for (std::size_t n = 0; ragged && n < rows; n += 3) batch.lengths[n] = n % batch.T_;

          std::optional<Buffer<float>> first;
          std::vector<float> first_outputs;
          for (const std::size_t threads : {1U, 2U, 3U}) {
            const Threads scope(threads);
            const std::vector<float> predicted = outputs(network, batch, As::prediction);
            const Buffer<float> gradient = gradients(network, batch);
            if (!first) {
              first = gradient;
              first_outputs = predicted;
            }
            CHECK(predicted == first_outputs);
            CHECK(same_bits(gradient, *first));
          }
        }
}

TEST_CASE("two directions can be interrupted, and ask on the calling thread alone") {
  const Config config{.inputs = 8, .hidden_sizes = {64}, .bidirectional = true};
  Network<float> network(config);
  network.initialize(1);
  const Batch<float> batch = random_batch<float>(config, 2000, 32, 1);
  const BatchOrder order = batch.order();
  const Schedule schedule = order.schedule();
  std::vector<float> predicted(batch.N);
  for (const std::size_t threads : {1U, 2U}) {
    CAPTURE(threads);
    const Threads scope(threads);
    const std::thread::id caller = std::this_thread::get_id();
    bool elsewhere = false;
    Interrupt interrupt([&] {
      elsewhere |= std::this_thread::get_id() != caller;
      return true;
    });
    NetworkWorkspace<float> work;
    const auto run = [&] {
      // A fast machine may be through before it asks.
      for (;;) network.predict(schedule, time_major(batch, schedule, config.inputs), predicted.data(), work, interrupt);
    };
    CHECK_THROWS_AS(run(), pylstm::Interrupted);
    CHECK_FALSE(elsewhere);
  }
}

TEST_CASE("the gradient of a maximum goes to the first step that attains it") {
  // Without recurrent weights a constant input gives equal states at all steps.
  const Config config{
      .cell = kernels::cell_from_name("rnn"), .inputs = 1, .hidden_sizes = {1}, .pooling = Pooling::max};
  Network<double> network(config);
  set(network, network.parameters(),
      {{"layers.0.weight_ih", {0.5}},
       {"layers.0.weight_hh", {0}},
       {"layers.0.bias", {0}},
       {"head.weight", {1}},
       {"head.bias", {0}}});
  Batch<double> batch = random_batch<double>(config, 4, 1, 1);
  batch.x = {0.25, 1, 1, 1};
  // d loss / d weight_hh is nonzero where h of the step before is, that of the first maximum alone.
  const double h = std::tanh(0.5), before = std::tanh(0.125), error = 2 * (h - batch.targets[0]);
  const Parameters<double> gradient = unpacked(network, gradients(network, batch));
  CHECK(gradient.at("layers.0.weight_hh")[0] == doctest::Approx(error * (1 - h * h) * before).epsilon(1e-12));
}

TEST_CASE("a row without steps is pooled to zeros") {
  for (const Config& config : all_networks()) {
    if (config.hidden_sizes.size() > 1 || config.pooling == Pooling::none) continue;
    CAPTURE(name(config));
    Network<double> network(config);
    network.initialize(1);
    Batch<double> batch = random_batch<double>(config, 5, 2, 1);
    batch.lengths = {0, 5};
    const std::vector<double> bias = parameters_of(network).at("head.bias"),
                              all = outputs(network, batch, As::training);
    CHECK(std::vector<double>(all.begin(), all.begin() + 2) == bias);
  }
}

TEST_CASE("parameters are named by layer and direction") {
  const Network<float> network(
      {.cell = kernels::cell_from_name("gru"), .inputs = 3, .hidden_sizes = {4, 5}, .bidirectional = true});
  std::vector<std::string> names;
  std::vector<std::size_t> columns;
  for (const auto& info : network.parameter_infos()) {
    names.push_back(info.name);
    if (info.columns > 0) columns.push_back(info.columns);
  }
  CHECK(names == std::vector<std::string>{
                     "layers.0.weight_ih", "layers.0.weight_hh", "layers.0.bias", "layers.0.bias_hn",
                     "layers.0.reverse.weight_ih", "layers.0.reverse.weight_hh", "layers.0.reverse.bias",
                     "layers.0.reverse.bias_hn", "layers.1.weight_ih", "layers.1.weight_hh", "layers.1.bias",
                     "layers.1.bias_hn", "layers.1.reverse.weight_ih", "layers.1.reverse.weight_hh",
                     "layers.1.reverse.bias", "layers.1.reverse.bias_hn", "head.weight", "head.bias"});
  CHECK(columns == std::vector<std::size_t>{3, 4, 3, 4, 8, 5, 8, 5, 10});
}

TEST_CASE("the network's gradients are those of central differences") {
  for (const Config& plain : stacks)
    for (const double dropout : {0.0, 0.4})
      for (const bool ragged : {false, true})
        for (const bool weighted : {false, true}) {
          const Config config = with_dropout(plain, dropout);
          Batch<double> batch = random_batch<double>(config, 6, 4, 1);
          const std::size_t samples[] = {12, 3, 40, 7};
          batch.pass.samples = samples;
          if (ragged) batch.lengths = {4, 6, 3, 5};
          if (weighted) batch.weights = {1, 0.5, 0, 3};
          batch.reverse = ragged && weighted;
          CAPTURE(dropout);
          CAPTURE(weighted);
          check_gradients(config, batch, quick() ? 7 : 1);
        }
}

TEST_CASE("every network's gradients are those of central differences") {
  std::size_t count = 0;
  for (const Config& plain : all_networks())
    for (const bool ragged : {false, true}) {
      const Config config = with_dropout(plain, ragged ? 0.4 : 0);
      Batch<double> batch = random_batch<double>(config, 6, 5, ++count);
      if (ragged) batch.lengths = {4, 6, 0, 5, 1};
      batch.reverse = count % 3 == 0;
      check_gradients(config, batch, quick() ? 19 : 3, count);
    }
}

TEST_CASE("the padding token's embedding begins at zero and has no gradient") {
  Config config{.inputs = 3, .vocabulary = 5, .padding_tokens = {2}, .hidden_sizes = {4}};
  Network<double> network(config);
  network.initialize(1);
  Batch<double> batch = random_batch<double>(config, 8, 4, 1);
  batch.x[3] = 2;
  const std::vector<double> table = parameters_of(network).at("embedding.weight"),
                            gradient = unpacked(network, gradients(network, batch)).at("embedding.weight");
  for (std::size_t token = 0; token < 5; ++token)
    for (std::size_t j = 0; j < 3; ++j) {
      CHECK((table[token * 3 + j] == 0) == (token == 2));
      CHECK((gradient[token * 3 + j] == 0) == (token == 2));
    }
}

TEST_CASE("a token that is none is refused") {
  const Config config{.inputs = 3, .vocabulary = 5, .hidden_sizes = {4}};
  const Network<double> network(config);
  for (const double token : {-1.0, 5.0, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    Batch<double> batch = random_batch<double>(config, 2, 1, 1);
    batch.x[1] = token;
    CHECK_THROWS_AS(outputs(network, batch, As::prediction), std::invalid_argument);
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

TEST_CASE("a parameter that is not there, or a buffer of another size, is refused") {
  Network<float> network(Config{});
  std::vector<float> values(network.parameters().size());
  Buffer<float> other(1);
  CHECK_THROWS_AS(network.get(99, network.parameters(), values.data()), std::invalid_argument);
  CHECK_THROWS_AS(network.get(0, other, values.data()), std::invalid_argument);
  CHECK_THROWS_AS(network.set(0, other, values.data()), std::invalid_argument);
}

TEST_CASE("impossible configurations are refused by name") {
  const auto make = [](Config config) { Network<float> network(std::move(config)); };
  CHECK_THROWS_WITH_AS(make({.inputs = 0}), "inputs is 0, expected at least 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.outputs = 0}), "outputs is 0, expected at least 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.hidden_sizes = {}}), "hidden_sizes is empty, expected at least one layer",
                       std::invalid_argument);
  CHECK_THROWS_AS(make({.hidden_sizes = {4, 0}}), std::invalid_argument);
  CHECK_THROWS_AS(make({.dropout = 1}), std::invalid_argument);
  CHECK_THROWS_AS(make({.cell = {.options = {.clips = true}}}), std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.hidden_sizes = {4, 5}, .residual = true}),
                       "hidden_sizes[1] is 5, expected 4: a residual layer is as wide as the one below",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(pylstm::from_name("merge", pylstm::network::merge_names, "average"),
                       "merge is \"average\", expected one of \"concat\", \"sum\"", std::invalid_argument);
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  for (const Config& huge : {Config{.inputs = most / 8}, Config{.inputs = most}, Config{.hidden_sizes = {most}},
                             Config{.projection = most}, Config{.outputs = most}, Config{.outputs = most / 8},
                             Config{.hidden_sizes = {std::size_t{1} << 30, std::size_t{1} << 30}},
                             Config{.inputs = std::size_t{1} << 40, .vocabulary = std::size_t{1} << 24}}) {
    CHECK_THROWS_AS(make(huge), std::length_error);
    CHECK_THROWS_AS(Network<float>::parameters_of(huge), std::length_error);
  }
  CHECK_THROWS_WITH_AS(make({.vocabulary = (std::size_t{1} << 24) + 1}),
                       "vocabulary is 16777217, expected at most 16777216: x holds tokens as numbers of its precision",
                       std::invalid_argument);
  CHECK_NOTHROW(Network<double>::parameters_of({.vocabulary = (std::size_t{1} << 24) + 1}));
  CHECK_THROWS_AS(pylstm::set_isa("abacus"), std::invalid_argument);
}
