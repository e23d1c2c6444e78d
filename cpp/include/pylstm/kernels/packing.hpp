/// Weights from the public layout to panels, back, and from panels to transposed panels.
///
/// All three are transposes of S x S blocks in registers: whole cache lines are read and written, and every call is a
/// range of blocks, so that threads can share it.
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
PYLSTM_INLINE void load_square(V (&square)[V::lanes], const T* first, std::size_t columns, std::size_t units,
                               std::size_t wide) {
  constexpr std::size_t S = V::lanes;
#pragma GCC unroll 16
  for (std::size_t s = 0; s < S; ++s) {
    __builtin_prefetch(first + s * columns + 4 * S);
    square[s] = s < units ? load_within<V>(first + s * columns, wide) : V::zero();
  }
}

/// Calls visit(block, gate, column) for every square of a part's blocks: first unit block * S, first column `column`.
/// Where a square's rows are whole cache lines, gate by gate: more than 16 streams are too many for the hardware.
template <class V, class Visit>
PYLSTM_INLINE void for_each_square(const PanelShape& shape, const PanelPart& part, std::size_t block_begin,
                                   std::size_t block_end, Visit visit) {
  const std::size_t together = sizeof(V) < 64 ? part.gates : 1;
  for (std::size_t block = block_begin; block < block_end; ++block) {
    for (std::size_t first = 0; first < part.gates; first += together) {
      for (std::size_t column = 0; column < part.columns; column += shape.lanes) {
        for (std::size_t gate = first; gate < first + together; ++gate) visit(block, gate, column);
      }
    }
  }
}

/// matrix -> panels; null counts as zeros.  Units past the last become zero.
template <class T, class Isa>
void pack(const PackingOperands<const T, T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  const std::size_t columns = a.part.columns;
  for_each_square<V>(
      a.shape, a.part, a.block_begin, a.block_end, [&](std::size_t block, std::size_t gate, std::size_t k) {
        const std::size_t units = std::min(S, a.shape.units - block * S), wide = std::min(S, columns - k);
        V square[S];
        if (a.matrix == nullptr) {
#pragma GCC unroll 16
          for (std::size_t s = 0; s < S; ++s) square[s] = V::zero();
        } else {
          load_square(square, a.matrix + (gate * a.shape.units + block * S) * columns + k, columns, units, wide);
          transpose_square(square);
        }
        T* const to = a.panels + a.part.index(a.shape, gate, block * S, k);
#pragma GCC unroll 16
        for (std::size_t l = 0; l < S; ++l) {
          if (l < wide) square[l].store(to + l * a.part.gates * S);
        }
      });
}

/// panels -> matrix.
template <class T, class Isa>
void unpack(const PackingOperands<T, const T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  const std::size_t columns = a.part.columns;
  for_each_square<V>(
      a.shape, a.part, a.block_begin, a.block_end, [&](std::size_t block, std::size_t gate, std::size_t k) {
        const std::size_t units = std::min(S, a.shape.units - block * S), wide = std::min(S, columns - k);
        const T* const from = a.panels + a.part.index(a.shape, gate, block * S, k);
        V square[S];
#pragma GCC unroll 16
        for (std::size_t l = 0; l < S; ++l) square[l] = l < wide ? V::load(from + l * a.part.gates * S) : V::zero();
        transpose_square(square);
        T* const first = a.matrix + (gate * a.shape.units + block * S) * columns + k;
#pragma GCC unroll 16
        for (std::size_t s = 0; s < S; ++s) {
          if (s < units) store_within(square[s], first + s * columns, wide);
        }
      });
}

/// panels -> transposed panels, columns past the last zero.
template <class T, class Isa>
void transpose(const TransposeOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  const TransposedShape t = transposed(a.shape, a.part);
  for (std::size_t group = a.group_begin; group < a.group_end; ++group) {
    const std::size_t begin = t.group_begin(group), vectors = t.group_begin(group + 1) - begin;
    T* const to_group = a.transposed + begin * t.block_size();
    for (std::size_t block = 0; block < a.shape.blocks(); ++block) {
      const std::size_t units = std::min(S, a.shape.units - block * S);
      for (std::size_t v = 0; v < vectors; ++v) {
        const std::size_t k = (begin + v) * S, wide = std::min(S, a.part.columns - k);
        for (std::size_t gate = 0; gate < a.part.gates; ++gate) {
          const T* const from = a.panels + a.part.index(a.shape, gate, block * S, k);
          V square[S];
#pragma GCC unroll 16
          for (std::size_t l = 0; l < S; ++l) square[l] = l < wide ? V::load(from + l * a.part.gates * S) : V::zero();
          transpose_square(square);
          T* const to = to_group + ((block * S * a.part.gates + gate) * vectors + v) * S;
#pragma GCC unroll 16
          for (std::size_t s = 0; s < S; ++s) {
            if (s < units) square[s].store(to + s * a.part.gates * vectors * S);
          }
        }
      }
    }
  }
}

}  // namespace pylstm::kernels
