/// The equations of cells with layer normalisation, forward: deviations, the cell's equations, the norm of c.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/kernels/layer_norm.hpp"
#include "pylstm/kernels/pointwise.hpp"
#include "pylstm/kernels/unit_means.hpp"
#include "pylstm/simd/several.hpp"

namespace pylstm::kernels {

/// Rows that go through the equations together, whose means are found side by side: forward more than backward, where
/// each takes more of L1.
inline constexpr std::size_t forward_norm_rows = 8;

/// Blocks of a row that go through the equations side by side.
inline constexpr std::size_t norm_group = 2;

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

  /// The sums of the cell inside: bias, x's product and h's, normalised as they are read.
  PYLSTM_INLINE void load_sums(cells::Forward<Vectors, Base>& units, const Blocks& at) const {
    constexpr auto of_x = Base::input_slots, of_h = Base::recurrent_slots;
    constexpr auto group = NormGroups<Cell>::of_slot;
    const auto add = [&](Vectors& sum, std::size_t slot) PYLSTM_INLINE_LAMBDA {
      sum = Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA {
        const V hat = sums.sum(at[i], slot) * V::set1(sums.scale[group[slot]]);
        return fma(sums.weight(at[i], slot), hat, sum.v[i]);
      });
    };
#pragma GCC unroll 8
    for (std::size_t s = 0; s < Base::slots; ++s) {
      units.slot[s] =
          Vectors::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return sums.weight(at[i], Cell::unit_weights + s); });
    }
#pragma GCC unroll 8
    for (std::size_t g = 0; g < Cell::gates_x; ++g) add(units.slot[of_x[g]], g);
#pragma GCC unroll 8
    for (std::size_t g = 0; g < Cell::gates_h; ++g) add(units.slot[of_h[g]], Cell::gates_x + g);
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
      load_sums(units, at);
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

}  // namespace pylstm::kernels
