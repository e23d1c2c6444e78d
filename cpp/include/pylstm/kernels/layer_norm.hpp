/// Rows of cells with layer normalisation, whose equations need all units at once: the sums, their groups, and what the
/// tape keeps.
///
/// A product's mean over the units is the product with the weights' mean: weights without it (`centre_weights`) give
/// sums whose mean is zero, and leave their deviation alone to be found.  The tape keeps the sums as the products leave
/// them, and beside them (`KeptRow`) these deviations and the gates.  Units past H have gains of zero, so that they
/// stay zero.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/cells/layer_norm.hpp"
#include "pylstm/kernels/pointwise.hpp"

namespace pylstm::kernels {

template <class Cell>
inline constexpr bool is_layer_norm = false;
template <class Base>
inline constexpr bool is_layer_norm<cells::LayerNorm<Base>> = true;

/// Groups of slots that are normalised together: those of x, then those of h.
template <class Cell>
struct NormGroups {
  static constexpr std::size_t per_product = Cell::base::norm_ends.size(), size = 2 * per_product;
  static constexpr std::array<std::size_t, Cell::slots> of_slot = [] {
    std::array<std::size_t, Cell::slots> group{};
    for (std::size_t slot = 0; slot < Cell::slots; ++slot) {
      const bool of_h = slot >= Cell::gates_x;
      const std::size_t gate = of_h ? slot - Cell::gates_x : slot;
      std::size_t g = 0;
      while (gate >= Cell::base::norm_ends[g]) ++g;
      group[slot] = g + (of_h ? per_product : 0);
    }
    return group;
  }();
  static constexpr std::array<std::size_t, size> count = [] {
    std::array<std::size_t, size> slots{};
    for (const std::size_t group : of_slot) ++slots[group];
    return slots;
  }();
};

/// Whether gradients go through the norm of x's product in the space of the inputs (kernels/norm_of_inputs.hpp), which
/// takes the product's scale and not its sums.
template <class Cell, class T>
constexpr bool differentiates_by_inputs(const PointwiseShape<T>& shape) {
  return NormGroups<Cell>::per_product == 1 && shape.few_inputs;
}

/// What the tape keeps of a row beside its sums: scalars, the scales of the sums, the mean and the scale of c, then
/// from vector `blocks` on for each block the gates and tanh(norm(c)).  Where backward `differentiates_by_inputs`
/// the gates take the place of the sums of x.
template <class V, class Cell, class T>
struct KeptRow {
  static constexpr std::size_t S = V::lanes, sums = 0, c = NormGroups<Cell>::size,
                               scalars = c + (Cell::has_memory ? 2 : 0), blocks = (scalars + S - 1) / S,
                               gates = Cell::base::slots, beside = Cell::has_memory ? 1 : 0;
  T* row;
  std::size_t per_block;
  T* first_gates;
  std::size_t gates_stride;

  PYLSTM_INLINE KeptRow(const PointwiseShape<std::remove_const_t<T>>& shape, T* row_, T* of_sums)
      : row(row_), per_block(beside * S), first_gates(of_sums), gates_stride(shape.gates_block_stride) {
    if (differentiates_by_inputs<Cell>(shape)) return;
    per_block = gates_stride = (gates + beside) * S;
    first_gates = shifted(row, blocks * S);
  }

  PYLSTM_INLINE T* gate(std::size_t block, std::size_t slot) const {
    return first_gates + block * gates_stride + slot * S;
  }
  PYLSTM_INLINE T* squashed(std::size_t block) const { return end(block) - S; }
  /// Asks for what the row `ahead` elements further on has of a block, and before the first one of the row.
  PYLSTM_INLINE void request(std::size_t block, std::size_t ahead = 0) const {
    for (const T* at = block == 0 ? row : end(block - 1); at < end(block); at += 64 / sizeof(T)) {
      __builtin_prefetch(at + ahead);
    }
  }

 private:
  PYLSTM_INLINE T* end(std::size_t block) const { return row + blocks * S + (block + 1) * per_block; }
};

/// One row's sums, with their scales and the unit's own weights.
template <class V, class Cell, class T>
struct NormalizedRow {
  using Groups = NormGroups<Cell>;
  static constexpr std::size_t S = V::lanes;
  const PointwiseShape<T>& shape;
  const T* sums;   ///< [slots][S] of the first block
  const T* scale;  ///< of each group
  const T* x_sums;
  std::size_t x_block_stride;

  PYLSTM_INLINE V sum(std::size_t block, std::size_t slot) const {
    return V::load((slot < Cell::gates_x ? x_sums + block * x_block_stride : sums + block * shape.gates_block_stride) +
                   slot * S);
  }
  /// The unit's own weights, and after them the bias.
  PYLSTM_INLINE V weight(std::size_t block, std::size_t w) const {
    return V::load(shape.unit_weights + block * shape.unit_weights_stride + w * S);
  }
};

}  // namespace pylstm::kernels
