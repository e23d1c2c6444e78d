/// One step of the simple recurrent network in plain loops (Elman 1990).
#pragma once

#include <cstddef>

#include "pylstm/reference/step.hpp"

namespace pylstm::reference {

/// h = f(z).
template <bool relu>
struct Rnn {
  enum : std::size_t { gates_x = 1, gates_h = 1, kept = 1, biases = 1, unit_weights = 0 };
  static constexpr bool has_memory = false;

  template <class Activation, class Real>
  static void forward(const Forward<Real>& a) {
    for (std::size_t j = 0; j < a.H; ++j) {
      const Real z = a.bias[j] + a.z_x[j] + a.z_h[j];
      a.h[j] = a.gates[j] = !relu ? Activation::squash(z) : z > 0 ? z : Real(0);
    }
  }

  template <class Activation, class Real>
  static void backward(const Backward<Real>& a) {
    for (std::size_t j = 0; j < a.H; ++j) {
      const Real h = a.gates[j];
      const Real derivative = !relu ? Activation::squash_derivative(h) : Real(h > 0 ? 1 : 0);
      a.dz_x[j] = a.dz_h[j] = a.dh[j] * derivative;
      a.dh_prev[j] = 0;
      a.dbias[j] += a.dz_x[j];
    }
  }
};

}  // namespace pylstm::reference
