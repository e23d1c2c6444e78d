/// The kernels of one ISA and scalar type as a table of functions: what layers call, and what run-time dispatch
/// chooses.
#pragma once

#include <array>
#include <cstddef>

#include "pylstm/base/errors.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/cells/coupled_lstm.hpp"
#include "pylstm/cells/gru.hpp"
#include "pylstm/cells/lstm.hpp"
#include "pylstm/cells/rnn.hpp"
#include "pylstm/kernels/choice.hpp"
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
  GateRows gates;
  void (*pack)(const PackingOperands<const T, T>&);
  void (*unpack)(const PackingOperands<T, const T>&);
  void (*transpose)(const TransposeOperands<T>&);
};

/// A recurrent cell.
template <class T>
struct CellKernels {
  std::size_t lanes, input_slots, recurrent_slots, slots, unit_weights;
  bool has_memory, has_shortcut;
  void (*forward_steps)(const ForwardOperands<T>&, const Range&);
  void (*backward_steps)(const BackwardOperands<T>&, const Range&);
  void (*initial_gradient)(const BackwardOperands<T>&, const Range&);
  void (*pointwise_forward)(const PointwiseForward<T>&);
  void (*pointwise_backward)(const PointwiseBackward<T>&);
  void (*unit_sums)(const UnitSumsOperands<T>&);
  PanelKernels<T> input, recurrent;
};

template <class T>
struct KernelTable {
  const char* isa;
  std::size_t lanes;
  CellKernels<T> lstm[4], coupled_lstm[4];  ///< plain, with peepholes, clipping, both
  CellKernels<T> gru, rnn_tanh, rnn_relu;
  PanelKernels<T> dense;
  void (*dense_sums)(const UnitSumsOperands<T>&);
  void (*update_sgd)(const UpdateOperands<T>&);
  void (*update_adam)(const UpdateOperands<T>&);
  void (*update_rmsprop)(const UpdateOperands<T>&);
  void (*add_squares)(const T*, std::size_t rows, std::size_t width, double* sums);
  void (*sigmoid)(const T* in, T* out, std::size_t n);
  void (*tanh)(const T* in, T* out, std::size_t n);
  void (*exp)(const T* in, T* out, std::size_t n);

  const CellKernels<T>& cell(const CellChoice& choice) const {
    const std::size_t variant = (choice.options.peepholes ? 1 : 0) + (choice.options.clips ? 2 : 0);
    switch (choice.kind) {
      case CellKind::lstm:
        return lstm[variant];
      case CellKind::coupled_lstm:
        return coupled_lstm[variant];
      default:
        require(variant == 0,
                "peepholes and clipping of the cell state are the LSTM's: other cells have no such state");
        return choice.kind == CellKind::gru ? gru : choice.kind == CellKind::rnn_tanh ? rnn_tanh : rnn_relu;
    }
  }
};

template <class T, class Isa, std::size_t Slots, auto slot>
constexpr PanelKernels<T> panel_kernels() {
  constexpr std::size_t S = Isa::template vec<T>::lanes;
  GateRows gates{.count = slot.size(), .width = Slots * S, .offset = {}};
  for (std::size_t g = 0; g < slot.size(); ++g) gates.offset[g] = slot[g] * S;
  return {affine<T, Isa, Slots, slot>,
          transposed_product<T, Isa>,
          outer<T, Isa, slot>,
          gates,
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
          Cell::unit_weights.size(),
          Cell::has_memory,
          Cell::has_shortcut,
          forward_steps<T, Isa, Layout<Cell::slots, Cell::input_slots, Cell::recurrent_slots>>,
          backward_steps<T, Isa>,
          initial_gradient<T, Isa>,
          pointwise_forward<T, Isa, Cell>,
          pointwise_backward<T, Isa, Cell>,
          unit_sums<T, Isa, Cell::slots, Cell::unit_weights>,
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

template <class T, class Isa, class Act = cells::Saturating>
constexpr KernelTable<T> kernel_table() {
  using V = typename Isa::template vec<T>;
  constexpr cells::LstmOptions peepholes{.peepholes = true}, clips{.clips = true}, both{true, true};
  return {
      Isa::name,
      V::lanes,
      {cell_kernels<T, Isa, cells::Lstm<Act>>(), cell_kernels<T, Isa, cells::Lstm<Act, peepholes>>(),
       cell_kernels<T, Isa, cells::Lstm<Act, clips>>(), cell_kernels<T, Isa, cells::Lstm<Act, both>>()},
      {cell_kernels<T, Isa, cells::CoupledLstm<Act>>(), cell_kernels<T, Isa, cells::CoupledLstm<Act, peepholes>>(),
       cell_kernels<T, Isa, cells::CoupledLstm<Act, clips>>(), cell_kernels<T, Isa, cells::CoupledLstm<Act, both>>()},
      cell_kernels<T, Isa, cells::Gru<Act>>(),
      cell_kernels<T, Isa, cells::Rnn<Act>>(),
      cell_kernels<T, Isa, cells::Rnn<cells::Relu>>(),
      panel_kernels<T, Isa, 1, all_slots<1>()>(),
      unit_sums<T, Isa, 1, std::array<cells::UnitWeight, 0>{}>,
      update_sgd<T, Isa>,
      update_adam<T, Isa>,
      update_rmsprop<T, Isa>,
      add_squares<T, Isa>,
      map<T, Isa, [](V x) { return simd::sigmoid(x); }>,
      map<T, Isa, [](V x) { return simd::tanh(x); }>,
      map<T, Isa, [](V x) { return simd::exp_clamped(x); }>};
}

}  // namespace pylstm::kernels
