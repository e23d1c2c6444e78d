/// Streams: the bits of `Network::predict` after every step, states, and nothing but arithmetic in a step.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "networks.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/stream/stream.hpp"
#include "support.hpp"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PYLSTM_TEST_COUNTS_ALLOCATIONS 1
#else
#define PYLSTM_TEST_COUNTS_ALLOCATIONS 0
#endif

static std::atomic<std::size_t> allocations = 0;

#if PYLSTM_TEST_COUNTS_ALLOCATIONS
// In the place of the library's, for this program alone.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* malloc(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, size);
}
}
#endif

namespace {

using namespace pylstm::testing;
using pylstm::Schedule;
using pylstm::stream::State;
using pylstm::stream::Stream;
namespace kernels = pylstm::kernels;

/// Every network of one direction; those of all_networks, and what only large ones meet: long sums in several chunks,
/// more blocks than a tile takes, many inputs.
const std::vector<Config>& streamed_networks() {
  static const std::vector<Config> list = [] {
    std::vector<Config> all;
    for (const Config& config : all_networks())
      if (!config.bidirectional && config.pooling != Pooling::attention) all.push_back(config);
    for (const char* const cell : {"lstm", "gru", "layernorm_lstm"})
      all.push_back({.cell = kernels::cell_from_name(cell),
                     .inputs = 3,
                     .hidden_sizes = {9, 20},
                     .outputs = 2,
                     .recurrent_dropout = 0.5,
                     .zoneout = 0.3});
    for (const auto& [name, cell] : kernels::cell_names)
      all.push_back({.cell = cell, .inputs = 50, .hidden_sizes = {150, 20}, .outputs = 17});
    all.push_back({.inputs = 1, .hidden_sizes = {40, 33}, .projection = 21, .outputs = 1, .residual = true});
    return all;
  }();
  return list;
}

template <class T>
std::shared_ptr<const Network<T>> random_network(const Config& config,
                                                 const kernels::KernelTable<T>& table = pylstm::active_kernels<T>()) {
  const auto network = std::make_shared<Network<T>>(config, table);
  network->initialize(1);
  Parameters<T> all = parameters_of(*network);
  for (auto& [name, values] : all)
    if (name.find("weight") == std::string::npos) values = random_values<T>(values.size(), 3);
  set(*network, network->parameters(), all);
  return network;
}

/// The prediction for the first `steps` steps of a batch.
template <class T>
std::vector<T> predicted(const Network<T>& network, const Batch<T>& batch, std::size_t steps) {
  Batch<T> prefix = batch;
  prefix.T_ = steps;
  prefix.x.resize(steps * batch.N * network.config().features());
  const std::size_t size = batch.N * network.config().outputs;
  if (network.config().pooling == Pooling::none) prefix.targets.resize(steps * size);
  const std::vector<T> all = outputs(network, prefix, As::prediction);
  return {all.end() - static_cast<std::ptrdiff_t>(size), all.end()};  // of the last step
}

template <class T>
const T* x_of(const Network<T>& network, const Batch<T>& batch, std::size_t t) {
  return batch.x.data() + t * batch.N * network.config().features();
}

template <class T>
std::vector<T> stepped(Stream<T>& stream, const T* x) {
  std::vector<T> outputs(stream.rows() * stream.network().config().outputs, std::numeric_limits<T>::quiet_NaN());
  stream.step(x, outputs.data());
  return outputs;
}

/// Equal bits.
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](T x, T y) { return same_bits(x, y); });
}

/// As `random_batch`, with some inputs that are denormal, huge or not numbers.
template <class T>
Batch<T> special_batch(const Config& config, std::size_t steps, std::size_t rows) {
  Batch<T> batch = random_batch<T>(config, steps, rows, 8);
  const T values[] = {std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::min(),
                      std::numeric_limits<T>::max(),        -std::numeric_limits<T>::infinity(),
                      std::numeric_limits<T>::quiet_NaN(),  T(-0.0)};
  for (std::size_t k = 0; k < std::size(values); ++k) batch.x[(k * 7) % batch.x.size()] = values[k];
  return batch;
}

}  // namespace

TEST_CASE_TEMPLATE("every step has the bits of the prediction for the steps so far", T, float, double) {
  for (const Config& config : streamed_networks())
    for (const std::size_t rows : {1U, 2U, 3U, 7U, 49U}) {
      if (quick() && rows > 2) continue;
      CAPTURE(name(config));
      CAPTURE(rows);
      const auto network = random_network<T>(config);
      const Batch<T> batch = random_batch<T>(config, 6, rows, 2);
      Stream<T> stream(network, rows);
      for (std::size_t t = 0; t < batch.T_; ++t) {
        const std::vector<T> outputs = stepped(stream, x_of(*network, batch, t));
        CHECK(same(outputs, predicted(*network, batch, t + 1)));
        CHECK(stream.steps(rows - 1) == t + 1);
      }
    }
}

TEST_CASE_TEMPLATE("a run has the bits of its steps, in place too, and leaves their state", T, float, double) {
  for (const Config& config : streamed_networks())
    for (const std::size_t rows : {1U, 3U}) {
      CAPTURE(name(config));
      CAPTURE(rows);
      const auto network = random_network<T>(config);
      const Batch<T> batch = random_batch<T>(config, 12, rows, 2);
      const std::size_t inputs = rows * config.features(), outputs = rows * config.outputs;
      Stream<T> one(network, rows), several(network, rows);
      std::size_t done = 0;
      for (const std::size_t steps : {0U, 1U, 7U, 4U}) {
        std::vector<T> expected, all(steps * std::max(inputs, outputs));
        for (std::size_t t = done; t < done + steps; ++t) {
          const std::vector<T> step = stepped(one, x_of(*network, batch, t));
          expected.insert(expected.end(), step.begin(), step.end());
        }
        const T* x = x_of(*network, batch, done);
        if (outputs <= inputs) {
          std::copy_n(x, steps * inputs, all.begin());
          x = all.data();
        }
        several.run(x, all.data(), steps);
        all.resize(expected.size());
        CHECK(same(all, expected));
        done += steps;
      }
      State<T> a, b;
      one.save_state(a);
      several.save_state(b);
      CHECK(a.steps == b.steps);
      CHECK(same(a.values, b.values));
    }
}

TEST_CASE_TEMPLATE("so it is with denormal, huge and missing inputs", T, float, double) {
  for (const Config& config : streamed_networks()) {
    if (config.vocabulary > 0) continue;  // tokens are none of these
    CAPTURE(name(config));
    const auto network = random_network<T>(config);
    const Batch<T> batch = special_batch<T>(config, 9, 2);
    Stream<T> stream(network, 2);
    for (std::size_t t = 0; t < batch.T_; ++t) {
      const std::vector<T> outputs = stepped(stream, x_of(*network, batch, t)),
                           expected = predicted(*network, batch, t + 1);
      for (std::size_t k = 0; k < outputs.size(); ++k)  // of a NaN any will do
        CHECK((same_bits(outputs[k], expected[k]) || (std::isnan(outputs[k]) && std::isnan(expected[k]))));
    }
  }
}

TEST_CASE_TEMPLATE("every instruction set with FMA gives the same bits, and all take each other's states", T, float,
                   double) {
  const std::string active = pylstm::active_kernels<T>().isa;
  for (const Config& config : streamed_networks()) {
    CAPTURE(name(config));
    const Batch<T> batch = random_batch<T>(config, 8, 3, 2);
    const auto network = random_network<T>(config);
    const Parameters<T> parameters = parameters_of(*network);
    Stream<T> first(network, 3);
    for (std::size_t t = 0; t < 5; ++t) stepped(first, x_of(*network, batch, t));
    State<T> state;
    first.save_state(state);
    for (const std::string& isa : pylstm::available_isas()) {
      CAPTURE(isa);
      pylstm::set_isa(isa);
      const auto other = std::make_shared<Network<T>>(config);
      pylstm::set_isa(active);
      set(*other, other->parameters(), parameters);
      Stream<T> second(other, 3);
      second.load_state(state);
      first.load_state(state);
      CHECK(second.steps() == 5);
      for (std::size_t t = 5; t < batch.T_; ++t) {
        const std::vector<T> a = stepped(first, x_of(*network, batch, t)),
                             b = stepped(second, x_of(*network, batch, t));
        if (isa != "generic") {
          CHECK(same(a, b));
        } else {  // no FMA
          for (std::size_t k = 0; k < a.size(); ++k) CHECK(a[k] == doctest::Approx(b[k]).epsilon(1e-4));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("a row that is reset begins anew, the others go on", T, float, double) {
  for (const Config& config : streamed_networks()) {
    CAPTURE(name(config));
    const std::size_t rows = 5, I = config.features(), O = config.outputs;
    const auto network = random_network<T>(config);
    const Batch<T> batch = random_batch<T>(config, 7, rows, 2);
    Stream<T> stream(network, rows), untouched(network, rows), fresh(network, 1);
    for (std::size_t t = 0; t < batch.T_; ++t) {
      if (t == 3) stream.reset(2);
      const T* const x = x_of(*network, batch, t);
      const std::vector<T> outputs = stepped(stream, x), expected = stepped(untouched, x);
      for (std::size_t n = 0; n < rows; ++n)
        for (std::size_t o = 0; o < O; ++o)
          if (n != 2 || t < 3) CHECK(same_bits(outputs[n * O + o], expected[n * O + o]));
      if (t >= 3) {
        const std::vector<T> row = stepped(fresh, x + 2 * I);
        CHECK(std::equal(row.begin(), row.end(), outputs.begin() + static_cast<std::ptrdiff_t>(2 * O)));
      }
    }
    CHECK_THROWS_AS(stream.reset(rows), std::invalid_argument);
    CHECK_THROWS_AS(stream.steps(rows), std::invalid_argument);
    CHECK(stream.steps(2) == 4);
    CHECK(stream.steps(1) == 7);
    stream.reset();
    CHECK(stream.steps(1) == 0);
    CHECK(same(stepped(stream, x_of(*network, batch, 0)), predicted(*network, batch, 1)));
  }
}

TEST_CASE_TEMPLATE("a saved state leads to the same steps again, after an odd number and an even one", T, float,
                   double) {
  for (const Config& config : streamed_networks())
    for (const std::size_t saved_at : {3U, 4U}) {
      CAPTURE(name(config));
      CAPTURE(saved_at);
      const auto network = random_network<T>(config);
      const Batch<T> batch = random_batch<T>(config, 8, 2, 2);
      Stream<T> stream(network, 2);
      State<T> state;
      std::vector<std::vector<T>> first;
      for (std::size_t t = 0; t < batch.T_; ++t) {
        if (t == saved_at) stream.save_state(state);
        first.push_back(stepped(stream, x_of(*network, batch, t)));
      }
      std::size_t size = 0;
      for (const auto& part : stream.state_parts()) size += 2 * part.width;
      CHECK(size == state.values.size());
      Stream<T> other(network, 2);
      for (Stream<T>* const again : {&stream, &other}) {
        again->load_state(state);
        for (std::size_t t = saved_at; t < batch.T_; ++t)
          CHECK(same(stepped(*again, x_of(*network, batch, t)), first[t]));
      }
    }
}

TEST_CASE("the arrays of a state are named, and hold the layer's own states") {
  const Config config{.inputs = 2, .hidden_sizes = {9, 7}, .projection = 5, .pooling = Pooling::mean};
  Stream<float> stream(random_network<float>(config), 3);
  std::vector<std::string> names;
  std::vector<std::size_t> widths;
  for (const auto& part : stream.state_parts()) {
    names.push_back(part.name);
    widths.push_back(part.width);
  }
  CHECK(names == std::vector<std::string>{"layers.0.h", "layers.0.c", "layers.1.h", "layers.1.c", "pooled"});
  CHECK(widths == std::vector<std::size_t>{5, 9, 5, 7, 5});
}

TEST_CASE("what cannot be streamed, and states of other sizes, are refused") {
  Config config{.inputs = 2, .hidden_sizes = {4}, .bidirectional = true};
  CHECK_THROWS_WITH_AS(Stream<float>(Network<float>(config)), doctest::Contains("bidirectional"),
                       std::invalid_argument);
  config.bidirectional = false;
  CHECK_THROWS_WITH_AS(Stream<float>(Network<float>(config), 0), doctest::Contains("rows is 0"), std::invalid_argument);
  CHECK_THROWS_AS(Stream<float>(std::shared_ptr<const Network<float>>()), std::invalid_argument);
  Stream<float> one(Network<float>(config), 1), two(Network<float>(config), 2);
  State<float> state;
  one.save_state(state);
  CHECK_THROWS_WITH_AS(two.load_state(state), doctest::Contains("state.steps has 1"), std::invalid_argument);
  state.values.pop_back();
  CHECK_THROWS_WITH_AS(one.load_state(state), doctest::Contains("state.values has 7"), std::invalid_argument);
}

TEST_CASE("a stream owns its network or shares it, and can be moved") {
  const Config config{.inputs = 2, .hidden_sizes = {9}};
  const Batch<float> batch = random_batch<float>(config, 3, 1, 2);
  std::vector<Stream<float>> streams;
  {
    auto network = std::make_shared<Network<float>>(config);
    network->initialize(1);
    streams.emplace_back(*network);  // a copy
    streams.emplace_back(std::shared_ptr<const Network<float>>(network));
    streams.emplace_back(std::shared_ptr<const Network<float>>(network));
    CHECK(&streams[0].network() != network.get());
    CHECK(&streams[1].network() == network.get());
  }
  for (std::size_t t = 0; t < 3; ++t) {
    const float* const x = x_of(streams[0].network(), batch, t);
    const std::vector<float> outputs = predicted(streams[0].network(), batch, t + 1);
    for (Stream<float>& stream : streams) CHECK(same(stepped(stream, x), outputs));
  }
}

TEST_CASE("streams over one network step in several threads") {
  const Config config{.inputs = 3, .hidden_sizes = {24, 24}, .residual = true};
  const auto network = random_network<float>(config);
  const Batch<float> batch = random_batch<float>(config, 200, 1, 2);
  const std::vector<float> expected = predicted(*network, batch, batch.T_);
  std::vector<std::vector<float>> last(4);
  std::vector<std::thread> threads;
  for (std::vector<float>& outputs : last)
    threads.emplace_back([&] {
      Stream<float> stream(network);
      for (std::size_t t = 0; t < batch.T_; ++t) outputs = stepped(stream, x_of(*network, batch, t));
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& outputs : last) CHECK(same(outputs, expected));
}

TEST_CASE_TEMPLATE("steps, resets and states of the right size allocate nothing", T, float, double) {
  for (const Config& config : streamed_networks())
    for (const std::size_t rows : {1U, 7U}) {
      CAPTURE(name(config));
      const auto network = random_network<T>(config);
      const Batch<T> batch = random_batch<T>(config, 4, rows, 2);
      Stream<T> stream(network, rows);
      std::vector<T> outputs(rows * config.outputs);
      State<T> state;
      const std::size_t at_first = allocations;
      stream.save_state(state);
      const std::size_t before = allocations;
      CHECK((before > at_first || !PYLSTM_TEST_COUNTS_ALLOCATIONS));
      for (std::size_t t = 0; t < (quick() ? 100 : 2000); ++t) {
        static_assert(noexcept(stream.step(nullptr, nullptr)) && noexcept(stream.run(nullptr, nullptr, 0)));
        stream.step(x_of(*network, batch, t % 4), outputs.data());
        if (t % 16 == 0) stream.reset(t % rows);
        if (t % 32 == 0) stream.save_state(state);
        if (t % 64 == 0) stream.load_state(state);
      }
      CHECK(allocations == before);
    }
}

TEST_CASE("the caller's floating-point mode is left as it was, and states that fade are flushed") {
  const Config config{.inputs = 1, .hidden_sizes = {8}};
  auto network = std::make_shared<Network<float>>(config);
  network->initialize(1);
  Parameters<float> all = parameters_of(*network);
  for (auto& [name, values] : all) std::fill(values.begin(), values.end(), name.ends_with("bias") ? -1.0F : 0.01F);
  set(*network, network->parameters(), all);
  Stream<float> stream(network);
  State<float> state;
  stream.save_state(state);
  std::fill(state.values.begin(), state.values.end(), 1e-37F);
  stream.load_state(state);
  float x = 0, y = 0;
  for (int t = 0; t < 1000; ++t) {
    stream.step(&x, &y);
    stream.save_state(state);
    for (const float value : state.values) CHECK(std::fpclassify(value) != FP_SUBNORMAL);
  }
  const volatile float least = std::numeric_limits<float>::min();
  CHECK(std::fpclassify(least / 2) == FP_SUBNORMAL);
}
