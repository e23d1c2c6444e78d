/// A recurrent layer over a batch of sequences in plain loops, forward and backward, for every cell.
///
/// Backward: back-propagation through time, Werbos 1990.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/reference/activation.hpp"
#include "pylstm/reference/gru.hpp"
#include "pylstm/reference/layer_norm.hpp"
#include "pylstm/reference/lstm.hpp"
#include "pylstm/reference/rnn.hpp"
#include "pylstm/reference/step.hpp"

namespace pylstm::reference {

enum class Cell { lstm, coupled_lstm, gru, gru_reset_before, rnn_tanh, rnn_relu, layer_norm_lstm, layer_norm_gru };

/// Sizes that follow from the cell, in rows of H: of weight_ih, weight_hh, bias and bias_recurrent together,
/// unit_weights, gates.
struct CellShape {
  std::size_t gates_x, gates_h, biases, unit_weights, kept;
  bool has_memory;
  std::size_t recurrent_bias() const { return biases - gates_x; }
};

template <class C>
constexpr CellShape shape_of() {
  return {C::gates_x, C::gates_h, C::biases, C::unit_weights, C::kept, C::has_memory};
}

/// Calls visit(cell's type).
template <class Visit>
auto dispatch(Cell cell, Visit visit) {
  switch (cell) {
    case Cell::lstm:
      return visit(Lstm{});
    case Cell::coupled_lstm:
      return visit(CoupledLstm{});
    case Cell::gru:
      return visit(Gru{});
    case Cell::gru_reset_before:
      return visit(GruResetBefore{});
    case Cell::rnn_tanh:
      return visit(Rnn<false>{});
    case Cell::rnn_relu:
      return visit(Rnn<true>{});
    case Cell::layer_norm_lstm:
      return visit(LayerNormLstm{});
    default:
      return visit(LayerNormGru{});
  }
}

inline CellShape shape_of(Cell cell) {
  return dispatch(cell, []<class C>(C) { return shape_of<C>(); });
}

/// One layer and its input.  T steps, N rows, I inputs, H hidden units; every array is C-ordered; empty: zeros.  With P
/// > 0 the units' outputs are projected to P elements (Sak, Senior & Beaufays 2014): h is W elements wide, W = P or
/// else H.
template <class Real>
struct Problem {
  Cell cell = Cell::lstm;
  std::size_t T = 0, N = 0, I = 0, H = 0, P = 0;
  std::vector<Real> x = {};               ///< [T][N][I]
  std::vector<Real> weight_ih = {};       ///< [gates_x H][I]
  std::vector<Real> weight_hh = {};       ///< [gates_h H][W]
  std::vector<Real> weight_hr = {};       ///< [P][H]
  std::vector<Real> bias = {};            ///< [gates_x H]
  std::vector<Real> bias_recurrent = {};  ///< [H]: of the GRU's recurrent half of n
  std::vector<Real> unit_weights = {};    ///< [unit weights H]: peepholes; gains of x, of h, then gain and bias of c
  Real clip = std::numeric_limits<Real>::infinity();  ///< bound of |c|
  std::vector<Real> h0 = {}, c0 = {};                 ///< [N][W], [N][H]
  /// [N], each in [0, T]; empty: all T.  Row n consists of its steps 0 .. lengths[n] - 1, the others are padding.
  std::vector<std::size_t> lengths = {};
  bool reverse = false;                        ///< run each row from its last real step to its first
  std::vector<Real> dropout = {};              ///< [N][W]: factors of h where the recurrent product reads it
  std::vector<Real> hold_h = {}, hold_c = {};  ///< [T][N][H]: shares of the states before that a step keeps

  std::size_t width() const { return P > 0 ? P : H; }
};

/// Everything is stored at the time of the x it belongs to, forward or reverse; padding is 0.
template <class Real>
struct Result {
  std::vector<Real> y;         ///< [T][N][W]: h of every step
  std::vector<Real> h_n, c_n;  ///< [N][W], [N][H]: after the last step taken; h0 and c0 of a row without steps
  std::vector<Real> gates;     ///< [T][N][kept H]
  std::vector<Real> c, m;      ///< [T][N][H]; m: the outputs of the units, before a projection
  std::vector<Real> c_new;     ///< [T][N][H]: c before it is held
};

/// Derivatives of the loss, each with the shape of the array in Problem it is named after.
template <class Real>
struct Gradients {
  std::vector<Real> x, weight_ih, weight_hh, weight_hr, bias, bias_recurrent, unit_weights, h0, c0;
};

namespace detail {

inline void require_size(const char* name, std::size_t got, std::size_t expected, bool may_be_empty) {
  require(got == expected || (may_be_empty && got == 0), name, " has ", got, " elements, expected ", expected);
}

template <class Real>
void require_consistent(const Problem<Real>& p) {
  const CellShape s = shape_of(p.cell);
  require_size("x", p.x.size(), p.T * p.N * p.I, false);
  require_size("weight_ih", p.weight_ih.size(), s.gates_x * p.H * p.I, false);
  require_size("weight_hh", p.weight_hh.size(), s.gates_h * p.H * p.width(), false);
  require_size("weight_hr", p.weight_hr.size(), p.P * p.H, false);
  require_size("bias", p.bias.size(), s.gates_x * p.H, true);
  require_size("bias_recurrent", p.bias_recurrent.size(), s.recurrent_bias() * p.H, true);
  require_size("unit_weights", p.unit_weights.size(), s.unit_weights * p.H, true);
  require_size("h0", p.h0.size(), p.N * p.width(), true);
  require_size("c0", p.c0.size(), p.N * p.H, true);
  require_size("dropout", p.dropout.size(), p.N * p.width(), true);
  require_size("hold_h", p.hold_h.size(), p.T * p.N * p.H, true);
  require_size("hold_c", p.hold_c.size(), p.T * p.N * p.H, true);
  require_size("lengths", p.lengths.size(), p.N, true);
  for (const std::size_t length : p.lengths)
    require(length <= p.T, "lengths has ", length, ", expected at most T = ", p.T);
}

template <class Real>
std::vector<Real> or_zeros(const std::vector<Real>& v, std::size_t size) {
  return v.empty() ? std::vector<Real>(size) : v;
}

template <class Real>
std::size_t length_of(const Problem<Real>& p, std::size_t n) {
  return p.lengths.empty() ? p.T : p.lengths[n];
}

/// The time of the s-th step that row n takes.
template <class Real>
std::size_t time_of(const Problem<Real>& p, std::size_t n, std::size_t s) {
  return p.reverse ? length_of(p, n) - 1 - s : s;
}

/// 1 - k.
template <class Real>
Real complement(Real k) {
  return Real(1) - k;
}

/// v[k] factor[k]; no factors: v.
template <class Real>
std::vector<Real> scaled(const Real* v, const std::vector<Real>& factors, std::size_t n, std::size_t width) {
  std::vector<Real> w(v, v + width);
  for (std::size_t k = 0; k < width && !factors.empty(); ++k) w[k] = w[k] * factors[n * width + k];
  return w;
}

/// state = k before + (1 - k) state (Krueger et al. 2017); no shares: state.
template <class Real>
void hold(const std::vector<Real>& shares, std::size_t first, const std::vector<Real>& before, Real* state) {
  for (std::size_t j = 0; j < before.size() && !shares.empty(); ++j) {
    const Real k = shares[first + j];
    state[j] = k * before[j] + complement(k) * state[j];
  }
}

/// z = W v, from row `first` on.
template <class Real>
void product(const std::vector<Real>& weight, const Real* v, std::size_t columns, std::vector<Real>& z,
             std::size_t first = 0) {
  for (std::size_t row = first; row < z.size(); ++row) {
    Real sum = 0;
    for (std::size_t k = 0; k < columns; ++k) sum += weight[row * columns + k] * v[k];
    z[row] = sum;
  }
}

/// dv += W^T dz;  dW += dz v^T, rows [first, end).
template <class Real>
void product_backward(const std::vector<Real>& dz, const std::vector<Real>& weight, const Real* v, std::size_t columns,
                      Real* dv, std::vector<Real>& dweight, std::size_t first, std::size_t end) {
  for (std::size_t row = first; row < end; ++row) {
    for (std::size_t k = 0; k < columns; ++k) {
      dv[k] += weight[row * columns + k] * dz[row];
      dweight[row * columns + k] += dz[row] * v[k];
    }
  }
}

template <class Real>
void product_backward(const std::vector<Real>& dz, const std::vector<Real>& weight, const Real* v, std::size_t columns,
                      Real* dv, std::vector<Real>& dweight) {
  product_backward(dz, weight, v, columns, dv, dweight, 0, dz.size());
}

/// bias, then bias_recurrent.
template <class Real>
std::vector<Real> all_biases(const Problem<Real>& p, const CellShape& s) {
  std::vector<Real> all(s.biases * p.H);
  std::copy(p.bias.begin(), p.bias.end(), all.begin());
  std::copy(p.bias_recurrent.begin(), p.bias_recurrent.end(),
            all.begin() + static_cast<std::ptrdiff_t>(s.gates_x * p.H));
  return all;
}

}  // namespace detail

template <class Real, class Activation = Saturating>
Result<Real> forward(const Problem<Real>& p) {
  detail::require_consistent(p);
  const CellShape shape = shape_of(p.cell);
  const std::size_t T = p.T, N = p.N, I = p.I, H = p.H, W = p.width();
  const std::vector<Real> bias = detail::all_biases(p, shape),
                          unit_weights = detail::or_zeros(p.unit_weights, shape.unit_weights * H);

  Result<Real> r{.y = std::vector<Real>(T * N * W),
                 .h_n = detail::or_zeros(p.h0, N * W),
                 .c_n = detail::or_zeros(p.c0, N * H),
                 .gates = std::vector<Real>(T * N * shape.kept * H),
                 .c = std::vector<Real>(T * N * H),
                 .m = std::vector<Real>(T * N * H),
                 .c_new = std::vector<Real>(T * N * H)};
  std::vector<Real> z_x(shape.gates_x * H), z_h(shape.gates_h * H), h_prev(W), c_prev(H), projected(p.P);

  for (std::size_t n = 0; n < N; ++n) {
    Real* h = &r.h_n[n * W];  // the running state of row n
    Real* c = &r.c_n[n * H];
    for (std::size_t s = 0; s < detail::length_of(p, n); ++s) {
      const std::size_t tn = detail::time_of(p, n, s) * N + n;
      h_prev.assign(h, h + W);
      c_prev.assign(c, c + H);
      detail::product(p.weight_ih, &p.x[tn * I], I, z_x);
      std::vector<Real> h_read = detail::scaled(h_prev.data(), p.dropout, n, W);
      detail::product(p.weight_hh, h_read.data(), W, z_h);
      dispatch(p.cell, [&]<class C>(C) {
        const Forward<Real> step{.H = H,
                                 .z_x = z_x.data(),
                                 .z_h = z_h.data(),
                                 .bias = bias.data(),
                                 .h_prev = h_prev.data(),
                                 .c_prev = c_prev.data(),
                                 .unit_weights = unit_weights.data(),
                                 .clip = p.clip,
                                 .gates = &r.gates[tn * shape.kept * H],
                                 .h = &r.m[tn * H],
                                 .c = c};
        if constexpr (std::is_same_v<C, GruResetBefore>) {
          for (std::size_t j = 0; j < H; ++j) h_read[j] = h_read[j] * C::template reset<Activation>(step, j);
          detail::product(p.weight_hh, h_read.data(), W, z_h, C::n * H);
        }
        C::template forward<Activation>(step);
      });
      // h = W_hr m, or m
      if (p.P > 0) detail::product(p.weight_hr, &r.m[tn * H], H, projected);
      std::copy_n(p.P > 0 ? projected.data() : &r.m[tn * H], W, h);
      std::copy_n(c, H, &r.c_new[tn * H]);
      if (p.P == 0) detail::hold(p.hold_h, tn * H, h_prev, h);
      detail::hold(p.hold_c, tn * H, c_prev, c);
      std::copy_n(h, W, &r.y[tn * W]);
      std::copy_n(c, H, &r.c[tn * H]);
    }
  }
  return r;
}

/// dy [T][N][W], dh_n [N][W] and dc_n [N][H] are the derivatives of the loss with respect to the result; empty: zeros.
template <class Real, class Activation = Saturating>
Gradients<Real> backward(const Problem<Real>& p, const Result<Real>& r, const std::vector<Real>& dy,
                         const std::vector<Real>& dh_n, const std::vector<Real>& dc_n) {
  detail::require_consistent(p);
  const CellShape shape = shape_of(p.cell);
  const std::size_t T = p.T, N = p.N, I = p.I, H = p.H, W = p.width();
  detail::require_size("dy", dy.size(), T * N * W, true);
  detail::require_size("dh_n", dh_n.size(), N * W, true);
  detail::require_size("dc_n", dc_n.size(), N * H, true);
  const std::vector<Real> h0 = detail::or_zeros(p.h0, N * W), c0 = detail::or_zeros(p.c0, N * H),
                          bias = detail::all_biases(p, shape),
                          unit_weights = detail::or_zeros(p.unit_weights, shape.unit_weights * H);

  Gradients<Real> d{.x = std::vector<Real>(T * N * I),
                    .weight_ih = std::vector<Real>(shape.gates_x * H * I),
                    .weight_hh = std::vector<Real>(shape.gates_h * H * W),
                    .weight_hr = std::vector<Real>(p.P * H),
                    .bias = std::vector<Real>(shape.gates_x * H),
                    .bias_recurrent = std::vector<Real>(shape.recurrent_bias() * H),
                    .unit_weights = std::vector<Real>(shape.unit_weights * H),
                    .h0 = detail::or_zeros(dh_n, N * W),
                    .c0 = detail::or_zeros(dc_n, N * H)};
  std::vector<Real> dz_x(shape.gates_x * H), dz_h(shape.gates_h * H), dm(H), dm_prev(H), dbias(shape.biases * H);
  std::vector<Real> held_h(H), held_c(H), dproduct(W);

  for (std::size_t n = 0; n < N; ++n) {
    Real* dh = &d.h0[n * W];  // running: the loss by h and c of the step at hand, through everything after it
    Real* dc = &d.c0[n * H];
    for (std::size_t s = detail::length_of(p, n); s-- > 0;) {
      const std::size_t tn = detail::time_of(p, n, s) * N + n;
      const std::size_t tn_prev = s > 0 ? detail::time_of(p, n, s - 1) * N + n : 0;
      const Real* h_prev = s > 0 ? &r.y[tn_prev * W] : &h0[n * W];
      const Real* c_prev = s > 0 ? &r.c[tn_prev * H] : &c0[n * H];
      for (std::size_t j = 0; j < W && !dy.empty(); ++j) dh[j] += dy[tn * W + j];
      if (p.P > 0) {
        dm.assign(H, Real(0));
        detail::product_backward({dh, dh + W}, p.weight_hr, &r.m[tn * H], H, dm.data(), d.weight_hr);
      } else {
        dm.assign(dh, dh + H);
      }
      for (std::size_t j = 0; j < H; ++j) {  // the states' gradients go their two ways
        const Real k_h = p.hold_h.empty() ? Real(0) : p.hold_h[tn * H + j];
        const Real k_c = p.hold_c.empty() ? Real(0) : p.hold_c[tn * H + j];
        held_h[j] = k_h * dm[j];
        held_c[j] = k_c * dc[j];
        dm[j] = detail::complement(k_h) * dm[j];
        dc[j] = detail::complement(k_c) * dc[j];
      }
      const std::vector<Real> h_read = detail::scaled(h_prev, p.dropout, n, W);
      std::size_t of_h = shape.gates_h * H;  // rows of weight_hh whose product is of h_read itself
      dproduct.assign(W, Real(0));
      dispatch(p.cell, [&]<class C>(C) {
        const Backward<Real> step{.H = H,
                                  .gates = &r.gates[tn * shape.kept * H],
                                  .h_prev = h_prev,
                                  .c_prev = c_prev,
                                  .c = &r.c_new[tn * H],
                                  .bias = bias.data(),
                                  .unit_weights = unit_weights.data(),
                                  .clip = p.clip,
                                  .dh = dm.data(),
                                  .dz_x = dz_x.data(),
                                  .dz_h = dz_h.data(),
                                  .dh_prev = dm_prev.data(),
                                  .dc = dc,
                                  .dbias = dbias.data(),
                                  .dunit_weights = d.unit_weights.data()};
        C::template backward<Activation>(step);
        if constexpr (std::is_same_v<C, GruResetBefore>) {
          of_h = C::n * H;
          std::vector<Real> reset(H), dreset(H);
          for (std::size_t j = 0; j < H; ++j) reset[j] = step.gates[C::r * H + j] * h_read[j];
          detail::product_backward(dz_h, p.weight_hh, reset.data(), W, dreset.data(), d.weight_hh, of_h, dz_h.size());
          for (std::size_t j = 0; j < H; ++j) {
            C::template reset_backward<Activation>(step, h_read.data(), dreset[j], j);
            dproduct[j] = dreset[j] * step.gates[C::r * H + j];
          }
        }
      });
      for (std::size_t j = 0; j < H; ++j) dc[j] += held_c[j];
      detail::product_backward(dz_x, p.weight_ih, &p.x[tn * I], I, &d.x[tn * I], d.weight_ih);
      detail::product_backward(dz_h, p.weight_hh, h_read.data(), W, dproduct.data(), d.weight_hh, 0, of_h);
      dproduct = detail::scaled(dproduct.data(), p.dropout, n, W);
      for (std::size_t j = 0; j < W; ++j) dh[j] = dproduct[j] + (p.P > 0 ? Real(0) : dm_prev[j] + held_h[j]);
    }
  }
  const auto end_of_x = dbias.begin() + static_cast<std::ptrdiff_t>(shape.gates_x * H);
  d.bias.assign(dbias.begin(), end_of_x);
  d.bias_recurrent.assign(end_of_x, dbias.end());
  return d;
}

}  // namespace pylstm::reference
