/// The large products over time by a BLAS of the program's choice: the input product and the gradients of weights and
/// inputs.  Opt-in; nothing else includes this.
///
///   struct Blas {  // C [m][n] = op(A) B, row-major; op(A) [m][k]
///     static void gemm(bool transposed, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b,
///                      float* c);
///   };
///   static const auto table = pylstm::blas::kernel_table<Blas>(pylstm::active_kernels<float>());
///   pylstm::network::Network<float> network(config, table);
///
/// Bits are then the BLAS's: they may depend on the number of threads and on how a batch is split.  The BLAS is called
/// from the engine's threads and should have one of its own.  Recurrent products stay the engine's, as do those of
/// cells that need whole rows.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/cells/coupled_lstm.hpp"
#include "pylstm/cells/gru.hpp"
#include "pylstm/cells/lstm.hpp"
#include "pylstm/cells/rnn.hpp"
#include "pylstm/kernels/table.hpp"

namespace pylstm::blas {

template <class T>
Buffer<T> gather(const T* const* rows, std::size_t n, std::size_t begin, std::size_t width) {
  Buffer<T> matrix(n * width);
  for (std::size_t i = 0; i < n; ++i) std::copy_n(rows[i] + begin, width, matrix.data() + i * width);
  return matrix;
}

/// As kernels::affine.  x feeds the first slots; the others get the bias alone.
template <class Blas, class T, std::size_t S, class Cell>
void affine(const kernels::AffineOperands<T>& a) {
  if (a.n == 0) return;
  constexpr std::size_t fed = Cell::input_slots.size() * S, all = Cell::slots * S;
  const std::size_t inputs = a.shape.inputs, blocks = a.block_end - a.block_begin, width = blocks * fed;
  const T* const panels = a.panels + a.block_begin * a.shape.block_size();
  const Buffer<T> x = gather(a.in, a.n, 0, inputs);
  Buffer<T> weights(inputs * width), sums(a.n * width);
  for (std::size_t block = 0; block < blocks; ++block) {
    const T* const panel = panels + block * a.shape.block_size();
    for (std::size_t k = 0; k < inputs; ++k) {
      std::copy_n(panel + k * fed, fed, weights.data() + k * width + block * fed);
    }
  }
  Blas::gemm(false, a.n, width, inputs, x.data(), weights.data(), sums.data());
  for (std::size_t i = 0; i < a.n; ++i) {
    for (std::size_t block = 0; block < blocks; ++block) {
      const T* const bias = panels + block * a.shape.block_size() + a.shape.bias_offset();
      const T* const product = sums.data() + i * width + block * fed;
      T* const out = a.out[i] + (a.block_begin + block) * a.out_block_stride;
      for (std::size_t s = 0; s < fed; ++s) out[s] = bias[s] + product[s];
      std::copy(bias + fed, bias + all, out + fed);
    }
  }
}

/// As kernels::outer.
template <class Blas, class T, std::size_t S, auto slot>
void outer(const kernels::OuterOperands<T>& a) {
  constexpr std::size_t G = slot.size();
  const std::size_t rows = a.k_end - a.k_begin, blocks = a.block_end - a.block_begin, width = blocks * G * S;
  if (rows == 0) return;
  const Buffer<T> x = gather(a.in, a.n, a.k_begin, rows);
  Buffer<T> d(a.n * width), product(rows * width, T(0));
  for (std::size_t i = 0; i < a.n; ++i) {
    T* to = d.data() + i * width;
    for (std::size_t block = a.block_begin; block < a.block_end; ++block) {
      for (std::size_t g = 0; g < G; ++g) to = std::copy_n(a.d[i] + block * a.d_block_stride + slot[g] * S, S, to);
    }
  }
  if (a.n > 0) Blas::gemm(true, rows, width, a.n, x.data(), d.data(), product.data());
  for (std::size_t block = 0; block < blocks; ++block) {
    for (std::size_t k = 0; k < rows; ++k) {
      const T* const from = product.data() + k * width + block * G * S;
      T* const to = a.dw + (a.block_begin + block) * a.block_size + (a.k_begin + k) * G * S;
      for (std::size_t s = 0; s < G * S; ++s) to[s] = a.fresh ? from[s] : to[s] + from[s];
    }
  }
}

/// As kernels::transposed_product.
template <class Blas, class T>
void transposed_product(const kernels::TransposedOperands<T>& a) {
  const std::size_t S = a.shape.lanes, G = a.shape.gates, rows = a.shape.units * G, width = a.shape.blocks() * S;
  if (a.n == 0) return;
  Buffer<T> d(a.n * rows), weights(rows * width), product(a.n * width);
  for (std::size_t i = 0; i < a.n; ++i) {
    for (std::size_t j = 0; j < a.shape.units; ++j) {
      const T* const from = a.d[i] + j / S * a.d_block_stride + j % S;
      for (std::size_t g = 0; g < G; ++g) d[i * rows + j * G + g] = from[a.gates.offset(g, S)];
    }
  }
  for (std::size_t group = 0; group < a.shape.groups(); ++group) {
    const std::size_t begin = a.shape.group_begin(group), vectors = a.shape.group_begin(group + 1) - begin;
    const T* from = a.panels + begin * a.shape.block_size();
    for (std::size_t row = 0; row < rows; ++row, from += vectors * S) {
      std::copy_n(from, vectors * S, weights.data() + row * width + begin * S);
    }
  }
  Blas::gemm(false, a.n, width, rows, d.data(), weights.data(), product.data());
  for (std::size_t i = 0; i < a.n; ++i) std::copy_n(product.data() + i * width, a.shape.columns, a.out[i]);
}

template <class Blas, class T, std::size_t S, class Cell>
void replace(kernels::CellKernels<T>& cell) {
  cell.input.affine = affine<Blas, T, S, Cell>;
  cell.input.outer = outer<Blas, T, S, Cell::input_slots>;
  cell.input.transposed = transposed_product<Blas, T>;
  cell.recurrent.outer = outer<Blas, T, S, Cell::recurrent_slots>;
}

template <class Blas, class T, std::size_t S>
void replace(kernels::KernelTable<T>& table) {
  for (kernels::CellKernels<T>& cell : table.lstm) replace<Blas, T, S, cells::Lstm<>>(cell);
  for (kernels::CellKernels<T>& cell : table.coupled_lstm) replace<Blas, T, S, cells::CoupledLstm<>>(cell);
  replace<Blas, T, S, cells::Gru<>>(table.gru);
  replace<Blas, T, S, cells::Rnn<>>(table.rnn_tanh);
  replace<Blas, T, S, cells::Rnn<>>(table.rnn_relu);
}

/// A table with the large products of `Blas`.  It has to outlive its networks.
template <class Blas, class T>
kernels::KernelTable<T> kernel_table(kernels::KernelTable<T> table) {
  table.half = nullptr;  // its products would be its own
  switch (table.lanes * sizeof(T)) {
    case 16:
      replace<Blas, T, 16 / sizeof(T)>(table);
      break;
    case 32:
      replace<Blas, T, 32 / sizeof(T)>(table);
      break;
    case 64:
      replace<Blas, T, 64 / sizeof(T)>(table);
      break;
    default:
      fail("the kernels have vectors of ", table.lanes, " numbers, expected 16, 32 or 64 bytes");
  }
  return table;
}

}  // namespace pylstm::blas
