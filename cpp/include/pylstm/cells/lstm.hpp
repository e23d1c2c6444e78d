/// Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000).
#pragma once

#include <array>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/activation.hpp"
#include "pylstm/cells/cell.hpp"

namespace pylstm::cells {

///   i, f, o = sigmoid(W x + U h_prev + b),  g = tanh(W x + U h_prev + b)
///   c = f c_prev + i g,                     h = o tanh(c)
template <class Activation = Saturating>
struct Lstm {
  static constexpr std::size_t slots = 4;
  static constexpr std::array<std::size_t, 4> input_slots{0, 1, 2, 3}, recurrent_slots{0, 1, 2, 3};
  static constexpr bool has_memory = true, has_shortcut = false;
  enum : std::size_t { i, f, g, o };

  template <class V>
  PYLSTM_INLINE static void forward(Forward<V, slots>& a) {
    a.slot[i] = Activation::gate(a.slot[i]);
    a.slot[f] = Activation::gate(a.slot[f]);
    a.slot[g] = Activation::squash(a.slot[g]);
    a.slot[o] = Activation::gate(a.slot[o]);
    a.c = fma(a.slot[f], a.c_prev, a.slot[i] * a.slot[g]);
    a.h = a.slot[o] * Activation::squash(a.c);
  }

  template <class V>
  PYLSTM_INLINE static void backward(Backward<V, slots>& a) {
    const V i_t = a.slot[i], f_t = a.slot[f], g_t = a.slot[g], o_t = a.slot[o];
    const V tanh_c = Activation::squash(a.c);
    const V dc = fma(a.dh * o_t, Activation::squash_derivative(tanh_c), a.dc);
    a.slot[i] = dc * g_t * Activation::gate_derivative(i_t);
    a.slot[f] = dc * a.c_prev * Activation::gate_derivative(f_t);
    a.slot[g] = dc * i_t * Activation::squash_derivative(g_t);
    a.slot[o] = a.dh * tanh_c * Activation::gate_derivative(o_t);
    a.dc = dc * f_t;
  }
};

}  // namespace pylstm::cells
