/// One step of the LSTM in plain loops: the specification that every fast kernel is tested against.
///
/// Equations: Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000; peepholes: Gers,
/// Schraudolph & Schmidhuber 2002; clipping of the cell state: Sak, Senior & Beaufays 2014; coupled gates: Greff et al.
/// 2017.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "pylstm/reference/activation.hpp"
#include "pylstm/reference/step.hpp"

namespace pylstm::reference {

template <class Real>
Real clipped(Real c, Real bound) {
  return std::min(bound, std::max(-bound, c));
}

struct Lstm {
  enum : std::size_t { i, f, g, o, gates_x, gates_h = gates_x, kept = gates_x, biases = gates_x, unit_weights = 3 };
  static constexpr bool has_memory = true;

  template <class Activation, class Real>
  static void forward(const Forward<Real>& a) {
    const std::size_t H = a.H;
    for (std::size_t j = 0; j < H; ++j) {
      const auto z = [&](std::size_t gate) { return a.bias[gate * H + j] + a.z_x[gate * H + j] + a.z_h[gate * H + j]; };
      const auto p = [&](std::size_t index) { return a.unit_weights[index * H + j]; };
      const Real i_t = Activation::gate(z(i) + p(0) * a.c_prev[j]);
      const Real f_t = Activation::gate(z(f) + p(1) * a.c_prev[j]);
      const Real g_t = Activation::squash(z(g));
      const Real c = clipped(f_t * a.c_prev[j] + i_t * g_t, a.clip);
      const Real o_t = Activation::gate(z(o) + p(2) * c);
      a.c[j] = c;
      a.h[j] = o_t * Activation::squash(c);
      a.gates[i * H + j] = i_t;
      a.gates[f * H + j] = f_t;
      a.gates[g * H + j] = g_t;
      a.gates[o * H + j] = o_t;
    }
  }

  template <class Activation, class Real>
  static void backward(const Backward<Real>& a) {
    using std::abs;
    const std::size_t H = a.H;
    for (std::size_t j = 0; j < H; ++j) {
      const Real i_t = a.gates[i * H + j], f_t = a.gates[f * H + j], g_t = a.gates[g * H + j], o_t = a.gates[o * H + j];
      const auto p = [&](std::size_t index) { return a.unit_weights[index * H + j]; };
      const Real squashed = Activation::squash(a.c[j]);
      const Real dz_o = a.dh[j] * squashed * Activation::gate_derivative(o_t);
      Real dc = a.dc[j] + a.dh[j] * o_t * Activation::squash_derivative(squashed) + p(2) * dz_o;
      if (!(abs(a.c[j]) < a.clip)) dc = 0;
      const Real dz_i = dc * g_t * Activation::gate_derivative(i_t);
      const Real dz_f = dc * a.c_prev[j] * Activation::gate_derivative(f_t);
      const Real dz_g = dc * i_t * Activation::squash_derivative(g_t);
      a.dc[j] = dc * f_t + p(0) * dz_i + p(1) * dz_f;
      a.dh_prev[j] = 0;
      a.dunit_weights[0 * H + j] += dz_i * a.c_prev[j];
      a.dunit_weights[1 * H + j] += dz_f * a.c_prev[j];
      a.dunit_weights[2 * H + j] += dz_o * a.c[j];
      const Real dz[] = {dz_i, dz_f, dz_g, dz_o};
      for (std::size_t gate = 0; gate < gates_x; ++gate) {
        a.dz_x[gate * H + j] = a.dz_h[gate * H + j] = dz[gate];
        a.dbias[gate * H + j] += dz[gate];
      }
    }
  }
};

/// The forget gate is 1 - i.
struct CoupledLstm {
  enum : std::size_t { i, g, o, gates_x, gates_h = gates_x, kept = gates_x, biases = gates_x, unit_weights = 2 };
  static constexpr bool has_memory = true;

  template <class Activation, class Real>
  static void forward(const Forward<Real>& a) {
    const std::size_t H = a.H;
    for (std::size_t j = 0; j < H; ++j) {
      const auto z = [&](std::size_t gate) { return a.bias[gate * H + j] + a.z_x[gate * H + j] + a.z_h[gate * H + j]; };
      const Real i_t = Activation::gate(z(i) + a.unit_weights[j] * a.c_prev[j]);
      const Real g_t = Activation::squash(z(g));
      const Real c = clipped((1 - i_t) * a.c_prev[j] + i_t * g_t, a.clip);
      const Real o_t = Activation::gate(z(o) + a.unit_weights[H + j] * c);
      a.c[j] = c;
      a.h[j] = o_t * Activation::squash(c);
      a.gates[i * H + j] = i_t;
      a.gates[g * H + j] = g_t;
      a.gates[o * H + j] = o_t;
    }
  }

  template <class Activation, class Real>
  static void backward(const Backward<Real>& a) {
    using std::abs;
    const std::size_t H = a.H;
    for (std::size_t j = 0; j < H; ++j) {
      const Real i_t = a.gates[i * H + j], g_t = a.gates[g * H + j], o_t = a.gates[o * H + j];
      const Real squashed = Activation::squash(a.c[j]);
      const Real dz_o = a.dh[j] * squashed * Activation::gate_derivative(o_t);
      Real dc = a.dc[j] + a.dh[j] * o_t * Activation::squash_derivative(squashed) + a.unit_weights[H + j] * dz_o;
      if (!(abs(a.c[j]) < a.clip)) dc = 0;
      const Real dz_i = dc * (g_t - a.c_prev[j]) * Activation::gate_derivative(i_t);
      const Real dz_g = dc * i_t * Activation::squash_derivative(g_t);
      a.dc[j] = dc * (1 - i_t) + a.unit_weights[j] * dz_i;
      a.dh_prev[j] = 0;
      a.dunit_weights[j] += dz_i * a.c_prev[j];
      a.dunit_weights[H + j] += dz_o * a.c[j];
      const Real dz[] = {dz_i, dz_g, dz_o};
      for (std::size_t gate = 0; gate < gates_x; ++gate) {
        a.dz_x[gate * H + j] = a.dz_h[gate * H + j] = dz[gate];
        a.dbias[gate * H + j] += dz[gate];
      }
    }
  }
};

}  // namespace pylstm::reference
