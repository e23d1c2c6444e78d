/// Packed weights: gate-interleaved panels, and their transposes for backpropagation.
///
/// Units go in blocks of S = `lanes`.  One block is [I][input slots][S], [H][recurrent slots][S], [slots][S] (bias):
/// one broadcast of x or h feeds the FMAs of all gates of S units.  Units past H are zero, and stay so under every
/// optimiser.
#pragma once

#include <algorithm>
#include <cstddef>

namespace pylstm::kernels {

struct PanelShape {
  std::size_t inputs, units;  ///< I, H (a dense layer: units = outputs)
  std::size_t recurrent;      ///< rows of the recurrent part: H, or 0 for a dense layer
  std::size_t lanes;          ///< S
  std::size_t input_slots, recurrent_slots, slots;

  std::size_t blocks() const { return (units + lanes - 1) / lanes; }
  std::size_t padded_units() const { return blocks() * lanes; }
  std::size_t recurrent_offset() const { return inputs * input_slots * lanes; }
  std::size_t bias_offset() const { return recurrent_offset() + recurrent * recurrent_slots * lanes; }
  std::size_t block_size() const { return bias_offset() + slots * lanes; }
  std::size_t size() const { return blocks() * block_size(); }
};

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
inline PanelPart bias_part(const PanelShape& s) { return {s.bias_offset(), s.slots, 1}; }

/// Visits (public index, packed index) of a part's elements, 64 columns at a time: 256 bytes of each row for the
/// prefetcher, and the packed side (16 KiB) in L1.
template <class Visit>
void for_each_element(const PanelShape& shape, const PanelPart& part, Visit visit) {
  constexpr std::size_t strip = 64;
  for (std::size_t j0 = 0; j0 < shape.units; j0 += shape.lanes) {
    const std::size_t lanes = std::min(shape.lanes, shape.units - j0);
    for (std::size_t k0 = 0; k0 < part.columns; k0 += strip) {
      const std::size_t k_end = std::min(k0 + strip, part.columns);
      for (std::size_t gate = 0; gate < part.gates; ++gate) {
        for (std::size_t s = 0; s < lanes; ++s) {
          const std::size_t row = (gate * shape.units + j0 + s) * part.columns;
          std::size_t packed = part.index(shape, gate, j0 + s, k0);
          for (std::size_t k = k0; k < k_end; ++k, packed += part.gates * shape.lanes) visit(row + k, packed);
        }
      }
    }
  }
}

/// Public layout (row-major) to panels; null counts as zeros.  Padded units are left alone: the panels start as zeros.
template <class T>
void pack(const PanelShape& shape, const PanelPart& part, const T* matrix, T* panels) {
  if (matrix == nullptr) {
    for_each_element(shape, part, [&](std::size_t, std::size_t packed) { panels[packed] = T(0); });
  } else {
    for_each_element(shape, part, [&](std::size_t index, std::size_t packed) { panels[packed] = matrix[index]; });
  }
}

template <class T>
void unpack(const PanelShape& shape, const PanelPart& part, const T* panels, T* matrix) {
  for_each_element(shape, part, [&](std::size_t index, std::size_t packed) { matrix[index] = panels[packed]; });
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

/// Rebuilds the transposed panels of a part, columns past the end zero.
template <class T>
void transpose(const PanelShape& shape, const PanelPart& part, const T* panels, T* out) {
  const TransposedShape t = transposed(shape, part);
  const std::size_t S = shape.lanes;
  for (std::size_t index = 0; index < t.groups(); ++index) {
    const std::size_t begin = t.group_begin(index), vectors = t.group_begin(index + 1) - begin;
    T* const group = out + begin * t.block_size();
    for (std::size_t v = 0; v < vectors; ++v) {
      const std::size_t k0 = (begin + v) * S, lanes = std::min(S, part.columns - k0);
      for (std::size_t u = 0; u < shape.blocks(); ++u) {
        const std::size_t units = std::min(S, shape.units - u * S);
        for (std::size_t gate = 0; gate < part.gates; ++gate) {
          const T* const from = panels + u * shape.block_size() + part.offset + gate * S;
          T* const to = group + ((u * S * part.gates + gate) * vectors + v) * S;
          for (std::size_t s = 0; s < units; ++s) {
            T* const row = to + s * part.gates * vectors * S;
            for (std::size_t l = 0; l < lanes; ++l) row[l] = from[(k0 + l) * part.gates * S + s];
            for (std::size_t l = lanes; l < S; ++l) row[l] = T(0);
          }
        }
      }
    }
  }
}

}  // namespace pylstm::kernels
