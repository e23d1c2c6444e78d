/// One row, one step: products and equations of a few blocks of units in one go, on registers from the bias to h.
///
/// The chains are those of recurrent.hpp, so the bits are the same.  Sizes that are compile-time constants are
/// propagated: everything here is inlined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/simd/several.hpp"

namespace pylstm::kernels {

template <class T>
struct StepOperands {
  const T* panels;
  const T* x;       ///< [I]
  const T* h_prev;  ///< [padded H]
  T* h;             ///< [padded H], not h_prev: all units read it
  T* c;             ///< [padded H] before the step, and after it
  T clip;
};

/// Blocks [block, block + P).
template <class V, class Cell, std::size_t P, class T>
PYLSTM_INLINE void step_blocks(const PanelShape& shape, const StepOperands<T>& a, std::size_t block) {
  constexpr std::size_t S = V::lanes, slots = Cell::slots;
  using Units = simd::Several<V, P>;
  const std::size_t block_size = shape.block_size();
  const T* const panel = a.panels + block * block_size;
  const auto weights = [&](std::size_t offset) PYLSTM_INLINE_LAMBDA {
    return Units::each([&](std::size_t p) PYLSTM_INLINE_LAMBDA { return V::load(panel + p * block_size + offset); });
  };
  V acc[1][P * slots];
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < slots; ++i) {
      acc[0][p * slots + i] = V::load(panel + p * block_size + shape.bias_offset() + i * S);
    }
  }
  const T* const x[1] = {a.x};
  const T* const h[1] = {a.h_prev};
  accumulate<slots, Cell::input_slots, 1, P>(acc, x, shape.inputs, panel, block_size, {panel, 0});
  accumulate<slots, Cell::recurrent_slots, 1, P>(acc, h, shape.recurrent, panel + shape.recurrent_offset(), block_size,
                                                 {panel, 0});

  cells::Forward<Units, Cell> units;
#pragma GCC unroll 8
  for (std::size_t g = 0; g < slots; ++g) {
    units.slot[g] = Units::each([&](std::size_t p) PYLSTM_INLINE_LAMBDA { return acc[0][p * slots + g]; });
  }
  const auto at = [&](std::size_t p) PYLSTM_INLINE_LAMBDA { return (block + p) * S; };
  if constexpr (Cell::has_shortcut) {
    units.h_prev = Units::each([&](std::size_t p) PYLSTM_INLINE_LAMBDA { return V::load(a.h_prev + at(p)); });
  }
  if constexpr (Cell::has_memory) {
    units.c_prev = Units::each([&](std::size_t p) PYLSTM_INLINE_LAMBDA { return V::load(a.c + at(p)); });
  }
  if constexpr (Cell::clips) units.clip = Units::set1(a.clip);
#pragma GCC unroll 4
  for (std::size_t w = 0; w < Cell::unit_weights; ++w) units.weight[w] = weights(shape.unit_weights_offset() + w * S);
  Cell::forward(units);
  units.h.each_store(a.h, at);
  if constexpr (Cell::has_memory) units.c.each_store(a.c, at);
}

/// All blocks: so many at a time that their chains hide the latency of an FMA, and fit the registers.
template <class T, class Isa, class Cell>
PYLSTM_INLINE void step(const PanelShape& shape, const StepOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t most = std::max<std::size_t>(1, 8 / Cell::slots);
  const std::size_t blocks = shape.blocks();
  std::size_t block = 0;
  const auto groups = [&]<std::size_t P>(std::integral_constant<std::size_t, P>) PYLSTM_INLINE_LAMBDA {
    if constexpr (P <= most) {
      for (; block + P <= blocks; block += P) step_blocks<V, Cell, P>(shape, a, block);
    }
  };
  groups(std::integral_constant<std::size_t, 8>{});
  groups(std::integral_constant<std::size_t, 4>{});
  groups(std::integral_constant<std::size_t, 2>{});
  groups(std::integral_constant<std::size_t, 1>{});
}

}  // namespace pylstm::kernels
