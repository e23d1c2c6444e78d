/// One step of the LSTM and the GRU with layer normalisation in plain loops (Ba, Kiros & Hinton 2016, equations 20 to
/// 22; of the GRU, r and z are normalised together).  The products bring no bias: it is added after their
/// normalisation.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "pylstm/reference/step.hpp"

namespace pylstm::reference {

/// hat = (v - mean) / sqrt(variance + 1e-5) of `n` numbers; NaN where the variance overflows.
template <class Real>
struct Normalized {
  std::vector<Real> hat;
  Real scale;

  Normalized(const Real* v, std::size_t n) : hat(n) {
    Real mean = 0, variance = 0;
    for (std::size_t k = 0; k < n; ++k) mean += v[k] / static_cast<Real>(n);
    for (std::size_t k = 0; k < n; ++k) variance += (v[k] - mean) * (v[k] - mean) / static_cast<Real>(n);
    using std::sqrt;
    scale = Real(1) / sqrt(variance + Real(1e-5)) + (variance - variance);
    for (std::size_t k = 0; k < n; ++k) hat[k] = (v[k] - mean) * scale;
  }

  /// dv from the gradient of hat.
  void backward(const Real* dhat, Real* dv) const {
    const std::size_t n = hat.size();
    Real mean = 0, along = 0;
    for (std::size_t k = 0; k < n; ++k) {
      mean += dhat[k] / static_cast<Real>(n);
      along += dhat[k] * hat[k] / static_cast<Real>(n);
    }
    for (std::size_t k = 0; k < n; ++k) dv[k] = (dhat[k] - mean - hat[k] * along) * scale;
  }
};

/// gain * hat of one product, whose gates are normalised in groups that end at `ends`.
template <class Real>
struct NormalizedProduct {
  std::vector<Normalized<Real>> groups;
  std::vector<Real> hat, scaled;

  NormalizedProduct(const Real* z, const Real* gain, std::size_t H, const std::vector<std::size_t>& ends) {
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      groups.emplace_back(z + begin * H, (end - begin) * H);
      hat.insert(hat.end(), groups.back().hat.begin(), groups.back().hat.end());
      begin = end;
    }
    for (std::size_t k = 0; k < hat.size(); ++k) scaled.push_back(gain[k] * hat[k]);
  }

  /// dz and the gain's gradient from that of `scaled`.
  void backward(const std::vector<Real>& dscaled, const Real* gain, Real* dz, Real* dgain) const {
    std::vector<Real> dhat(hat.size());
    for (std::size_t k = 0; k < hat.size(); ++k) {
      dhat[k] = dscaled[k] * gain[k];
      dgain[k] += dscaled[k] * hat[k];
    }
    std::size_t begin = 0;
    for (const Normalized<Real>& group : groups) {
      group.backward(dhat.data() + begin, dz + begin);
      begin += group.hat.size();
    }
  }
};

struct LayerNormLstm {
  enum : std::size_t { i, f, g, o, gates_x, gates_h = gates_x, kept = 2 * gates_x, biases = gates_x };
  enum : std::size_t { gain_x = 0, gain_h = 4, gain_c = 8, bias_c, unit_weights };
  static constexpr bool has_memory = true;

  template <class Activation, class Real>
  static void forward(const Forward<Real>& a) {
    const std::size_t H = a.H;
    const Real* const w = a.unit_weights;
    const NormalizedProduct<Real> x(a.z_x, w + gain_x * H, H, {4}), h(a.z_h, w + gain_h * H, H, {4});
    const auto z = [&](std::size_t gate, std::size_t j) {
      return a.bias[gate * H + j] + x.scaled[gate * H + j] + h.scaled[gate * H + j];
    };
    for (std::size_t j = 0; j < H; ++j) {
      a.c[j] = Activation::gate(z(f, j)) * a.c_prev[j] + Activation::gate(z(i, j)) * Activation::squash(z(g, j));
    }
    const Normalized<Real> c(a.c, H);
    for (std::size_t j = 0; j < H; ++j) {
      a.h[j] = Activation::gate(z(o, j)) * Activation::squash(w[gain_c * H + j] * c.hat[j] + w[bias_c * H + j]);
    }
    for (std::size_t k = 0; k < gates_x * H; ++k) {
      a.gates[k] = a.z_x[k];
      a.gates[gates_x * H + k] = a.z_h[k];
    }
  }

  template <class Activation, class Real>
  static void backward(const Backward<Real>& a) {
    const std::size_t H = a.H;
    const Real* const w = a.unit_weights;
    const NormalizedProduct<Real> x(a.gates, w + gain_x * H, H, {4}), h(a.gates + gates_x * H, w + gain_h * H, H, {4});
    const Normalized<Real> c(a.c, H);
    const auto z = [&](std::size_t gate, std::size_t j) {
      return a.bias[gate * H + j] + x.scaled[gate * H + j] + h.scaled[gate * H + j];
    };
    std::vector<Real> dz(gates_x * H), dhat_c(H), dc(H);
    for (std::size_t j = 0; j < H; ++j) {
      const Real o_t = Activation::gate(z(o, j));
      const Real squashed = Activation::squash(w[gain_c * H + j] * c.hat[j] + w[bias_c * H + j]);
      const Real dnormalized = a.dh[j] * o_t * Activation::squash_derivative(squashed);
      a.dunit_weights[gain_c * H + j] += dnormalized * c.hat[j];
      a.dunit_weights[bias_c * H + j] += dnormalized;
      dhat_c[j] = dnormalized * w[gain_c * H + j];
      dz[o * H + j] = a.dh[j] * squashed * Activation::gate_derivative(o_t);
    }
    c.backward(dhat_c.data(), dc.data());
    for (std::size_t j = 0; j < H; ++j) {
      const Real i_t = Activation::gate(z(i, j)), f_t = Activation::gate(z(f, j)), g_t = Activation::squash(z(g, j));
      dc[j] += a.dc[j];
      dz[i * H + j] = dc[j] * g_t * Activation::gate_derivative(i_t);
      dz[f * H + j] = dc[j] * a.c_prev[j] * Activation::gate_derivative(f_t);
      dz[g * H + j] = dc[j] * i_t * Activation::squash_derivative(g_t);
      a.dc[j] = dc[j] * f_t;
      a.dh_prev[j] = 0;
    }
    for (std::size_t k = 0; k < gates_x * H; ++k) a.dbias[k] += dz[k];
    x.backward(dz, w + gain_x * H, a.dz_x, a.dunit_weights + gain_x * H);
    h.backward(dz, w + gain_h * H, a.dz_h, a.dunit_weights + gain_h * H);
  }
};

struct LayerNormGru {
  enum : std::size_t { r, z, n, gates_x, gates_h = gates_x, hn = gates_x, biases, kept = 2 * gates_x };
  enum : std::size_t { gain_x = 0, gain_h = 3, unit_weights = 6 };
  static constexpr bool has_memory = false;

  template <class Activation, class Real>
  static void forward(const Forward<Real>& a) {
    const std::size_t H = a.H;
    const NormalizedProduct<Real> x(a.z_x, a.unit_weights + gain_x * H, H, {2, 3}),
        h(a.z_h, a.unit_weights + gain_h * H, H, {2, 3});
    for (std::size_t j = 0; j < H; ++j) {
      const auto sum = [&](std::size_t gate) {
        return a.bias[gate * H + j] + x.scaled[gate * H + j] + h.scaled[gate * H + j];
      };
      const Real hn_t = a.bias[hn * H + j] + h.scaled[n * H + j];
      const Real r_t = Activation::gate(sum(r)), z_t = Activation::gate(sum(z));
      const Real n_t = Activation::squash(a.bias[n * H + j] + x.scaled[n * H + j] + r_t * hn_t);
      a.h[j] = (1 - z_t) * n_t + z_t * a.h_prev[j];
    }
    for (std::size_t k = 0; k < gates_x * H; ++k) {
      a.gates[k] = a.z_x[k];
      a.gates[gates_x * H + k] = a.z_h[k];
    }
  }

  template <class Activation, class Real>
  static void backward(const Backward<Real>& a) {
    const std::size_t H = a.H;
    const NormalizedProduct<Real> x(a.gates, a.unit_weights + gain_x * H, H, {2, 3}),
        h(a.gates + gates_x * H, a.unit_weights + gain_h * H, H, {2, 3});
    std::vector<Real> dx(gates_x * H), dh(gates_x * H);
    for (std::size_t j = 0; j < H; ++j) {
      const auto sum = [&](std::size_t gate) {
        return a.bias[gate * H + j] + x.scaled[gate * H + j] + h.scaled[gate * H + j];
      };
      const Real hn_t = a.bias[hn * H + j] + h.scaled[n * H + j];
      const Real r_t = Activation::gate(sum(r)), z_t = Activation::gate(sum(z));
      const Real n_t = Activation::squash(a.bias[n * H + j] + x.scaled[n * H + j] + r_t * hn_t);
      dx[n * H + j] = a.dh[j] * (1 - z_t) * Activation::squash_derivative(n_t);
      dh[n * H + j] = dx[n * H + j] * r_t;
      dx[r * H + j] = dh[r * H + j] = dx[n * H + j] * hn_t * Activation::gate_derivative(r_t);
      dx[z * H + j] = dh[z * H + j] = a.dh[j] * (a.h_prev[j] - n_t) * Activation::gate_derivative(z_t);
      a.dh_prev[j] = a.dh[j] * z_t;
      for (const std::size_t gate : {r, z, n}) a.dbias[gate * H + j] += dx[gate * H + j];
      a.dbias[hn * H + j] += dh[n * H + j];
    }
    x.backward(dx, a.unit_weights + gain_x * H, a.dz_x, a.dunit_weights + gain_x * H);
    h.backward(dh, a.unit_weights + gain_h * H, a.dz_h, a.dunit_weights + gain_h * H);
  }
};

}  // namespace pylstm::reference
