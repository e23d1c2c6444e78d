/// The fast layer of one ISA (PYLSTM_TEST_ISA) against the reference, forward and backward.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "combinations.hpp"
#include "fast_layer.hpp"
#include "pylstm/cells/activation.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/reference/recurrent.hpp"
#include "pylstm/simd/simd.hpp"
#include "support.hpp"

#if !defined(PYLSTM_TEST_ISA)
#define PYLSTM_TEST_ISA native
#endif

namespace {

using namespace pylstm::testing;
using Isa = pylstm::simd::PYLSTM_TEST_ISA;
namespace cells = pylstm::cells;
namespace reference = pylstm::reference;

namespace kernels = pylstm::kernels;

/// The kernels as programs get them.
template <class T>
const kernels::KernelTable<T>& table() {
  pylstm::set_isa(Isa::name);
  return pylstm::active_kernels<T>();
}

/// The same products with linear equations between them: on integers every sum is exact.  Not for layer normalisation,
/// which no integer survives, nor needed for the rectifier.
template <class T>
const kernels::KernelTable<T>& linear_table() {
  static const kernels::KernelTable<T> linear = [] {
    kernels::KernelTable<T> changed = table<T>();
    const auto use = [&]<class Cell>(std::type_identity<Cell>, kernels::CellKernels<T>& cell) {
      cell.equations = kernels::equations<T, Isa, Cell>();
      cell.step = nullptr;
      cell.step_of_matrices = nullptr;
    };
    kernels::for_each_variant([&]<cells::LstmOptions options>(std::size_t variant) {
      use(std::type_identity<cells::Lstm<cells::Linear, options>>{}, changed.lstm[variant]);
      use(std::type_identity<cells::CoupledLstm<cells::Linear, options>>{}, changed.coupled_lstm[variant]);
    });
    use(std::type_identity<cells::Gru<cells::Linear>>{}, changed.gru);
    use(std::type_identity<cells::GruResetBefore<cells::Linear>>{}, changed.gru_reset_before);
    use(std::type_identity<cells::Rnn<cells::Linear>>{}, changed.rnn_tanh);
    return changed;
  }();
  return linear;
}

/// |fast - exact| <= tolerance * u * max(1, largest |exact| of the array).
/// A pre-activation is a chain of K = I + H + 1 multiply-adds of terms that add up to a few units: off by K u / 2 and
/// some. Weights of up to 3 / sqrt(K) carry an error to the next step magnified by up to 3, T = 7 steps are most.  The
/// worst seen is 60 u for y and 252 u for a gradient.
constexpr double tolerance = 1024;

template <class T>
double error_in_units(const std::vector<T>& fast, const std::vector<double>& exact) {
  REQUIRE(fast.size() == exact.size());
  double worst = 0, largest = 1;
  for (std::size_t k = 0; k < fast.size(); ++k) {
    const double error = std::abs(static_cast<double>(fast[k]) - exact[k]);
    largest = std::max(largest, std::abs(exact[k]));
    if (!(error <= worst)) worst = error;
  }
  return worst / largest / (std::numeric_limits<T>::epsilon() / 2);
}

template <class T>
void check_close(const char* what, const std::vector<T>& fast, const std::vector<double>& exact) {
  CAPTURE(what);
  CHECK(error_in_units(fast, exact) <= tolerance);
}

/// Which cell states are at a bound that is `factor` times the case's.
template <class T>
std::vector<bool> at_bound(const Case<T>& a, double factor) {
  reference::Problem<double> p = convert<double>(a).problem;
  p.clip *= factor;
  std::vector<bool> clipped;
  for (const double c : reference::forward(p).c_new) clipped.push_back(std::abs(c) == p.clip);
  return clipped;
}

/// The least standard deviation of a row of cell states; of padding, zeros, there is none.
template <class T>
double flattest_row(const Case<T>& a) {
  const reference::Problem<double> p = convert<double>(a).problem;
  const std::vector<double> c = reference::forward(p).c_new;
  double least = std::numeric_limits<double>::infinity();
  for (auto row = c.begin(); row != c.end(); row += static_cast<std::ptrdiff_t>(p.H)) {
    double sum = 0, squares = 0;
    for (std::size_t j = 0; j < p.H; ++j) sum += row[static_cast<std::ptrdiff_t>(j)];
    for (std::size_t j = 0; j < p.H; ++j) {
      const double off = row[static_cast<std::ptrdiff_t>(j)] - sum / static_cast<double>(p.H);
      squares += off * off;
    }
    if (squares > 0) least = std::min(least, std::sqrt(squares / static_cast<double>(p.H)));
  }
  return least;
}

/// A random case in which no rounding decides whether a cell state is clipped, where gradients jump, and in which layer
/// normalisation finds no nearly constant row of cell states: it divides by what is left, roundings most of all.
template <class T>
Case<T> decided_case(const Sizes& sizes, const Combination& combination, std::uint64_t seed) {
  constexpr double flat = 0.05;
  const bool divides =
      combination.variant.cell == reference::Cell::layer_norm_lstm && sizes.H > 1;  // a row of one is zeros
  for (;; seed += 1000000) {
    const Case<T> a = random_case<T>(sizes, combination, seed);
    if (combination.variant.clips && at_bound(a, 1 - 1e-5) != at_bound(a, 1 + 1e-5)) continue;
    if (!divides || flattest_row(a) > flat) return a;
  }
}

template <class T>
void check_against_reference(const Sizes& sizes, const Combination& combination, std::uint64_t seed) {
  CAPTURE(name(sizes));
  CAPTURE(name(combination));
  const Case<T> a = decided_case<T>(sizes, combination, seed);
  const Case<double> exact = convert<double>(a);
  const auto r = reference::forward(exact.problem);
  const auto d = reference::backward(exact.problem, r, exact.dy, exact.dh_n, exact.dc_n);

  FastLayer<T> layer(table<T>(), a.problem);
  const auto fast = layer.forward(a.problem, Mode::training);
  CHECK_FALSE(fast.written_past_end);
  check_close("y", fast.y, r.y);
  check_close("h_n", fast.h_n, r.h_n);
  if (layer.has_memory()) check_close("c_n", fast.c_n, r.c_n);

  const auto back = layer.backward(a);
  CHECK_FALSE(back.written_past_end);
  CHECK(back.padding_is_zero);
  check_close("dx", back.d.x, d.x);
  check_close("dweight_ih", back.d.weight_ih, d.weight_ih);
  check_close("dweight_hh", back.d.weight_hh, d.weight_hh);
  check_close("dweight_hr", back.d.weight_hr, d.weight_hr);
  check_close("dbias", back.d.bias, d.bias);
  check_close("dbias_recurrent", back.d.bias_recurrent, d.bias_recurrent);
  if (!a.problem.unit_weights.empty()) check_close("dunit_weights", back.d.unit_weights, d.unit_weights);
  check_close("dh0", back.d.h0, d.h0);
  if (layer.has_memory()) check_close("dc0", back.d.c0, d.c0);
}

/// A number in which nothing cancels: subtraction adds, and every comparison holds, so that no bound and no relu cuts.
struct Magnitude {
  double value = 0;
  Magnitude() = default;
  template <class Number>
    requires std::is_arithmetic_v<Number>
  Magnitude(Number v) : value(std::abs(static_cast<double>(v))) {}  // NOLINT: as implicit as a double's
  friend Magnitude operator+(Magnitude a, Magnitude b) { return a.value + b.value; }
  friend Magnitude operator-(Magnitude a, Magnitude b) { return a.value + b.value; }
  friend Magnitude operator-(Magnitude a) { return a; }
  friend Magnitude operator*(Magnitude a, Magnitude b) { return a.value * b.value; }
  Magnitude& operator+=(Magnitude a) { return *this = *this + a; }
  /// Quotients and roots have no bound here.
  friend Magnitude operator/(Magnitude, Magnitude) { return std::numeric_limits<double>::infinity(); }
  friend Magnitude sqrt(Magnitude) { return std::numeric_limits<double>::infinity(); }
  friend Magnitude abs(Magnitude a) { return a; }
  /// Known exactly: no bound.
  friend Magnitude complement(Magnitude k) { return std::abs(1 - k.value); }
  friend bool operator<(Magnitude, Magnitude) { return true; }
  friend bool operator>(Magnitude, Magnitude) { return true; }
};

double largest(const std::vector<Magnitude>& v) {
  double most = 0;
  for (const Magnitude a : v) most = std::max(most, a.value);
  return most;
}

/// No partial sum of the case can leave the integers that T holds: that of magnitudes is at most their sum.
template <class T>
bool is_exact(const Case<T>& a) {
  const double most = std::ldexp(1, std::numeric_limits<T>::digits);
  const auto all_within = [&](std::initializer_list<const std::vector<Magnitude>*> arrays) {
    return std::all_of(arrays.begin(), arrays.end(), [&](const auto* v) { return largest(*v) <= most; });
  };
  const Case<Magnitude> magnitudes = convert<Magnitude>(a);
  const auto& p = magnitudes.problem;
  const auto r = reference::forward<Magnitude, reference::Linear>(p);
  if (!all_within({&r.y, &r.c, &r.h_n, &r.c_n, &r.gates, &r.m})) return false;
  const auto d =
      reference::backward<Magnitude, reference::Linear>(p, r, magnitudes.dy, magnitudes.dh_n, magnitudes.dc_n);
  return all_within(
      {&d.x, &d.weight_ih, &d.weight_hh, &d.weight_hr, &d.bias, &d.bias_recurrent, &d.unit_weights, &d.h0, &d.c0});
}

/// The densest weights that stay exact.
template <class T>
Case<T> exact_case(const Sizes& sizes, const Combination& combination, std::uint64_t seed) {
  for (const double per_row : {4.0, 2.0, 1.0})
    if (const Case<T> a = integer_case<T>(sizes, combination, per_row, seed); is_exact(a)) return a;
  for (const double listening : {1.0, 0.5, 0.25, 0.125})
    if (const Case<T> a = sparse_integer_case<T>(sizes, combination, listening, seed); is_exact(a)) return a;
  const Case<T> a = sparse_integer_case<T>(sizes, combination, 0, seed);
  REQUIRE(is_exact(a));
  return a;
}

template <class T>
bool equal(const std::vector<T>& fast, const std::vector<double>& exact) {
  return std::equal(fast.begin(), fast.end(), exact.begin(), exact.end(),
                    [](T a, double b) { return static_cast<double>(a) == b; });
}

template <class T>
void check_exactly(const Sizes& sizes, const Combination& combination, std::uint64_t seed) {
  CAPTURE(name(sizes));
  CAPTURE(name(combination));
  const Case<T> a = exact_case<T>(sizes, combination, seed);
  const Case<double> exact = convert<double>(a);
  const auto r = reference::forward<double, reference::Linear>(exact.problem);
  const auto d = reference::backward<double, reference::Linear>(exact.problem, r, exact.dy, exact.dh_n, exact.dc_n);

  FastLayer<T> layer(linear_table<T>(), a.problem);
  const auto fast = layer.forward(a.problem, Mode::training);
  CHECK(equal(fast.y, r.y));
  CHECK(equal(fast.h_n, r.h_n));
  if (layer.has_memory()) CHECK(equal(fast.c_n, r.c_n));

  const auto back = layer.backward(a);
  CHECK(equal(back.d.x, d.x));
  CHECK(equal(back.d.weight_ih, d.weight_ih));
  CHECK(equal(back.d.weight_hh, d.weight_hh));
  CHECK(equal(back.d.weight_hr, d.weight_hr));
  CHECK(equal(back.d.bias, d.bias));
  CHECK(equal(back.d.bias_recurrent, d.bias_recurrent));
  if (!a.problem.unit_weights.empty()) CHECK(equal(back.d.unit_weights, d.unit_weights));
  CHECK(equal(back.d.h0, d.h0));
  if (layer.has_memory()) CHECK(equal(back.d.c0, d.c0));
}

/// Sizes at which every combination is tried: one block of units and several, the input product fused and ahead of
/// time.
std::vector<Sizes> sizes_for_all_combinations() {
  if (quick()) return {{4, 3, 2, 5}};
  return {{4, 3, 2, 5}, {7, 7, 5, 17}, {6, 5, 50, 20}};
}

}  // namespace

TEST_CASE_TEMPLATE("every combination agrees with the reference", T, float, double) {
  std::uint64_t seed = 0;
  for (const Sizes& sizes : sizes_for_all_combinations())
    for (const Combination& combination : legal_combinations()) check_against_reference<T>(sizes, combination, ++seed);
}

TEST_CASE_TEMPLATE("every size agrees with the reference", T, float, double) {
  // 61 is prime to the number of combinations: the sizes take turns through all of them.
  std::size_t turn = 0;
  const auto& combinations = legal_combinations();
  for_each_size([&](const Sizes& sizes) {
    turn += 61;
    check_against_reference<T>(sizes, combinations[turn % combinations.size()], turn);
  });
}

// Backward goes through the norm of the inputs' product in two ways: 4 I <= H, and otherwise.
TEST_CASE_TEMPLATE("layer norm agrees with the reference on either side of the border", T, float, double) {
  std::uint64_t seed = 0;
  for (const Sizes& sizes : {Sizes{4, 3, 2, 8}, Sizes{4, 3, 2, 7}, Sizes{5, 9, 4, 16}, Sizes{5, 9, 4, 15},
                             Sizes{7, 7, 5, 20}, Sizes{7, 7, 5, 19}, Sizes{3, 9, 20, 80}, Sizes{3, 9, 20, 79}})
    for (const Combination& combination : legal_combinations()) {
      if (!is_layer_norm(combination.variant.cell)) continue;
      if ((quick() || sizes.H > 64) && seed++ % 8 != 0) continue;
      check_against_reference<T>(sizes, combination, ++seed);
    }
}

TEST_CASE_TEMPLATE("on integers every combination is exact", T, float, double) {
  std::uint64_t seed = 0;
  for (const Sizes& sizes : sizes_for_all_combinations())
    for (const Combination& combination : legal_combinations())
      if (!is_layer_norm(combination.variant.cell)) check_exactly<T>(sizes, combination, ++seed);
}

TEST_CASE_TEMPLATE("on integers every size is exact", T, float, double) {
  std::size_t turn = 0;
  const auto& combinations = legal_combinations();
  for_each_size([&](const Sizes& sizes) {
    turn += 61;
    // No integer survives a layer norm: the next in line.
    while (is_layer_norm(combinations[turn % combinations.size()].variant.cell)) ++turn;
    check_exactly<T>(sizes, combinations[turn % combinations.size()], turn);
  });
}

TEST_CASE("a step of its own refuses what it would get wrong") {
  using pylstm::kernels::CellKind;
  using pylstm::layers::RecurrentLayer;
  const auto& table = pylstm::active_kernels<float>();
  const RecurrentLayer<float> layer(table.lstm[0], 2, 3);
  const std::vector<float> weight_ih(12 * 2, 0.1F), weight_hh(12 * 3, 0.1F), x(2, 1), before(3, 0.5F);
  std::vector<float> h(3), c(before);
  pylstm::layers::LayerWeights<const float> weights{.weight_ih = weight_ih.data(), .weight_hh = weight_hh.data()};
  layer.step(weights, x.data(), before.data(), c.data(), h.data(), c.data());
  CHECK(h[0] > 0);
  const auto refused = [&](const RecurrentLayer<float>& of, const float* h_prev, const float* c_prev) {
    CHECK_THROWS_AS(of.step(weights, x.data(), h_prev, c_prev, h.data(), c.data()), std::invalid_argument);
  };
  refused(layer, h.data(), c.data());
  refused(layer, nullptr, c.data());
  refused(layer, before.data(), nullptr);
  refused(RecurrentLayer<float>(table.layer_norm_lstm, 2, 3), before.data(), c.data());
  refused(RecurrentLayer<float>(table.lstm[0], 2, 3, {}, 2), before.data(), c.data());
  weights.weight_hh = nullptr;
  refused(layer, before.data(), c.data());
  CHECK_THROWS_AS(RecurrentLayer<float>(table.lstm[0], 2, 0), std::invalid_argument);
}
