/// The reference against arithmetic done by hand, its own definition of rows, and central differences.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "combinations.hpp"
#include "pylstm/reference/recurrent.hpp"

namespace {

using namespace pylstm::reference;
using namespace pylstm::testing;
using Vector = std::vector<double>;

/// dot(a, b); an empty vector stands for zeros, and the padding of b (NaN) meets a zero in a.
double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t k = 0; k < b.size(); ++k)
    if (a[k] != 0) sum += a[k] * b[k];
  return sum;
}

double loss(const Case<double>& a) {
  const auto r = forward(a.problem);
  return dot(r.y, a.dy) + dot(r.h_n, a.dh_n) + dot(r.c_n, a.dc_n);
}

/// (f(x + e) - f(x - e)) / 2e is off by e^2 f'''/6 plus u |f| / e, u = 2^-53; e = u^(1/3) makes both about 2.3e-11 in
/// units of f''' and |f|, which stay below 40 and 25 at the sizes below: 6 e^2 + 25 u / e = 8e-10, here with a factor
/// of 2.5.  Layer normalisation of numbers that are all the same multiplies every derivative by 1 / sqrt(1e-5) = 316:
/// the difference of fourth order, off by e^4 f^(5) / 7, and an error in units of the largest gradient (worst seen:
/// 3e-9).
constexpr double difference_step = 0x1p-18;
constexpr double difference_tolerance = 2e-9, steep_tolerance = 2e-8;

double central_difference(const std::function<double()>& f, double& variable, bool fourth_order) {
  const double at = variable;
  const auto difference = [&](double step) {
    variable = at + step;
    const double above = f();
    variable = at - step;
    const double below = f();
    variable = at;
    return (above - below) / (2 * step);
  };
  const double second_order = difference(difference_step);
  return fourth_order ? (4 * second_order - difference(2 * difference_step)) / 3 : second_order;
}

/// The gradients of `a`, h0 and c0 and bias spelled out so that each can be moved.  No normalisation of zeros: within
/// sqrt(1e-5) of them it is a step.
Case<double> with_explicit_zeros(Case<double> a) {
  auto& p = a.problem;
  const CellShape shape = shape_of(p.cell);
  p.bias.resize(shape.gates_x * p.H);
  p.bias_recurrent.resize(shape.recurrent_bias() * p.H);
  p.unit_weights.resize(shape.unit_weights * p.H);
  p.h0.resize(p.N * p.width());
  p.c0.resize(p.N * p.H);
  if (is_layer_norm(p.cell)) {
    Random random(7);
    for (Vector* state : {&p.h0, &p.c0})
      for (double& value : *state) value = random.uniform();
  }
  return a;
}

void check_gradient(const std::string& of, const Vector& gradient, Vector& variables, bool steep,
                    const std::function<double()>& f) {
  REQUIRE(gradient.size() == variables.size());
  double worst = 0, largest = 1;
  for (std::size_t k = 0; k < variables.size(); ++k) {
    worst = std::max(worst, std::abs(gradient[k] - central_difference(f, variables[k], steep)));
    if (steep) largest = std::max(largest, std::abs(gradient[k]));
  }
  CAPTURE(of);
  CHECK(worst <= (steep ? steep_tolerance * largest : difference_tolerance));
}

/// H = 1, I = 1, two steps: small enough for a sheet of paper.
const Problem<double> by_hand{.T = 2,
                              .N = 1,
                              .I = 1,
                              .H = 1,
                              .x = {1, 2},
                              .weight_ih = {1, 0, 2, 1},
                              .weight_hh = {0, 1, 1, 2},
                              .bias = {0, 1, 0, -1},
                              .h0 = {2},
                              .c0 = {3},
                              .lengths = {},
                              .reverse = false};

Problem<double> only_row(const Problem<double>& p, std::size_t n) {
  Problem<double> row = p;
  row.N = 1;
  row.T = p.lengths.empty() ? p.T : p.lengths[n];
  row.lengths.clear();
  const auto steps = [&](const Vector& v, std::size_t width) {
    Vector of_row;
    for (std::size_t t = 0; t < row.T && !v.empty(); ++t)
      for (std::size_t k = 0; k < width; ++k) of_row.push_back(v[(t * p.N + n) * width + k]);
    return of_row;
  };
  row.x = steps(p.x, p.I);
  row.hold_h = steps(p.hold_h, p.H);
  row.hold_c = steps(p.hold_c, p.H);
  const auto slice = [&](const Vector& v, std::size_t width) {
    return v.empty() ? v
                     : Vector(v.begin() + static_cast<std::ptrdiff_t>(n * width),
                              v.begin() + static_cast<std::ptrdiff_t>((n + 1) * width));
  };
  row.h0 = slice(p.h0, p.width());
  row.c0 = slice(p.c0, p.H);
  row.dropout = slice(p.dropout, p.H);
  return row;
}

}  // namespace

TEST_CASE("two steps of one linear unit are those on paper") {
  const auto r = forward<double, Linear>(by_hand);

  // i = x, f = h + 1, g = 2x + h, o = x + 2h - 1
  CHECK(r.gates == Vector{1, 2 + 1, 2 * 1 + 2, 1 + 2 * 2 - 1, /**/ 2, 52 + 1, 2 * 2 + 52, 2 + 2 * 52 - 1});
  CHECK(r.c == Vector{3 * 3 + 1 * 4, 53 * 13 + 2 * 56});
  CHECK(r.y == Vector{4 * 13, 105 * 801});
  CHECK(r.h_n == Vector{84105});
  CHECK(r.c_n == Vector{801});
}

TEST_CASE("the gradients of two steps of one linear unit are those on paper") {
  const auto r = forward<double, Linear>(by_hand);
  const auto d = backward<double, Linear>(by_hand, r, {1, 1}, {1}, {2});

  // t = 1: dh = dy + dh_n = 2, dc = dc_n + dh o = 2 + 2*105 = 212
  const double i1 = 212 * 56, f1 = 212 * 13, g1 = 212 * 2, o1 = 2 * 801;
  // t = 0: dh = dy + (0, 1, 1, 2) . dz = 1 + 6384, dc = 212*53 + dh*4
  CHECK(f1 + g1 + 2 * o1 == 6384);
  const double dc = 212 * 53 + 6385 * 4;
  const double i0 = dc * 4, f0 = dc * 3, g0 = dc * 1, o0 = 6385 * 13;

  CHECK(d.x == Vector{i0 + 2 * g0 + o0, i1 + 2 * g1 + o1});
  CHECK(d.weight_ih == Vector{i0 + 2 * i1, f0 + 2 * f1, g0 + 2 * g1, o0 + 2 * o1});
  CHECK(d.weight_hh == Vector{2 * i0 + 52 * i1, 2 * f0 + 52 * f1, 2 * g0 + 52 * g1, 2 * o0 + 52 * o1});
  CHECK(d.bias == Vector{i0 + i1, f0 + f1, g0 + g1, o0 + o1});
  CHECK(d.h0 == Vector{f0 + g0 + 2 * o0});
  CHECK(d.c0 == Vector{dc * 3});
}

TEST_CASE("rows of the weights are units within gates, columns are inputs") {
  // H = 2, I = 3, every weight another power of ten: each pre-activation spells out what it was made of.
  Problem<double> p{.T = 1, .N = 1, .I = 3, .H = 2, .x = {1, 2, 3}, .h0 = {4, 5}, .c0 = {10, 20}};
  for (int row = 0; row < 8; ++row) {
    for (const double digit : {10000, 1000, 100}) p.weight_ih.push_back(digit * (row + 1));
    for (const double digit : {10, 1}) p.weight_hh.push_back(digit * (row + 1));
  }
  const double z = 12345;
  const auto r = forward<double, Linear>(p);
  CHECK(r.gates == Vector{z, 2 * z, 3 * z, 4 * z, 5 * z, 6 * z, 7 * z, 8 * z});
  CHECK(r.c == Vector{3 * z * 10 + z * (5 * z), 4 * z * 20 + 2 * z * (6 * z)});
  CHECK(r.y == Vector{7 * z * r.c[0], 8 * z * r.c[1]});
}

TEST_CASE("the activations are the logistic function and tanh") {
  Problem<double> p = by_hand;
  p.T = 1;
  p.x = {0.5};
  const auto r = forward(p);
  const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
  const double i = sigmoid(0.5), f = sigmoid(2 + 1), g = std::tanh(2 * 0.5 + 2), o = sigmoid(0.5 + 2 * 2 - 1);
  CHECK(r.c[0] == f * 3 + i * g);
  CHECK(r.y[0] == o * std::tanh(r.c[0]));
}

TEST_CASE("gradients are those of central differences, for every combination") {
  std::size_t turn = 0;
  for (const Sizes& sizes : {Sizes{4, 3, 2, 3}, Sizes{1, 1, 1, 1}, Sizes{3, 4, 5, 2}})
    for (const Combination& combination : legal_combinations()) {
      if (quick() && ++turn % 7 != 0) continue;
      CAPTURE(name(sizes));
      CAPTURE(name(combination));
      Case<double> a = with_explicit_zeros(random_case<double>(sizes, combination, 1));
      const auto d = backward(a.problem, forward(a.problem), a.dy, a.dh_n, a.dc_n);
      const auto f = [&a] { return loss(a); };
      const bool steep = is_layer_norm(combination.variant.cell);
      check_gradient("weight_ih", d.weight_ih, a.problem.weight_ih, steep, f);
      check_gradient("weight_hh", d.weight_hh, a.problem.weight_hh, steep, f);
      check_gradient("weight_hr", d.weight_hr, a.problem.weight_hr, steep, f);
      check_gradient("bias", d.bias, a.problem.bias, steep, f);
      check_gradient("bias_recurrent", d.bias_recurrent, a.problem.bias_recurrent, steep, f);
      check_gradient("unit_weights", d.unit_weights, a.problem.unit_weights, steep, f);
      check_gradient("h0", d.h0, a.problem.h0, steep, f);
      check_gradient("c0", d.c0, a.problem.c0, steep, f);
      check_gradient("x", d.x, a.problem.x, steep, f);
    }
}

TEST_CASE("a row of a batch is that row alone, cut to its length") {
  for (const Combination& combination : legal_combinations()) {
    CAPTURE(name(combination));
    const auto p = random_case<double>({5, 4, 2, 3}, combination, 2).problem;
    const auto batch = forward(p);
    for (std::size_t n = 0; n < p.N; ++n) {
      const auto row = only_row(p, n);
      const auto alone = forward(row);
      const std::size_t W = p.width();
      for (std::size_t j = 0; j < W; ++j) {
        for (std::size_t t = 0; t < p.T; ++t)
          CHECK(batch.y[(t * p.N + n) * W + j] == (t < row.T ? alone.y[t * W + j] : 0));
        CHECK(batch.h_n[n * W + j] == alone.h_n[j]);
      }
      for (std::size_t j = 0; j < p.H; ++j) CHECK(batch.c_n[n * p.H + j] == alone.c_n[j]);
    }
  }
}

TEST_CASE("reverse is forward over the mirrored sequence") {
  auto ahead = random_case<double>({5, 1, 2, 3}, {Lengths::absent, false, Initial::both, true, Incoming::all}, 3);
  auto reverse = ahead;
  reverse.problem.reverse = true;
  const auto mirror = [](Vector& v, std::size_t width) {
    Vector mirrored;
    for (std::size_t t = 5; t-- > 0;)
      for (std::size_t k = 0; k < width; ++k) mirrored.push_back(v[t * width + k]);
    v = mirrored;
  };
  mirror(reverse.problem.x, 2);
  mirror(reverse.dy, 3);

  const auto r = forward(ahead.problem);
  auto s = forward(reverse.problem);
  const auto d = backward(ahead.problem, r, ahead.dy, ahead.dh_n, ahead.dc_n);
  auto e = backward(reverse.problem, s, reverse.dy, reverse.dh_n, reverse.dc_n);
  mirror(s.y, 3);
  mirror(e.x, 2);
  CHECK(s.y == r.y);
  CHECK(s.h_n == r.h_n);
  CHECK(s.c_n == r.c_n);
  CHECK(e.x == d.x);
  CHECK(e.weight_hh == d.weight_hh);
  CHECK(e.h0 == d.h0);
}

TEST_CASE("a row without steps hands its initial state, and its gradients, through") {
  const auto a = random_case<double>({3, 2, 2, 3}, {Lengths::all_empty, false, Initial::both, true, Incoming::all}, 4);
  const auto r = forward(a.problem);
  CHECK(r.h_n == a.problem.h0);
  CHECK(r.c_n == a.problem.c0);
  CHECK(r.y == Vector(3 * 2 * 3));

  const auto d = backward(a.problem, r, a.dy, a.dh_n, a.dc_n);
  CHECK(d.h0 == a.dh_n);
  CHECK(d.c0 == a.dc_n);
  CHECK(d.x == Vector(3 * 2 * 2));
  CHECK(d.weight_ih == Vector(4 * 3 * 2));
}

TEST_CASE("no rows and no steps are fine") {
  const Combination plain{Lengths::absent, false, Initial::both, true, Incoming::all};
  for (const Sizes& sizes : {Sizes{0, 2, 2, 3}, Sizes{3, 0, 2, 3}, Sizes{0, 0, 1, 1}}) {
    CAPTURE(name(sizes));
    const auto a = random_case<double>(sizes, plain, 5);
    const auto r = forward(a.problem);
    const auto d = backward(a.problem, r, a.dy, a.dh_n, a.dc_n);
    CHECK(r.y.empty());
    CHECK(r.h_n == a.problem.h0);
    CHECK(d.h0 == a.dh_n);
    CHECK(d.weight_hh == Vector(4 * sizes.H * sizes.H));
  }
}

TEST_CASE("arrays of the wrong size are refused by name") {
  Problem<double> p = by_hand;
  p.bias = {1, 2};
  CHECK_THROWS_WITH_AS(forward(p), "bias has 2 elements, expected 4", std::invalid_argument);
  p = by_hand;
  p.lengths = {3};
  CHECK_THROWS_WITH_AS(forward(p), "lengths has 3, expected at most T = 2", std::invalid_argument);
}
