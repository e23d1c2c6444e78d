/// The LSTM in plain loops, forward and backward: the specification that every fast kernel is tested against.
///
/// Equations: Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000; no peepholes.
/// Backward: back-propagation through time, Werbos 1990.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "pylstm/base/errors.hpp"

namespace pylstm::reference {

/// The usual activations.  Derivatives are written in terms of the activation itself, a = sigmoid(z), a = tanh(z).
struct Saturating {
  template <class Real>
  static Real gate(Real z) {
    return 1 / (1 + std::exp(-z));
  }
  template <class Real>
  static Real squash(Real z) {
    return std::tanh(z);
  }
  template <class Real>
  static Real gate_derivative(Real a) {
    return a * (1 - a);
  }
  template <class Real>
  static Real squash_derivative(Real a) {
    return 1 - a * a;
  }
};

/// The identity in place of every activation: with integers for weights, the whole layer is integer arithmetic.
struct Linear {
  template <class Real>
  static Real gate(Real z) {
    return z;
  }
  template <class Real>
  static Real squash(Real z) {
    return z;
  }
  template <class Real>
  static Real gate_derivative(Real) {
    return 1;
  }
  template <class Real>
  static Real squash_derivative(Real) {
    return 1;
  }
};

/// Rows of the weights and of the bias come in four blocks of H: input, forget, cell candidate, output.
enum Gate : std::size_t { i_, f_, g_, o_, n_gates };

/// One layer and its input.  T steps, N rows, I inputs, H hidden units; every array is C-ordered.
template <class Real>
struct LstmProblem {
  std::size_t T = 0, N = 0, I = 0, H = 0;
  std::vector<Real> x = {};            ///< [T][N][I]
  std::vector<Real> weight_ih = {};    ///< [4H][I]
  std::vector<Real> weight_hh = {};    ///< [4H][H]
  std::vector<Real> bias = {};         ///< [4H]; empty: zeros
  std::vector<Real> h0 = {}, c0 = {};  ///< [N][H]; empty: zeros
  /// [N], each in [0, T]; empty: all T.  Row n consists of its steps 0 .. lengths[n] - 1, the others are padding.
  std::vector<std::size_t> lengths = {};
  bool reverse = false;  ///< run each row from its last real step to its first
};

/// Everything is stored at the time of the x it belongs to, forward or reverse; padding is 0.
template <class Real>
struct LstmResult {
  std::vector<Real> y;         ///< [T][N][H]: h of every step
  std::vector<Real> h_n, c_n;  ///< [N][H]: after the last step taken; h0 and c0 of a row without steps
  std::vector<Real> gates;     ///< [T][N][4H]: activations i, f, g, o
  std::vector<Real> c;         ///< [T][N][H]
};

/// Derivatives of the loss, each with the shape of the array in LstmProblem it is named after.
template <class Real>
struct LstmGradients {
  std::vector<Real> x, weight_ih, weight_hh, bias, h0, c0;
};

template <class Real, class Activation = Saturating>
LstmResult<Real> lstm_forward(const LstmProblem<Real>& p);

/// dy [T][N][H], dh_n and dc_n [N][H] are the derivatives of the loss with respect to the result; empty: zeros.
template <class Real, class Activation = Saturating>
LstmGradients<Real> lstm_backward(const LstmProblem<Real>& p, const LstmResult<Real>& r, const std::vector<Real>& dy,
                                  const std::vector<Real>& dh_n, const std::vector<Real>& dc_n);

namespace detail {

inline void require_size(const char* name, std::size_t got, std::size_t expected, bool may_be_empty) {
  require(got == expected || (may_be_empty && got == 0), name, " has ", got, " elements, expected ", expected);
}

template <class Real>
void require_consistent(const LstmProblem<Real>& p) {
  require_size("x", p.x.size(), p.T * p.N * p.I, false);
  require_size("weight_ih", p.weight_ih.size(), n_gates * p.H * p.I, false);
  require_size("weight_hh", p.weight_hh.size(), n_gates * p.H * p.H, false);
  require_size("bias", p.bias.size(), n_gates * p.H, true);
  require_size("h0", p.h0.size(), p.N * p.H, true);
  require_size("c0", p.c0.size(), p.N * p.H, true);
  require_size("lengths", p.lengths.size(), p.N, true);
  for (const std::size_t length : p.lengths)
    require(length <= p.T, "lengths has ", length, ", expected at most T = ", p.T);
}

template <class Real>
std::vector<Real> or_zeros(const std::vector<Real>& v, std::size_t size) {
  return v.empty() ? std::vector<Real>(size) : v;
}

template <class Real>
std::size_t length_of(const LstmProblem<Real>& p, std::size_t n) {
  return p.lengths.empty() ? p.T : p.lengths[n];
}

/// The time of the s-th step that row n takes.
template <class Real>
std::size_t time_of(const LstmProblem<Real>& p, std::size_t n, std::size_t s) {
  return p.reverse ? length_of(p, n) - 1 - s : s;
}

}  // namespace detail

template <class Real, class Activation>
LstmResult<Real> lstm_forward(const LstmProblem<Real>& p) {
  detail::require_consistent(p);
  const auto [T, N, I, H] = std::array{p.T, p.N, p.I, p.H};
  const std::vector<Real> bias = detail::or_zeros(p.bias, n_gates * H);

  LstmResult<Real> r{.y = std::vector<Real>(T * N * H),
                     .h_n = detail::or_zeros(p.h0, N * H),
                     .c_n = detail::or_zeros(p.c0, N * H),
                     .gates = std::vector<Real>(T * N * n_gates * H),
                     .c = std::vector<Real>(T * N * H)};

  for (std::size_t n = 0; n < N; ++n) {
    Real* h = &r.h_n[n * H];  // the running state of row n
    Real* c = &r.c_n[n * H];
    for (std::size_t s = 0; s < detail::length_of(p, n); ++s) {
      const std::size_t tn = detail::time_of(p, n, s) * N + n;
      Real* gates = &r.gates[tn * n_gates * H];

      // z = W_ih x + W_hh h + b
      for (std::size_t row = 0; row < n_gates * H; ++row) {
        Real z = bias[row];
        for (std::size_t k = 0; k < I; ++k) z += p.weight_ih[row * I + k] * p.x[tn * I + k];
        for (std::size_t k = 0; k < H; ++k) z += p.weight_hh[row * H + k] * h[k];
        gates[row] = row / H == g_ ? Activation::squash(z) : Activation::gate(z);
      }

      // c = f c + i g;  h = o squash(c)
      for (std::size_t j = 0; j < H; ++j) {
        c[j] = gates[f_ * H + j] * c[j] + gates[i_ * H + j] * gates[g_ * H + j];
        h[j] = gates[o_ * H + j] * Activation::squash(c[j]);
        r.c[tn * H + j] = c[j];
        r.y[tn * H + j] = h[j];
      }
    }
  }
  return r;
}

template <class Real, class Activation>
LstmGradients<Real> lstm_backward(const LstmProblem<Real>& p, const LstmResult<Real>& r, const std::vector<Real>& dy,
                                  const std::vector<Real>& dh_n, const std::vector<Real>& dc_n) {
  detail::require_consistent(p);
  const auto [T, N, I, H] = std::array{p.T, p.N, p.I, p.H};
  detail::require_size("dy", dy.size(), T * N * H, true);
  detail::require_size("dh_n", dh_n.size(), N * H, true);
  detail::require_size("dc_n", dc_n.size(), N * H, true);
  const std::vector<Real> h0 = detail::or_zeros(p.h0, N * H);
  const std::vector<Real> c0 = detail::or_zeros(p.c0, N * H);

  LstmGradients<Real> d{.x = std::vector<Real>(T * N * I),
                        .weight_ih = std::vector<Real>(n_gates * H * I),
                        .weight_hh = std::vector<Real>(n_gates * H * H),
                        .bias = std::vector<Real>(n_gates * H),
                        .h0 = detail::or_zeros(dh_n, N * H),
                        .c0 = detail::or_zeros(dc_n, N * H)};
  std::vector<Real> dz(n_gates * H);

  for (std::size_t n = 0; n < N; ++n) {
    Real* dh = &d.h0[n * H];  // running: the loss by h and c of the step at hand, through everything after it
    Real* dc = &d.c0[n * H];
    for (std::size_t s = detail::length_of(p, n); s-- > 0;) {
      const std::size_t tn = detail::time_of(p, n, s) * N + n;
      const Real* gates = &r.gates[tn * n_gates * H];
      const std::size_t tn_prev = s > 0 ? detail::time_of(p, n, s - 1) * N + n : 0;
      const Real* h_prev = s > 0 ? &r.y[tn_prev * H] : &h0[n * H];
      const Real* c_prev = s > 0 ? &r.c[tn_prev * H] : &c0[n * H];

      for (std::size_t j = 0; j < H; ++j) {
        const Real i = gates[i_ * H + j], f = gates[f_ * H + j], g = gates[g_ * H + j], o = gates[o_ * H + j];
        const Real squashed = Activation::squash(r.c[tn * H + j]);
        if (!dy.empty()) dh[j] += dy[tn * H + j];
        dc[j] += dh[j] * o * Activation::squash_derivative(squashed);

        dz[i_ * H + j] = dc[j] * g * Activation::gate_derivative(i);
        dz[f_ * H + j] = dc[j] * c_prev[j] * Activation::gate_derivative(f);
        dz[g_ * H + j] = dc[j] * i * Activation::squash_derivative(g);
        dz[o_ * H + j] = dh[j] * squashed * Activation::gate_derivative(o);
        dc[j] *= f;
        dh[j] = 0;
      }

      for (std::size_t row = 0; row < n_gates * H; ++row) {
        for (std::size_t k = 0; k < I; ++k) {
          d.x[tn * I + k] += p.weight_ih[row * I + k] * dz[row];
          d.weight_ih[row * I + k] += dz[row] * p.x[tn * I + k];
        }
        for (std::size_t k = 0; k < H; ++k) {
          dh[k] += p.weight_hh[row * H + k] * dz[row];
          d.weight_hh[row * H + k] += dz[row] * h_prev[k];
        }
        d.bias[row] += dz[row];
      }
    }
  }
  return d;
}

}  // namespace pylstm::reference
