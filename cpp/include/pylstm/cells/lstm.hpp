/// Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000), and its peepholes
/// (Gers, Schraudolph & Schmidhuber 2002).
#pragma once

#include <array>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/activation.hpp"
#include "pylstm/cells/cell.hpp"

namespace pylstm::cells {

/// What an LSTM may have beside its gates.
struct LstmOptions {
  bool peepholes = false;  ///< gates see the cell state, each unit its own: i and f the one before, o the one after
  bool clips = false;      ///< c is bounded, and passes no gradient at the bound (Sak et al. 2014)

  bool operator==(const LstmOptions&) const = default;
};

///   i, f = sigmoid(W x + U h_prev + p c_prev + b),  g = tanh(W x + U h_prev + b)
///   c = f c_prev + i g
///   o = sigmoid(W x + U h_prev + p c + b),          h = o tanh(c)
template <class Activation = Saturating, LstmOptions options = LstmOptions{}>
struct Lstm {
  static constexpr std::size_t slots = 4;
  static constexpr std::array<std::size_t, 4> input_slots{0, 1, 2, 3}, recurrent_slots{0, 1, 2, 3};
  static constexpr bool has_memory = true, has_shortcut = false, clips = options.clips;
  enum : std::size_t { i, f, g, o };
  static constexpr std::size_t unit_weights = options.peepholes ? 3 : 0;
  enum : std::size_t { p_i, p_f, p_o };
  using activation = Activation;
  static constexpr std::array<std::size_t, 1> norm_ends{4};  ///< all gates are normalised together

  template <class V>
  PYLSTM_INLINE static void forward(Forward<V, Lstm>& a) {
    update(a);
    a.h = a.slot[o] * a.activation.output(a.c);
  }

  /// The gates and c.
  template <class V>
  PYLSTM_INLINE static void update(Forward<V, Lstm>& a) {
    if constexpr (options.peepholes) {
      a.slot[i] = fma(a.weight[p_i], a.c_prev, a.slot[i]);
      a.slot[f] = fma(a.weight[p_f], a.c_prev, a.slot[f]);
    }
    a.slot[i] = a.activation.gate(a.slot[i]);
    a.slot[f] = a.activation.gate(a.slot[f]);
    a.slot[g] = a.activation.squash(a.slot[g]);
    a.c = fma(a.slot[f], a.c_prev, a.slot[i] * a.slot[g]);
    if constexpr (clips) a.c = clip(a.c, a.clip);
    if constexpr (options.peepholes) a.slot[o] = fma(a.weight[p_o], a.c, a.slot[o]);
    a.slot[o] = a.activation.gate(a.slot[o]);
  }

  template <class V>
  PYLSTM_INLINE static void backward(Backward<V, Lstm>& a) {
    const V o_t = a.slot[o], tanh_c = a.activation.output(a.c);
    a.slot[o] = a.dh * tanh_c * a.activation.gate_derivative(o_t);
    a.dc = fma(a.dh * o_t, a.activation.output_derivative(tanh_c), a.dc);
    update_backward(a);
  }

  /// From the gradients of c and of the output gate's sum to those of the other gates' sums and of c_prev.
  template <class V>
  PYLSTM_INLINE static void update_backward(Backward<V, Lstm>& a) {
    const V i_t = a.slot[i], f_t = a.slot[f], g_t = a.slot[g];
    V dc = a.dc;
    if constexpr (options.peepholes) dc = fma(a.weight[p_o], a.slot[o], dc);
    if constexpr (clips) dc = zero_unless_less(abs(a.c), a.clip, dc);
    a.slot[i] = dc * g_t * a.activation.gate_derivative(i_t);
    a.slot[f] = dc * a.c_prev * a.activation.gate_derivative(f_t);
    a.slot[g] = dc * i_t * a.activation.squash_derivative(g_t);
    a.dc = dc * f_t;
    if constexpr (options.peepholes) {
      a.dc = fma(a.weight[p_i], a.slot[i], fma(a.weight[p_f], a.slot[f], a.dc));
      a.dweight[p_i] = a.slot[i] * a.c_prev;
      a.dweight[p_f] = a.slot[f] * a.c_prev;
      a.dweight[p_o] = a.slot[o] * a.c;
    }
  }
};

}  // namespace pylstm::cells
