/// Backward through the norm of x's product (layer normalisation), of few inputs in their own space.
///
/// With W centred over its n = gates * units rows, C = W^T W / n is the covariance of its columns, and the norm divides
/// the product by the deviation of its sums, sqrt(x^T C x + 1e-5) = 1 / s.  So the cell's sums are (gain * W)(s x) +
/// ..., a product of z = s x like any other, and the gradients d of these sums give
///
///   v = (gain * W)^T d,   dx = s (v - (z v) C z),
///   D = sum d z^T,        dgain = rows of D * W summed,   dW = gain * D - W P / n,   P = sum (z v) z z^T:
///
/// what the scale adds is of inputs by inputs, and nothing takes the sums.
#pragma once

#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::kernels {

/// A row on its way back, of I elements.
template <class T>
struct NormedRow {
  const T* x;
  const T* scale;
  T* z;   ///< out
  T* v;   ///< in: v; out: (z v) z, whose product with z is the row's part of P, padded
  T* dx;  ///< out; null: not wanted
};

template <class T>
struct NormedRowsOperands {
  std::size_t inputs;
  const T* covariance;  ///< C, [I][padded I]
  const NormedRow<T>* rows;
  std::size_t n;
};

template <class T, class Isa>
void normed_rows(const NormedRowsOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  const simd::FlushDenormals flush;
  const std::size_t I = a.inputs, width = (I + S - 1) / S * S;
  for (std::size_t n = 0; n < a.n; ++n) {
    const NormedRow<T> row = a.rows[n];
    const V scale = V::set1(*row.scale);
    V along = V::zero();  // z v, in every lane
    for (std::size_t i = 0; i < I; ++i) along = fma(V::set1(row.x[i]), V::set1(row.v[i]), along);
    along = along * scale;
    for (std::size_t j = 0; j < width; j += S) {
      V c = V::zero();
      for (std::size_t i = 0; i < I; ++i) c = fma(V::set1(row.x[i]), V::load(a.covariance + i * width + j), c);
      const V z = load_within<V>(row.x + j, I - j) * scale, v = load_within<V>(row.v + j, I - j);
      if (row.dx != nullptr) store_within(fnma(along, c * scale, v) * scale, row.dx + j, I - j);
      store_within(z, row.z + j, I - j);
      (along * z).store(row.v + j);
    }
  }
}

/// to = gains * from, of matrices [I][gates][S] in each block.
template <class T>
struct GainOperands {
  PanelShape shape;
  const T* gains;  ///< of the first block, [gates][S]; the next ones a block of `shape` further on
  const T* from;
  std::size_t from_block_size;
  T* to;
  std::size_t to_block_size;
  const T* weights;  ///< W, or null
  T* dgains;         ///< out, if not: from * W, summed over the inputs
};

template <class T, class Isa>
void multiply_gains(const GainOperands<T>& a) {
  using V = typename Isa::template vec<T>;
  constexpr std::size_t S = V::lanes;
  const simd::FlushDenormals flush;
  const std::size_t G = a.shape.input_slots;
  for (std::size_t block = 0; block < a.shape.blocks(); ++block) {
    const std::size_t of_layer = block * a.shape.block_size();
    for (std::size_t g = 0; g < G * S; g += S) {
      const V gain = V::load(a.gains + of_layer + g);
      V dgain = V::zero();
      for (std::size_t i = g; i < a.shape.inputs * G * S; i += G * S) {
        const V from = V::load(a.from + block * a.from_block_size + i);
        (gain * from).store(a.to + block * a.to_block_size + i);
        if (a.weights != nullptr) dgain = fma(from, V::load(a.weights + of_layer + i), dgain);
      }
      if (a.weights != nullptr) dgain.store(a.dgains + of_layer + g);
    }
  }
}

}  // namespace pylstm::kernels
