/// The equations of cells with layer normalisation, backward: the norm of c, the cell's equations, the products' norms.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/kernels/layer_norm.hpp"
#include "pylstm/kernels/pointwise.hpp"
#include "pylstm/kernels/unit_means.hpp"

namespace pylstm::kernels {

/// Rows whose parts of the gradients of gains and biases are added up before they are stored (a row of its own for each
/// would leave L2).  Beginning at a multiple.
inline constexpr std::size_t norm_rows = 4;

/// A mean of dhat and one of dhat * hat, or of dhat * sum, for each group.
template <std::size_t N>
constexpr std::array<std::size_t, 2 * N> each_twice(const std::array<std::size_t, N>& count) {
  std::array<std::size_t, 2 * N> twice{};
  for (std::size_t n = 0; n < 2 * N; ++n) twice[n] = count[n / 2];
  return twice;
}

/// Backward of one row up to the gradients of the cell's sums, which it leaves in the first slots of dgates, and behind
/// them those of norm(c).
template <class V, class Cell, class T>
struct BackwardRow {
  using Base = typename Cell::base;
  using Groups = NormGroups<Cell>;
  using Kept = KeptRow<V, Cell, const T>;
  static constexpr std::size_t S = V::lanes, groups = Groups::size;
  const PointwiseBackward<T>& a;
  std::size_t row, state;
  Kept kept;
  NormalizedRow<V, Cell, T> sums;

  PYLSTM_INLINE BackwardRow(const PointwiseBackward<T>& a_, std::size_t row_)
      : a(a_),
        row(row_),
        state(row * a.shape.row_stride),
        kept(a.shape, a.kept + row * a.kept_stride, a.gates + row * Cell::slots * S),
        sums{.shape = a.shape,
             .sums = a.gates + row * Cell::slots * S,
             .scale = kept.row + Kept::sums,
             .x_sums = sums.sums,
             .x_block_stride = a.shape.gates_block_stride} {}

  PYLSTM_INLINE V gate(std::size_t block, std::size_t slot) const { return V::load(kept.gate(block, slot)); }
  PYLSTM_INLINE T* dgate(std::size_t block, std::size_t slot) const {
    return a.dgates + block * a.dgates_block_stride + (row * Cell::slots + slot) * S;
  }
  PYLSTM_INLINE V hat_c(std::size_t block) const {
    return (V::load(a.c + state + block * S) - V::set1(kept.row[Kept::c])) * V::set1(kept.row[Kept::c + 1]);
  }
  PYLSTM_INLINE V through_norm_of_c(std::size_t block, V mean, V along) const {
    const V dhat = V::load(dgate(block, Base::slots)) * sums.weight(block, Cell::gain_c);
    return fnma(hat_c(block), along, dhat - mean) * V::set1(kept.row[Kept::c + 1]);
  }

  /// h = o tanh(norm(c)): leaves the gradients of o and norm(c), and gives add(n, vector) those that the sums of
  /// dhat and dhat * hat are of.
  template <class Add>
  PYLSTM_INLINE void output(std::size_t block, Add add) const {
    const V dh = V::load(a.dh + state + block * S), o = gate(block, Base::o), u = V::load(kept.squashed(block));
    const V d = dh * o * Base::activation::squash_derivative(u), dhat = d * sums.weight(block, Cell::gain_c);
    d.store(dgate(block, Base::slots));
    (dh * u * Base::activation::gate_derivative(o)).store(dgate(block, Base::o));
    add(0, dhat);
    add(1, dhat, hat_c(block));
  }

  /// The base's equations; likewise, of every group of sums, dhat and dhat * sum.
  template <class Add>
  PYLSTM_INLINE void update(const UnitMeans<V, norm_rows, 2 * groups>& over, V c_mean, V c_along, std::size_t block,
                            Add add) const {
    constexpr auto group = Groups::of_slot;
    const std::size_t at = state + block * S;
    cells::Backward<V, Base> units;
#pragma GCC unroll 8
    for (std::size_t s = 0; s < Base::slots; ++s) units.slot[s] = gate(block, s);
    if constexpr (Cell::has_memory) {
      units.slot[Base::o] = V::load(dgate(block, Base::o));
      units.c_prev = V::load(a.c_prev + at);
      units.dc = over.within(V::load(a.dc + at) + through_norm_of_c(block, c_mean, c_along), block);
      Base::update_backward(units);
      units.dc.store(a.dc + at);
    } else {
      units.h_prev = V::load(a.h_prev + at);
      units.dh = V::load(a.dh + at);
      Base::backward(units);
      units.dh_prev.store(a.dh_shortcut + at);
    }
#pragma GCC unroll 8
    for (std::size_t s = 0; s < Base::slots; ++s) units.slot[s].store(dgate(block, s));
    const auto add_slots = [&](std::size_t first, std::size_t last) PYLSTM_INLINE_LAMBDA {
#pragma GCC unroll 8
      for (std::size_t slot = first; slot < last; ++slot) {
        const V dhat = units.slot[Cell::base_slot(slot)] * sums.weight(block, slot);
        add(2 * group[slot], dhat);
        add(2 * group[slot] + 1, dhat, sums.sum(block, slot));
      }
    };
    if (!differentiates_by_inputs<Cell>(a.shape)) add_slots(0, Cell::gates_x);
    add_slots(Cell::gates_x, Cell::slots);
  }
};

/// Asks for what the tape holds of rows and a block: it has long left the cache.
template <class V, class Cell, class T>
PYLSTM_INLINE void request_tape(const PointwiseBackward<T>& a, std::size_t begin, std::size_t end, std::size_t block) {
  using Kept = KeptRow<V, Cell, const T>;
  constexpr std::size_t line = 64 / sizeof(T);
  const T* const sums = a.gates + block * a.shape.gates_block_stride;
  for (std::size_t i = begin * Cell::slots * V::lanes; i < end * Cell::slots * V::lanes; i += line) {
    __builtin_prefetch(sums + i);
  }
  for (std::size_t row = begin; row < end; ++row) {
    if constexpr (Cell::has_memory) __builtin_prefetch(a.c_prev + row * a.shape.row_stride + block * V::lanes);
    Kept(a.shape, a.kept + row * a.kept_stride, nullptr).request(block);
  }
}

/// Rows go by parts, whose gradients of gains and biases are summed in registers, a block at a time, and in memory
/// where L1 does not have room for a part's rows at once.
template <class T, class Isa, class Cell>
void layer_norm_backward(const PointwiseBackward<T>& operands) {
  const PointwiseBackward<T> a = operands;  // as in layer_norm_forward
  using V = typename Isa::template vec<T>;
  using Row = BackwardRow<V, Cell, T>;
  using Base = typename Cell::base;
  constexpr std::size_t S = V::lanes, W = Cell::unit_weights;
  // What the gradients through the norms take: a sum's is scale * (dhat - mean(dhat) - sum * scale^2 mean(dhat * sum)).
  constexpr auto count = each_twice(Row::Groups::count);
  const UnitMeans<V, norm_rows, 2 * Row::groups> of_sums(a.shape.units, count);
  const UnitMeans<V, norm_rows, 2> of_state(a.shape.units, {1, 1});
  constexpr std::size_t states = 4;  // c, dc, c_prev and dh
  const std::size_t at_once = of_sums.rows_at_once(2 * Cell::slots + Row::Kept::gates + Row::Kept::beside + states);
  for (std::size_t begin = 0, end = 0; begin < a.shape.rows; begin = end) {
    end = std::min({begin + at_once, begin / norm_rows * norm_rows + norm_rows, a.shape.rows});
    const std::size_t rows = end - begin;
    const bool fresh = begin % norm_rows == 0;
    typename UnitMeans<V, norm_rows, 2>::OfRows c_means{};
    if constexpr (Cell::has_memory) {
      c_means = of_state(rows, [&](std::size_t row) PYLSTM_INLINE_LAMBDA {
        return [row = Row(a, begin + row)](std::size_t block, auto add)
                   PYLSTM_INLINE_LAMBDA { row.output(block, add); };
      });
    }
    auto means = of_sums(rows, [&](std::size_t row) PYLSTM_INLINE_LAMBDA {
      const V mean = V::set1(c_means[row][0]), along = V::set1(c_means[row][1]);
      return [&over = of_sums, mean, along, row = Row(a, begin + row)](std::size_t block, auto add)
                 PYLSTM_INLINE_LAMBDA { row.update(over, mean, along, block, add); };
    });
    for (std::size_t row = 0; row < rows; ++row) {
      const T* const scale = Row(a, begin + row).sums.scale;
      for (std::size_t g = 0; g < Row::groups; ++g) means[row][2 * g + 1] *= scale[g] * scale[g];
    }

    for (std::size_t block = 0; block < a.shape.blocks; ++block) {
      request_tape<V, Cell>(a, end, std::min(end + at_once, a.shape.rows), block);
      T* const dweights = a.dweights + block * a.dweights_block_stride + begin / norm_rows * (W + Base::slots) * S;
      if constexpr (Cell::has_memory) {
        V gain = fresh ? V::zero() : V::load(dweights + Cell::gain_c * S),
          bias = fresh ? V::zero() : V::load(dweights + Cell::bias_c * S);
        for (std::size_t n = begin; n < end; ++n) {
          const Row row(a, n);
          const V d = V::load(row.dgate(block, Base::slots));
          gain = fma(d, row.hat_c(block), gain);
          bias = bias + d;
        }
        gain.store(dweights + Cell::gain_c * S);
        bias.store(dweights + Cell::bias_c * S);
      }
      // Through the norm of one product.  First that of h: the slots of x are still those of the cell.
      const auto through_norm = [&]<std::size_t first, std::size_t last>() PYLSTM_INLINE_LAMBDA {
        constexpr auto group = Row::Groups::of_slot;
        constexpr auto is_last = Cell::is_last_part;
        V gain[last - first], bias[last - first];
#pragma GCC unroll 8
        for (std::size_t g = 0; g < last - first; ++g) {
          const std::size_t slot = first + g;
          gain[g] = fresh ? V::zero() : V::load(dweights + slot * S);
          bias[g] = fresh || !is_last[slot] ? V::zero() : V::load(dweights + (W + Cell::base_slot(slot)) * S);
        }
        for (std::size_t n = begin; n < end; ++n) {
          const Row row(a, n);
          V d[last - first], scale[Row::groups];
#pragma GCC unroll 8
          for (std::size_t g = 0; g < Row::groups; ++g) scale[g] = V::set1(row.sums.scale[g]);
#pragma GCC unroll 8
          for (std::size_t g = 0; g < last - first; ++g) d[g] = V::load(row.dgate(block, Cell::base_slot(first + g)));
#pragma GCC unroll 8
          for (std::size_t g = 0; g < last - first; ++g) {
            const std::size_t slot = first + g;
            const T* const mean = means[n - begin] + 2 * group[slot];
            const V sum = row.sums.sum(block, slot);
            const V centred = fma(d[g], row.sums.weight(block, slot), V::set1(-mean[0]));
            const V through = fnma(sum, V::set1(mean[1]), centred) * scale[group[slot]];
            of_sums.within(through, block).store(row.dgate(block, slot));
            gain[g] = fma(d[g] * scale[group[slot]], sum, gain[g]);
            bias[g] = bias[g] + d[g];
          }
        }
#pragma GCC unroll 8
        for (std::size_t g = 0; g < last - first; ++g) {
          const std::size_t slot = first + g;
          gain[g].store(dweights + slot * S);
          if (is_last[slot]) bias[g].store(dweights + (W + Cell::base_slot(slot)) * S);
        }
      };
      through_norm.template operator()<Cell::gates_x, Cell::slots>();
      if (!differentiates_by_inputs<Cell>(a.shape)) through_norm.template operator()<0, Cell::gates_x>();
    }
  }
}

}  // namespace pylstm::kernels
