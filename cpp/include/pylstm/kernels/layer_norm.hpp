/// The equations of cells with layer normalisation: rows of all units at once.
///
/// The tape keeps the sums as the products leave them, and beside them (`KeptRow`) their means and deviations and the
/// gates.  Units past H have gains of zero, so that they stay zero.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"
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
  static constexpr std::size_t vectors = 2 * N;
  V mean[N], scale[N];  ///< scale = 1 / sqrt(variance + epsilon)

  template <class T>
  PYLSTM_INLINE static Normal load(const T* from) {
    Normal normal;
#pragma GCC unroll 8
    for (std::size_t n = 0; n < N; ++n) {
      normal.mean[n] = V::load(from + 2 * n * V::lanes);
      normal.scale[n] = V::load(from + (2 * n + 1) * V::lanes);
    }
    return normal;
  }
  template <class T>
  PYLSTM_INLINE void store(T* to) const {
#pragma GCC unroll 8
    for (std::size_t n = 0; n < N; ++n) {
      mean[n].store(to + 2 * n * V::lanes);
      scale[n].store(to + (2 * n + 1) * V::lanes);
    }
  }
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

/// What the tape keeps of a row beside its sums, in vectors: the normalisation of the sums and of c, then for each
/// block the gates and tanh(norm(c)).
template <class V, class Cell>
struct KeptRow {
  static constexpr std::size_t S = V::lanes, sums = 0, c = Normal<V, NormGroups<Cell>::size>::vectors,
                               blocks = c + (Cell::has_memory ? Normal<V, 1>::vectors : 0),
                               squashed = Cell::base::slots, per_block = squashed + (Cell::has_memory ? 1 : 0);

  static constexpr std::size_t at(std::size_t vector) { return vector * S; }
  static constexpr std::size_t at(std::size_t block, std::size_t slot) { return at(blocks + block * per_block + slot); }
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

  PYLSTM_INLINE void normalize(const UnitSums<V>& over) {
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
  using Kept = KeptRow<V, Cell>;
  constexpr std::size_t S = V::lanes;
  const PointwiseShape<T> shape = a.shape;
  const UnitSums<V> over(shape.units);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    const std::size_t state = row * shape.row_stride;
    T* const kept = shifted(a.kept, row * a.kept_stride);
    const auto keep = [&](const Vectors& v, const std::size_t (&at)[norm_group],
                          std::size_t slot) PYLSTM_INLINE_LAMBDA {
      if (kept == nullptr) return;
      v.each_store(kept, [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return Kept::at(at[i], slot); });
    };
    NormalizedRow<V, Cell, T> sums{.shape = shape, .sums = a.gates + row * Cell::slots * S, .normal = {}};
    sums.normalize(over);
    if (kept != nullptr) sums.normal.store(kept + Kept::at(Kept::sums));
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
#pragma GCC unroll 8
      for (std::size_t s = 0; s < Base::slots; ++s) keep(units.slot[s], at, s);
    });
    if constexpr (Cell::has_memory) {
      const Normal<V, 1> c = normal_of(over, a.c + state);
      if (kept != nullptr) c.store(kept + Kept::at(Kept::c));
      for_each_norm_group(shape.blocks, [&](const std::size_t (&at)[norm_group]) PYLSTM_INLINE_LAMBDA {
        const auto offset = [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return state + at[i] * S; };
        const Vectors squashed = Base::activation::squash(Vectors::each(
            [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return sums.normalized_c(c, a.c + state, at[i]); }));
        keep(squashed, at, Kept::squashed);
        const Vectors o = Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(a.h + offset(i)); });
        // The last group may hold a block twice: h must not be read after it has been written.
        (o * squashed).each_store(a.h, offset);
      });
    }
  }
}

/// Backward of one row up to the gradients of the cell's sums, which it leaves in the first slots of dgates, and behind
/// them those of norm(c).
template <class V, class Cell, class T>
struct BackwardRow {
  using Base = typename Cell::base;
  using Groups = NormGroups<Cell>;
  using Kept = KeptRow<V, Cell>;
  static constexpr std::size_t S = V::lanes, groups = Groups::size;
  const PointwiseBackward<T>& a;
  std::size_t row, state;
  const T* kept;
  NormalizedRow<V, Cell, T> sums;

  PYLSTM_INLINE BackwardRow(const PointwiseBackward<T>& a_, std::size_t row_)
      : a(a_),
        row(row_),
        state(row * a.shape.row_stride),
        kept(a.kept + row * a.kept_stride),
        sums{.shape = a.shape,
             .sums = a.gates + row * Cell::slots * S,
             .normal = Normal<V, groups>::load(kept + Kept::at(Kept::sums))} {}

  /// Asks for the tape of a row: it has long left the cache.
  PYLSTM_INLINE static void request(const PointwiseBackward<T>& a, std::size_t row) {
    constexpr std::size_t line = 64 / sizeof(T);
    for (std::size_t i = 0; i < Kept::at(a.shape.blocks, 0); i += line) {
      __builtin_prefetch(a.kept + row * a.kept_stride + i);
    }
    for (std::size_t block = 0; block < a.shape.blocks; ++block) {
      const T* const sums = a.gates + block * a.shape.gates_block_stride + row * Cell::slots * S;
      for (std::size_t i = 0; i < Cell::slots * S; i += line) __builtin_prefetch(sums + i);
    }
  }
  PYLSTM_INLINE V gate(std::size_t block, std::size_t slot) const { return V::load(kept + Kept::at(block, slot)); }
  PYLSTM_INLINE T* dgate(std::size_t block, std::size_t slot) const {
    return a.dgates + block * a.dgates_block_stride + (row * Cell::slots + slot) * S;
  }
  PYLSTM_INLINE V hat_c(std::size_t block) const {
    const Normal<V, 1> c = Normal<V, 1>::load(kept + Kept::at(Kept::c));
    return (V::load(a.c + state + block * S) - c.mean[0]) * c.scale[0];
  }
  PYLSTM_INLINE V through_norm_of_c(std::size_t block, V mean, V along) const {
    const V dhat = V::load(dgate(block, Base::slots)) * sums.weight(block, Cell::gain_c);
    return (dhat - mean - hat_c(block) * along) * Normal<V, 1>::load(kept + Kept::at(Kept::c)).scale[0];
  }

  /// The means that the gradients through the norms of the products take: of dhat, and of dhat * hat.
  PYLSTM_INLINE std::array<T, 2 * groups> equations(const UnitSums<V>& over) const {
    constexpr auto group = Groups::of_slot;
    V c_mean = V::zero(), c_along = V::zero();
    if constexpr (Cell::has_memory) {  // h = o tanh(norm(c))
      const std::array<T, 2> totals = over.template sums<2>([&](std::size_t block, auto add) PYLSTM_INLINE_LAMBDA {
        const V dh = V::load(a.dh + state + block * S), o = gate(block, Base::o), u = gate(block, Kept::squashed);
        const V d = dh * o * Base::activation::squash_derivative(u), dhat = d * sums.weight(block, Cell::gain_c);
        d.store(dgate(block, Base::slots));
        (dh * u * Base::activation::gate_derivative(o)).store(dgate(block, Base::o));
        add(0, dhat);
        add(1, dhat * hat_c(block));
      });
      c_mean = V::set1(totals[0] / static_cast<T>(over.units));
      c_along = V::set1(totals[1] / static_cast<T>(over.units));
    }
    std::array<T, 2 * groups> means =
        over.template sums<2 * groups>([&](std::size_t block, auto add) PYLSTM_INLINE_LAMBDA {
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
#pragma GCC unroll 8
          for (std::size_t slot = 0; slot < Cell::slots; ++slot) {
            const V dhat = units.slot[Cell::base_slot(slot)] * sums.weight(block, slot);
            add(2 * group[slot], dhat);
            add(2 * group[slot] + 1, dhat * sums.hat(block, slot));
          }
        });
    for (std::size_t n = 0; n < 2 * groups; ++n) means[n] /= static_cast<T>(Groups::count[n / 2] * over.units);
    return means;
  }
};

/// Rows go by parts, whose gradients of gains and biases are summed in registers, a block at a time.
template <class T, class Isa, class Cell>
void layer_norm_backward(const PointwiseBackward<T>& a) {
  using V = typename Isa::template vec<T>;
  using Row = BackwardRow<V, Cell, T>;
  using Base = typename Cell::base;
  constexpr std::size_t S = V::lanes, W = Cell::unit_weights;
  const UnitSums<V> over(a.shape.units);
  for (std::size_t begin = 0; begin < a.shape.rows; begin += norm_rows) {
    const std::size_t end = std::min(begin + norm_rows, a.shape.rows);
    std::array<T, 2 * Row::groups> means[norm_rows];
    for (std::size_t row = begin; row < end; ++row) {
      if (row + 2 < a.shape.rows) Row::request(a, row + 2);
      means[row - begin] = Row(a, row).equations(over);
    }

    for (std::size_t block = 0; block < a.shape.blocks; ++block) {
      T* const dweights = a.dweights + block * a.dweights_block_stride + begin / norm_rows * (W + Base::slots) * S;
      if constexpr (Cell::has_memory) {
        V gain = V::zero(), bias = V::zero();
        for (std::size_t n = begin; n < end; ++n) {
          const Row row(a, n);
          const V d = V::load(row.dgate(block, Base::slots));
          gain = fma(d, row.hat_c(block), gain);
          bias = bias + d;
        }
        gain.store(dweights + Cell::gain_c * S);
        bias.store(dweights + Cell::bias_c * S);
      }
      // Through the norm of one product.  The slots of h come last: the first ones are still those of the cell.
      const auto through_norm = [&]<std::size_t first, std::size_t last>() PYLSTM_INLINE_LAMBDA {
        constexpr auto group = Row::Groups::of_slot;
        V gain[last - first], bias[last - first];
#pragma GCC unroll 8
        for (std::size_t g = 0; g < last - first; ++g) gain[g] = bias[g] = V::zero();
        for (std::size_t n = begin; n < end; ++n) {
          const Row row(a, n);
          V d[last - first];
#pragma GCC unroll 8
          for (std::size_t g = 0; g < last - first; ++g) d[g] = V::load(row.dgate(block, Cell::base_slot(first + g)));
#pragma GCC unroll 8
          for (std::size_t g = 0; g < last - first; ++g) {
            const std::size_t slot = first + g;
            const std::array<T, 2 * Row::groups>& mean = means[n - begin];
            const V hat = row.sums.hat(block, slot), dhat = d[g] * row.sums.weight(block, slot);
            const V through = dhat - V::set1(mean[2 * group[slot]]) - hat * V::set1(mean[2 * group[slot] + 1]);
            over.within(through * row.sums.normal.scale[group[slot]], block).store(row.dgate(block, slot));
            gain[g] = fma(d[g], hat, gain[g]);
            bias[g] = bias[g] + d[g];
          }
        }
#pragma GCC unroll 8
        for (std::size_t g = 0; g < last - first; ++g) {
          gain[g].store(dweights + (first + g) * S);
          bias[g].store(dweights + (W + Cell::base_slot(first + g)) * S);
        }
      };
      through_norm.template operator()<Cell::gates_x, Cell::slots>();
      through_norm.template operator()<0, Cell::gates_x>();
    }
  }
}

}  // namespace pylstm::kernels
