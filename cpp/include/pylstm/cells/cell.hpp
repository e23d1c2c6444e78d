/// What a cell tells the kernels about itself.  A new cell is a new file beside lstm.hpp.
///
/// A cell has `slots` sums per unit.  The input product adds to the slots of `input_slots`, the recurrent product to
/// those of `recurrent_slots` (LSTM: both all four; GRU: r, z and its own half of n each, so that r can scale the
/// recurrent half alone).  A cell that resets the state before its product has `reset_slots` for it
/// (kernels/reset.hpp). `forward` turns the sums into the next state and leaves in the slots whatever its `backward`
/// needs; `backward` turns these into the gradients of the sums.  A unit may have weights of its own beside the
/// products' and the bias: peepholes, gains.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>

namespace pylstm::cells {

/// Operands of one time step for one vector of units, forward.
template <class V, class Cell>
struct Forward {
  V slot[Cell::slots];  ///< in: sums of bias, input and recurrent product; out: what backward needs
  V h_prev, c_prev;
  V weight[Cell::unit_weights + 1];  ///< the unit's own weights
  V clip;                            ///< bound of |c|
  V h_read;                          ///< h_prev as the products read it, for cells that reset it
  [[no_unique_address]] typename Cell::activation activation;
  V h, c;     ///< out
  V h_reset;  ///< out of `reset`
};

/// Operands of one time step for one vector of units, backward.  `d` = gradient of the loss.
template <class V, class Cell>
struct Backward {
  V slot[Cell::slots];  ///< in: what forward left; out: gradients of the sums
  V h_prev, c_prev, c;
  V weight[Cell::unit_weights + 1];
  V clip;
  V dh;       ///< complete gradient of h
  V dc;       ///< in: gradient of c from the next step; out: gradient of c_prev
  V dh_prev;  ///< out: the part of the gradient of h_prev that bypasses the recurrent product (cells with
              ///< `has_shortcut`)
  V dweight[Cell::unit_weights + 1];  ///< out: this step's part of the gradients of `weight`
  V h_read, dh_reset;                 ///< into `reset_backward`
  V dh_read;                          ///< out of it
  [[no_unique_address]] typename Cell::activation activation;
};

template <class C>
concept Cell = requires {
  typename C::activation;
  { C::slots } -> std::convertible_to<std::size_t>;
  { C::input_slots[0] } -> std::convertible_to<std::size_t>;
  { C::recurrent_slots[0] } -> std::convertible_to<std::size_t>;
  { C::unit_weights } -> std::convertible_to<std::size_t>;
  { C::has_memory } -> std::convertible_to<bool>;    // keeps a cell state c beside h
  { C::has_shortcut } -> std::convertible_to<bool>;  // h_prev enters h directly
  { C::clips } -> std::convertible_to<bool>;         // bounds its cell state
};

}  // namespace pylstm::cells
