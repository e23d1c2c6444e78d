/// The one list of legal ways to call a recurrent layer, and problems made from it; every test that can runs over all
/// of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "pylstm/reference/recurrent.hpp"
#include "support.hpp"

namespace pylstm::testing {

/// splitmix64 (Steele, Lea & Flood 2014): the same numbers on every platform, unlike the distributions of <random>.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits() % n); }
  /// A multiple of 2^-23 in [-scale, scale): float and double get the same number when scale is a power of two.
  double uniform(double scale = 1) { return scale * (static_cast<double>(bits() >> 40) * 0x1p-23 - 1); }

 private:
  std::uint64_t state_;
};

enum class Lengths { absent, all_steps, unsorted, with_empty_rows, all_empty };
enum class Initial { absent, h0, c0, both };
enum class Incoming { all, dy, dh_n, dc_n };

inline constexpr Lengths all_lengths[] = {Lengths::absent, Lengths::all_steps, Lengths::unsorted,
                                          Lengths::with_empty_rows, Lengths::all_empty};
inline constexpr Initial all_initial[] = {Initial::absent, Initial::h0, Initial::c0, Initial::both};
inline constexpr Incoming all_incoming[] = {Incoming::all, Incoming::dy, Incoming::dh_n, Incoming::dc_n};

inline bool is_layer_norm(reference::Cell cell) {
  return cell == reference::Cell::layer_norm_lstm || cell == reference::Cell::layer_norm_gru;
}

/// A cell with its options.
struct Variant {
  reference::Cell cell = reference::Cell::lstm;
  bool unit_weights = false, clips = false;
  bool projects = false;
  bool noisy = false;  ///< dropout of h in the recurrent product, and zoneout

  /// Elements that H units are projected to; 0: none.
  std::size_t projection(std::size_t H) const { return projects ? 1 + H / 2 : 0; }
  reference::CellShape shape() const { return reference::shape_of(cell); }
};

inline const std::vector<Variant>& all_variants() {
  static const std::vector<Variant> list = [] {
    std::vector<Variant> all;
    for (const reference::Cell cell : {reference::Cell::lstm, reference::Cell::coupled_lstm})
      for (const bool peepholes : {false, true})
        for (const bool clips : {false, true}) all.push_back({cell, peepholes, clips});
    for (const reference::Cell cell :
         {reference::Cell::gru, reference::Cell::gru_reset_before, reference::Cell::rnn_tanh, reference::Cell::rnn_relu,
          reference::Cell::layer_norm_lstm, reference::Cell::layer_norm_gru})
      all.push_back({cell, is_layer_norm(cell), false});
    all.push_back({reference::Cell::lstm, false, false, false, true});
    all.push_back({reference::Cell::coupled_lstm, true, true, false, true});
    all.push_back({reference::Cell::gru, false, false, false, true});
    all.push_back({reference::Cell::gru_reset_before, false, false, false, true});
    all.push_back({reference::Cell::rnn_tanh, false, false, false, true});
    all.push_back({reference::Cell::layer_norm_lstm, true, false, false, true});
    all.push_back({reference::Cell::lstm, false, false, true});
    all.push_back({reference::Cell::coupled_lstm, true, true, true});
    all.push_back({reference::Cell::layer_norm_lstm, true, false, true});
    return all;
  }();
  return list;
}

struct Combination {
  Lengths lengths = Lengths::absent;
  bool reverse = false;
  Initial initial = Initial::both;
  bool bias = true;
  Incoming incoming = Incoming::all;  ///< the gradients that BPTT starts from
  Variant variant = {};
};

inline std::string name(const Combination& c) {
  static constexpr const char* lengths[] = {"absent", "all steps", "unsorted", "with empty rows", "all empty"};
  static constexpr const char* initial[] = {"none", "h0", "c0", "h0 and c0"};
  static constexpr const char* incoming[] = {"dy, dh_n and dc_n", "dy", "dh_n", "dc_n"};
  static constexpr const char* cells[] = {
      "LSTM",          "coupled LSTM",    "GRU",           "GRU with reset before", "RNN",
      "RNN with relu", "layer-norm LSTM", "layer-norm GRU"};
  return cells[static_cast<int>(c.variant.cell)] + std::string(c.variant.unit_weights ? " with weights of units" : "") +
         (c.variant.clips ? ", clipped" : "") + (c.variant.projects ? ", projected" : "") +
         (c.variant.noisy ? ", noisy" : "") + "; lengths: " + lengths[static_cast<int>(c.lengths)] +
         (c.reverse ? "; reverse" : "; forward") + "; initial state: " + initial[static_cast<int>(c.initial)] +
         (c.bias ? "; bias" : "; no bias") + "; gradients from " + incoming[static_cast<int>(c.incoming)];
}

inline const std::vector<Combination>& legal_combinations() {
  static const std::vector<Combination> list = [] {
    std::vector<Combination> all;
    for (const Lengths lengths : all_lengths)
      for (const bool reverse : {false, true})
        for (const Initial initial : all_initial)
          for (const bool bias : {true, false})
            for (const Incoming incoming : all_incoming)
              for (const Variant& variant : all_variants()) {
                const bool memory = variant.shape().has_memory;
                const bool of_c = initial == Initial::c0 || initial == Initial::both || incoming == Incoming::dc_n;
                if (memory || !of_c) all.push_back({lengths, reverse, initial, bias, incoming, variant});
              }
    return all;
  }();
  return list;
}

struct Sizes {
  std::size_t T, N, I, H;
};

inline std::string name(const Sizes& s) {
  return "T = " + std::to_string(s.T) + ", N = " + std::to_string(s.N) + ", I = " + std::to_string(s.I) +
         ", H = " + std::to_string(s.H);
}

/// A layer, its input, and the gradients that arrive from behind it.
template <class Real>
struct Case {
  reference::Problem<Real> problem;
  std::vector<Real> dy, dh_n, dc_n;  ///< [T][N][H], [N][H], [N][H]; empty: zeros
};

template <class To, class From>
std::vector<To> convert(const std::vector<From>& v) {
  std::vector<To> w(v.size());
  std::transform(v.begin(), v.end(), w.begin(), [](From a) { return static_cast<To>(a); });
  return w;
}

template <class To, class From>
Case<To> convert(const Case<From>& a) {
  const auto& p = a.problem;
  return {.problem = {.cell = p.cell,
                      .T = p.T,
                      .N = p.N,
                      .I = p.I,
                      .H = p.H,
                      .P = p.P,
                      .x = convert<To>(p.x),
                      .weight_ih = convert<To>(p.weight_ih),
                      .weight_hh = convert<To>(p.weight_hh),
                      .weight_hr = convert<To>(p.weight_hr),
                      .bias = convert<To>(p.bias),
                      .bias_recurrent = convert<To>(p.bias_recurrent),
                      .unit_weights = convert<To>(p.unit_weights),
                      .clip = static_cast<To>(p.clip),
                      .h0 = convert<To>(p.h0),
                      .c0 = convert<To>(p.c0),
                      .lengths = p.lengths,
                      .reverse = p.reverse,
                      .dropout = convert<To>(p.dropout),
                      .hold_h = convert<To>(p.hold_h),
                      .hold_c = convert<To>(p.hold_c)},
          .dy = convert<To>(a.dy),
          .dh_n = convert<To>(a.dh_n),
          .dc_n = convert<To>(a.dc_n)};
}

/// Fills a case: `weight(fan_in)` gives one weight of a row of fan_in of them, `value()` everything else; `clip` is the
/// bound where the variant has one, `shares` what zoneout chooses from.
/// The padding of x and dy is NaN: whoever reads it shows.
template <class Real, class Weight, class Value>
Case<Real> make_case(const Sizes& s, const Combination& c, Random& random, Weight weight, Value value, Real clip,
                     const std::vector<double>& shares) {
  const auto fill = [&](std::size_t size, auto&& draw) {
    std::vector<Real> v(size);
    for (Real& a : v) a = static_cast<Real>(draw());
    return v;
  };
  const auto row_weight = [&] { return weight(s.I + s.H); };
  const bool has_h0 = c.initial == Initial::h0 || c.initial == Initial::both;
  const bool has_c0 = c.initial == Initial::c0 || c.initial == Initial::both;
  const auto arrives = [&](Incoming which) { return c.incoming == Incoming::all || c.incoming == which; };

  const reference::CellShape shape = c.variant.shape();
  const std::size_t P = c.variant.projection(s.H), W = P > 0 ? P : s.H;
  const bool noisy = c.variant.noisy;
  const auto share = [&] { return shares[random.below(shares.size())]; };
  Case<Real> made{.problem = {.cell = c.variant.cell,
                              .T = s.T,
                              .N = s.N,
                              .I = s.I,
                              .H = s.H,
                              .P = P,
                              .x = fill(s.T * s.N * s.I, value),
                              .weight_ih = fill(shape.gates_x * s.H * s.I, row_weight),
                              .weight_hh = fill(shape.gates_h * s.H * W, row_weight),
                              .weight_hr = fill(P * s.H, [&] { return weight(s.H); }),
                              .bias = fill(c.bias ? shape.gates_x * s.H : 0, value),
                              .bias_recurrent = fill(c.bias ? shape.recurrent_bias() * s.H : 0, value),
                              .unit_weights = fill(c.variant.unit_weights ? shape.unit_weights * s.H : 0, value),
                              .clip = c.variant.clips ? clip : std::numeric_limits<Real>::infinity(),
                              .h0 = fill(has_h0 ? s.N * W : 0, value),
                              .c0 = fill(has_c0 ? s.N * s.H : 0, value),
                              .lengths = {},
                              .reverse = c.reverse,
                              .dropout = fill(noisy ? s.N * W : 0, [&] { return random.below(2) == 0 ? 0 : 2; }),
                              .hold_h = fill(noisy ? s.T * s.N * s.H : 0, share),
                              .hold_c = fill(noisy ? s.T * s.N * s.H : 0, share)},
                  .dy = fill(arrives(Incoming::dy) ? s.T * s.N * W : 0, value),
                  .dh_n = fill(arrives(Incoming::dh_n) ? s.N * W : 0, value),
                  .dc_n = fill(arrives(Incoming::dc_n) ? s.N * s.H : 0, value)};

  if (c.lengths == Lengths::absent) return made;
  for (std::size_t n = 0; n < s.N; ++n) {
    std::size_t length = 0;
    if (c.lengths == Lengths::all_steps) length = s.T;
    if (c.lengths == Lengths::unsorted) length = std::min(s.T, 1 + random.below(s.T + 1));
    if (c.lengths == Lengths::with_empty_rows) length = n % 3 == 1 ? 0 : random.below(s.T + 1);
    made.problem.lengths.push_back(length);

    constexpr Real nan = std::numeric_limits<Real>::quiet_NaN();
    for (std::size_t t = length; t < s.T; ++t) {
      const std::size_t tn = t * s.N + n;
      for (std::size_t k = 0; k < s.I; ++k) made.problem.x[tn * s.I + k] = nan;
      if (!made.dy.empty())
        for (std::size_t j = 0; j < W; ++j) made.dy[tn * W + j] = nan;
    }
  }
  return made;
}

/// Pre-activations of a few units: neither saturated nor in the linear part of sigmoid and tanh.
template <class Real>
Case<Real> random_case(const Sizes& s, const Combination& c, std::uint64_t seed) {
  Random random(seed);
  return make_case<Real>(
      s, c, random, [&](std::size_t fan_in) { return random.uniform(3 / std::sqrt(static_cast<double>(fan_in))); },
      [&] { return random.uniform(); }, Real(0.5), {0, 0.25, 1});
}

/// -1, 0 and 1 everywhere, about `per_row` weights of a row not zero.
template <class Real>
Case<Real> integer_case(const Sizes& s, const Combination& c, double per_row, std::uint64_t seed) {
  Random random(seed);
  const auto sign = [&] { return random.below(2) == 0 ? -1 : 1; };
  return make_case<Real>(
      s, c, random,
      [&](std::size_t fan_in) {
        return random.uniform(0.5) + 0.5 < per_row / static_cast<double>(fan_in) ? sign() : 0;
      },
      [&] { return random.below(4) == 0 ? 0 : sign(); }, Real(2), {0, 1});
}

/// Integers that grow slowly with T: a row has one element that is not zero (its bias, or a weight), and at most one
/// gate of a unit, with probability `listening`, has that in weight_hh.  Coupled gates double c with every step that
/// writes: where nobody listens, they do not write.
template <class Real>
Case<Real> sparse_integer_case(const Sizes& s, const Combination& c, double listening, std::uint64_t seed) {
  Case<Real> made = integer_case<Real>(s, c, 0, seed);
  auto& p = made.problem;
  std::fill(p.bias.begin(), p.bias.end(), Real(0));
  std::fill(p.unit_weights.begin(), p.unit_weights.end(), Real(0));
  const std::size_t gates = c.variant.shape().gates_x;
  Random random(seed + 1);
  for (std::size_t j = 0; j < s.H; ++j) {
    const std::size_t gate_that_listens = random.uniform(0.5) + 0.5 < listening ? random.below(gates) : gates;
    for (std::size_t gate = 0; gate < gates; ++gate) {
      const std::size_t row = gate * s.H + j;
      const Real one = random.below(2) == 0 ? Real(-1) : Real(1);
      if (p.cell == reference::Cell::coupled_lstm && gate == reference::CoupledLstm::i && listening == 0) continue;
      if (gate == gate_that_listens) {
        p.weight_hh[row * p.width() + random.below(p.width())] = one;
      } else if (c.bias && random.below(2) == 0) {
        p.bias[row] = one;
      } else {
        p.weight_ih[row * s.I + random.below(s.I)] = one;
      }
    }
  }
  return made;
}

/// Around every vector width, tile height and threshold of the kernels, then sequences of several chunks: the products
/// over time take 256 rows at a time (from 129 rows on one step, whose gates' gradients may not be overwritten by those
/// of the step before), weight gradients 128 rows and 63 inputs, the input product 64 steps; transposed
/// weights of more than 128 KiB a group go in chunks (800 units).
template <class Visit>
void for_each_size(Visit visit) {
  using List = std::vector<std::size_t>;
  const bool few = quick();
  const List hidden = few ? List{1, 4, 9, 17, 33} : List{1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65};
  const List inputs = few ? List{1, 5, 70} : List{1, 2, 5, 17, 70};
  const List rows = few ? List{1, 3, 7} : List{0, 1, 2, 3, 5, 6, 7, 12, 13, 16};
  for (const std::size_t H : hidden)
    for (const std::size_t I : inputs)
      for (const std::size_t N : rows)
        for (const std::size_t T : {0U, 1U, 2U, 7U}) visit(Sizes{T, N, I, H});
  for (const Sizes& sizes : {Sizes{60, 7, 3, 9}, Sizes{3, 300, 5, 4}, Sizes{9, 70, 60, 17}, Sizes{80, 1, 50, 5},
                             Sizes{3, 130, 3, 70}, Sizes{2, 4, 3, 800}, Sizes{3, 3, 2, 801}})
    visit(sizes);
}

}  // namespace pylstm::testing
