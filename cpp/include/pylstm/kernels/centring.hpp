/// Weights without their means over the units, for cells that normalise their products.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/kernels/layer_norm.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/unit_means.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::kernels {

/// Columns of a part of the panels.
template <class T>
struct CentringOperands {
  PanelShape shape;
  PanelPart part;
  const T* from;
  T* to;  ///< may be `from`
  std::size_t begin, end;
};

/// Takes from a column's weights their mean, over the units of each group of gates that are normalised together.  Goes
/// through many columns of a block before the next one: a column's blocks lie far apart.
template <class T, class Isa, class Cell>
void centre_weights(const CentringOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  using Groups = NormGroups<Cell>;
  constexpr std::size_t S = V::lanes, G = Cell::gates_x, most_columns = 32;
  static_assert(G == Cell::gates_h);
  constexpr auto group = Groups::of_slot;
  constexpr std::array<std::size_t, Groups::per_product> count = [] {
    std::array<std::size_t, Groups::per_product> slots{};
    std::copy_n(Groups::count.begin(), slots.size(), slots.begin());
    return slots;
  }();
  const simd::FlushDenormals flush;
  const UnitMeans<V, most_columns, Groups::per_product> means_of(a.shape.units, count);
  for (std::size_t first = a.begin; first < a.end; first += most_columns) {
    const std::size_t columns = std::min(most_columns, a.end - first);
    const auto at = [&](std::size_t block) PYLSTM_INLINE_LAMBDA { return a.part.index(a.shape, 0, block * S, first); };
    PartialSums<V, Groups::per_product> sums[most_columns];
    for (auto& of_column : sums) of_column.clear();
    for (std::size_t block = 0; block < a.shape.blocks(); ++block) {
      const T* const from = a.from + at(block);
      for (std::size_t column = 0; column < columns; ++column) {
        const auto add = sums[column].of_block(block);
#pragma GCC unroll 4
        for (std::size_t g = 0; g < G; ++g) add(group[g], V::load(from + (column * G + g) * S));
      }
    }
    const auto means = means_of.of_sums(sums);
    for (std::size_t block = 0; block < a.shape.blocks(); ++block) {
      const T* const from = a.from + at(block);
      T* const to = a.to + at(block);
      for (std::size_t column = 0; column < columns; ++column) {
#pragma GCC unroll 4
        for (std::size_t g = 0; g < G; ++g) {
          const std::size_t i = (column * G + g) * S;
          means_of.within(V::load(from + i) - V::set1(means[column][group[g]]), block).store(to + i);
        }
      }
    }
  }
}

}  // namespace pylstm::kernels
