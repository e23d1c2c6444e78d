/// The equations of cells with layer normalisation: rows of all units at once.
///
/// A product's mean over the units is the product with the weights' mean: weights without it (`centre_weights`) give
/// sums whose mean is zero, and leave their deviation alone to be found.  The tape keeps the sums as the products leave
/// them, and beside them (`KeptRow`) these deviations and the gates.  Units past H have gains of zero, so that they
/// stay zero.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/cells/layer_norm.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/pointwise.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/kernels/unit_means.hpp"

namespace pylstm::kernels {

template <class Cell>
inline constexpr bool is_layer_norm = false;
template <class Base>
inline constexpr bool is_layer_norm<cells::LayerNorm<Base>> = true;

/// Rows whose parts of the gradients of gains and biases are added up before they are stored (a row of its own for each
/// would leave L2).  Beginning at a multiple.
inline constexpr std::size_t norm_rows = 4;

/// Rows that go through the equations together, whose means are found side by side: forward more than backward, where
/// each takes more of L1.
inline constexpr std::size_t forward_norm_rows = 8;

/// 1 / sqrt(variance + 1e-5) of each row's groups of numbers of mean zero: of_row(row) gives visit(block, add), which
/// calls add(group, vector, vector).
template <class Means, class OfRow>
PYLSTM_INLINE typename Means::OfRows scales(const Means& means, std::size_t rows, OfRow of_row) {
  using V = typename Means::Vector;
  constexpr auto epsilon = static_cast<typename Means::T>(1e-5);
  auto scale = means(rows, of_row);
  // NaN where the variance overflows: with a scale of zero the product would be left out, and nobody would know.
  scale.each([](V variance) PYLSTM_INLINE_LAMBDA {
    return V::set1(1) / sqrt(variance + V::set1(epsilon)) + (variance - variance);
  });
  return scale;
}

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

/// Blocks of a row that go through the equations side by side.
inline constexpr std::size_t norm_group = 2;

/// One row's sums, normalised as they are read.
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
  PYLSTM_INLINE V scale_of(std::size_t slot) const {
    constexpr auto group = Groups::of_slot;
    return V::set1(scale[group[slot]]);
  }
  /// The unit's own weights, and after them the bias.
  PYLSTM_INLINE V weight(std::size_t block, std::size_t w) const {
    return V::load(shape.unit_weights + block * shape.unit_weights_stride + w * S);
  }
  /// The sums of the cell inside, of `norm_group` blocks: bias, x's product, h's.
  template <class Units>
  PYLSTM_INLINE void load(Units& units, const std::size_t (&at)[norm_group]) const {
    using Base = typename Cell::base;
    using Vectors = simd::Several<V, norm_group>;
    constexpr auto of_x = Base::input_slots, of_h = Base::recurrent_slots;
    const auto add = [&](Vectors& sum, std::size_t slot) PYLSTM_INLINE_LAMBDA {
      sum = Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA {
        const V hat = this->sum(at[i], slot) * scale_of(slot);
        return fma(weight(at[i], slot), hat, sum.v[i]);
      });
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

/// Forward of one row, its sums normalised.
template <class V, class Cell, class T>
struct ForwardRow {
  using Base = typename Cell::base;
  using Kept = KeptRow<V, Cell, T>;
  using Vectors = simd::Several<V, norm_group>;
  static constexpr std::size_t S = V::lanes;
  using Blocks = std::size_t[norm_group];
  const PointwiseForward<T>& a;
  std::size_t state;
  Kept kept;
  NormalizedRow<V, Cell, T> sums;

  PYLSTM_INLINE ForwardRow(const PointwiseForward<T>& a_, std::size_t row, const T* scale)
      : a(a_),
        state(row * a.shape.row_stride),
        kept(a.shape, shifted(a.kept, row * a.kept_stride), a.gates + row * Cell::slots * S),
        sums{.shape = a.shape,
             .sums = a.gates + row * Cell::slots * S,
             .scale = scale,
             .x_sums = a.x_sums + row * a.x_row_width,
             .x_block_stride = a.x_block_stride} {}

  PYLSTM_INLINE auto offset(const Blocks& at) const {
    return [this, &at](std::size_t i) PYLSTM_INLINE_LAMBDA { return state + at[i] * S; };
  }
  PYLSTM_INLINE Vectors load(const T* from, const Blocks& at) const {
    return Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return V::load(from + state + at[i] * S); });
  }

  /// The base's equations; with a memory up to c, and o in place of h.  Asks for where the row `ahead` rows further on
  /// will keep its gates.
  PYLSTM_INLINE void update(std::size_t ahead) const {
    const bool keeps = kept.row != nullptr;
    if (keeps) std::copy_n(sums.scale, NormGroups<Cell>::size, kept.row + Kept::sums);
    for_each_norm_group(a.shape.blocks, [&](const Blocks& at) PYLSTM_INLINE_LAMBDA {
      if (keeps) {
#pragma GCC unroll 4
        for (const std::size_t block : at) kept.request(block, ahead * a.kept_stride);
      }
      cells::Forward<Vectors, Base> units;
      sums.load(units, at);
      if constexpr (Cell::has_memory) {
        units.c_prev = load(a.c_prev, at);
        Base::update(units);
        units.c.each_store(a.c, offset(at));
        units.slot[Base::o].each_store(a.h, offset(at));
      } else {
        units.h_prev = load(a.h_prev, at);
        Base::forward(units);
        units.h.each_store(a.h, offset(at));
      }
      if (!keeps) return;
#pragma GCC unroll 8
      for (std::size_t s = 0; s < Base::slots; ++s) {
        units.slot[s].each_store(kept.gate(0, s),
                                 [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * kept.gates_stride; });
      }
    });
  }

  /// h = o tanh(norm(c)), norm(c) = gain * hat(c) + bias.
  PYLSTM_INLINE void output(T mean, T scale) const {
    const bool keeps = kept.row != nullptr;
    if (keeps) {
      kept.row[Kept::c] = mean;
      kept.row[Kept::c + 1] = scale;
    }
    for_each_norm_group(a.shape.blocks, [&](const Blocks& at) PYLSTM_INLINE_LAMBDA {
      const Vectors squashed = Base::activation::squash(Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA {
        const V hat = (V::load(a.c + state + at[i] * S) - V::set1(mean)) * V::set1(scale);
        return fma(sums.weight(at[i], Cell::gain_c), hat, sums.weight(at[i], Cell::bias_c));
      }));
      if (keeps) {
        squashed.each_store(kept.squashed(0),
                            [&](std::size_t i) PYLSTM_INLINE_LAMBDA { return at[i] * kept.per_block; });
      }
      // The last group may hold a block twice: h must not be read after it has been written.
      (load(a.h, at) * squashed).each_store(a.h, offset(at));
    });
  }
};

template <class T, class Isa, class Cell>
void layer_norm_forward(const PointwiseForward<T>& operands) {
  // A copy can stay in registers: a stored vector may alias what is behind a reference.
  const PointwiseForward<T> a = operands;
  using V = typename Isa::template vec<T>;
  using Row = ForwardRow<V, Cell, T>;
  using Groups = NormGroups<Cell>;
  constexpr std::size_t S = V::lanes;
  constexpr auto count = Groups::count;
  const UnitMeans<V, forward_norm_rows, Groups::size> of_sums(a.shape.units, count);
  const UnitMeans<V, forward_norm_rows, 1> of_state(a.shape.units, {1});
  const std::size_t at_once = of_sums.rows_at_once(Cell::slots);
  for (std::size_t begin = 0; begin < a.shape.rows; begin += at_once) {
    const std::size_t rows = std::min(at_once, a.shape.rows - begin);
    const auto scale = scales(of_sums, rows, [&](std::size_t row) PYLSTM_INLINE_LAMBDA {
      return [row = Row(a, begin + row, nullptr)](std::size_t block, auto add) PYLSTM_INLINE_LAMBDA {
        constexpr auto group = Groups::of_slot;
#pragma GCC unroll 8
        for (std::size_t slot = 0; slot < Cell::slots; ++slot) {
          const V sum = row.sums.sum(block, slot);
          add(group[slot], sum, sum);
        }
      };
    });
    for (std::size_t row = 0; row < rows; ++row)
      Row(a, begin + row, scale[row]).update(begin + row + at_once < a.shape.rows ? at_once : 0);
    if constexpr (Cell::has_memory) {
      const auto c_of = [&](std::size_t row) PYLSTM_INLINE_LAMBDA { return a.c + (begin + row) * a.shape.row_stride; };
      const auto mean = of_state(rows, [&](std::size_t row) PYLSTM_INLINE_LAMBDA {
        return [c = c_of(row)](std::size_t block, auto add) PYLSTM_INLINE_LAMBDA { add(0, V::load(c + block * S)); };
      });
      const auto c_scale = scales(of_state, rows, [&](std::size_t row) PYLSTM_INLINE_LAMBDA {
        return [&, c = c_of(row), mean = V::set1(mean[row][0])](std::size_t block, auto add) PYLSTM_INLINE_LAMBDA {
          const V centred = of_state.within(V::load(c + block * S) - mean, block);
          add(0, centred, centred);
        };
      });
      for (std::size_t row = 0; row < rows; ++row) {
        Row(a, begin + row, scale[row]).output(mean[row][0], c_scale[row][0]);
      }
    }
  }
}

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
