/// Weights from the public layout to panels, back, and from panels to transposed panels.
///
/// All three are transposes of S x S blocks in registers: whole cache lines are read and written, and every call is a
/// range of blocks, so that threads can share it.  What the next squares need is asked for meanwhile: their lines lie
/// apart, where hardware does not look ahead for long.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/tile.hpp"

namespace pylstm::kernels {

/// A part of the panels beside its matrix in the public layout (gates * units rows, `columns` columns).
template <class Matrix, class Panels>
struct PackingOperands {
  PanelShape shape;
  PanelPart part;
  Matrix* matrix;
  Panels* panels;
  std::size_t block_begin, block_end;
};

template <class T>
struct TransposeOperands {
  PanelShape shape;
  PanelPart part;
  const T* panels;
  T* transposed;  ///< transposed(shape, part).size() elements
  std::size_t group_begin, group_end;
};

/// rows[r] lane l <-> rows[l] lane r.  Each round moves the top bit of the row's number to the bottom of the lane's.
template <class V>
PYLSTM_INLINE void transpose_square(V (&rows)[V::lanes]) {
  constexpr std::size_t S = V::lanes;
#pragma GCC unroll 8
  for (std::size_t round = 1; round < S; round *= 2) {
    V zipped[S];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < S / 2; ++i) {
      zipped[2 * i] = zip_low(rows[i], rows[i + S / 2]);
      zipped[2 * i + 1] = zip_high(rows[i], rows[i + S / 2]);
    }
#pragma GCC unroll 16
    for (std::size_t i = 0; i < S; ++i) rows[i] = zipped[i];
  }
}

/// `units` rows of `wide` elements, `columns` apart; the rest is zero.
template <class V, class T>
PYLSTM_INLINE void load_square(V (&rows)[V::lanes], const T* first, std::size_t columns, std::size_t units,
                               std::size_t wide) {
#pragma GCC unroll 16
  for (std::size_t s = 0; s < V::lanes; ++s) {
    rows[s] = s < units ? load_within<V>(first + s * columns, wide) : V::zero();
  }
}

/// Asks for as much as a square has, side by side at `next`.
template <class V, int write, class T>
PYLSTM_INLINE void request(T* next) {
  constexpr std::size_t line = 64 / sizeof(T);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < V::lanes * V::lanes; i += line) __builtin_prefetch(next + i, write, 2);
}

/// A square of a part: where it begins in the matrix and in the panels, and how much of it there is.
template <class V>
struct Square {
  static constexpr std::size_t S = V::lanes;
  std::size_t in_matrix, in_panels;
  std::size_t units, wide;    ///< rows of the matrix and their elements; at most S
  std::size_t next_rows;      ///< in the matrix: its share of the S rows visited after these, which are one stretch
  std::size_t columns, step;  ///< from one row to the next in the matrix and in the panels

  /// Asks for the lines of the next columns.
  template <int write, class T>
  PYLSTM_INLINE void request_panels(T* panels) const {
#pragma GCC unroll 16
    for (std::size_t l = S; l < 2 * S; ++l) __builtin_prefetch(panels + in_panels + l * step, write, 3);
  }
};

/// Calls visit(square) for every square of a part's blocks.  Where a square's rows are whole cache lines, gate by gate:
/// more than 16 streams are too many for the hardware.
template <class V, class Visit>
PYLSTM_INLINE void for_each_square(const PanelShape& shape, const PanelPart& part, std::size_t block_begin,
                                   std::size_t block_end, Visit visit) {
  constexpr std::size_t S = V::lanes;
  const std::size_t together = whole_lines<V> ? 1 : part.gates, columns = part.columns;
  const auto row = [&](std::size_t block, std::size_t gate) { return (gate * shape.units + block * S) * columns; };
  for (std::size_t block = block_begin; block < block_end; ++block) {
    for (std::size_t first = 0; first < part.gates; first += together) {
      for (std::size_t k = 0; k < columns; k += S) {
        for (std::size_t gate = first; gate < first + together; ++gate) {
          const bool last = gate + together >= part.gates;
          visit(Square<V>{
              .in_matrix = row(block, gate) + k,
              .in_panels = part.index(shape, gate, block * S, k),
              .units = std::min(S, shape.units - block * S),
              .wide = std::min(S, columns - k),
              .next_rows = (last ? row(block + 1, gate + together - part.gates) : row(block, gate + together)) + k * S,
              .columns = columns,
              .step = part.gates * S});
        }
      }
    }
  }
}

/// matrix -> panels; null counts as zeros.  Units past the last become zero.
template <class T, class Isa>
void pack(const PackingOperands<const T, T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  for_each_square<V>(a.shape, a.part, a.block_begin, a.block_end, [&](const Square<V>& square) PYLSTM_INLINE_LAMBDA {
    V rows[S];
    if (a.matrix == nullptr) {
#pragma GCC unroll 16
      for (std::size_t s = 0; s < S; ++s) rows[s] = V::zero();
    } else {
      request<V, 0>(a.matrix + square.next_rows);
      load_square(rows, a.matrix + square.in_matrix, square.columns, square.units, square.wide);
      transpose_square(rows);
      square.template request_panels<1>(a.panels);
    }
    T* const to = a.panels + square.in_panels;
#pragma GCC unroll 16
    for (std::size_t l = 0; l < S; ++l) {
      if (l < square.wide) rows[l].store(to + l * square.step);
    }
  });
}

/// panels -> matrix.
template <class T, class Isa>
void unpack(const PackingOperands<T, const T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  for_each_square<V>(a.shape, a.part, a.block_begin, a.block_end, [&](const Square<V>& square) PYLSTM_INLINE_LAMBDA {
    V rows[S];
    square.template request_panels<0>(a.panels);
    const T* const from = a.panels + square.in_panels;
#pragma GCC unroll 16
    for (std::size_t l = 0; l < S; ++l) rows[l] = l < square.wide ? V::load(from + l * square.step) : V::zero();
    transpose_square(rows);
    request<V, 1>(a.matrix + square.next_rows);
    T* const to = a.matrix + square.in_matrix;
#pragma GCC unroll 16
    for (std::size_t s = 0; s < S; ++s) {
      if (s < square.units) store_within(rows[s], to + s * square.columns, square.wide);
    }
  });
}

/// panels -> transposed panels, columns past the last zero.  The squares of one block and group are one stretch of
/// either.
template <class T, class Isa>
void transpose(const TransposeOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  const TransposedShape t = transposed(a.shape, a.part);
  const std::size_t G = a.part.gates;
  for (std::size_t group = a.group_begin; group < a.group_end; ++group) {
    const std::size_t begin = t.group_begin(group), vectors = t.group_begin(group + 1) - begin;
    for (std::size_t block = 0; block < a.shape.blocks(); ++block) {
      const std::size_t units = std::min(S, a.shape.units - block * S), stretch = vectors * G * S * S;
      const T* const panels = a.panels + a.part.index(a.shape, 0, block * S, begin * S);
      const T* const next_panels = panels + a.shape.block_size();
      T* const transposed = a.transposed + begin * t.block_size() + block * stretch;
      for (std::size_t v = 0; v < vectors; ++v) {
        const std::size_t wide = std::min(S, a.part.columns - (begin + v) * S);
        for (std::size_t gate = 0; gate < G; ++gate) {
          const std::size_t share = (v * G + gate) * S * S;
          request<V, 0>(next_panels + share);
          const T* const from = panels + (v * S * G + gate) * S;
          V square[S];
#pragma GCC unroll 16
          for (std::size_t l = 0; l < S; ++l) square[l] = l < wide ? V::load(from + l * G * S) : V::zero();
          transpose_square(square);
          request<V, 1>(transposed + stretch + share);
          T* const to = transposed + (gate * vectors + v) * S;
#pragma GCC unroll 16
          for (std::size_t s = 0; s < S; ++s) {
            if (s < units) square[s].store(to + s * G * vectors * S);
          }
        }
      }
    }
  }
}

}  // namespace pylstm::kernels
