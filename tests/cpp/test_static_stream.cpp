/// Streams of compile-time sizes: the bits of `Stream`, for every cell that has one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "networks.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/stream/static_network.hpp"
#include "pylstm/stream/stream.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;
using pylstm::kernels::CellChoice;
using pylstm::kernels::CellKind;
using pylstm::stream::State;
using pylstm::stream::static_stream;
using pylstm::stream::StaticStream;
using pylstm::stream::Stream;
using Isa = pylstm::simd::PYLSTM_TEST_ISA;

template <class T>
Network<T> random_network(const Config& config) {
  pylstm::set_isa(Isa::name);
  Network<T> network(config);
  network.initialize(1);
  Parameters<T> all = parameters_of(network);
  for (auto& [name, values] : all)
    if (name.find("weight") == std::string::npos) values = random_values<T>(values.size(), 3);
  set(network, network.parameters(), all);
  return network;
}

template <class T, std::size_t I, std::size_t H, std::size_t O, CellChoice choice>
void check() {
  CAPTURE(H);
  const Network<T> network = random_network<T>({.cell = choice, .inputs = I, .hidden_sizes = {H}, .outputs = O});
  auto fixed = static_stream<StaticStream<T, I, H, O, choice, Isa>>(network);
  Stream<T> stream(network);
  const auto same_steps = [&](std::uint64_t seed) {
    const std::vector<T> x = random_values<T>(20 * I, seed);
    for (std::size_t t = 0; t < 20; ++t) {
      T a[O], b[O];
      bool in_register = false;
      if constexpr (O == 1) {
        in_register = t % 2 == 0;
        if (in_register) a[0] = fixed.step(x.data() + t * I);
      }
      if (!in_register) fixed.step(x.data() + t * I, a);
      stream.step(x.data() + t * I, b);
      for (std::size_t o = 0; o < O; ++o) CHECK(same_bits(a[o], b[o]));
    }
  };
  const auto same_blocks = [&](std::uint64_t seed) {
    const std::vector<T> x = random_values<T>(20 * I, seed);
    std::vector<T> a(20 * O), b(20 * O);
    std::size_t done = 0;
    for (const std::size_t steps : {0U, 1U, 12U, 7U}) {
      fixed.run(x.data() + done * I, a.data() + done * O, steps);
      done += steps;
    }
    for (std::size_t t = 0; t < 20; ++t) stream.step(x.data() + t * I, b.data() + t * O);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i], b[i]));
    if constexpr (O <= I) {
      std::vector<T> in_place = x;
      fixed.run(in_place.data(), in_place.data(), 20);
      for (std::size_t t = 0; t < 20; ++t) stream.step(x.data() + t * I, b.data() + t * O);
      for (std::size_t i = 0; i < b.size(); ++i) CHECK(same_bits(in_place[i], b[i]));
    }
  };
  same_steps(5);
  same_blocks(9);
  fixed.reset();
  stream.reset();
  same_steps(6);

  State<T> state;
  stream.save_state(state);
  const std::vector<T> before = state.values;
  std::vector<T> h(H), c(state.values.size() > H ? H : 0);
  fixed.save_state(h.data(), c.empty() ? nullptr : c.data());
  h.insert(h.end(), c.begin(), c.end());
  CHECK(std::equal(h.begin(), h.end(), before.begin(), before.end()));
  same_steps(7);
  stream.load_state(state);
  fixed.load_state(h.data(), c.empty() ? nullptr : h.data() + H);
  same_steps(8);
}

template <class T, CellChoice choice>
void check_sizes() {
  CAPTURE(static_cast<int>(choice.kind));
  check<T, 1, 8, 1, choice>();
  check<T, 3, 16, 17, choice>();
  check<T, 2, 37, 19, choice>();
  check<T, 1, 130, 3, choice>();
}

}  // namespace

TEST_CASE_TEMPLATE("a stream of compile-time sizes has the bits of one of run-time sizes", T, float, double) {
  check_sizes<T, CellChoice{}>();
  check_sizes<T, CellChoice{.options = {.peepholes = true}}>();
  check_sizes<T, CellChoice{.kind = CellKind::coupled_lstm}>();
  check_sizes<T, CellChoice{.kind = CellKind::coupled_lstm, .options = {.peepholes = true}}>();
  check_sizes<T, CellChoice{.kind = CellKind::gru}>();
  check_sizes<T, CellChoice{.kind = CellKind::rnn_tanh}>();
  check_sizes<T, CellChoice{.kind = CellKind::rnn_relu}>();
}

TEST_CASE("a network of other sizes, or of another kind, is refused") {
  using Fixed = StaticStream<float, 2, 8, 1, CellChoice{}, Isa>;
  const Config good{.inputs = 2, .hidden_sizes = {8}, .outputs = 1};
  CHECK_NOTHROW(static_stream<Fixed>(random_network<float>(good)));
  for (Config bad :
       {Config{.inputs = 3, .hidden_sizes = {8}}, Config{.inputs = 2, .hidden_sizes = {9}},
        Config{.inputs = 2, .hidden_sizes = {8, 8}}, Config{.inputs = 2, .hidden_sizes = {8}, .outputs = 2}})
    CHECK_THROWS_WITH_AS(static_stream<Fixed>(random_network<float>(bad)),
                         doctest::Contains("2 inputs, 8 units, 1 outputs"), std::invalid_argument);
  for (const int change : {0, 1, 2, 3}) {
    Config bad = good;
    if (change == 0) bad.cell = {.kind = CellKind::gru};
    if (change == 1) bad.projection = 8;
    if (change == 2) bad.bidirectional = true;
    if (change == 3) bad.pooling = Pooling::mean;
    CHECK_THROWS_WITH_AS(static_stream<Fixed>(random_network<float>(bad)), doctest::Contains("another kind"),
                         std::invalid_argument);
  }
}
