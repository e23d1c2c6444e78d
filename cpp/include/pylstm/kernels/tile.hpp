/// The micro-kernel: R rows times a strip of vectors, accumulated in registers.
///
/// Every element is one chain of fused multiply-adds in increasing k, whatever the tile: that is the determinism
/// contract.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "pylstm/base/inline.hpp"
#include "pylstm/kernels/ahead.hpp"
#include "pylstm/kernels/panel.hpp"

namespace pylstm::kernels {

/// Rows of the largest tile, whatever the registers.
constexpr std::size_t most_tile_rows = 8;

/// Largest number of rows so that rows * vectors accumulators, the vectors of one k and a broadcast fit the registers.
/// 24 accumulators are enough.  Tiles of one or two vectors (projections, blocks left over) have 6 rows.
template <class Isa>
constexpr std::size_t max_rows(std::size_t vectors) {
  const std::size_t rows = (Isa::registers - (Isa::registers > 16 ? vectors + 1 : 2)) / vectors;
  return std::clamp<std::size_t>(rows, 1, vectors == 3 ? most_tile_rows : 6);
}

/// Products in one turn of a tile's loop: all of a unit's gates, or so many k.
constexpr std::size_t unrolled = 4;

/// Weights of a chunk of a long sum: they and the next chunk's stay in L2 while all rows pass.
constexpr std::size_t chunk_bytes = 64 << 10;
/// Of recurrent products, in which few rows pass.
template <class V>
inline constexpr std::size_t recurrent_chunk_bytes = (whole_lines<V> ? 4 : 2) * chunk_bytes;

/// Long sums go in chunks of so many k, of about `bytes` of weights: a multiple of `lanes`, and even.  Between chunks
/// the sums wait in memory, which rounds nothing.
PYLSTM_INLINE std::size_t chunk_depth(std::size_t depth, std::size_t bytes_per_k, std::size_t lanes,
                                      std::size_t bytes) {
  const std::size_t chunks = std::max<std::size_t>(1, (depth * bytes_per_k + bytes / 2) / bytes);
  const std::size_t even = (depth + chunks - 1) / chunks;
  return (even + lanes - 1) / lanes * lanes;
}

/// body(r, v) for all sums of a tile of R rows and N vectors.
template <std::size_t R, std::size_t N, class Body>
PYLSTM_INLINE void for_each_sum(Body body) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (std::size_t v = 0; v < N; ++v) body(r, v);
  }
}

/// A fence for the compiler alone, between the k of an unrolled loop: their loads would drift together, and registers
/// spill.
PYLSTM_INLINE void keep_loads_apart() { std::atomic_signal_fence(std::memory_order_seq_cst); }

/// How a tile adds a product to a sum.
struct Fma {
  template <class V>
  PYLSTM_INLINE V operator()(V a, V b, V sum) const {
    return fma(a, b, sum);
  }
};

/// For unrolled loops over several rows, where GCC left to itself copies sums about, keeps one of twelve on the stack,
/// and reads a weight from memory again for the second row.
struct FmaInPlace {
  template <class V>
  PYLSTM_INLINE V operator()(V a, V b, V sum) const {
    return add_product(a, b, sum);
  }
};

template <std::size_t R>
using FmaOfRows = std::conditional_t<(R > 1), FmaInPlace, Fma>;

/// sum(r, v) = add(x(r), w(v), sum(r, v)).  The shorter side is read first and kept; the longer passes through one
/// register: beside 12 accumulators AVX2 has four.
template <class V, std::size_t R, std::size_t N, class X, class W, class Sum, class Add>
PYLSTM_INLINE void add_products(X x, W w, Sum sum, Add add) {
  if constexpr (R < N) {
    V rows[R];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) rows[r] = x(r);
#pragma GCC unroll 16
    for (std::size_t v = 0; v < N; ++v) {
      const V weight = w(v);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) sum(r, v) = add(rows[r], weight, sum(r, v));
    }
  } else {
    V weights[N];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < N; ++v) weights[v] = w(v);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const V row = x(r);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < N; ++v) sum(r, v) = add(row, weights[v], sum(r, v));
    }
  }
}

/// Whether `accumulate` over K of a tile of R rows asks for anything.
template <class V, std::size_t R>
constexpr bool asks_in_turns(std::size_t K) {
  constexpr std::size_t many = 16;
  return R > 1 && V::unrolls && K >= many;
}

/// acc[r][p * Slots + slot[g]] += a[r][k] * panel_p[k][g], k = 0..K-1; panel p starts at w + p * panel_stride.
template <std::size_t Slots, auto slot, std::size_t R, std::size_t P, class V, class T>
PYLSTM_INLINE void accumulate(V (&acc)[R][P * Slots], const T* const (&a)[R], std::size_t K, const T* w,
                              std::size_t panel_stride, Ahead<T> ahead) {
  constexpr std::size_t G = slot.size();
  const auto add = [&](std::size_t k, auto product) PYLSTM_INLINE_LAMBDA {
    add_products<V, R, P * G>(
        [&](std::size_t r) PYLSTM_INLINE_LAMBDA { return V::set1(a[r][k]); },
        [&](std::size_t v) PYLSTM_INLINE_LAMBDA { return V::load(w + v / G * panel_stride + v % G * V::lanes); },
        [&](std::size_t r, std::size_t v) PYLSTM_INLINE_LAMBDA -> V& { return acc[r][v / G * Slots + slot[v % G]]; },
        product);
    w += G * V::lanes;
  };
  std::size_t k = 0;
  if constexpr (R > 1 && V::unrolls) {
    if (asks_in_turns<V, R>(K)) {
      for (; k + unrolled <= K; k += unrolled) {
        ahead.template fetch<V>();
#pragma GCC unroll 4
        for (std::size_t i = 0; i < unrolled; ++i) {
          add(k + i, FmaInPlace{});
          keep_loads_apart();
        }
      }
    }
  }
  for (; k < K; ++k) add(k, Fma{});
}

/// acc[r][v] += d[r][j, gate g] * panel[j][g][v], units j in [begin, end) ascending, gates within a unit: an order that
/// no vector width changes. S, the lanes of the panels and of a gate in d, divides `begin`.
template <std::size_t R, std::size_t NV, std::size_t S, class V, class T>
PYLSTM_INLINE void accumulate_gates(V (&acc)[R][NV], const T* const (&d)[R], const GateRows& gates,
                                    std::size_t block_stride, std::size_t begin, std::size_t end, const T* panel,
                                    Ahead<T> ahead) {
  const T* w = panel + begin * gates.count * NV * S;
  const auto add = [&](std::size_t at, const T* weights) PYLSTM_INLINE_LAMBDA {
    add_products<V, R, NV>([&](std::size_t r) PYLSTM_INLINE_LAMBDA { return V::set1(d[r][at]); },
                           [&](std::size_t v) PYLSTM_INLINE_LAMBDA { return V::load(weights + v * S); },
                           [&](std::size_t r, std::size_t v) PYLSTM_INLINE_LAMBDA -> V& { return acc[r][v]; },
                           FmaOfRows<R>{});
    keep_loads_apart();
  };
  // Units of one block, the first gate of the first at `at`, G gates each or (0) as many as there are.  Unrolled, all
  // distances but the last gate's are constants: with one more of them in a register, others would be on the stack.
  const auto add_units = [&]<std::size_t G>(std::integral_constant<std::size_t, G>, std::size_t at,
                                            std::size_t lanes) PYLSTM_INLINE_LAMBDA {
    const std::size_t count = G > 0 ? G : gates.count, last = G == unrolled ? (G - 1) * S : gates.last - gates.first;
#pragma GCC unroll 1
    for (const std::size_t at_end = at + lanes; at < at_end; ++at, w += count * NV * S) {
      if constexpr (R > 1) ahead.template fetch<V>();
      if constexpr (G > 0) {
#pragma GCC unroll 4
        for (std::size_t g = 0; g + 1 < G; ++g) add(at + g * S, w + g * NV * S);
        add(at + last, w + (G - 1) * NV * S);
      } else {
#pragma GCC unroll 1
        for (std::size_t g = 0; g < count; ++g) add(at - gates.first + gates.offset(g, S), w + g * NV * S);
      }
    }
  };
  for (std::size_t j0 = begin, block_at = begin / S * block_stride; j0 < end; j0 += S, block_at += block_stride) {
    // What comes next, the same rows of the next block or the next rows, lies where no hardware looks for it.
    const std::size_t next = j0 + S < end ? block_at + block_stride : begin / S * block_stride + R * gates.width;
    for (std::size_t i = 0; i < gates.width; i += 64 / sizeof(T)) {
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) __builtin_prefetch(d[r] + next + i);
    }
    const std::size_t at = block_at + gates.first, lanes = std::min(S, end - j0);
    if constexpr (V::unrolls) {
      if (gates.count == 4) {
        add_units(std::integral_constant<std::size_t, 4>{}, at, lanes);
        continue;
      }
      if (gates.count == 3) {
        add_units(std::integral_constant<std::size_t, 3>{}, at, lanes);
        continue;
      }
    }
    add_units(std::integral_constant<std::size_t, 0>{}, at, lanes);
  }
}

/// Calls `tile(integral_constant<R>, first)` over [begin, end) in tiles of at most Most rows, spread evenly (32 =
/// 6+6+5+5+5+5).
template <std::size_t Most, class Tile>
PYLSTM_INLINE void for_each_tile(std::size_t begin, std::size_t end, Tile tile) {
  static_assert(Most <= most_tile_rows);
  const std::size_t rows = end - begin, tiles = (rows + Most - 1) / Most;
  for (std::size_t i = 0, first = begin; i < tiles; ++i) {
    const std::size_t size = rows / tiles + (i < rows % tiles ? 1 : 0);
    const auto take = [&]<std::size_t R>(std::integral_constant<std::size_t, R> exactly) {
      if constexpr (R <= Most) tile(exactly, first);
    };
    switch (size) {
      case 1:
        take(std::integral_constant<std::size_t, 1>{});
        break;
      case 2:
        take(std::integral_constant<std::size_t, 2>{});
        break;
      case 3:
        take(std::integral_constant<std::size_t, 3>{});
        break;
      case 4:
        take(std::integral_constant<std::size_t, 4>{});
        break;
      case 5:
        take(std::integral_constant<std::size_t, 5>{});
        break;
      case 6:
        take(std::integral_constant<std::size_t, 6>{});
        break;
      case 7:
        take(std::integral_constant<std::size_t, 7>{});
        break;
      default:
        take(std::integral_constant<std::size_t, most_tile_rows>{});
        break;
    }
    first += size;
  }
}

/// The groups of the transposed panels that start in the blocks [block_begin, block_end): calls group(vectors, block).
template <class Group>
PYLSTM_INLINE void for_each_transposed_group(const TransposedShape& shape, std::size_t block_begin,
                                             std::size_t block_end, Group group) {
  for (std::size_t index = 0; index < shape.groups(); ++index) {
    const std::size_t block = shape.group_begin(index);
    if (block < block_begin || block >= block_end) continue;
    switch (shape.group_begin(index + 1) - block) {
      case 1:
        group(std::integral_constant<std::size_t, 1>{}, block);
        break;
      case 2:
        group(std::integral_constant<std::size_t, 2>{}, block);
        break;
      case 3:
        group(std::integral_constant<std::size_t, 3>{}, block);
        break;
      default:
        group(std::integral_constant<std::size_t, 4>{}, block);
        break;
    }
  }
}

/// Rows of a tile of NV vectors.
template <class Isa, std::size_t NV>
inline constexpr std::size_t transposed_rows = NV < 3 || Isa::registers > 16 ? 6 : 3;

/// Units whose weights of `vectors` vectors make a chunk.
template <class T>
PYLSTM_INLINE std::size_t transposed_depth(const TransposedShape& shape, std::size_t vectors, std::size_t bytes) {
  return chunk_depth(shape.units, shape.gates * vectors * shape.lanes * sizeof(T), shape.lanes, bytes);
}

/// One group's chunks of units, and tiles over rows [begin, end) in each: calls tile(R, first row, first unit, end of
/// units).
template <class Isa, class T, std::size_t NV, class Tile>
PYLSTM_INLINE void for_each_transposed_tile(const TransposedShape& shape, std::integral_constant<std::size_t, NV>,
                                            std::size_t begin, std::size_t end, Tile tile) {
  const std::size_t depth = transposed_depth<T>(shape, NV, recurrent_chunk_bytes<typename Isa::template vec<T>>);
  for (std::size_t j = 0; j < shape.units; j += depth) {
    const std::size_t j_end = std::min(j + depth, shape.units);
    for_each_tile<transposed_rows<Isa, NV>>(begin, end,
                                            [&](auto rows, std::size_t first) { tile(rows, first, j, j_end); });
  }
}

/// 0, 1, ... N-1 as a list of slots.
template <std::size_t N>
constexpr std::array<std::size_t, N> all_slots() {
  std::array<std::size_t, N> slots{};
  for (std::size_t i = 0; i < N; ++i) slots[i] = i;
  return slots;
}

/// Vectors of `p[0..n)`: whole ones, and the first lanes of the last.
template <class V, class T>
PYLSTM_INLINE V load_within(const T* p, std::size_t n) {
  return n >= V::lanes ? V::load(p) : V::load_first(p, n);
}
template <class V, class T>
PYLSTM_INLINE void store_within(V v, T* p, std::size_t n) {
  if (n >= V::lanes) {
    v.store(p);
  } else {
    v.store_first(p, n);
  }
}

}  // namespace pylstm::kernels
