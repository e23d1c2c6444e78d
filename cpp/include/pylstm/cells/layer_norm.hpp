/// Layer normalisation of a cell (Ba, Kiros & Hinton 2016, equations 20 to 22): both products, and the cell state on
/// its way to h, are normalised over the units of a row.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "pylstm/cells/cell.hpp"

namespace pylstm::cells {

///   norm(s) = gain * (s - mean(s)) / sqrt(variance(s) + 1e-5)
///   The sums of `Base` are norm(W x) + norm(U h_prev) + b;  h = o tanh(norm(c) + b_c).
///
/// The products keep slots of their own, x's first.  The unit's own weights are the gains of these slots, then the gain
/// and the bias of c.
template <class Base>
struct LayerNorm {
  using base = Base;
  using activation = typename Base::activation;
  static constexpr std::size_t gates_x = Base::input_slots.size(), gates_h = Base::recurrent_slots.size();
  static constexpr std::size_t slots = gates_x + gates_h, bias_slots = Base::slots;
  static constexpr std::array<std::size_t, gates_x> input_slots = [] {
    std::array<std::size_t, gates_x> list{};
    for (std::size_t g = 0; g < gates_x; ++g) list[g] = g;
    return list;
  }();
  static constexpr std::array<std::size_t, gates_h> recurrent_slots = [] {
    std::array<std::size_t, gates_h> list{};
    for (std::size_t g = 0; g < gates_h; ++g) list[g] = gates_x + g;
    return list;
  }();
  /// The sum of the cell inside that a slot is part of.
  static constexpr std::size_t base_slot(std::size_t slot) {
    return slot < gates_x ? Base::input_slots[slot] : Base::recurrent_slots[slot - gates_x];
  }
  /// Whether no slot of h after it is a part of the same sum.
  static constexpr std::array<bool, slots> is_last_part = [] {
    std::array<bool, slots> last{};
    for (std::size_t slot = 0; slot < slots; ++slot) {
      last[slot] = true;
      for (std::size_t h = std::max(slot + 1, gates_x); h < slots; ++h) {
        if (base_slot(h) == base_slot(slot)) last[slot] = false;
      }
    }
    return last;
  }();
  static constexpr bool has_memory = Base::has_memory, has_shortcut = Base::has_shortcut, clips = false;
  static constexpr std::size_t unit_weights = slots + (has_memory ? 2 : 0);
  enum : std::size_t { gain_c = slots, bias_c };
};

}  // namespace pylstm::cells
