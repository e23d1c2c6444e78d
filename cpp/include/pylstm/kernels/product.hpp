/// Products over many rows at once: inputs times panels, gradients times transposed panels, and the weight gradients.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::kernels {

/// out[i][block][slot][S] = bias + panels * in[i], for i in [0, n) and blocks [block_begin, block_end).
/// Slots that the input does not feed get the bias alone.  Of the last block, `columns` elements are written.
template <class T>
struct AffineOperands {
  PanelShape shape;
  const T* panels;
  const T* const* in;  ///< [n] rows of shape.inputs
  T* const* out;       ///< [n] rows, of the first block
  std::size_t n;
  std::size_t out_block_stride;
  std::size_t columns;  ///< elements of the last block's rows that exist
  std::size_t block_begin, block_end;
};

template <class T, class Isa, std::size_t Slots, auto slot>
void affine(const AffineOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes, most = max_rows<Isa>(Slots);
  const simd::FlushDenormals flush;
  for (std::size_t block = a.block_begin; block < a.block_end; ++block) {
    const T* const panel = a.panels + block * a.shape.block_size();
    const std::size_t columns = block + 1 < a.shape.blocks() ? Slots * S : a.columns;
    for_each_tile<most>(0, a.n, [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t first) {
      V acc[R][Slots];
      const T* rows[R];
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) {
        rows[r] = a.in[first + r];
#pragma GCC unroll 8
        for (std::size_t g = 0; g < Slots; ++g) acc[r][g] = V::load(panel + a.shape.bias_offset() + g * S);
      }
      accumulate<Slots, slot, R, 1>(acc, rows, a.shape.inputs, panel, 0, {panel, 0});
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (std::size_t g = 0; g < Slots; ++g) {
          if (g * S < columns) {
            store_within(acc[r][g], a.out[first + r] + block * a.out_block_stride + g * S, columns - g * S);
          }
        }
      }
    });
  }
}

/// out[i][k] = sum over units and gates of d[i][unit, gate] * W[gate, unit][k]: the gradient of the input.
template <class T>
struct TransposedOperands {
  TransposedShape shape;
  GateRows gates;
  const T* panels;    ///< transposed panels
  const T* const* d;  ///< [n] rows [slots][S], of the first block
  T* const* out;      ///< [n] rows of shape.columns
  std::size_t n;
  std::size_t d_block_stride;
};

template <class T, class Isa>
void transposed_product(const TransposedOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  const simd::FlushDenormals flush;
  // Rows whose gradients stay in L2 while all columns pass.
  constexpr std::size_t rows_bytes = 256 << 10;
  const std::size_t strip = std::max<std::size_t>(24, rows_bytes / (a.shape.units * a.shape.gates * sizeof(T)));
  for (std::size_t begin = 0; begin < a.n; begin += strip) {
    for_each_transposed_group(
        a.shape, 0, a.shape.blocks(),
        [&]<std::size_t NV>(std::integral_constant<std::size_t, NV> vectors, std::size_t block) {
          for_each_transposed_tile<Isa, T>(
              a.shape, vectors, begin, std::min(begin + strip, a.n),
              [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t first, std::size_t j_begin,
                                 std::size_t j_end) {
                const std::size_t k = block * S, columns = a.shape.columns - k;
                V acc[R][NV];
                const T* rows[R];
#pragma GCC unroll 8
                for (std::size_t r = 0; r < R; ++r) {
                  rows[r] = a.d[first + r];
#pragma GCC unroll 8
                  for (std::size_t v = 0; v < NV; ++v) {
                    acc[r][v] =
                        j_begin == 0 ? V::zero() : load_within<V>(a.out[first + r] + k + v * S, columns - v * S);
                  }
                }
                accumulate_gates<R, NV>(acc, rows, a.gates, a.d_block_stride, j_begin, j_end,
                                        a.panels + block * a.shape.block_size(), {a.panels, 0});
#pragma GCC unroll 8
                for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
                  for (std::size_t v = 0; v < NV; ++v) {
                    store_within(acc[r][v], a.out[first + r] + k + v * S, columns - v * S);
                  }
                }
              });
        });
  }
}

/// dW[block][k][g][S] += sum_i d[i][block][slot[g]][S] * in[i][k], i ascending.  A fresh sum starts at zero, whatever
/// memory holds.
template <class T>
struct OuterOperands {
  const T* const* d;   ///< [n] rows [slots][S], of the first block
  const T* const* in;  ///< [n] rows of inputs
  std::size_t n;
  std::size_t d_block_stride;
  bool fresh;
  std::size_t k_begin, k_end;  ///< inputs whose weights are wanted
  T* dw;                       ///< first block's row k = 0
  std::size_t block_size;
  std::size_t block_begin, block_end;
};

template <class V, auto slot, std::size_t KT, class T>
PYLSTM_INLINE void outer_tile(const T* const* d, std::size_t d_offset, const T* const* in, std::size_t n, bool fresh,
                              std::size_t k, T* dw) {
  constexpr std::size_t G = slot.size(), S = V::lanes;
  V acc[KT][G];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < KT; ++i) {
#pragma GCC unroll 8
    for (std::size_t g = 0; g < G; ++g) acc[i][g] = fresh ? V::zero() : V::load(dw + ((k + i) * G + g) * S);
  }
  for (std::size_t row = 0; row < n; ++row) {
    const T* const gradient = d[row] + d_offset;
    const T* const input = in[row] + k;
    add_products<V, KT, G>([&](std::size_t i) { return V::set1(input[i]); },
                           [&](std::size_t g) { return V::load(gradient + slot[g] * S); },
                           [&](std::size_t i, std::size_t g) -> V& { return acc[i][g]; });
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < KT; ++i) {
#pragma GCC unroll 8
    for (std::size_t g = 0; g < G; ++g) acc[i][g].store(dw + ((k + i) * G + g) * S);
  }
}

template <class T, class Isa, auto slot>
void outer(const OuterOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t most = max_rows<Isa>(slot.size());
  constexpr std::size_t strip = 128;  // rows whose gradients of one block stay in L1: 128 x 4 x 64 bytes
  const simd::FlushDenormals flush;
  for (std::size_t block = a.block_begin; block < a.block_end; ++block) {
    const std::size_t offset = block * a.d_block_stride;
    T* const dw = a.dw + block * a.block_size;
    for (std::size_t row = 0; row == 0 || row < a.n; row += strip) {
      const std::size_t n = std::min(strip, a.n - row);
      const bool fresh = a.fresh && row == 0;
      for_each_tile<most>(a.k_begin, a.k_end,
                          [&]<std::size_t KT>(std::integral_constant<std::size_t, KT>, std::size_t k) {
                            outer_tile<V, slot, KT>(a.d + row, offset, a.in + row, n, fresh, k, dw);
                          });
    }
  }
}

/// The gradient of the bias, db[block][slot][S] += sum_i d[i][block][slot][S], and of the units' own weights,
/// dw[block][w][S] += sum_i d[i][block][slot of w][S] * state of w; both in the order of `OuterOperands`.
template <class T>
struct UnitSumsOperands {
  const T* const* d;    ///< [n] rows [slots][S], of the first block
  const T* const* c;    ///< [n] cell states before the step; not read without unit weights
  std::size_t c_after;  ///< elements from there to those after the step
  std::size_t n;
  std::size_t d_block_stride;
  bool fresh;
  T *bias, *unit_weights;  ///< of the first block
  std::size_t block_size;
  std::size_t block_begin, block_end;
};

template <class T, class Isa, std::size_t Slots, auto unit_weights>
void unit_sums(const UnitSumsOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes, W = unit_weights.size();
  const simd::FlushDenormals flush;
  for (std::size_t block = a.block_begin; block < a.block_end; ++block) {
    T* const bias = a.bias + block * a.block_size;
    V sum[Slots];
#pragma GCC unroll 8
    for (std::size_t g = 0; g < Slots; ++g) sum[g] = a.fresh ? V::zero() : V::load(bias + g * S);
    for (std::size_t i = 0; i < a.n; ++i) {
#pragma GCC unroll 8
      for (std::size_t g = 0; g < Slots; ++g) sum[g] = sum[g] + V::load(a.d[i] + block * a.d_block_stride + g * S);
    }
#pragma GCC unroll 8
    for (std::size_t g = 0; g < Slots; ++g) sum[g].store(bias + g * S);
    if constexpr (W > 0) {
      T* const dw = a.unit_weights + block * a.block_size;
      V weight[W];
#pragma GCC unroll 4
      for (std::size_t w = 0; w < W; ++w) weight[w] = a.fresh ? V::zero() : V::load(dw + w * S);
      for (std::size_t i = 0; i < a.n; ++i) {
        const T* const d = a.d[i] + block * a.d_block_stride;
        const T* const c = a.c[i] + block * S;
#pragma GCC unroll 4
        for (std::size_t w = 0; w < W; ++w) {
          constexpr auto weights = unit_weights;
          const std::size_t after = weights[w].state == cells::State::current ? a.c_after : 0;
          weight[w] = fma(V::load(d + weights[w].slot * S), V::load(c + after), weight[w]);
        }
      }
#pragma GCC unroll 4
      for (std::size_t w = 0; w < W; ++w) weight[w].store(dw + w * S);
    }
  }
}

}  // namespace pylstm::kernels
