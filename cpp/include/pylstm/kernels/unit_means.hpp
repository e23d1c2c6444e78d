/// Means over the units of rows.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/kernels/product.hpp"

namespace pylstm::kernels {

/// Adds to the n-th of several sums: a vector, or the product of two.
template <class V>
struct AddTo {
  V* sums;
  PYLSTM_INLINE void operator()(std::size_t n, V v) const { sums[n] = sums[n] + v; }
  PYLSTM_INLINE void operator()(std::size_t n, V a, V b) const { sums[n] = fma(a, b, sums[n]); }
};

/// N sums over the units: unit j goes to partial sum j mod 16, whatever the vector's width, and the sixteen are added
/// as a tree.  The bits are those of every instruction set.
template <class V, std::size_t N>
struct PartialSums {
  static constexpr std::size_t vectors = 16 / V::lanes;
  V partial[vectors][N];

  PYLSTM_INLINE void clear() {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) {
#pragma GCC unroll 8
      for (std::size_t n = 0; n < N; ++n) partial[v][n] = V::zero();
    }
  }
  PYLSTM_INLINE AddTo<V> of_block(std::size_t block) { return {partial[block % vectors]}; }
  /// Calls take(n, total): its lanes are yet to be added.
  template <class Take>
  PYLSTM_INLINE void totals(Take take) {
#pragma GCC unroll 8
    for (std::size_t n = 0; n < N; ++n) {
#pragma GCC unroll 8
      for (std::size_t half = vectors / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
        for (std::size_t v = 0; v < half; ++v) partial[v][n] = partial[v][n] + partial[v + half][n];
      }
      take(n, partial[0][n]);
    }
  }
};

/// N means of each of `Rows` rows or fewer, whose sums are reduced side by side.
template <class V, std::size_t Rows, std::size_t N>
struct UnitMeans {
  using Vector = V;
  using T = typename V::scalar;
  static constexpr std::size_t S = V::lanes;
  /// N numbers of each row.
  struct OfRows {
    static constexpr std::size_t vectors = (Rows * N + S - 1) / S;
    T numbers[vectors * S];

    PYLSTM_INLINE T* operator[](std::size_t row) { return numbers + row * N; }
    PYLSTM_INLINE const T* operator[](std::size_t row) const { return numbers + row * N; }
    /// What change(vector) gives takes its place.
    template <class Change>
    PYLSTM_INLINE void each(Change change) {
      for (std::size_t i = 0; i < vectors; ++i) change(V::load(numbers + i * S)).store(numbers + i * S);
    }
  };
  std::size_t blocks;
  V tail;  ///< 1 for the units of the last block, 0 past them
  OfRows counts;

  /// The n-th of each row is one of `count[n]` H numbers.
  PYLSTM_INLINE UnitMeans(std::size_t H, const std::array<std::size_t, N>& count) : blocks((H + S - 1) / S) {
    T ones[S];
    V::set1(1).store(ones);
    tail = V::load_first(ones, H - (blocks - 1) * S);
    for (T& unused : counts.numbers) unused = 1;
    for (std::size_t row = 0; row < Rows; ++row) {
      for (std::size_t n = 0; n < N; ++n) counts[row][n] = static_cast<T>(count[n] * H);
    }
  }
  /// v, zero past the last unit.
  PYLSTM_INLINE V within(V v, std::size_t block) const { return block + 1 < blocks ? v : v * tail; }

  /// Rows that are in L1 together, each of so many vectors for a block.
  PYLSTM_INLINE std::size_t rows_at_once(std::size_t vectors) const {
    constexpr std::size_t bytes = 32 << 10;  // two thirds of L1, or all of a smaller one: a part of it comes from L2
    return std::clamp<std::size_t>(bytes / (vectors * blocks * sizeof(V)), 1, Rows);
  }

  /// of_row(row) gives visit(block, add), which calls add (`AddTo`) as often as `count` says.
  template <class OfRow>
  PYLSTM_INLINE OfRows operator()(std::size_t rows, OfRow of_row) const {
    Totals totals;
    for (std::size_t row = 0; row < rows; ++row) {
      const auto visit = of_row(row);
      constexpr std::size_t vectors = PartialSums<V, N>::vectors;
      PartialSums<V, N> sums;
      sums.clear();
      for (std::size_t block = 0; block < blocks; block += vectors) {
#pragma GCC unroll 2
        for (std::size_t v = 0; v < vectors; ++v) {
          if (block + v < blocks) visit(block + v, sums.of_block(v));
        }
      }
      totals.take(row, sums);
    }
    return of(totals);
  }
  /// Of rows whose sums there are.
  PYLSTM_INLINE OfRows of_sums(PartialSums<V, N> (&sums)[Rows]) const {
    Totals totals;
    for (std::size_t row = 0; row < Rows; ++row) totals.take(row, sums[row]);
    return of(totals);
  }

 private:
  /// Of all rows, whose lanes are yet to be added.
  struct Totals {
    V of_numbers[OfRows::vectors][S];

    PYLSTM_INLINE Totals() {
      for (auto& of_vector : of_numbers) {
        for (V& total : of_vector) total = V::zero();
      }
    }
    PYLSTM_INLINE void take(std::size_t row, PartialSums<V, N>& sums) {
      sums.totals([&](std::size_t n, V total)
                      PYLSTM_INLINE_LAMBDA { of_numbers[(row * N + n) / S][(row * N + n) % S] = total; });
    }
  };

  PYLSTM_INLINE OfRows of(Totals& totals) const {
    OfRows means;
    for (std::size_t i = 0; i < OfRows::vectors; ++i) {
      (sum_of_lanes(totals.of_numbers[i]) / V::load(counts.numbers + i * S)).store(means.numbers + i * S);
    }
    return means;
  }
};

}  // namespace pylstm::kernels
