/// Packed weights: gate-interleaved panels, and their transposes for backpropagation.
///
/// Units go in blocks of S = `lanes`.  One block is [I][input slots][S], [H][recurrent slots][S], [H][reset slots][S],
/// [unit weights][S], [bias slots][S]: one broadcast of x or h feeds the FMAs of all gates of S units.  Units past H
/// are zero, and stay so under every optimiser.
#pragma once

#include <algorithm>
#include <cstddef>

namespace pylstm::kernels {

struct PanelShape {
  std::size_t inputs, units;  ///< I, H (a dense layer: units = outputs)
  std::size_t recurrent;  ///< rows of the recurrent part, the width of h: H, or P with a projection; 0: a dense layer
  std::size_t lanes;      ///< S
  std::size_t input_slots, recurrent_slots, slots;
  std::size_t bias_slots;
  std::size_t unit_weights = 0;  ///< weights of each unit beside the products' and the bias
  std::size_t reset_slots = 0;   ///< slots whose product is of the state behind a reset gate

  /// So few beside the units that a matrix of inputs by inputs costs little.
  bool few_inputs() const { return 4 * inputs <= units; }

  std::size_t blocks() const { return (units + lanes - 1) / lanes; }
  /// Units of the last block.
  std::size_t last_columns() const { return units - (blocks() - 1) * lanes; }
  std::size_t padded_units() const { return blocks() * lanes; }
  std::size_t padded_inputs() const { return (inputs + lanes - 1) / lanes * lanes; }
  std::size_t padded_recurrent() const { return (recurrent + lanes - 1) / lanes * lanes; }
  std::size_t recurrent_offset() const { return inputs * input_slots * lanes; }
  std::size_t reset_offset() const { return recurrent_offset() + recurrent * recurrent_slots * lanes; }
  std::size_t unit_weights_offset() const { return reset_offset() + recurrent * reset_slots * lanes; }
  std::size_t bias_offset() const { return unit_weights_offset() + unit_weights * lanes; }
  std::size_t block_size() const { return bias_offset() + bias_slots * lanes; }
  std::size_t size() const { return blocks() * block_size(); }
};

/// Of one matrix [units][inputs], and a bias where there is a slot for it.
constexpr PanelShape matrix_shape(std::size_t inputs, std::size_t units, std::size_t lanes,
                                  std::size_t bias_slots = 0) {
  return {.inputs = inputs,
          .units = units,
          .recurrent = 0,
          .lanes = lanes,
          .input_slots = 1,
          .recurrent_slots = 1,
          .slots = 1,
          .bias_slots = bias_slots};
}

/// A matrix in the public layout (gates * units rows, `columns` columns) inside the panels: where element (gate, j, k)
/// lies.
struct PanelPart {
  std::size_t offset, gates, columns;

  std::size_t index(const PanelShape& shape, std::size_t gate, std::size_t j, std::size_t k) const {
    return j / shape.lanes * shape.block_size() + offset + (k * gates + gate) * shape.lanes + j % shape.lanes;
  }
};

inline PanelPart input_part(const PanelShape& s) { return {0, s.input_slots, s.inputs}; }
inline PanelPart recurrent_part(const PanelShape& s) { return {s.recurrent_offset(), s.recurrent_slots, s.recurrent}; }
inline PanelPart reset_part(const PanelShape& s) { return {s.reset_offset(), s.reset_slots, s.recurrent}; }
inline PanelPart unit_weights_part(const PanelShape& s) { return {s.unit_weights_offset(), s.unit_weights, 1}; }
/// The bias goes by slots: those that x feeds come first.
inline PanelPart bias_part(const PanelShape& s) { return {s.bias_offset(), std::min(s.input_slots, s.bias_slots), 1}; }
inline PanelPart recurrent_bias_part(const PanelShape& s) {
  const std::size_t first = std::min(s.input_slots, s.bias_slots);
  return {s.bias_offset() + first * s.lanes, s.bias_slots - first, 1};
}

/// Transposed panels: columns of a part go in groups of up to `group` vectors of S lanes; a group is
/// [H][gates][vectors][S]. One broadcast of a gate's gradient feeds the FMAs of all columns of the group.
struct TransposedShape {
  std::size_t units, gates, columns, lanes;
  static constexpr std::size_t group = 4;

  std::size_t blocks() const { return (columns + lanes - 1) / lanes; }
  std::size_t groups() const { return (blocks() + group - 1) / group; }
  /// Blocks are spread evenly over the groups.
  std::size_t group_begin(std::size_t index) const { return blocks() * index / groups(); }
  std::size_t block_size() const { return units * gates * lanes; }
  std::size_t size() const { return blocks() * block_size(); }
};

inline TransposedShape transposed(const PanelShape& shape, const PanelPart& part) {
  return {shape.units, part.gates, part.columns, shape.lanes};
}

/// Where a part's gates lie in a row of gradients, [slots][S] for each block of units: side by side, but for the last
/// of three or fewer.
struct GateRows {
  std::size_t count, width;  ///< gates; elements of a row
  std::size_t first, last;   ///< offsets of the first gate and of the last

  /// Of one row of one block.
  std::size_t offset(std::size_t gate, std::size_t lanes) const {
    return gate + 1 < count ? first + gate * lanes : last;
  }
};

/// Of the gates in these of `Slots` slots.
template <std::size_t Slots, auto slot>
constexpr GateRows gate_rows(std::size_t lanes) {
  constexpr bool side_by_side = [] {
    constexpr std::size_t count = slot.size();
    for (std::size_t g = 0; g < count; ++g) {
      if (slot[g] != slot[0] + g && (g + 1 < count || count > 3)) return false;
    }
    return true;
  }();
  static_assert(side_by_side, "the products over gates count on it");
  return {.count = slot.size(), .width = Slots * lanes, .first = slot[0] * lanes, .last = slot.back() * lanes};
}

}  // namespace pylstm::kernels
