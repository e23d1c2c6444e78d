/// Equal bits, whatever the number of threads, the split of the batch, the mode, the steps per call and the ISA.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "combinations.hpp"
#include "fast_layer.hpp"
#include "pylstm/base/cache_size.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/layers/plan.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/train/trainer.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;
namespace kernels = pylstm::kernels;
namespace reference = pylstm::reference;

template <class T>
const kernels::KernelTable<T>& table(const std::string& isa) {
  pylstm::set_isa(isa);
  return pylstm::active_kernels<T>();
}

/// `generic` rounds a multiply-add twice: it agrees with itself only.
std::vector<std::string> isas_with_fma() {
  std::vector<std::string> isas = pylstm::available_isas();
  std::erase(isas, "generic");
  return isas;
}

/// All arrays of a forward and a backward pass.
template <class T>
struct Pass {
  LayerOutputs<T> out;
  LayerGradients<T> back;

  std::vector<std::pair<const char*, const std::vector<T>*>> arrays() const {
    const auto& d = back.d;
    return {{"y", &out.y},
            {"h_n", &out.h_n},
            {"c_n", &out.c_n},
            {"dx", &d.x},
            {"dweight_ih", &d.weight_ih},
            {"dweight_hh", &d.weight_hh},
            {"dweight_hr", &d.weight_hr},
            {"dbias", &d.bias},
            {"dbias_recurrent", &d.bias_recurrent},
            {"dunit_weights", &d.unit_weights},
            {"dh0", &d.h0},
            {"dc0", &d.c0}};
  }
};

template <class T>
Pass<T> run(const Case<T>& a, const std::string& isa) {
  FastLayer<T> layer(table<T>(isa), a.problem);
  Pass<T> pass;
  pass.out = layer.forward(a.problem, Mode::training);
  pass.back = layer.backward(a);
  return pass;
}

template <class T>
void check_same(const Pass<T>& a, const Pass<T>& b) {
  for (std::size_t k = 0; k < a.arrays().size(); ++k) {
    CAPTURE(a.arrays()[k].first);
    CHECK(same_bits(*a.arrays()[k].second, *b.arrays()[k].second));
  }
}

/// Elements of rows [begin, end) of an array [outer][rows][width]; an empty array stands for one that is not there.
template <class U>
std::vector<U> rows_of(const std::vector<U>& v, std::size_t rows, std::size_t width, std::size_t begin,
                       std::size_t end) {
  std::vector<U> part;
  for (std::size_t first = 0; first < v.size(); first += rows * width)
    part.insert(part.end(), v.begin() + static_cast<std::ptrdiff_t>(first + begin * width),
                v.begin() + static_cast<std::ptrdiff_t>(first + end * width));
  return part;
}

template <class T>
Case<T> rows_of(const Case<T>& a, std::size_t begin, std::size_t end) {
  Case<T> part = a;
  auto& p = part.problem;
  const auto cut = [&, rows = p.N](auto& v, std::size_t width) { v = rows_of(v, rows, width, begin, end); };
  cut(p.x, p.I);
  for (auto* v : {&p.h0, &part.dy, &part.dh_n}) cut(*v, p.width());
  for (auto* v : {&p.c0, &part.dc_n}) cut(*v, p.H);
  cut(p.lengths, 1);
  cut(p.dropout, p.H);
  cut(p.hold_h, p.H);
  cut(p.hold_c, p.H);
  p.N = end - begin;
  return part;
}

/// h and c of one step after the other, each in a call of its own; rows that have ended get a length of 0.
template <class T>
LayerOutputs<T> step_by_step(const reference::Problem<T>& p, FastLayer<T>& layer) {
  const std::size_t W = p.width();
  LayerOutputs<T> whole{.y = std::vector<T>(p.T * p.N * W), .h_n = p.h0, .c_n = p.c0};
  whole.h_n.resize(p.N * W);
  whole.c_n.resize(layer.has_memory() ? p.N * p.H : 0);
  for (std::size_t s = 0; s < p.T; ++s) {
    reference::Problem<T> step{
        .cell = p.cell, .T = 1, .N = p.N, .I = p.I, .H = p.H, .P = p.P, .x = std::vector<T>(p.N * p.I)};
    step.h0 = whole.h_n;
    step.c0 = whole.c_n;
    std::vector<std::size_t> at(p.N);
    for (std::size_t n = 0; n < p.N; ++n) {
      const std::size_t length = p.lengths.empty() ? p.T : p.lengths[n];
      step.lengths.push_back(s < length ? 1 : 0);
      if (s >= length) continue;
      at[n] = (p.reverse ? length - 1 - s : s) * p.N + n;
      std::copy_n(p.x.data() + at[n] * p.I, p.I, step.x.data() + n * p.I);
    }
    step.dropout = p.dropout;
    for (std::size_t n = 0; n < p.N && !p.hold_h.empty(); ++n) {
      for (auto* const shares : {&step.hold_h, &step.hold_c}) shares->resize(p.N * p.H);
      std::copy_n(p.hold_h.data() + at[n] * p.H, p.H, step.hold_h.data() + n * p.H);
      std::copy_n(p.hold_c.data() + at[n] * p.H, p.H, step.hold_c.data() + n * p.H);
    }
    const LayerOutputs<T> r = layer.forward(step, Mode::inference);
    whole.h_n = r.h_n;
    whole.c_n = r.c_n;
    for (std::size_t n = 0; n < p.N; ++n)
      if (step.lengths[n] == 1) std::copy_n(r.y.data() + n * W, W, whole.y.data() + at[n] * W);
  }
  return whole;
}

/// The sizes take turns through all combinations; 61 is prime to their number.
template <class T, class Visit>
void for_each_case(Visit visit) {
  std::size_t turn = 0;
  const auto& combinations = legal_combinations();
  for_each_size([&](const Sizes& sizes) {
    turn += 61;
    const Combination& combination = combinations[turn % combinations.size()];
    CAPTURE(name(sizes));
    CAPTURE(name(combination));
    visit(random_case<T>(sizes, combination, turn));
  });
  // 5 inputs and 20 units: few for layer norm.  7 inputs and 150 units: dx takes half vectors where there are any, and
  // several chunks of units.
  for (const Sizes& sizes : {Sizes{7, 7, 5, 17}, Sizes{4, 7, 5, 20}, Sizes{6, 5, 50, 20}, Sizes{2, 7, 7, 150}})
    for (const Combination& combination : legal_combinations()) {
      if ((quick() || sizes.H > 100) && ++turn % 8 != 0) continue;
      CAPTURE(name(sizes));
      CAPTURE(name(combination));
      visit(random_case<T>(sizes, combination, ++turn));
    }
}

/// Work for several threads: shared out by rows, and (few rows, wide layers) by units; the input product fused, and
/// ahead of the steps.  34 inputs and 33 units: the border of two threads' weights is where the bias lies.
std::vector<Sizes> sizes_for_threads() {
  if (quick()) return {{13, 40, 34, 33}, {8, 6, 20, 160}};
  return {{30, 40, 5, 33},  {13, 40, 34, 33}, {9, 71, 60, 65}, {8, 6, 20, 160},
          {12, 6, 60, 200}, {60, 3, 1, 257},  {20, 1, 3, 513}};
}

const std::vector<Combination> combinations_on_record = {
    {Lengths::absent, false, Initial::absent, true, Incoming::all},
    {Lengths::absent, true, Initial::both, true, Incoming::dy},
    {Lengths::unsorted, false, Initial::both, true, Incoming::all},
    {Lengths::with_empty_rows, true, Initial::h0, false, Incoming::dh_n},
};

const std::vector<Combination> combinations_for_threads = [] {
  std::vector<Combination> all = combinations_on_record;
  for (const Variant& variant :
       {Variant{reference::Cell::lstm, true, true}, Variant{reference::Cell::coupled_lstm, true, false},
        Variant{reference::Cell::gru}, Variant{reference::Cell::gru_reset_before}, Variant{reference::Cell::rnn_tanh},
        Variant{reference::Cell::layer_norm_lstm, true, false, true}, Variant{reference::Cell::layer_norm_gru, true}})
    for (const Lengths lengths : {Lengths::unsorted, Lengths::absent})  // of one length: in groups of rows
      all.push_back({lengths, false, Initial::h0, true, Incoming::all, variant});
  return all;
}();

/// FNV-1a (Fowler, Noll & Vo) over the bytes of the values, little end first.
template <class T>
void add_to_digest(std::uint64_t& digest, const std::vector<T>& v) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  for (const T a : v) {
    Bits bits;
    std::memcpy(&bits, &a, sizeof a);
    for (std::size_t byte = 0; byte < sizeof a; ++byte) {
      digest = (digest ^ ((bits >> (8 * byte)) & 0xff)) * 0x100000001b3u;
    }
  }
}

/// Parameters, in the public layout, after a short training with everything that could depend on the ISA or threads.
template <class T>
std::vector<T> trained(const std::string& isa, std::size_t threads, pylstm::train::Solver solver) {
  const Threads scope(threads);
  pylstm::network::Network<T> network({.inputs = 3, .hidden_sizes = {33, 20}, .outputs = 2, .dropout = 0.25},
                                      table<T>(isa));
  network.initialize(1);
  pylstm::train::TrainerConfig config;
  config.max_grad_norm = 0.1;
  config.seed = 2;
  config.optimiser.solver = solver;
  config.optimiser.alpha = 0.01;
  pylstm::train::Trainer<T> trainer(network, config);

  const std::size_t samples = 50, steps = quick() ? 6 : 20, stride = sizeof(double);
  Random random(3);
  std::vector<double> x(samples * steps * 3), y(samples * 2), weights(samples);
  for (auto* v : {&x, &y}) std::generate(v->begin(), v->end(), [&] { return random.uniform(); });
  for (double& weight : weights) weight = static_cast<double>(random.below(3));
  const auto view = [&](const std::vector<double>& v, std::size_t t, std::size_t k) {
    return pylstm::train::SampleView{v.data(),
                                     true,
                                     samples,
                                     t,
                                     k,
                                     static_cast<std::ptrdiff_t>(t * k * stride),
                                     static_cast<std::ptrdiff_t>(k * stride),
                                     static_cast<std::ptrdiff_t>(stride)};
  };
  pylstm::train::Batches batches{
      .x = view(x, steps, 3), .y = view(y, 1, 2), .weights = view(weights, 1, 1), .order = {}};
  for (std::size_t n = 0; n < samples; ++n) batches.order.push_back(n * 7 % samples);
  for (batches.epoch = 0; batches.epoch < 3; ++batches.epoch) {
    pylstm::Interrupt never;
    trainer.run_epoch(batches, never);
  }

  std::vector<T> all;
  const auto infos = network.parameter_infos();
  for (std::size_t index = 0; index < infos.size(); ++index) {
    std::vector<T> values(infos[index].size());
    network.get(index, network.parameters(), values.data());
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

constexpr pylstm::train::Solver all_solvers[] = {pylstm::train::Solver::sgd, pylstm::train::Solver::adam,
                                                 pylstm::train::Solver::adamw, pylstm::train::Solver::rmsprop};

}  // namespace

TEST_CASE_TEMPLATE("the ISA changes no bit where it has a fused multiply-add", T, float, double) {
  const std::vector<std::string> isas = isas_with_fma();
  for_each_case<T>([&](const Case<T>& a) {
    if (isas.empty()) return;
    const Pass<T> first = run(a, isas[0]);
    for (std::size_t k = 1; k < isas.size(); ++k) {
      CAPTURE(isas[k]);
      check_same(run(a, isas[k]), first);
    }
  });
}

TEST_CASE_TEMPLATE("inference gives the bits of training, and a tape those of its first use", T, float, double) {
  for (const std::string& isa : pylstm::available_isas()) {
    CAPTURE(isa);
    for_each_case<T>([&](const Case<T>& a) {
      FastLayer<T> layer(table<T>(isa), a.problem);
      const Pass<T> training{.out = layer.forward(a.problem, Mode::training), .back = layer.backward(a)};
      check_same({.out = training.out, .back = layer.backward(a)}, training);
      check_same({.out = layer.forward(a.problem, Mode::inference), .back = training.back}, training);
    });
  }
}

TEST_CASE_TEMPLATE("steps in calls of their own give the bits of the sequence", T, float, double) {
  for (const std::string& isa : pylstm::available_isas()) {
    CAPTURE(isa);
    for_each_case<T>([&](const Case<T>& a) {
      FastLayer<T> layer(table<T>(isa), a.problem);
      const LayerOutputs<T> whole = layer.forward(a.problem, Mode::inference);
      const LayerOutputs<T> steps = step_by_step(a.problem, layer);
      CHECK(same_bits(steps.y, whole.y));
      CHECK(same_bits(steps.h_n, whole.h_n));
      CHECK(same_bits(steps.c_n, whole.c_n));
    });
  }
}

TEST_CASE_TEMPLATE("rows in calls of their own give the bits of the batch", T, float, double) {
  for (const std::string& isa : pylstm::available_isas()) {
    CAPTURE(isa);
    const auto check_rows = [&](const Case<T>& a) {
      const auto& p = a.problem;
      const Pass<T> whole = run(a, isa);
      const std::size_t borders[] = {0, p.N / 4, p.N / 2, p.N};
      for (std::size_t k = 0; k < 3; ++k) {
        const std::size_t begin = borders[k], end = borders[k + 1];
        const Pass<T> part = run(rows_of(a, begin, end), isa);
        const auto check = [&](const std::vector<T>& alone, const std::vector<T>& together, std::size_t width) {
          CHECK(same_bits(alone, rows_of(together, p.N, width, begin, end)));
        };
        check(part.out.y, whole.out.y, p.width());
        check(part.out.h_n, whole.out.h_n, p.width());
        check(part.out.c_n, whole.out.c_n, p.H);
        check(part.back.d.x, whole.back.d.x, p.I);
        check(part.back.d.h0, whole.back.d.h0, p.width());
        check(part.back.d.c0, whole.back.d.c0, p.H);
      }
    };
    for_each_case<T>(check_rows);
    // 4 rows take weights of more than 128 (AVX2) or 256 KiB (AVX-512) a block in chunks, 1 row takes them whole.
    if (quick()) continue;
    for (const std::size_t inputs : {3U, 50U}) {
      check_rows(random_case<T>(Sizes{2, 4, inputs, 1600}, combinations_on_record[1], inputs));
    }
  }
}

TEST_CASE_TEMPLATE("weight gradients of a batch in groups of rows are the sums of those of its groups", T, float,
                   double) {
  const Sizes sizes{14, 41, 5, 20};
  std::uint64_t seed = 0;
  for (const std::string& isa : pylstm::available_isas())
    for (const Variant& variant : all_variants()) {
      const Combination combination{Lengths::absent, false, Initial::h0, true, Incoming::all, variant};
      CAPTURE(isa);
      CAPTURE(name(combination));
      const Case<T> a = random_case<T>(sizes, combination, ++seed);
      const FastLayer<T> layer(table<T>(isa), a.problem);
      const pylstm::layers::RowShares groups = layer.row_groups({.steps = sizes.T, .rows = sizes.N});
      REQUIRE(groups.count == 2);
      const Pass<T> whole = run(a, isa), first = run(rows_of(a, 0, groups.end(0)), isa),
                    second = run(rows_of(a, groups.begin(1), sizes.N), isa);
      const auto check = [](const std::vector<T>& sum, const std::vector<T>& one, const std::vector<T>& other) {
        std::vector<T> expected(one.size());
        std::transform(one.begin(), one.end(), other.begin(), expected.begin(), std::plus<T>());
        CHECK(same_bits(sum, expected));
      };
      for (const auto weights : {&reference::Gradients<T>::weight_ih, &reference::Gradients<T>::weight_hh,
                                 &reference::Gradients<T>::weight_hr, &reference::Gradients<T>::bias,
                                 &reference::Gradients<T>::bias_recurrent, &reference::Gradients<T>::unit_weights})
        check(whole.back.d.*weights, first.back.d.*weights, second.back.d.*weights);
    }
}

TEST_CASE("no weight gradient is denormal: groups are added as their rows are") {
  const Sizes sizes{14, 41, 5, 20};
  Case<float> a = random_case<float>(sizes, {Lengths::absent, false, Initial::absent, true, Incoming::dy}, 1);
  for (float& d : a.dy) d *= 3e-37f;
  for (const std::string& isa : pylstm::available_isas()) {
    CAPTURE(isa);
    const Pass<float> pass = run(a, isa);
    const std::vector<float>& d = pass.back.d.weight_hh;
    CHECK(std::any_of(d.begin(), d.end(), [](float v) { return v != 0; }));
    CHECK(std::none_of(d.begin(), d.end(), [](float v) { return std::fpclassify(v) == FP_SUBNORMAL; }));
  }
}

TEST_CASE_TEMPLATE("the number of threads changes no bit", T, float, double) {
  std::uint64_t seed = 0;
  for (const std::string& isa : pylstm::available_isas())
    for (const Sizes& sizes : sizes_for_threads())
      for (const Combination& combination : combinations_for_threads) {
        CAPTURE(isa);
        CAPTURE(name(sizes));
        CAPTURE(name(combination));
        const Case<T> a = random_case<T>(sizes, combination, ++seed);
        const Threads one(1);
        const Pass<T> alone = run(a, isa);
        for (const std::size_t threads : {2U, 3U, 5U}) {
          CAPTURE(threads);
          const Threads several(threads);
          check_same(run(a, isa), alone);
        }
      }
}

TEST_CASE_TEMPLATE("packing on the way, and blocks that threads share by rows, change no bit", T, float, double) {
  const std::string isa = pylstm::available_isas().front();
  // The last is too large for most caches, so that threads share its units: an odd number of blocks, and rows enough.
  const std::vector<Sizes> sizes{{3, 5, 50, 20}, {9, 2, 49, 33}, {3, 16, 100, 705}};
  std::uint64_t seed = 0;
  std::size_t on_the_way = 0, by_units_too = 0;
  for (const Sizes& s : sizes)
    for (const Combination& combination : s.H < 100 ? combinations_for_threads : combinations_on_record) {
      CAPTURE(name(s));
      CAPTURE(name(combination));
      const Case<T> a = random_case<T>(s, combination, ++seed);
      FastLayer<T> packed(table<T>(isa), a.problem), packs(table<T>(isa), a.problem);
      const auto alone = [&] {
        const Threads one(1);
        return packed.forward(a.problem, Mode::training);
      };
      const LayerOutputs<T> expected = alone();
      for (const std::size_t threads : {1U, 2U, 3U, 4U}) {
        CAPTURE(threads);
        const Threads scope(threads);
        const pylstm::Schedule schedule{.steps = s.T, .rows = s.N};
        const pylstm::layers::Plan plan = packs.forward_plan(schedule);
        on_the_way += plan.packs_on_the_way(schedule);
        by_units_too += plan.packs_on_the_way(schedule) && plan.split_units;
        for (const Mode mode : {Mode::training, Mode::inference}) {
          const LayerOutputs<T> r = packs.pack_and_forward(a.problem, mode);
          CHECK(same_bits(r.y, expected.y));
          CHECK(same_bits(r.h_n, expected.h_n));
          CHECK(same_bits(r.c_n, expected.c_n));
          CHECK(std::equal(packs.panels().begin(), packs.panels().end(), packed.panels().begin()));
        }
      }
    }
  CHECK(on_the_way > 0);
  if (pylstm::l2_cache_bytes() <= (4 << 20)) CHECK(by_units_too > 0);
}

TEST_CASE_TEMPLATE("a tape of any number of threads serves any other, and every segment of it another", T, float,
                   double) {
  const std::string isa = pylstm::available_isas().front();
  std::uint64_t seed = 0;
  for (const Sizes& sizes : sizes_for_threads())
    for (const Combination& combination : combinations_for_threads) {
      CAPTURE(name(sizes));
      CAPTURE(name(combination));
      const Case<T> a = random_case<T>(sizes, combination, ++seed);
      const auto pass_of = [&](std::size_t threads_forward, const std::vector<std::size_t>& threads_backward) {
        FastLayer<T> layer(table<T>(isa), a.problem);
        Pass<T> pass;
        {
          const Threads scope(threads_forward);
          pass.out = layer.forward(a.problem, Mode::training);
        }
        pass.back = layer.backward(a, threads_backward);
        return pass;
      };
      const Pass<T> alone = pass_of(1, {1});
      check_same(pass_of(1, {3}), alone);
      check_same(pass_of(3, {1}), alone);
      check_same(pass_of(2, {3}), alone);
      check_same(pass_of(5, {2}), alone);
      check_same(pass_of(2, {1, 3, 2}), alone);
    }
}

TEST_CASE("the sizes for threads are shared out both ways, some in groups of rows that two threads own") {
  std::size_t by_rows = 0, by_units = 0, owned = 0;
  for (const Sizes& s : sizes_for_threads()) {
    const pylstm::layers::RecurrentLayer<float> layer(pylstm::active_kernels<float>().cell({}), s.I, s.H);
    const Threads three(3);
    const auto plan = layer.forward_plan({.steps = s.T, .rows = s.N});
    if (plan.threads > 1) ++(plan.split_units ? by_units : by_rows);
    const Threads two(2);
    const auto back = layer.backward_plan({.steps = s.T, .rows = s.N});
    owned += back.row_groups == 2 && back.threads == 2 && back.product_threads == 2 && !back.split_units;
  }
  CHECK(owned > 0);
  CHECK(by_rows > 0);
  CHECK(by_units > 0);
}

TEST_CASE_TEMPLATE("neither threads nor the ISA change a bit of three epochs of training", T, float, double) {
  for (const pylstm::train::Solver solver : all_solvers) {
    CAPTURE(static_cast<int>(solver));
    const std::vector<std::string> isas = isas_with_fma();
    for (const std::string& isa : pylstm::available_isas()) {
      CAPTURE(isa);
      const std::vector<T> alone = trained<T>(isa, 1, solver);
      for (const std::size_t threads : {2U, 3U, 5U}) {
        CAPTURE(threads);
        CHECK(same_bits(trained<T>(isa, threads, solver), alone));
      }
      if (isa != "generic") CHECK(same_bits(trained<T>(isas[0], 1, solver), alone));
    }
  }
}

TEST_CASE_TEMPLATE("a few outputs are chains of inputs, added in halves, on every ISA", T, float, double) {
  constexpr std::size_t chains = 64 / sizeof(T);
  for (const std::string& isa : pylstm::available_isas())
    for (const std::size_t K : {1U, 5U, 8U, 15U, 16U, 17U, 40U, 129U})
      for (const std::size_t O : {1U, 2U, 3U, 4U})
        for (const std::size_t n : {1U, 2U, 9U}) {
          CAPTURE(isa);
          CAPTURE(K);
          CAPTURE(O);
          CAPTURE(n);
          Random random(K * 100 + O * 10 + n);
          const auto values = [&](std::size_t size) {
            std::vector<T> all(size);
            for (T& value : all) value = static_cast<T>(random.uniform());
            return all;
          };
          const std::vector<T> W = values(O * K), bias = values(O);
          std::vector<std::vector<T>> h(n), y(n, std::vector<T>(O)), expected(n, std::vector<T>(O));
          std::vector<const T*> in;
          std::vector<T*> out;
          for (std::size_t i = 0; i < n; ++i) {
            h[i] = values(K);
            in.push_back(h[i].data());
            out.push_back(y[i].data());
            for (std::size_t o = 0; o < O; ++o) {
              T sums[chains] = {};
              for (std::size_t k = 0; k < K; ++k) {
                T& sum = sums[k % chains];
                sum = isa == "generic" ? h[i][k] * W[o * K + k] + sum : std::fma(h[i][k], W[o * K + k], sum);
              }
              for (std::size_t half = chains / 2; half > 0; half /= 2)
                for (std::size_t c = 0; c < half; ++c) sums[c] += sums[c + half];
              expected[i][o] = sums[0] + bias[o];
            }
          }
          table<T>(isa).few_outputs({W.data(), bias.data(), K, O, in.data(), out.data(), n});
          for (std::size_t i = 0; i < n; ++i) CHECK(same_bits(y[i], expected[i]));
        }
}

// Across architectures there is no other run to compare with: AVX2, AVX-512 and NEON have to meet these numbers.
// A change of the order of a sum, or of exp, changes them, and is a change of the contract.
TEST_CASE_TEMPLATE("the bits are those on record", T, float, double) {
  constexpr std::uint64_t on_record = sizeof(T) == 4 ? 0x16dc62094dc0f2a5u : 0xfb5b9741b452af32u;
  for (const std::string& isa : isas_with_fma()) {
    CAPTURE(isa);
    std::uint64_t digest = 0xcbf29ce484222325u;
    std::uint64_t seed = 0;
    // The last in groups of rows, where they have one length.
    for (const Sizes& sizes : {Sizes{7, 7, 5, 17}, Sizes{6, 5, 50, 20}, Sizes{40, 9, 3, 33}, Sizes{16, 37, 3, 20}})
      for (const Combination& combination : combinations_on_record) {
        const Pass<T> pass = run(random_case<T>(sizes, combination, ++seed), isa);
        for (const auto& [what, values] : pass.arrays()) add_to_digest(digest, *values);
      }
    CHECK(digest == on_record);
  }
}
