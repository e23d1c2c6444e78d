/// Products over many rows at once: inputs times panels, gradients times transposed panels, and the weight gradients.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/cache_size.hpp"
#include "pylstm/base/inline.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/simd/denormals.hpp"
#include "pylstm/simd/simd.hpp"

namespace pylstm::kernels {

/// out[i][block][slot][S] = bias + panels * in[i], for i in [0, n) and blocks [block_begin, block_end).
/// Slots that the input does not feed get the bias alone; without `biased`, nothing.  Of the last block, `columns`
/// elements are written.
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
  const Stretch<T>* wanted = nullptr;  ///< asked for while the first block's products run
  std::size_t wanted_count = 0;
};

template <class T, class Isa, std::size_t Slots, auto slot, bool biased>
void affine(const AffineOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  constexpr auto held = [] {
    if constexpr (biased) {
      return all_slots<Slots>();
    } else {
      return slot;
    }
  }();
  constexpr auto fed = [] {
    if constexpr (biased) {
      return slot;
    } else {
      return all_slots<slot.size()>();
    }
  }();
  constexpr std::size_t sums = held.size(), most = max_rows<Isa>(sums);
  const simd::FlushDenormals flush;
  Wanted<V, T> wanted(a.wanted, a.wanted_count, (a.n + most - 1) / most);
  for (std::size_t block = a.block_begin; block < a.block_end; ++block) {
    const T* const panel = a.panels + block * a.shape.block_size();
    const std::size_t columns = block + 1 < a.shape.blocks() ? Slots * S : a.columns;
    for_each_tile<most>(0, a.n, [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t first) {
      V acc[R][sums];
      const T* rows[R];
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) rows[r] = a.in[first + r];
      for_each_sum<R, sums>([&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA {
        acc[r][i] = biased ? V::load(panel + a.shape.bias_offset() + i * S) : V::zero();
      });
      accumulate<sums, fed, R, 1>(acc, rows, a.shape.inputs, panel, 0, wanted.next(a.shape.inputs / unrolled + 1));
      for_each_sum<R, sums>([&](std::size_t r, std::size_t i) PYLSTM_INLINE_LAMBDA {
        constexpr auto at = held;
        const std::size_t to = at[i] * S;
        if (to < columns) store_within(acc[r][i], a.out[first + r] + block * a.out_block_stride + to, columns - to);
      });
    });
  }
}

/// Calls work(in, out, count) on the rows of a step in lists of pointers.
template <class T, class Work>
PYLSTM_INLINE void for_each_row_list(const T* in, std::size_t in_width, T* out, std::size_t out_width,
                                     std::size_t begin, std::size_t end, Work work) {
  constexpr std::size_t most = 48;
  for (std::size_t first = begin; first < end; first += most) {
    const std::size_t count = std::min(most, end - first);
    const T* from[most];
    T* to[most];
    for (std::size_t i = 0; i < count; ++i) {
      from[i] = in + (first + i) * in_width;
      to[i] = out + (first + i) * out_width;
    }
    work(from, to, count);
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

/// Rows [begin, end) of columns [block, block + NV) and units [j, j_end).  V may be narrower than the panels.
template <class Isa, class V, std::size_t NV, class T>
PYLSTM_INLINE void transposed_tiles(const TransposedOperands<T>& a, std::size_t begin, std::size_t end,
                                    std::size_t block, std::size_t j, std::size_t j_end) {
  constexpr std::size_t S = Isa::template vec<T>::lanes;
  for_each_tile<transposed_rows<Isa, NV>>(
      begin, end, [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t first) {
        const std::size_t k = block * S, columns = a.shape.columns - k;
        V acc[R][NV];
        const T* rows[R];
#pragma GCC unroll 8
        for (std::size_t r = 0; r < R; ++r) rows[r] = a.d[first + r];
        for_each_sum<R, NV>([&](std::size_t r, std::size_t v) PYLSTM_INLINE_LAMBDA {
          acc[r][v] = j == 0 ? V::zero() : load_within<V>(a.out[first + r] + k + v * S, columns - v * S);
        });
        accumulate_gates<R, NV, S>(acc, rows, a.gates, a.d_block_stride, j, j_end,
                                   a.panels + block * a.shape.block_size(), {});
        for_each_sum<R, NV>([&](std::size_t r, std::size_t v) PYLSTM_INLINE_LAMBDA {
          store_within(acc[r][v], a.out[first + r] + k + v * S, columns - v * S);
        });
      });
}

/// A chunk of units at a time, for as many rows as keep that part of their gradients in L2: all columns' weights pass,
/// from L3 where they are many.
template <class T, class Isa>
void transposed_product(const TransposedOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  // Of half the lanes where there is one: the processor takes two of them at once.
  using Half = typename simd::Fitting<Isa, T, 1>::type::template vec<T>;
  constexpr std::size_t S = V::lanes, rows_bytes = 256 << 10;
  const simd::FlushDenormals flush;
  const std::size_t depth = transposed_depth<T>(a.shape, TransposedShape::group, chunk_bytes);
  constexpr std::size_t whole_tiles = 6, least = 4 * whole_tiles;  // rows; tiles have 6 or 3
  const std::size_t strip =
      std::max(least, rows_bytes / (depth * a.shape.gates * sizeof(T)) / whole_tiles * whole_tiles);
  for (std::size_t begin = 0; begin < a.n; begin += strip) {
    const std::size_t end = std::min(begin + strip, a.n);
    for (std::size_t j = 0; j < a.shape.units; j += depth) {
      const std::size_t j_end = std::min(j + depth, a.shape.units);
      for_each_transposed_group(a.shape, 0, a.shape.blocks(),
                                [&]<std::size_t NV>(std::integral_constant<std::size_t, NV>, std::size_t block) {
                                  if constexpr (NV == 1 && Half::lanes < S) {
                                    if (a.shape.columns - block * S <= Half::lanes) {
                                      return transposed_tiles<Isa, Half, 1>(a, begin, end, block, j, j_end);
                                    }
                                  }
                                  transposed_tiles<Isa, V, NV>(a, begin, end, block, j, j_end);
                                });
    }
  }
}

/// As `TransposedOperands`, from the panels as they are.
template <class T>
struct FewColumnsOperands {
  PanelShape shape;
  PanelPart part;  ///< of at most `few_columns` columns
  GateRows gates;
  const T* panels;
  const T* const* d;  ///< [n] rows [slots][S], of the first block
  T* const* out;      ///< [n] rows of part.columns
  std::size_t n;
  std::size_t d_block_stride;
};

/// A vector of so few columns would be padding for the most part: vectors of units instead.
inline constexpr std::size_t few_columns = 4;

/// Chains of a sum that has no vectors of its own.
template <class T>
inline constexpr std::size_t chains = 64 / sizeof(T);

/// The sum of all vectors, halves first.
template <class V, std::size_t N>
PYLSTM_INLINE V sum_of_vectors(V (&v)[N]) {
#pragma GCC unroll 4
  for (std::size_t half = N / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < half; ++i) v[i] = v[i] + v[i + half];
  }
  return v[0];
}

/// Lane r: sum(rows[r]).
/// Padding adds a positive zero to a chain, or nothing: a zero sum is positive everywhere.
template <class V>
PYLSTM_INLINE V sum_of_lanes(V (&rows)[V::lanes]) {
#pragma GCC unroll 8
  for (std::size_t half = V::lanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < half; ++i) {
      rows[i] = zip_low(rows[i], rows[i + half]) + zip_high(rows[i], rows[i + half]);
    }
  }
  return rows[0] + V::zero();
}

/// out[i][k] as `transposed_product`, with sums that are the same for all vector widths: unit j goes to chain j mod
/// `chains`, gates within a unit, and halves of the chains are added until one is left.
template <class T, class Isa>
void few_columns_product(const FewColumnsOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes, N = chains<T> / S;
  static_assert(chains<T> % S == 0);
  const simd::FlushDenormals flush;
  const std::size_t columns = a.part.columns, G = a.gates.count, blocks = a.shape.blocks();
  constexpr std::size_t most_rows = std::min<std::size_t>(4, max_rows<Isa>(N));
  for_each_tile<most_rows>(0, a.n, [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t first) {
    constexpr std::size_t most = (R * few_columns + S - 1) / S * S;
    T sums[most * S];  // of row r and column k: S partial sums
    for (std::size_t k = 0; k < columns; ++k) {
      V acc[R][N];
      for_each_sum<R, N>([&](std::size_t r, std::size_t v) PYLSTM_INLINE_LAMBDA { acc[r][v] = V::zero(); });
      for (std::size_t block = 0; block < blocks; block += N) {
        for (std::size_t g = 0; g < G; ++g) {
          const T* const weights = a.panels + a.part.index(a.shape, g, block * S, k);
          const std::size_t at = block * a.d_block_stride + a.gates.offset(g, S);
#pragma GCC unroll 4
          for (std::size_t v = 0; v < N; ++v) {
            if (block + v >= blocks) continue;
            const V weight = V::load(weights + v * a.shape.block_size());
#pragma GCC unroll 8
            for (std::size_t r = 0; r < R; ++r) {
              acc[r][v] = fma(V::load(a.d[first + r] + at + v * a.d_block_stride), weight, acc[r][v]);
            }
          }
        }
      }
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) {
        sum_of_vectors(acc[r]).store(sums + (r * columns + k) * S);
      }
    }
    for (std::size_t i = 0; i < R * columns; i += S) {
      V rows[S];
      T lanes[S];
#pragma GCC unroll 16
      for (std::size_t l = 0; l < S; ++l) rows[l] = i + l < R * columns ? V::load(sums + (i + l) * S) : V::zero();
      sum_of_lanes(rows).store(lanes);
      for (std::size_t l = 0; l < S && i + l < R * columns; ++l) {
        a.out[first + (i + l) / columns][(i + l) % columns] = lanes[l];
      }
    }
  });
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
  std::size_t l1_bytes = l1_cache_bytes();
};

/// A tile of KT inputs of one block; input(row) are those of a row.  While it computes it asks for the line at `asked`
/// of all rows, where that is one instruction beside 24 multiply-adds.
template <class V, auto slot, std::size_t KT, class T, class Input>
PYLSTM_INLINE void outer_tile(const T* const* d, std::size_t d_offset, std::size_t asked, Input input, std::size_t n,
                              bool fresh, T* dw) {
  constexpr std::size_t G = slot.size(), S = V::lanes;
  V acc[KT][G];
  for_each_sum<KT, G>([&](std::size_t i, std::size_t g)
                          PYLSTM_INLINE_LAMBDA { acc[i][g] = fresh ? V::zero() : V::load(dw + (i * G + g) * S); });
  for_each_sum<KT, G>([&](std::size_t i, std::size_t g)
                          PYLSTM_INLINE_LAMBDA { __builtin_prefetch(dw + ((KT + i) * G + g) * S, 1, 2); });
  const auto add = [&](std::size_t row) PYLSTM_INLINE_LAMBDA {
    const T* const gradient = d[row] + d_offset;
    const T* const inputs = input(row);
    if constexpr (whole_lines<V>) __builtin_prefetch(d[row] + asked, 0, 2);
    add_products<V, KT, G>([&](std::size_t i) { return V::set1(inputs[i]); },
                           [&](std::size_t g) { return V::load(gradient + slot[g] * S); },
                           [&](std::size_t i, std::size_t g) -> V& { return acc[i][g]; }, Fma{});
  };
  if constexpr (V::unrolls && !whole_lines<V>) {
#pragma GCC unroll 4
    for (std::size_t row = 0; row < n; ++row) {
      add(row);
      keep_loads_apart();
    }
  } else {
    for (std::size_t row = 0; row < n; ++row) add(row);
  }
  for_each_sum<KT, G>([&](std::size_t i, std::size_t g)
                          PYLSTM_INLINE_LAMBDA { acc[i][g].store(dw + (i * G + g) * S); });
}

/// Rows of inputs lie far apart: where many blocks read them, the inputs of a strip of rows are first copied, those of
/// a tile side by side.
template <class T, class Isa, auto slot>
void outer(const OuterOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t G = slot.size(), most = max_rows<Isa>(G);
  // Rows whose gradients of one block take two thirds of L1 at most, as one tile after the other meets them.  Where
  // they come from L2 anyway, strips are longer: the sums go to memory and back less often.
  constexpr std::size_t short_strip = 128, long_strip = 256;
  const std::size_t strip = short_strip * G * sizeof(V) <= a.l1_bytes / 3 * 2 ? short_strip : long_strip;
  constexpr std::size_t depth = 256 / sizeof(T) / most * most;  // inputs of a copy, 32 or 64 KiB with a strip's rows
  constexpr std::size_t few_blocks = 4;
  const simd::FlushDenormals flush;
  // Tiles of inputs [k_begin, k_end), n rows and one block; tile_inputs(size, k) gives the inputs of a row.
  const auto tiles = [&](std::size_t row, std::size_t n, std::size_t block, std::size_t k_begin, std::size_t k_end,
                         auto tile_inputs) PYLSTM_INLINE_LAMBDA {
    T* const dw = a.dw + block * a.block_size;
    const std::size_t offset = block * a.d_block_stride;
    // The first tiles ask for the next block's gradients, of a slot each; later ones for the last slot's again.
    std::size_t asked = block + 1 < a.block_end ? offset + a.d_block_stride : offset;
    const std::size_t asked_end = asked + slot[G - 1] * V::lanes;
    for_each_tile<most>(k_begin, k_end,
                        [&]<std::size_t KT>(std::integral_constant<std::size_t, KT> size, std::size_t k) {
                          outer_tile<V, slot, KT>(a.d + row, offset, asked, tile_inputs(size, k), n,
                                                  a.fresh && row == 0, dw + k * G * V::lanes);
                          asked = std::min(asked + V::lanes, asked_end);
                        });
  };
  if (a.block_end - a.block_begin < few_blocks) {
    for (std::size_t block = a.block_begin; block < a.block_end; ++block) {
      for (std::size_t row = 0; row == 0 || row < a.n; row += strip) {
        tiles(row, std::min(strip, a.n - row), block, a.k_begin, a.k_end,
              [&](auto, std::size_t k) { return [in = a.in + row, k](std::size_t i) { return in[i] + k; }; });
      }
    }
    return;
  }
  alignas(64) T copy[long_strip * depth];
  for (std::size_t row = 0; row == 0 || row < a.n; row += strip) {
    const std::size_t n = std::min(strip, a.n - row);
    for (std::size_t k_begin = a.k_begin; k_begin < a.k_end; k_begin += depth) {
      const std::size_t k_end = std::min(k_begin + depth, a.k_end);
      for_each_tile<most>(k_begin, k_end, [&](auto size, std::size_t k) {
        T* to = copy + (k - k_begin) * n;
        for (std::size_t i = 0; i < n; ++i, to += size) std::copy_n(a.in[row + i] + k, size(), to);
      });
      for (std::size_t block = a.block_begin; block < a.block_end; ++block) {
        tiles(row, n, block, k_begin, k_end, [&](auto size, std::size_t k) {
          return [from = copy + (k - k_begin) * n, size](std::size_t i) { return from + i * size; };
        });
      }
    }
  }
}

/// sums[block][slot][S] += sum_i rows[i][block][slot][S], in the order of `OuterOperands`: the gradients of biases and
/// of the units' own weights.
template <class T>
struct SumRowsOperands {
  const T* const* rows;  ///< [n] rows [slots][S], of the first block
  std::size_t n;
  std::size_t block_stride;
  bool fresh;
  std::size_t slot, slots;  ///< from the one to the other
  T* sums;                  ///< [slots][S] of the first block
  std::size_t sums_block_stride;
  std::size_t block_begin, block_end;
};

template <class V, std::size_t N, class T>
PYLSTM_INLINE void sum_slots(const SumRowsOperands<T>& a, std::size_t block, std::size_t slot) {
  constexpr std::size_t S = V::lanes;
  T* const to = a.sums + block * a.sums_block_stride + slot * S;
  V sum[N];
#pragma GCC unroll 4
  for (std::size_t g = 0; g < N; ++g) sum[g] = a.fresh ? V::zero() : V::load(to + g * S);
  for (std::size_t i = 0; i < a.n; ++i) {
    const T* const row = a.rows[i] + block * a.block_stride + slot * S;
#pragma GCC unroll 4
    for (std::size_t g = 0; g < N; ++g) sum[g] = sum[g] + V::load(row + g * S);
  }
#pragma GCC unroll 4
  for (std::size_t g = 0; g < N; ++g) sum[g].store(to + g * S);
}

template <class T, class Isa>
void sum_rows(const SumRowsOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  const simd::FlushDenormals flush;
  for (std::size_t block = a.block_begin; block < a.block_end; ++block) {
    std::size_t slot = a.slot;
    for (; slot + 4 <= a.slots; slot += 4) sum_slots<V, 4>(a, block, slot);
    for (; slot < a.slots; ++slot) sum_slots<V, 1>(a, block, slot);
  }
}

}  // namespace pylstm::kernels
