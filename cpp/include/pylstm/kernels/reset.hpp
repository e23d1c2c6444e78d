/// The equations of cells that reset the state before its product (cells/gru.hpp): a product lies between them, so they
/// take rows of all units at once.
#pragma once

#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/kernels/pointwise.hpp"
#include "pylstm/kernels/product.hpp"
#include "pylstm/kernels/tile.hpp"

namespace pylstm::kernels {

template <class Cell>
concept ResetsState = requires { Cell::reset_slots; };

/// The product of the state behind the reset gate, added to the sums of rows [n, n + R) and blocks [block, block + P).
template <class Cell, class V, std::size_t R, std::size_t P, class T>
PYLSTM_INLINE void reset_tile(const PointwiseForward<T>& a, std::size_t n, std::size_t block) {
  constexpr std::size_t S = V::lanes, G = Cell::reset_slots.size();
  const std::size_t block_size = a.shape.unit_weights_stride;
  const auto sum_at = [&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA {
    constexpr auto slot = Cell::reset_slots;
    return a.gates + (block + i / G) * a.shape.gates_block_stride + ((n + r) * Cell::slots + slot[i % G]) * S;
  };
  V acc[R][P * G];
  const T* rows[R];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) rows[r] = a.h_reset + (n + r) * a.shape.row_stride;
  for_each_sum<R, P * G>([&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA { acc[r][i] = V::load(sum_at(r, i)); });
  const T* const panel = a.reset_panels + block * block_size;
  accumulate<G, all_slots<G>(), R, P>(acc, rows, a.shape.units, panel, block_size, {});
  for_each_sum<R, P * G>([&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA { acc[r][i].store(sum_at(r, i)); });
}

/// Calls visit(units, gates, state) with the slots of every row and block; they, but not the states, are stored
/// afterwards.
template <template <class, class> class Units, class V, class Cell, class T, class Visit>
PYLSTM_INLINE void for_each_unit(const PointwiseShape<T>& shape, const T* from, T* to, std::size_t to_block_stride,
                                 Visit visit) {
  constexpr std::size_t S = V::lanes, slots = Cell::slots;
  for (std::size_t block = 0; block < shape.blocks; ++block) {
    for (std::size_t row = 0; row < shape.rows; ++row) {
      const T* const in = from + block * shape.gates_block_stride + row * slots * S;
      T* const out = to + block * to_block_stride + row * slots * S;
      Units<V, Cell> units;
      units.activation = Cell::activation::of(shape.activations);
#pragma GCC unroll 8
      for (std::size_t g = 0; g < slots; ++g) units.slot[g] = V::load(in + g * S);
      visit(units, row * shape.row_stride + block * S);
#pragma GCC unroll 8
      for (std::size_t g = 0; g < slots; ++g) units.slot[g].store(out + g * S);
    }
  }
}

template <class T, class Isa, ResetsState Cell>
void reset_forward(const PointwiseForward<T>& a) {
  using V = typename Isa::template vec<T>;
  using Units = cells::Forward<V, Cell>;
  constexpr std::size_t G = Cell::reset_slots.size(), wide = 4 / G;
  const auto each = [&](auto visit) PYLSTM_INLINE_LAMBDA {
    for_each_unit<cells::Forward, V, Cell>(a.shape, a.gates, a.gates, a.shape.gates_block_stride, visit);
  };
  each([&](Units& units, std::size_t at) PYLSTM_INLINE_LAMBDA {
    units.h_read = V::load(a.h_read + at);
    Cell::reset(units);
    units.h_reset.store(a.h_reset + at);
  });
  std::size_t block = 0;
  const auto products = [&]<std::size_t P>(std::integral_constant<std::size_t, P>) {
    for (; block + P <= a.shape.blocks; block += P) {
      for_each_tile<max_rows<Isa>(P * G)>(0, a.shape.rows,
                                          [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t n) {
                                            reset_tile<Cell, V, R, P>(a, n, block);
                                          });
    }
  };
  products(std::integral_constant<std::size_t, wide>{});
  products(std::integral_constant<std::size_t, 1>{});
  each([&](Units& units, std::size_t at) PYLSTM_INLINE_LAMBDA {
    units.h_prev = V::load(a.h_prev + at);
    Cell::forward(units);
    units.h.store(a.h + at);
  });
}

template <class T, class Isa, ResetsState Cell>
void reset_backward(const PointwiseBackward<T>& a) {
  using V = typename Isa::template vec<T>;
  using Units = cells::Backward<V, Cell>;
  constexpr std::size_t S = V::lanes, slots = Cell::slots, G = Cell::reset_slots.size();
  const PointwiseShape<T>& shape = a.shape;
  for_each_unit<cells::Backward, V, Cell>(shape, a.gates, a.dgates, a.dgates_block_stride,
                                          [&](Units& units, std::size_t at) PYLSTM_INLINE_LAMBDA {
                                            units.dh = V::load(a.dh + at);
                                            units.h_prev = V::load(a.h_prev + at);
                                            (units.slot[Cell::r] * V::load(a.h_read + at)).store(a.h_reset + at);
                                            Cell::backward(units);
                                            units.dh_prev.store(a.dh_shortcut + at);
                                          });
  for_each_row_list(static_cast<const T*>(a.dgates), slots * S, a.dh_reset, shape.row_stride, 0, shape.rows,
                    [&](const T* const* in, T* const* out, std::size_t count) {
                      transposed_product<T, Isa>({.shape = {shape.units, G, shape.units, S},
                                                  .gates = gate_rows<slots, Cell::reset_slots>(S),
                                                  .panels = a.reset_transposed,
                                                  .d = in,
                                                  .out = out,
                                                  .n = count,
                                                  .d_block_stride = a.dgates_block_stride});
                    });
  // r is in its slot still: the first pass has not touched it.
  PointwiseShape<T> of_dgates = shape;
  of_dgates.gates_block_stride = a.dgates_block_stride;
  for_each_unit<cells::Backward, V, Cell>(
      of_dgates, a.dgates, a.dgates, a.dgates_block_stride, [&](Units& units, std::size_t at) PYLSTM_INLINE_LAMBDA {
        units.h_read = V::load(a.h_read + at);
        units.dh_reset = V::load(a.dh_reset + at);
        Cell::reset_backward(units);
        // Past the units nothing is reset, and the product has written nothing.
        const V dh = a.dropout != nullptr ? units.dh_read * V::load(a.dropout + at) : units.dh_read;
        (V::load(a.dh_shortcut + at) + dh).store(a.dh_shortcut + at);
      });
}

}  // namespace pylstm::kernels
