/// The simple recurrent network (Elman 1990).
#pragma once

#include <array>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/activation.hpp"
#include "pylstm/cells/cell.hpp"

namespace pylstm::cells {

///   h = f(W x + U h_prev + b), f = tanh or relu
template <class Activation = Saturating>
struct Rnn {
  static constexpr std::size_t slots = 1;
  static constexpr std::array<std::size_t, 1> input_slots{0}, recurrent_slots{0};
  static constexpr std::size_t unit_weights = 0;
  static constexpr bool has_memory = false, has_shortcut = false, clips = false;
  using activation = Activation;

  template <class V>
  PYLSTM_INLINE static void forward(Forward<V, Rnn>& a) {
    a.slot[0] = a.activation.squash(a.slot[0]);
    a.h = a.slot[0];
  }

  template <class V>
  PYLSTM_INLINE static void backward(Backward<V, Rnn>& a) {
    a.slot[0] = a.dh * a.activation.squash_derivative(a.slot[0]);
  }
};

}  // namespace pylstm::cells
