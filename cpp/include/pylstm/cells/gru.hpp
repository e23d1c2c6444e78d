/// Gated recurrent unit (Cho et al. 2014), in the variant whose reset gate scales the recurrent product: "reset after",
/// as in cuDNN and PyTorch.
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

  template <class V>
  PYLSTM_INLINE static void forward(Forward<V, Gru>& a) {
    a.slot[r] = Activation::gate(a.slot[r]);
    a.slot[z] = Activation::gate(a.slot[z]);
    a.slot[n] = Activation::squash(fma(a.slot[r], a.slot[hn], a.slot[n]));
    a.h = fma(a.slot[z], a.h_prev - a.slot[n], a.slot[n]);
  }

  template <class V>
  PYLSTM_INLINE static void backward(Backward<V, Gru>& a) {
    const V r_t = a.slot[r], z_t = a.slot[z], n_t = a.slot[n], hn_t = a.slot[hn];
    a.slot[n] = fnma(a.dh, z_t, a.dh) * Activation::squash_derivative(n_t);
    a.slot[hn] = a.slot[n] * r_t;
    a.slot[r] = a.slot[n] * hn_t * Activation::gate_derivative(r_t);
    a.slot[z] = a.dh * (a.h_prev - n_t) * Activation::gate_derivative(z_t);
    a.dh_prev = a.dh * z_t;
  }
};

}  // namespace pylstm::cells
