/// y = W h + b of a few outputs: vectors of inputs, where those of outputs would be padding for the most part.
///
/// Sums are those of `few_columns_product`, the same for all vector widths: input k goes to chain k mod `chains`, and
/// halves of the chains are added until one is left.
#pragma once

#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/kernels/product.hpp"
#include "pylstm/kernels/tile.hpp"

namespace pylstm::kernels {

template <class T>
struct FewOutputsOperands {
  const T* weights;             ///< [outputs][inputs]
  const T* bias;                ///< [outputs]
  std::size_t inputs, outputs;  ///< at most `few_columns` outputs
  const T* const* in;           ///< [n] rows of inputs
  T* const* out;                ///< [n] rows of outputs
  std::size_t n;
};

/// A vector whose lanes add up to the sum of a[k] b[k].
template <class V, class T>
PYLSTM_INLINE V dot(const T* a, const T* b, std::size_t K) {
  constexpr std::size_t S = V::lanes, N = chains<T> / S;
  V acc[N];
#pragma GCC unroll 4
  for (std::size_t v = 0; v < N; ++v) acc[v] = V::zero();
  for (std::size_t k = 0; k < K; k += chains<T>) {
#pragma GCC unroll 4
    for (std::size_t v = 0, at = k; v < N; ++v, at += S) {
      if (at < K) acc[v] = fma(load_within<V>(a + at, K - at), load_within<V>(b + at, K - at), acc[v]);
    }
  }
  return sum_of_vectors(acc);
}

/// y [O] of one row h [K]; W [O][K].  As of `sum_of_lanes`, a zero sum is positive.
template <class V, std::size_t O, class T>
PYLSTM_INLINE void few_outputs_of_row(const T* W, const T* bias, const T* h, std::size_t K, T* y) {
#pragma GCC unroll 4
  for (std::size_t o = 0; o < O; ++o) y[o] = sum(dot<V>(h, W + o * K, K)) + T(0) + bias[o];
}

/// Denormals are the caller's to flush.
template <class T, class Isa>
void few_outputs(const FewOutputsOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  const std::size_t K = a.inputs, O = a.outputs;
  if (a.n == 1 && O == 1) return few_outputs_of_row<V, 1>(a.weights, a.bias, a.in[0], K, a.out[0]);
  struct Place {
    std::size_t row, output;
  };
  Place next{0, 0};
  while (next.row < a.n) {
    Place places[S];
    T partial[S * S];  // of each place S partial sums
    std::size_t count = 0;
    for (; count < S && next.row < a.n; ++count) {
      places[count] = next;
      dot<V>(a.in[next.row], a.weights + next.output * K, K).store(partial + count * S);
      if (++next.output == O) next = {next.row + 1, 0};
    }
    V rows[S];
    T sums[S];
#pragma GCC unroll 16
    for (std::size_t l = 0; l < S; ++l) rows[l] = l < count ? V::load(partial + l * S) : V::zero();
    sum_of_lanes(rows).store(sums);
    for (std::size_t l = 0; l < count; ++l) a.out[places[l].row][places[l].output] = sums[l] + a.bias[places[l].output];
  }
}

}  // namespace pylstm::kernels
