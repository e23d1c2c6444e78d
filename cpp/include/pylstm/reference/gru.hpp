/// One step of the gated recurrent unit in plain loops.  Cho et al. 2014: the reset gate after the product (cuDNN), or
/// before it.
#pragma once

#include <cstddef>

#include "pylstm/reference/step.hpp"

namespace pylstm::reference {

struct Gru {
  /// hn: the recurrent half of n, kept for the gradient of r.
  enum : std::size_t { r, z, n, gates_x, gates_h = gates_x, hn = gates_x, kept, biases = kept, unit_weights = 0 };
  static constexpr bool has_memory = false;

  template <class Activation, class Real>
  static void forward(const Forward<Real>& a) {
    const std::size_t H = a.H;
    for (std::size_t j = 0; j < H; ++j) {
      const Real r_t = Activation::gate(a.bias[r * H + j] + a.z_x[r * H + j] + a.z_h[r * H + j]);
      const Real z_t = Activation::gate(a.bias[z * H + j] + a.z_x[z * H + j] + a.z_h[z * H + j]);
      const Real hn_t = a.bias[hn * H + j] + a.z_h[n * H + j];
      const Real n_t = Activation::squash(a.bias[n * H + j] + a.z_x[n * H + j] + r_t * hn_t);
      a.h[j] = (1 - z_t) * n_t + z_t * a.h_prev[j];
      a.gates[r * H + j] = r_t;
      a.gates[z * H + j] = z_t;
      a.gates[n * H + j] = n_t;
      a.gates[hn * H + j] = hn_t;
    }
  }

  template <class Activation, class Real>
  static void backward(const Backward<Real>& a) {
    const std::size_t H = a.H;
    for (std::size_t j = 0; j < H; ++j) {
      const Real r_t = a.gates[r * H + j], z_t = a.gates[z * H + j], n_t = a.gates[n * H + j];
      const Real dz_n = a.dh[j] * (1 - z_t) * Activation::squash_derivative(n_t);
      const Real dz_r = dz_n * a.gates[hn * H + j] * Activation::gate_derivative(r_t);
      const Real dz_z = a.dh[j] * (a.h_prev[j] - n_t) * Activation::gate_derivative(z_t);
      a.dz_x[r * H + j] = a.dz_h[r * H + j] = dz_r;
      a.dz_x[z * H + j] = a.dz_h[z * H + j] = dz_z;
      a.dz_x[n * H + j] = dz_n;
      a.dz_h[n * H + j] = dz_n * r_t;
      a.dh_prev[j] = a.dh[j] * z_t;
      a.dbias[r * H + j] += dz_r;
      a.dbias[z * H + j] += dz_z;
      a.dbias[n * H + j] += dz_n;
      a.dbias[hn * H + j] += dz_n * r_t;
    }
  }
};

/// The product of n is that of r h: the layer asks for `reset` before it, and for `reset_backward` after the way back
/// through it.
struct GruResetBefore {
  enum : std::size_t { r, z, n, gates_x, gates_h = gates_x, kept = gates_x, biases = gates_x, unit_weights = 0 };
  static constexpr bool has_memory = false;

  template <class Activation, class Real>
  static Real reset(const Forward<Real>& a, std::size_t j) {
    return Activation::gate(a.bias[r * a.H + j] + a.z_x[r * a.H + j] + a.z_h[r * a.H + j]);
  }

  template <class Activation, class Real>
  static void forward(const Forward<Real>& a) {
    const std::size_t H = a.H;
    for (std::size_t j = 0; j < H; ++j) {
      const Real z_t = Activation::gate(a.bias[z * H + j] + a.z_x[z * H + j] + a.z_h[z * H + j]);
      const Real n_t = Activation::squash(a.bias[n * H + j] + a.z_x[n * H + j] + a.z_h[n * H + j]);
      a.h[j] = (1 - z_t) * n_t + z_t * a.h_prev[j];
      a.gates[r * H + j] = reset<Activation>(a, j);
      a.gates[z * H + j] = z_t;
      a.gates[n * H + j] = n_t;
    }
  }

  template <class Activation, class Real>
  static void backward(const Backward<Real>& a) {
    const std::size_t H = a.H;
    for (std::size_t j = 0; j < H; ++j) {
      const Real z_t = a.gates[z * H + j], n_t = a.gates[n * H + j];
      const Real dz_n = a.dh[j] * (1 - z_t) * Activation::squash_derivative(n_t);
      const Real dz_z = a.dh[j] * (a.h_prev[j] - n_t) * Activation::gate_derivative(z_t);
      a.dz_x[z * H + j] = a.dz_h[z * H + j] = dz_z;
      a.dz_x[n * H + j] = a.dz_h[n * H + j] = dz_n;
      a.dh_prev[j] = a.dh[j] * z_t;
      a.dbias[z * H + j] += dz_z;
      a.dbias[n * H + j] += dz_n;
    }
  }

  /// `dreset`: of r h.
  template <class Activation, class Real>
  static void reset_backward(const Backward<Real>& a, const Real* h_read, Real dreset, std::size_t j) {
    const Real dz_r = dreset * h_read[j] * Activation::gate_derivative(a.gates[r * a.H + j]);
    a.dz_x[r * a.H + j] = a.dz_h[r * a.H + j] = dz_r;
    a.dbias[r * a.H + j] += dz_r;
  }
};

}  // namespace pylstm::reference
