/// The kernels of one ISA and scalar type as a table of functions: what layers call, and what run-time dispatch
/// chooses.
#pragma once

#include <cstddef>

#include "pylstm/cells/cell.hpp"
#include "pylstm/cells/lstm.hpp"
#include "pylstm/kernels/optimiser.hpp"
#include "pylstm/kernels/packing.hpp"
#include "pylstm/kernels/product.hpp"
#include "pylstm/kernels/recurrent.hpp"
#include "pylstm/simd/math.hpp"
#include "pylstm/simd/simd.hpp"

namespace pylstm::kernels {

/// What one part of the panels can do (kernels/product.hpp, kernels/packing.hpp).
template <class T>
struct PanelKernels {
  void (*affine)(const AffineOperands<T>&);
  void (*transposed)(const TransposedOperands<T>&);
  void (*outer)(const OuterOperands<T>&);
  void (*pack)(const PackingOperands<const T, T>&);
  void (*unpack)(const PackingOperands<T, const T>&);
  void (*transpose)(const TransposeOperands<T>&);
};

/// A recurrent cell.
template <class T>
struct CellKernels {
  std::size_t lanes, input_slots, recurrent_slots, slots;
  bool has_memory, has_shortcut;
  void (*forward_steps)(const ForwardOperands<T>&, const Range&);
  void (*backward_steps)(const BackwardOperands<T>&, const Range&);
  void (*initial_gradients)(const BackwardOperands<T>&, const Range&);
  PanelKernels<T> input, recurrent;
};

template <class T>
struct KernelTable {
  const char* isa;
  std::size_t lanes;
  CellKernels<T> lstm;
  PanelKernels<T> dense;
  void (*update_sgd)(const UpdateOperands<T>&);
  void (*update_adam)(const UpdateOperands<T>&);
  void (*update_rmsprop)(const UpdateOperands<T>&);
  void (*add_squares)(const T*, std::size_t rows, std::size_t width, double* sums);
  void (*sigmoid)(const T* in, T* out, std::size_t n);
  void (*tanh)(const T* in, T* out, std::size_t n);
  void (*exp)(const T* in, T* out, std::size_t n);
};

template <class T, class Isa, std::size_t Slots, auto slot>
constexpr PanelKernels<T> panel_kernels() {
  return {affine<T, Isa, Slots, slot>,
          transposed_product<T, Isa, Slots, slot>,
          outer<T, Isa, Slots, slot>,
          pack<T, Isa>,
          unpack<T, Isa>,
          transpose<T, Isa>};
}

template <class T, class Isa, cells::Cell Cell>
constexpr CellKernels<T> cell_kernels() {
  return {Isa::template vec<T>::lanes,
          Cell::input_slots.size(),
          Cell::recurrent_slots.size(),
          Cell::slots,
          Cell::has_memory,
          Cell::has_shortcut,
          forward_steps<T, Isa, Cell>,
          backward_steps<T, Isa, Cell>,
          initial_gradients<T, Isa, Cell>,
          panel_kernels<T, Isa, Cell::slots, Cell::input_slots>(),
          panel_kernels<T, Isa, Cell::slots, Cell::recurrent_slots>()};
}

/// out[i] = Function(in[i]): the vector functions as the gates use them.
template <class T, class Isa, auto function>
void map(const T* in, T* out, std::size_t n) {
  using V = typename Isa::template vec<T>;
  const simd::FlushDenormals flush;
  for (std::size_t i = 0; i < n; i += V::lanes) store_within(function(load_within<V>(in + i, n - i)), out + i, n - i);
}

template <class T, class Isa>
constexpr KernelTable<T> kernel_table() {
  using V = typename Isa::template vec<T>;
  return {Isa::name,
          V::lanes,
          cell_kernels<T, Isa, cells::Lstm<>>(),
          panel_kernels<T, Isa, 1, all_slots<1>()>(),
          update_sgd<T, Isa>,
          update_adam<T, Isa>,
          update_rmsprop<T, Isa>,
          add_squares<T, Isa>,
          map<T, Isa, [](V x) { return simd::sigmoid(x); }>,
          map<T, Isa, [](V x) { return simd::tanh(x); }>,
          map<T, Isa, [](V x) { return simd::exp_clamped(x); }>};
}

}  // namespace pylstm::kernels
