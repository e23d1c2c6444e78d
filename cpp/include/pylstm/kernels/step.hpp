/// One row, one step: products and equations of a few blocks of units in one go, on registers from the bias to h.
///
/// The chains are those of forward_steps.hpp, so the bits are the same.  `step` reads panels; sizes that are
/// compile-time constants are propagated, since everything in it is inlined.  `step_of_matrices` reads the public
/// layout: a single step uses every weight once, and transposes it on the way rather than pack it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/kernels/packing.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/product.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/simd/denormals.hpp"
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
  bool descending;  ///< last block first.  In turns: what one step read last, L1 still has when the next begins
};

/// The equations of the units that `V` holds, on their sums.  `load(array)` and `store(units, array)` are these units'
/// part of an array, `weight(w)` one of their own weights.
template <class V, class Cell, class T, class Load, class Store, class Weight>
PYLSTM_INLINE void step_units(const V (&sums)[Cell::slots], const T* h_prev, const T* c_prev, T* h, T* c, T clip,
                              Load load, Store store, Weight weight) {
  cells::Forward<V, Cell> units;
#pragma GCC unroll 8
  for (std::size_t g = 0; g < Cell::slots; ++g) units.slot[g] = sums[g];
  if constexpr (Cell::has_shortcut) units.h_prev = load(h_prev);
  if constexpr (Cell::has_memory) units.c_prev = load(c_prev);
  if constexpr (Cell::clips) units.clip = V::set1(clip);
#pragma GCC unroll 4
  for (std::size_t w = 0; w < Cell::unit_weights; ++w) units.weight[w] = weight(w);
  Cell::forward(units);
  store(units.h, h);
  if constexpr (Cell::has_memory) store(units.c, c);
}

/// Blocks [block, block + P).
template <class V, class Cell, std::size_t P, class T>
PYLSTM_INLINE void step_blocks(const PanelShape& shape, const StepOperands<T>& a, std::size_t block) {
  constexpr std::size_t S = V::lanes, slots = Cell::slots;
  using Units = simd::Several<V, P>;
  const std::size_t block_size = shape.block_size();
  const T* const panel = a.panels + block * block_size;
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
  accumulate<slots, Cell::input_slots, 1, P>(acc, x, shape.inputs, panel, block_size, {});
  accumulate<slots, Cell::recurrent_slots, 1, P>(acc, h, shape.recurrent, panel + shape.recurrent_offset(), block_size,
                                                 {});

  Units sums[slots];
#pragma GCC unroll 8
  for (std::size_t g = 0; g < slots; ++g) {
    sums[g] = Units::each([&](std::size_t p) PYLSTM_INLINE_LAMBDA { return acc[0][p * slots + g]; });
  }
  const auto at = [&](std::size_t p) PYLSTM_INLINE_LAMBDA { return (block + p) * S; };
  const auto load = [&](const T* array) PYLSTM_INLINE_LAMBDA {
    return Units::each([&](std::size_t p) PYLSTM_INLINE_LAMBDA { return V::load(array + at(p)); });
  };
  const auto store = [&](const Units& units, T* array) PYLSTM_INLINE_LAMBDA { units.each_store(array, at); };
  const auto weight = [&](std::size_t w) PYLSTM_INLINE_LAMBDA {
    const T* const weights = panel + shape.unit_weights_offset() + w * S;
    return Units::each([&](std::size_t p) PYLSTM_INLINE_LAMBDA { return V::load(weights + p * block_size); });
  };
  step_units<Units, Cell>(sums, a.h_prev, a.c, a.h, a.c, a.clip, load, store, weight);
}

/// All blocks, in groups of P and then of what is left.
template <class V, class Cell, std::size_t P, class T>
PYLSTM_INLINE void step_groups(const PanelShape& shape, const StepOperands<T>& a, bool descending) {
  const std::size_t blocks = shape.blocks(), groups = blocks / P;
  const auto rest = [&]() PYLSTM_INLINE_LAMBDA {
    std::size_t block = groups * P;
    const auto take = [&]<std::size_t fewer>(std::integral_constant<std::size_t, fewer>) PYLSTM_INLINE_LAMBDA {
      if constexpr (fewer < P) {
        for (; block + fewer <= blocks; block += fewer) step_blocks<V, Cell, fewer>(shape, a, block);
      }
    };
    take(std::integral_constant<std::size_t, 4>{});
    take(std::integral_constant<std::size_t, 2>{});
    take(std::integral_constant<std::size_t, 1>{});
  };
  for (std::size_t i = 0; i <= groups; ++i) {
    const std::size_t group = descending ? groups - i : i;
    if (group < groups) {
      step_blocks<V, Cell, P>(shape, a, group * P);
    } else {
      rest();
    }
  }
}

/// So many blocks at a time that their chains hide the latency of an FMA, and fit the registers.  Half as many where
/// whole lines come from L2, which takes longer: of the last, smaller group more is still in L1.
template <class T, class Isa, class Cell>
PYLSTM_INLINE void step(const PanelShape& shape, const StepOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t most = std::max<std::size_t>(1, 8 / Cell::slots), l1_bytes = 32 << 10;
  const bool exceeds_l1 = shape.size() * sizeof(T) > l1_bytes, descending = a.descending && exceeds_l1;
  if constexpr (whole_lines<V>) {
    if (exceeds_l1) return step_groups<V, Cell, std::max<std::size_t>(1, most / 2)>(shape, a, descending);
  }
  step_groups<V, Cell, most>(shape, a, descending);
}

/// out = bias + W in, of one row that a step has just stored.  Loads of single numbers from a vector on its way to the
/// cache come one in two cycles, and the next step's would wait for these: here they are taken out of whole vectors.
template <class V, class T>
PYLSTM_INLINE void dense_row(const PanelShape& shape, const T* panels, const T* in, T* out) {
  constexpr std::size_t S = V::lanes;
  const std::size_t K = shape.inputs;
  for (std::size_t block = 0; block < shape.blocks(); ++block) {
    const T* w = panels + block * shape.block_size();
    V sum = V::load(w + shape.bias_offset());
    for (std::size_t k = 0; k < K; k += S, w += S * S) {
      const V numbers = load_within<V>(in + k, K - k);
      const auto add = [&]<std::size_t lane>(std::integral_constant<std::size_t, lane>) PYLSTM_INLINE_LAMBDA {
        if (k + lane < K) sum = fma(broadcast<lane>(numbers), V::load(w + lane * S), sum);
      };
      [&]<std::size_t... lane>(std::index_sequence<lane...>) PYLSTM_INLINE_LAMBDA {
        (add(std::integral_constant<std::size_t, lane>{}), ...);
      }(std::make_index_sequence<S>{});
    }
    store_within(sum, out + block * S, shape.units - block * S);
  }
}

/// `step` and `dense_row` of run-time sizes, for the table of kernels.  Denormals are the caller's to flush, once for
/// many steps: to ask for the mode waits for all arithmetic before it.
template <class T, class Isa, class Cell>
void step_of_panels(const PanelShape& shape, const StepOperands<T>& a) {
  step<T, Isa, Cell>(shape, a);
}

template <class T, class Isa>
void dense_of_row(const AffineOperands<T>& a) {
  dense_row<typename Isa::template vec<T>>(a.shape, a.panels, a.in[0], a.out[0]);
}

/// Weights in the public layout; null counts as zeros.  States are [H], without padding.
template <class T>
struct MatrixStepOperands {
  const T *weight_ih, *weight_hh;  ///< [G_ih H][I], [G_hh H][H]
  const T* bias;                   ///< [G_ih H]; may be null
  const T* bias_recurrent;         ///< [H] of each slot that x does not feed; may be null
  const T* unit_weights;           ///< [unit weights][H]; may be null
  const T *x, *h_prev, *c_prev;
  T *h, *c;  ///< not h_prev
  T clip;
};

/// acc[slot[g]] += matrix * in, for `units` units of each gate from `matrix`'s first row on; gates are `gate_stride`
/// elements apart.  Not inlined: cells share it.
template <auto slot, class V, std::size_t Slots, class T>
[[gnu::noinline]] void accumulate_matrix(V (&acc)[Slots], const T* in, std::size_t K, const T* matrix,
                                         std::size_t gate_stride, std::size_t units) {
  constexpr std::size_t S = V::lanes, G = slot.size();
  if (K == 1) {  // lies as it is wanted
#pragma GCC unroll 4
    for (std::size_t g = 0; g < G; ++g) {
      acc[slot[g]] = fma(V::set1(in[0]), load_within<V>(matrix + g * gate_stride, units), acc[slot[g]]);
    }
    return;
  }
  const auto add_squares = [&](std::size_t k, auto wide) PYLSTM_INLINE_LAMBDA {
#pragma GCC unroll 4
    for (std::size_t g = 0; g < G; ++g) {
      const T* const first = matrix + g * gate_stride + k;
#pragma GCC unroll 16
      for (std::size_t s = 0; s < S; ++s) __builtin_prefetch(first + s * K + 4 * S);
      V square[S];
      load_square(square, first, K, units, wide);
      transpose_square(square);
#pragma GCC unroll 16
      for (std::size_t l = 0; l < S; ++l) {
        if (l < wide) acc[slot[g]] = fma(V::set1(in[k + l]), square[l], acc[slot[g]]);
      }
    }
  };
  std::size_t k = 0;
  for (; k + S <= K; k += S) add_squares(k, std::integral_constant<std::size_t, S>{});
  if (k < K) add_squares(k, K - k);
}

template <class T, class Isa, class Cell>
void step_of_matrices(const PanelShape& shape, const MatrixStepOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes, slots = Cell::slots, fed = Cell::input_slots.size();
  const std::size_t I = shape.inputs, H = shape.units;
  const simd::FlushDenormals flush;
  for (std::size_t j = 0; j < H; j += S) {
    const std::size_t units = std::min(S, H - j);
    const auto load = [&](const T* array) PYLSTM_INLINE_LAMBDA {
      return array == nullptr ? V::zero() : load_within<V>(array + j, units);
    };
    const auto store = [&](V v, T* array) PYLSTM_INLINE_LAMBDA { store_within(v, array + j, units); };
    V acc[slots];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < slots; ++i) {  // the slots that x feeds come first
      acc[i] = i < fed ? load(shifted(a.bias, i * H)) : load(shifted(a.bias_recurrent, (i - fed) * H));
    }
    accumulate_matrix<Cell::input_slots>(acc, a.x, I, a.weight_ih + j * I, H * I, units);
    accumulate_matrix<Cell::recurrent_slots>(acc, a.h_prev, H, a.weight_hh + j * H, H * H, units);
    const auto weight = [&](std::size_t w) PYLSTM_INLINE_LAMBDA { return load(shifted(a.unit_weights, w * H)); };
    step_units<V, Cell>(acc, a.h_prev, a.c_prev, a.h, a.c, a.clip, load, store, weight);
  }
}

}  // namespace pylstm::kernels
