/// The equations of cells with layer normalisation: rows of all units at once.
///
/// The tape keeps the sums as the products leave them; means, deviations and gates are computed again on the way back.
/// Units past H have gains of zero, so that they stay zero.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/layer_norm.hpp"
#include "pylstm/kernels/pointwise.hpp"

namespace pylstm::kernels {

template <class Cell>
inline constexpr bool is_layer_norm = false;
template <class Base>
inline constexpr bool is_layer_norm<cells::LayerNorm<Base>> = true;

/// What the normalisation of N groups of one row's sums takes.
template <class V, std::size_t N>
struct Normal {
  V mean[N], scale[N];  ///< scale = 1 / sqrt(variance + epsilon)
};

/// Sums over the units of a row.
template <class V>
struct UnitSums {
  using T = typename V::scalar;
  static constexpr std::size_t S = V::lanes;
  std::size_t units, blocks;
  V tail;  ///< 1 for the units of the last block, 0 past them

  PYLSTM_INLINE explicit UnitSums(std::size_t H) : units(H), blocks((H + S - 1) / S) {
    T ones[S];
    V::set1(1).store(ones);
    tail = V::load_first(ones, H - (blocks - 1) * S);
  }
  /// v, zero past the last unit.
  PYLSTM_INLINE V within(V v, std::size_t block) const { return block + 1 < blocks ? v : v * tail; }

  /// N sums over all units: visit(block, add) calls add(n, vector).  Unit j goes to partial sum j mod 16, whatever the
  /// vector's width, and the sixteen are added as a tree: the bits are those of every instruction set.
  template <std::size_t N, class Visit>
  PYLSTM_INLINE std::array<T, N> sums(Visit visit) const {
    constexpr std::size_t partial = 16, vectors = partial / S;
    V sum[vectors][N];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) {
#pragma GCC unroll 8
      for (std::size_t n = 0; n < N; ++n) sum[v][n] = V::zero();
    }
    for (std::size_t block = 0; block < blocks; block += vectors) {
#pragma GCC unroll 2
      for (std::size_t v = 0; v < vectors; ++v) {
        if (block + v < blocks) {
          visit(block + v, [&](std::size_t n, V value) PYLSTM_INLINE_LAMBDA { sum[v][n] = sum[v][n] + value; });
        }
      }
    }
    std::array<T, N> totals;
    for (std::size_t n = 0; n < N; ++n) {
      T lane[partial];
      for (std::size_t v = 0; v < vectors; ++v) sum[v][n].store(lane + v * S);
      for (std::size_t half = partial / 2; half > 0; half /= 2) {
        for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
      }
      totals[n] = lane[0];
    }
    return totals;
  }

  /// Means and scales of N groups: visit(block, take) calls take(group, vector), `count[group]` times a block.
  template <std::size_t N, class Visit>
  PYLSTM_INLINE Normal<V, N> normal(const std::array<std::size_t, N>& count, Visit visit) const {
    constexpr T epsilon = T(1e-5);
    Normal<V, N> result;
    const std::array<T, N> totals = sums<N>(visit);
#pragma GCC unroll 8
    for (std::size_t n = 0; n < N; ++n) result.mean[n] = V::set1(totals[n] / static_cast<T>(count[n] * units));
    const std::array<T, N> squares = sums<N>([&](std::size_t block, auto add) PYLSTM_INLINE_LAMBDA {
      visit(block, [&](std::size_t n, V value) PYLSTM_INLINE_LAMBDA {
        const V d = within(value - result.mean[n], block);
        add(n, d * d);
      });
    });
#pragma GCC unroll 8
    for (std::size_t n = 0; n < N; ++n) {
      result.scale[n] = V::set1(1 / std::sqrt(squares[n] / static_cast<T>(count[n] * units) + epsilon));
    }
    return result;
  }
};

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

/// Blocks of a row that go through the equations side by side.
inline constexpr std::size_t norm_group = 2;

/// Rows whose parts of the gradients of gains and biases are added up before they are stored, beginning at a multiple:
/// a row of its own for each would leave L2.
inline constexpr std::size_t norm_rows = 4;

/// One row's sums, normalised as they are read.
template <class V, class Cell, class T>
struct NormalizedRow {
  using Groups = NormGroups<Cell>;
  static constexpr std::size_t S = V::lanes;
  const PointwiseShape<T>& shape;
  const T* sums;  ///< [slots][S] of the first block
  Normal<V, Groups::size> normal;

  PYLSTM_INLINE NormalizedRow(const PointwiseShape<T>& shape_, const UnitSums<V>& over, const T* sums_)
      : shape(shape_), sums(sums_) {
    normal = over.template normal<Groups::size>(Groups::count, [&](std::size_t block, auto take) PYLSTM_INLINE_LAMBDA {
      constexpr auto group = Groups::of_slot;
#pragma GCC unroll 8
      for (std::size_t slot = 0; slot < Cell::slots; ++slot) take(group[slot], sum(block, slot));
    });
  }

  PYLSTM_INLINE V sum(std::size_t block, std::size_t slot) const {
    return V::load(sums + block * shape.gates_block_stride + slot * S);
  }
  /// (s - mean) * scale.
  PYLSTM_INLINE V hat(std::size_t block, std::size_t slot) const {
    constexpr auto group = Groups::of_slot;
    return (sum(block, slot) - normal.mean[group[slot]]) * normal.scale[group[slot]];
  }
  /// The unit's own weights, and after them the bias.
  PYLSTM_INLINE V weight(std::size_t block, std::size_t w) const {
    return V::load(shape.unit_weights + block * shape.unit_weights_stride + w * S);
  }
  /// gain * norm(c) + bias.
  PYLSTM_INLINE V normalized_c(const Normal<V, 1>& of_c, const T* c, std::size_t block) const {
    const V hat_c = (V::load(c + block * S) - of_c.mean[0]) * of_c.scale[0];
    return fma(weight(block, Cell::gain_c), hat_c, weight(block, Cell::bias_c));
  }
  /// The sums of the cell inside, of `norm_group` blocks: bias, x's product, h's.
  template <class Units>
  PYLSTM_INLINE void load(Units& units, const std::size_t (&at)[norm_group]) const {
    using Base = typename Cell::base;
    using Vectors = simd::Several<V, norm_group>;
    constexpr auto of_x = Base::input_slots, of_h = Base::recurrent_slots;
    const auto add = [&](Vectors& sum, std::size_t slot) PYLSTM_INLINE_LAMBDA {
      sum = Vectors::each([&](std::size_t i)
                              PYLSTM_INLINE_LAMBDA { return fma(weight(at[i], slot), hat(at[i], slot), sum.v[i]); });
    };
#pragma GCC unroll 8
    for (std::size_t s = 0; s < Base::slots; ++s) {
      units.slot[s] =
          Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return weight(at[i], Cell::unit_weights + s); });
    }
#pragma GCC unroll 8
    for (std::size_t g = 0; g < Cell::gates_x; ++g) add(units.slot[of_x[g]], g);
#pragma GCC unroll 8
    for (std::size_t g = 0; g < Cell::gates_h; ++g) add(units.slot[of_h[g]], Cell::gates_x + g);
  }
};

/// Visits the blocks in groups whose chains go through the equations together; the last may be repeated: what reads
/// before it writes does not mind.
template <class Visit>
PYLSTM_INLINE void for_each_norm_group(std::size_t blocks, Visit visit) {
  for (std::size_t block = 0; block < blocks; block += norm_group) {
    std::size_t at[norm_group];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < norm_group; ++i) at[i] = std::min(block + i, blocks - 1);
    visit(at);
  }
}

/// Of c over the units of a row.
template <class V, class T>
PYLSTM_INLINE Normal<V, 1> normal_of(const UnitSums<V>& over, const T* c) {
  return over.template normal<1>(
      {1}, [&](std::size_t block, auto take) PYLSTM_INLINE_LAMBDA { take(0, V::load(c + block * V::lanes)); });
}

template <class T, class Isa, class Cell>
void layer_norm_forward(const PointwiseForward<T>& a) {
  using V = typename Isa::template vec<T>;
  using Vectors = simd::Several<V, norm_group>;
  using Base = typename Cell::base;
  constexpr std::size_t S = V::lanes;
  const PointwiseShape<T> shape = a.shape;
  const UnitSums<V> over(shape.units);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    const std::size_t state = row * shape.row_stride;
    const NormalizedRow<V, Cell, T> sums(shape, over, a.gates + row * Cell::slots * S);
    for_each_norm_group(shape.blocks, [&](const std::size_t (&at)[norm_group]) PYLSTM_INLINE_LAMBDA {
      const auto offset = [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return state + at[i] * S; };
      const auto load = [&](const T* from) PYLSTM_INLINE_LAMBDA {
        return Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(from + offset(i)); });
      };
      cells::Forward<Vectors, Base> units;
      sums.load(units, at);
      if constexpr (Cell::has_memory) {
        units.c_prev = load(a.c_prev);
        Base::update(units);
        units.c.each_store(a.c, offset);
        units.slot[Base::o].each_store(a.h, offset);  // h is o until c is normalised
      } else {
        units.h_prev = load(a.h_prev);
        Base::forward(units);
        units.h.each_store(a.h, offset);
      }
    });
    if constexpr (Cell::has_memory) {
      const Normal<V, 1> c = normal_of(over, a.c + state);
      for_each_norm_group(shape.blocks, [&](const std::size_t (&at)[norm_group]) PYLSTM_INLINE_LAMBDA {
        const auto offset = [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return state + at[i] * S; };
        const Vectors squashed = Base::activation::squash(Vectors::each(
            [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return sums.normalized_c(c, a.c + state, at[i]); }));
        const Vectors o = Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(a.h + offset(i)); });
        // The last group may hold a block twice: h must not be read after it has been written.
        (o * squashed).each_store(a.h, offset);
      });
    }
  }
}

template <class T, class Isa, class Cell>
void layer_norm_backward(const PointwiseBackward<T>& a) {
  using V = typename Isa::template vec<T>;
  using Vectors = simd::Several<V, norm_group>;
  using Base = typename Cell::base;
  using Groups = NormGroups<Cell>;
  constexpr std::size_t S = V::lanes, slots = Cell::slots, W = Cell::unit_weights, groups = Groups::size;
  constexpr auto of_x = Base::input_slots, of_h = Base::recurrent_slots;
  constexpr auto group = Groups::of_slot;
  constexpr auto base_slot = [of_x, of_h](std::size_t slot) {
    return slot < Cell::gates_x ? of_x[slot] : of_h[slot - Cell::gates_x];
  };
  const PointwiseShape<T> shape = a.shape;
  const UnitSums<V> over(shape.units);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    const std::size_t state = row * shape.row_stride;
    const NormalizedRow<V, Cell, T> sums(shape, over, a.gates + row * slots * S);
    const auto dgate = [&](std::size_t block, std::size_t slot) PYLSTM_INLINE_LAMBDA {
      return a.dgates + block * a.dgates_block_stride + (row * slots + slot) * S;
    };
    const auto add_dweight = [&](std::size_t block, std::size_t w, V part) PYLSTM_INLINE_LAMBDA {
      T* const sum = a.dweights + block * a.dweights_block_stride + (row / norm_rows * (W + Cell::bias_slots) + w) * S;
      (row % norm_rows == 0 ? part : V::load(sum) + part).store(sum);
    };

    // The gates once more, and tanh(norm(c)) behind them: they wait in the slots of the gradients.
    Normal<V, 1> c{};
    if constexpr (Cell::has_memory) c = normal_of(over, a.c + state);
    for_each_norm_group(shape.blocks, [&](const std::size_t (&at)[norm_group]) PYLSTM_INLINE_LAMBDA {
      const auto load = [&](const T* from) PYLSTM_INLINE_LAMBDA {
        return Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(from + state + at[i] * S); });
      };
      const auto store = [&](const Vectors& v, std::size_t slot) PYLSTM_INLINE_LAMBDA {
        v.each_store(a.dgates + row * slots * S + slot * S,
                     [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * a.dgates_block_stride; });
      };
      cells::Forward<Vectors, Base> units;
      sums.load(units, at);
      if constexpr (Cell::has_memory) {
        units.c_prev = load(a.c_prev);
        Base::update(units);
        store(Base::activation::squash(Vectors::each(
                  [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return sums.normalized_c(c, a.c + state, at[i]); })),
              Base::slots);
      } else {
        units.h_prev = load(a.h_prev);
        Base::forward(units);
      }
#pragma GCC unroll 8
      for (std::size_t s = 0; s < Base::slots; ++s) store(units.slot[s], s);
    });
    // h = o tanh(norm(c)): what the gradient through the norm of c takes.
    V c_mean = V::zero(), c_along = V::zero();
    if constexpr (Cell::has_memory) {
      const std::array<T, 2> totals = over.template sums<2>([&](std::size_t block, auto add) PYLSTM_INLINE_LAMBDA {
        const std::size_t at = state + block * S;
        const V hat = (V::load(a.c + at) - c.mean[0]) * c.scale[0], gain = sums.weight(block, Cell::gain_c);
        const V dh = V::load(a.dh + at), o = V::load(dgate(block, Base::o)), u = V::load(dgate(block, Base::slots));
        const V dnormalized = dh * o * Base::activation::squash_derivative(u), dhat = dnormalized * gain;
        add_dweight(block, Cell::gain_c, dnormalized * hat);
        add_dweight(block, Cell::bias_c, dnormalized);
        dnormalized.store(dgate(block, Base::slots));
        (dh * u * Base::activation::gate_derivative(o)).store(dgate(block, Base::o));
        add(0, dhat);
        add(1, dhat * hat);
      });
      c_mean = V::set1(totals[0] / static_cast<T>(shape.units));
      c_along = V::set1(totals[1] / static_cast<T>(shape.units));
    }

    // The cell inside, and what the gradients through the norms of the products take.
    const std::array<T, 2 * groups> totals =
        over.template sums<2 * groups>([&](std::size_t block, auto add) PYLSTM_INLINE_LAMBDA {
          const std::size_t at = state + block * S;
          cells::Backward<V, Base> units;
#pragma GCC unroll 8
          for (std::size_t s = 0; s < Base::slots; ++s) units.slot[s] = V::load(dgate(block, s));
          if constexpr (Cell::has_memory) {
            const V hat = (V::load(a.c + at) - c.mean[0]) * c.scale[0];
            const V dhat = V::load(dgate(block, Base::slots)) * sums.weight(block, Cell::gain_c);
            const V through_norm = (dhat - c_mean - hat * c_along) * c.scale[0];
            units.c_prev = V::load(a.c_prev + at);
            units.dc = over.within(V::load(a.dc + at) + through_norm, block);
            Base::update_backward(units);
            units.dc.store(a.dc + at);
          } else {
            units.h_prev = V::load(a.h_prev + at);
            units.dh = V::load(a.dh + at);
            Base::backward(units);
            units.dh_prev.store(a.dh_shortcut + at);
          }
#pragma GCC unroll 8
          for (std::size_t s = 0; s < Base::slots; ++s) {
            units.slot[s].store(dgate(block, s));
            add_dweight(block, W + s, units.slot[s]);
          }
#pragma GCC unroll 8
          for (std::size_t slot = 0; slot < slots; ++slot) {
            const V hat = sums.hat(block, slot), d = units.slot[base_slot(slot)], dhat = d * sums.weight(block, slot);
            add_dweight(block, slot, d * hat);
            add(2 * group[slot], dhat);
            add(2 * group[slot] + 1, dhat * hat);
          }
        });

    V mean[groups], along[groups];
#pragma GCC unroll 8
    for (std::size_t n = 0; n < groups; ++n) {
      const T count = static_cast<T>(Groups::count[n] * shape.units);
      mean[n] = V::set1(totals[2 * n] / count);
      along[n] = V::set1(totals[2 * n + 1] / count);
    }
    for (std::size_t block = 0; block < shape.blocks; ++block) {
      V of_base[Base::slots];  // read before their slots are written
#pragma GCC unroll 8
      for (std::size_t s = 0; s < Base::slots; ++s) of_base[s] = V::load(dgate(block, s));
#pragma GCC unroll 8
      for (std::size_t slot = 0; slot < slots; ++slot) {
        const std::size_t n = group[slot];
        const V dhat = of_base[base_slot(slot)] * sums.weight(block, slot);
        const V d = (dhat - mean[n] - sums.hat(block, slot) * along[n]) * sums.normal.scale[n];
        over.within(d, block).store(dgate(block, slot));
      }
    }
  }
}

}  // namespace pylstm::kernels
