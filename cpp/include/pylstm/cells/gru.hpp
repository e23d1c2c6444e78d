/// Gated recurrent unit (Cho et al. 2014).  Its reset gate scales the recurrent product ("reset after", as in cuDNN and
/// PyTorch), or, as first published, the state before the product ("reset before").
#pragma once

#include <array>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/activation.hpp"
#include "pylstm/cells/cell.hpp"

namespace pylstm::cells {

///   r, z = sigmoid(W x + U h_prev + b)
///   n = tanh(W x + b_i + r (U h_prev + b_h)),  h = (1 - z) n + z h_prev = n + z (h_prev - n)
template <class Activation = Saturating>
struct Gru {
  static constexpr std::size_t slots = 4;
  enum : std::size_t { r, z, n, hn };  ///< n: its input half, then n itself; hn: the recurrent half
  static constexpr std::array<std::size_t, 3> input_slots{r, z, n}, recurrent_slots{r, z, hn};
  static constexpr std::size_t unit_weights = 0;
  static constexpr std::array<std::size_t, 2> norm_ends{2, 3};  ///< r and z are normalised together, n alone
  static constexpr bool has_memory = false, has_shortcut = true, clips = false;
  using activation = Activation;

  template <class V>
  PYLSTM_INLINE static void forward(Forward<V, Gru>& a) {
    a.slot[r] = a.activation.gate(a.slot[r]);
    a.slot[z] = a.activation.gate(a.slot[z]);
    a.slot[n] = a.activation.squash(fma(a.slot[r], a.slot[hn], a.slot[n]));
    a.h = fma(a.slot[z], a.h_prev - a.slot[n], a.slot[n]);
  }

  template <class V>
  PYLSTM_INLINE static void backward(Backward<V, Gru>& a) {
    const V r_t = a.slot[r], z_t = a.slot[z], n_t = a.slot[n], hn_t = a.slot[hn];
    a.slot[n] = fnma(a.dh, z_t, a.dh) * a.activation.squash_derivative(n_t);
    a.slot[hn] = a.slot[n] * r_t;
    a.slot[r] = a.slot[n] * hn_t * a.activation.gate_derivative(r_t);
    a.slot[z] = a.dh * (a.h_prev - n_t) * a.activation.gate_derivative(z_t);
    a.dh_prev = a.dh * z_t;
  }
};

///   r, z = sigmoid(W x + U h_prev + b)
///   n = tanh(W x + U (r h_prev) + b),  h = (1 - z) n + z h_prev
///
/// A product lies between the two lines, forward and backward: kernels/reset.hpp.
template <class Activation = Saturating>
struct GruResetBefore {
  static constexpr std::size_t slots = 3;
  enum : std::size_t { r, z, n };
  static constexpr std::array<std::size_t, 3> input_slots{r, z, n};
  static constexpr std::array<std::size_t, 2> recurrent_slots{r, z};
  static constexpr std::array<std::size_t, 1> reset_slots{n};
  static constexpr std::size_t unit_weights = 0;
  static constexpr bool has_memory = false, has_shortcut = true, clips = false;
  using activation = Activation;

  /// The gates, and r h for the product with U.
  template <class V>
  PYLSTM_INLINE static void reset(Forward<V, GruResetBefore>& a) {
    a.slot[r] = a.activation.gate(a.slot[r]);
    a.slot[z] = a.activation.gate(a.slot[z]);
    a.h_reset = a.slot[r] * a.h_read;
  }
  template <class V>
  PYLSTM_INLINE static void forward(Forward<V, GruResetBefore>& a) {
    a.slot[n] = a.activation.squash(a.slot[n]);
    a.h = fma(a.slot[z], a.h_prev - a.slot[n], a.slot[n]);
  }

  template <class V>
  PYLSTM_INLINE static void backward(Backward<V, GruResetBefore>& a) {
    const V z_t = a.slot[z], n_t = a.slot[n];
    a.slot[n] = fnma(a.dh, z_t, a.dh) * a.activation.squash_derivative(n_t);
    a.slot[z] = a.dh * (a.h_prev - n_t) * a.activation.gate_derivative(z_t);
    a.dh_prev = a.dh * z_t;
  }
  /// From the gradient of r h to those of r's sum and of h.
  template <class V>
  PYLSTM_INLINE static void reset_backward(Backward<V, GruResetBefore>& a) {
    const V r_t = a.slot[r];
    a.slot[r] = a.dh_reset * a.h_read * a.activation.gate_derivative(r_t);
    a.dh_read = a.dh_reset * r_t;
  }
};

}  // namespace pylstm::cells
