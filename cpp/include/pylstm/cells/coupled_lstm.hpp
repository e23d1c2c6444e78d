/// LSTM with a coupled input and forget gate: what is written displaces as much (Greff et al. 2017, CIFG).
#pragma once

#include <array>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/activation.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/cells/lstm.hpp"

namespace pylstm::cells {

///   i = sigmoid(W x + U h_prev + p c_prev + b),  g = tanh(W x + U h_prev + b)
///   c = (1 - i) c_prev + i g = c_prev + i (g - c_prev)
///   o = sigmoid(W x + U h_prev + p c + b),       h = o tanh(c)
template <class Activation = Saturating, LstmOptions options = LstmOptions{}>
struct CoupledLstm {
  static constexpr std::size_t slots = 3;
  static constexpr std::array<std::size_t, 3> input_slots{0, 1, 2}, recurrent_slots{0, 1, 2};
  static constexpr bool has_memory = true, has_shortcut = false, clips = options.clips;
  using activation = Activation;
  enum : std::size_t { i, g, o };
  static constexpr std::size_t unit_weights = options.peepholes ? 2 : 0;
  enum : std::size_t { p_i, p_o };

  template <class V>
  PYLSTM_INLINE static void forward(Forward<V, CoupledLstm>& a) {
    if constexpr (options.peepholes) a.slot[i] = fma(a.weight[p_i], a.c_prev, a.slot[i]);
    a.slot[i] = a.activation.gate(a.slot[i]);
    a.slot[g] = a.activation.squash(a.slot[g]);
    a.c = fma(a.slot[i], a.slot[g] - a.c_prev, a.c_prev);
    if constexpr (clips) a.c = clip(a.c, a.clip);
    if constexpr (options.peepholes) a.slot[o] = fma(a.weight[p_o], a.c, a.slot[o]);
    a.slot[o] = a.activation.gate(a.slot[o]);
    a.h = a.slot[o] * a.activation.output(a.c);
  }

  template <class V>
  PYLSTM_INLINE static void backward(Backward<V, CoupledLstm>& a) {
    const V i_t = a.slot[i], g_t = a.slot[g], o_t = a.slot[o];
    const V tanh_c = a.activation.output(a.c);
    a.slot[o] = a.dh * tanh_c * a.activation.gate_derivative(o_t);
    V dc = fma(a.dh * o_t, a.activation.output_derivative(tanh_c), a.dc);
    if constexpr (options.peepholes) dc = fma(a.weight[p_o], a.slot[o], dc);
    if constexpr (clips) dc = zero_unless_less(abs(a.c), a.clip, dc);
    a.slot[i] = dc * (g_t - a.c_prev) * a.activation.gate_derivative(i_t);
    a.slot[g] = dc * i_t * a.activation.squash_derivative(g_t);
    a.dc = fnma(dc, i_t, dc);
    if constexpr (options.peepholes) {
      a.dc = fma(a.weight[p_i], a.slot[i], a.dc);
      a.dweight[p_i] = a.slot[i] * a.c_prev;
      a.dweight[p_o] = a.slot[o] * a.c;
    }
  }
};

}  // namespace pylstm::cells
