/// The kernels of one ISA and scalar type as a table of functions: what layers call, and what run-time dispatch
/// chooses.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include "pylstm/base/errors.hpp"
#include "pylstm/cells/cell.hpp"
#include "pylstm/cells/chosen_activation.hpp"
#include "pylstm/cells/coupled_lstm.hpp"
#include "pylstm/cells/gru.hpp"
#include "pylstm/cells/layer_norm.hpp"
#include "pylstm/cells/lstm.hpp"
#include "pylstm/cells/rnn.hpp"
#include "pylstm/kernels/backward_steps.hpp"
#include "pylstm/kernels/centring.hpp"
#include "pylstm/kernels/choice.hpp"
#include "pylstm/kernels/few_outputs.hpp"
#include "pylstm/kernels/forward_steps.hpp"
#include "pylstm/kernels/layer_norm.hpp"
#include "pylstm/kernels/layer_norm_backward.hpp"
#include "pylstm/kernels/layer_norm_forward.hpp"
#include "pylstm/kernels/norm_of_inputs.hpp"
#include "pylstm/kernels/optimiser.hpp"
#include "pylstm/kernels/packing.hpp"
#include "pylstm/kernels/product.hpp"
#include "pylstm/kernels/reset.hpp"
#include "pylstm/kernels/step.hpp"
#include "pylstm/simd/math.hpp"
#include "pylstm/simd/simd.hpp"

namespace pylstm::kernels {

/// What one part of the panels can do (kernels/product.hpp, kernels/packing.hpp).
template <class T>
struct PanelKernels {
  void (*affine)(const AffineOperands<T>&);
  void (*transposed)(const TransposedOperands<T>&);
  void (*few_columns)(const FewColumnsOperands<T>&);
  void (*outer)(const OuterOperands<T>&);
  GateRows gates;
  void (*pack)(const PackingOperands<const T, T>&);
  void (*unpack)(const PackingOperands<T, const T>&);
  void (*transpose)(const TransposeOperands<T>&);
};

/// A cell's equations.
template <class T>
struct Equations {
  void (*forward)(const PointwiseForward<T>&);
  void (*backward)(const PointwiseBackward<T>&);
};

/// A recurrent cell.
template <class T>
struct CellKernels {
  std::size_t lanes, input_slots, recurrent_slots, reset_slots, slots, bias_slots, unit_weights;
  std::size_t dweights;  ///< gradients that the equations leave to be summed: of the units' own weights, and the bias
                         ///< where it is not that of the sums
  std::size_t dweights_rows;      ///< rows whose parts of these the equations add up, from a multiple on
  std::size_t kept_of_row, kept;  ///< vectors that the equations keep of a row for backward, and of each of its blocks
  std::size_t kept_gates;         ///< and gates of each block, unless they take the place of sums
  bool has_memory, has_shortcut, whole_rows;
  void (*forward_steps)(const ForwardOperands<T>&, const Range&);
  /// One row, one step, with the cell's own activations; the caller flushes denormals.  Null: of a cell that needs
  /// whole rows.
  void (*step)(const PanelShape&, const StepOperands<T>&);
  void (*step_of_matrices)(const PanelShape&, const MatrixStepOperands<T>&);
  void (*backward_steps)(const BackwardOperands<T>&, const Range&);
  void (*initial_gradient)(const BackwardOperands<T>&, const Range&);
  Equations<T> equations;
  Equations<T> general;  ///< with any activations (`CellOptions::activations`); null: there are none
  /// Of cells that normalise their products, whose passes take panels that this made; otherwise null.
  void (*centre_weights)(const CentringOperands<T>&);
  /// Of those that normalise all of x's gates together: backward by the inputs (kernels/norm_of_inputs.hpp).
  void (*normed_rows)(const NormedRowsOperands<T>&);
  void (*multiply_gains)(const GainOperands<T>&);
  void (*sum_rows)(const SumRowsOperands<T>&);
  void (*projection_outer)(const OuterOperands<T>&);
  PanelKernels<T> input, recurrent, reset;

  /// Parts of the gradients that the equations add up, of so many rows.
  std::size_t parts(std::size_t rows) const { return (rows + dweights_rows - 1) / dweights_rows; }

  const Equations<T>& equations_for(const CellOptions<T>& options) const {
    if (!options.activations) return equations;
    require(general.forward != nullptr,
            "activations are given, expected none: this cell (layer_norm, relu) has its own alone");
    return general;
  }
};

template <class T>
struct KernelTable {
  const char* isa;
  std::size_t lanes;
  const KernelTable* half;                  ///< the same on half as wide vectors, or null
  CellKernels<T> lstm[4], coupled_lstm[4];  ///< plain, with peepholes, clipping, both
  CellKernels<T> gru, gru_reset_before, rnn_tanh, rnn_relu, layer_norm_lstm, layer_norm_gru;
  PanelKernels<T> dense;
  /// `dense.affine` of one row that was just stored; the caller flushes denormals.
  void (*dense_of_row)(const AffineOperands<T>&);
  /// In its place for up to `few_columns` outputs, of any rows; the caller flushes denormals.
  void (*few_outputs)(const FewOutputsOperands<T>&);
  void (*sum_rows)(const SumRowsOperands<T>&);
  void (*update_sgd)(const UpdateOperands<T>&);
  void (*update_adam)(const UpdateOperands<T>&);
  void (*update_rmsprop)(const UpdateOperands<T>&);
  void (*add_squares)(const T*, std::size_t rows, std::size_t width, double* sums);
  void (*sigmoid)(const T* in, T* out, std::size_t n);
  void (*tanh)(const T* in, T* out, std::size_t n);
  void (*exp)(const T* in, T* out, std::size_t n);

  /// The table for a layer of so many units: where half a vector holds them all, a whole one would be half idle.  The
  /// bits are the same.
  const KernelTable& fitting(std::size_t units) const {
    return half != nullptr && units <= half->lanes ? *half : *this;
  }
  /// That of a panel with so many lanes.
  const KernelTable& with_lanes(std::size_t n) const { return half != nullptr && n == half->lanes ? *half : *this; }

  const CellKernels<T>& cell(const CellChoice& choice) const {
    const std::size_t variant = (choice.options.peepholes ? 1U : 0U) + (choice.options.clips ? 2U : 0U);
    switch (choice.kind) {
      case CellKind::lstm:
        return lstm[variant];
      case CellKind::coupled_lstm:
        return coupled_lstm[variant];
      default:
        require(variant == 0,
                "peepholes and clipping of the cell state are the LSTM's: other cells have no such state");
        switch (choice.kind) {
          case CellKind::gru:
            return gru;
          case CellKind::gru_reset_before:
            return gru_reset_before;
          case CellKind::rnn_tanh:
            return rnn_tanh;
          case CellKind::rnn_relu:
            return rnn_relu;
          case CellKind::layer_norm_lstm:
            return layer_norm_lstm;
          default:
            return layer_norm_gru;
        }
    }
  }
};

template <class T, class Isa, std::size_t Slots, auto slot, bool biased = true>
constexpr PanelKernels<T> panel_kernels() {
  return {affine<T, Isa, Slots, slot, biased>,
          transposed_product<T, Isa>,
          few_columns_product<T, Isa>,
          outer<T, Isa, slot>,
          gate_rows<Slots, slot>(Isa::template vec<T>::lanes),
          pack<T, Isa>,
          unpack<T, Isa>,
          transpose<T, Isa>};
}

template <class T, class Isa, cells::Cell Cell>
constexpr Equations<T> equations() {
  if constexpr (is_layer_norm<Cell>) {
    return {layer_norm_forward<T, Isa, Cell>, layer_norm_backward<T, Isa, Cell>};
  } else if constexpr (ResetsState<Cell>) {
    return {reset_forward<T, Isa, Cell>, reset_backward<T, Isa, Cell>};
  } else {
    return {pointwise_forward<T, Isa, Cell>, pointwise_backward<T, Isa, Cell>};
  }
}

/// `General`: the cell with activations chosen at run time; void: there is none.
template <class T, class Isa, cells::Cell Cell, class General>
constexpr CellKernels<T> cell_kernels() {
  constexpr bool apart = is_layer_norm<Cell>, whole_rows = apart || ResetsState<Cell>;
  CellKernels<T> k{};
  k.lanes = Isa::template vec<T>::lanes;
  k.input_slots = Cell::input_slots.size();
  k.recurrent_slots = Cell::recurrent_slots.size();
  k.slots = Cell::slots;
  k.unit_weights = Cell::unit_weights;
  k.has_memory = Cell::has_memory;
  k.has_shortcut = Cell::has_shortcut;
  k.whole_rows = whole_rows;
  k.forward_steps =
      forward_steps<T, Isa, Layout<Cell::slots, Cell::input_slots, Cell::recurrent_slots, whole_rows, apart>>;
  k.backward_steps = backward_steps<T, Isa>;
  k.initial_gradient = initial_gradient<T, Isa>;
  k.sum_rows = sum_rows<T, Isa>;
  k.projection_outer = outer<T, Isa, all_slots<1>()>;
  k.input = panel_kernels<T, Isa, Cell::slots, Cell::input_slots, !apart>();
  k.recurrent = panel_kernels<T, Isa, Cell::slots, Cell::recurrent_slots, !apart>();
  if constexpr (apart) {
    k.bias_slots = Cell::bias_slots;
    k.dweights = Cell::unit_weights + Cell::bias_slots;
    k.dweights_rows = norm_rows;
    k.centre_weights = centre_weights<T, Isa, Cell>;
    using Kept = KeptRow<typename Isa::template vec<T>, Cell, T>;
    k.kept_of_row = Kept::blocks;
    k.kept = Kept::beside;
    k.kept_gates = Kept::gates;
    if constexpr (NormGroups<Cell>::per_product == 1) {
      k.normed_rows = normed_rows<T, Isa>;
      k.multiply_gains = multiply_gains<T, Isa>;
    }
  } else {
    k.bias_slots = Cell::slots;
    k.dweights = Cell::unit_weights;
    k.dweights_rows = 1;
  }
  if constexpr (!whole_rows) {
    k.step = step_of_panels<T, Isa, Cell>;
    k.step_of_matrices = step_of_matrices<T, Isa, Cell>;
  }
  if constexpr (ResetsState<Cell>) {
    k.reset_slots = Cell::reset_slots.size();
    k.reset = panel_kernels<T, Isa, Cell::slots, Cell::reset_slots, false>();
  }
  k.equations = equations<T, Isa, Cell>();
  if constexpr (!std::is_void_v<General>) k.general = equations<T, Isa, General>();
  return k;
}

/// out[i] = Function(in[i]): the vector functions as the gates use them.
template <class T, class Isa, auto function>
void map(const T* in, T* out, std::size_t n) {
  using V = typename Isa::template vec<T>;
  const simd::FlushDenormals flush;
  for (std::size_t i = 0; i < n; i += V::lanes) store_within(function(load_within<V>(in + i, n - i)), out + i, n - i);
}

/// Calls visit.operator()<options>(variant) for each of the LSTM's options, in the order that `KernelTable::cell`
/// counts.
template <class Visit>
constexpr void for_each_variant(const Visit& visit) {
  visit.template operator()<cells::LstmOptions{}>(0);
  visit.template operator()<cells::LstmOptions{.peepholes = true}>(1);
  visit.template operator()<cells::LstmOptions{.clips = true}>(2);
  visit.template operator()<cells::LstmOptions{.peepholes = true, .clips = true}>(3);
}

template <class T, class Isa>
constexpr KernelTable<T> kernel_table(const KernelTable<T>* half = nullptr) {
  using V = typename Isa::template vec<T>;
  KernelTable<T> table{};
  table.isa = Isa::name;
  table.lanes = V::lanes;
  table.half = half;
  for_each_variant([&]<cells::LstmOptions options>(std::size_t variant) {
    using cells::Chosen, cells::CoupledLstm, cells::Lstm, cells::Saturating;
    table.lstm[variant] = cell_kernels<T, Isa, Lstm<Saturating, options>, Lstm<Chosen, options>>();
    table.coupled_lstm[variant] =
        cell_kernels<T, Isa, CoupledLstm<Saturating, options>, CoupledLstm<Chosen, options>>();
  });
  table.gru = cell_kernels<T, Isa, cells::Gru<>, cells::Gru<cells::Chosen>>();
  table.gru_reset_before = cell_kernels<T, Isa, cells::GruResetBefore<>, cells::GruResetBefore<cells::Chosen>>();
  table.rnn_tanh = cell_kernels<T, Isa, cells::Rnn<>, cells::Rnn<cells::Chosen>>();
  table.rnn_relu = cell_kernels<T, Isa, cells::Rnn<cells::Relu>, void>();
  table.layer_norm_lstm = cell_kernels<T, Isa, cells::LayerNorm<cells::Lstm<>>, void>();
  table.layer_norm_gru = cell_kernels<T, Isa, cells::LayerNorm<cells::Gru<>>, void>();
  table.dense = panel_kernels<T, Isa, 1, all_slots<1>()>();
  table.dense_of_row = dense_of_row<T, Isa>;
  table.few_outputs = few_outputs<T, Isa>;
  table.sum_rows = sum_rows<T, Isa>;
  table.update_sgd = update_sgd<T, Isa>;
  table.update_adam = update_adam<T, Isa>;
  table.update_rmsprop = update_rmsprop<T, Isa>;
  table.add_squares = add_squares<T, Isa>;
  table.sigmoid = map<T, Isa, [](V x) { return simd::sigmoid(x); }>;
  table.tanh = map<T, Isa, [](V x) { return simd::tanh(x); }>;
  table.exp = map<T, Isa, [](V x) { return simd::exp_clamped(x); }>;
  return table;
}

}  // namespace pylstm::kernels
