/// A stream of one row through one layer and a head, all sizes known to the compiler: weights and state lie in the
/// object, and a step is one piece of code without a call.
///
/// The bits are those of `Stream` and of `Network::predict`.  Nothing here allocates, throws or asks for a system, so
/// it runs on a microcontroller (examples/cortex_m); static_network.hpp takes the weights from a network.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/coupled_lstm.hpp"
#include "pylstm/cells/gru.hpp"
#include "pylstm/cells/lstm.hpp"
#include "pylstm/cells/rnn.hpp"
#include "pylstm/kernels/choice.hpp"
#include "pylstm/kernels/few_outputs.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/step.hpp"
#include "pylstm/kernels/tile.hpp"
#include "pylstm/simd/denormals.hpp"
#include "pylstm/simd/simd.hpp"

namespace pylstm::stream {

/// The equations of a choice; cells that need whole rows have none here.
template <kernels::CellChoice choice>
constexpr auto cell_of() {
  static_assert(!choice.options.clips, "networks have no bound that a cell could clip its state to");
  if constexpr (choice.kind == kernels::CellKind::lstm) {
    return std::type_identity<cells::Lstm<cells::Saturating, choice.options>>{};
  } else if constexpr (choice.kind == kernels::CellKind::coupled_lstm) {
    return std::type_identity<cells::CoupledLstm<cells::Saturating, choice.options>>{};
  } else if constexpr (choice.kind == kernels::CellKind::gru) {
    return std::type_identity<cells::Gru<>>{};
  } else if constexpr (choice.kind == kernels::CellKind::rnn_tanh) {
    return std::type_identity<cells::Rnn<>>{};
  } else {
    static_assert(choice.kind == kernels::CellKind::rnn_relu, "cells that need whole rows have no StaticStream");
    return std::type_identity<cells::Rnn<cells::Relu>>{};
  }
}

/// A network's parameters, each in the layout that it has in model files and `parameters_`; null: the cell has none.
template <class T>
struct StaticWeights {
  const T *weight_ih, *weight_hh, *bias, *head_weight, *head_bias;
  const T *bias_hn = nullptr, *peephole = nullptr;
};

/// I inputs, H units, O outputs.
template <class T, std::size_t I, std::size_t H, std::size_t O = 1, kernels::CellChoice choice = kernels::CellChoice{},
          class Isa = simd::native>
class StaticStream {
 public:
  static constexpr std::size_t inputs = I, units = H, outputs = O;
  static constexpr kernels::CellChoice cell = choice;

  /// Copies the weights.
  explicit StaticStream(const StaticWeights<T>& weights) noexcept {
    place(layer, kernels::input_part(layer), weights.weight_ih, panels_);
    place(layer, kernels::recurrent_part(layer), weights.weight_hh, panels_);
    place(layer, kernels::bias_part(layer), weights.bias, panels_);
    place(layer, kernels::recurrent_bias_part(layer), weights.bias_hn, panels_);
    place(layer, kernels::unit_weights_part(layer), weights.peephole, panels_);
    if constexpr (few_outputs) {
      std::copy_n(weights.head_bias, O, std::copy_n(weights.head_weight, O * H, head_));
    } else {
      place(head, kernels::input_part(head), weights.head_weight, head_);
      place(head, kernels::bias_part(head), weights.head_bias, head_);
    }
  }

  /// y [O] after one more step x [I].
  void step(const T* x, T* y) noexcept { take_step(x, y); }

  /// The one output, in a register: a caller who reads y at once waits for it to come back from memory, and what the
  /// next step could have begun waits too.
  T step(const T* x) noexcept
    requires(O == 1)
  {
    T y;
    take_step(x, &y);
    return y;
  }

  /// y [steps][O] after each of several more steps x [steps][I]: what `step` would give, sooner.  In place, y = x, if
  /// O <= I.
  void run(const T* x, T* y, std::size_t steps) noexcept {
    const simd::FlushDenormals flush;
    for (std::size_t t = 0; t < steps; ++t) {
      advance(x + t * I);
      // One step late: the processor takes the head's sums up where the next step's equations leave it room.
      if (t > 0) read(h_[1 - parity_], y + (t - 1) * O);
    }
    if (steps > 0) read(h_[parity_], y + (steps - 1) * O);
  }

  void reset() noexcept {
    std::fill_n(h_[0], padded, T(0));
    std::fill_n(h_[1], padded, T(0));
    std::fill_n(c_, padded, T(0));
  }

  /// h [H], and c [H] of cells that have one.
  void save_state(T* h, T* c = nullptr) const noexcept {
    std::copy_n(h_[parity_], H, h);
    if (Cell::has_memory && c != nullptr) std::copy_n(c_, H, c);
  }
  void load_state(const T* h, const T* c = nullptr) noexcept {
    std::copy_n(h, H, h_[parity_]);
    if (Cell::has_memory && c != nullptr) std::copy_n(c, H, c_);
  }

 private:
  using LayerIsa = typename simd::Fitting<Isa, T, H>::type;
  using HeadIsa = typename simd::Fitting<Isa, T, O>::type;
  using Cell = typename decltype(cell_of<choice>())::type;
  static constexpr bool few_outputs = O <= kernels::few_columns;
  static constexpr std::size_t S = LayerIsa::template vec<T>::lanes, head_S = HeadIsa::template vec<T>::lanes,
                               padded = (H + S - 1) / S * S, head_padded = (O + head_S - 1) / head_S * head_S;
  static constexpr kernels::PanelShape layer{.inputs = I,
                                             .units = H,
                                             .recurrent = H,
                                             .lanes = S,
                                             .input_slots = Cell::input_slots.size(),
                                             .recurrent_slots = Cell::recurrent_slots.size(),
                                             .slots = Cell::slots,
                                             .bias_slots = Cell::slots,
                                             .unit_weights = Cell::unit_weights};
  static constexpr kernels::PanelShape head = kernels::matrix_shape(H, O, head_S, 1);

  PYLSTM_INLINE void take_step(const T* x, T* y) noexcept {
    const simd::FlushDenormals flush;
    advance(x);
    read(h_[parity_], y);
  }
  PYLSTM_INLINE void advance(const T* x) noexcept {
    kernels::step<T, LayerIsa, Cell>(layer, {.panels = panels_,
                                             .x = x,
                                             .h_prev = h_[parity_],
                                             .h = h_[1 - parity_],
                                             .c = c_,
                                             .clip = 0,
                                             .descending = parity_ != 0});
    parity_ = 1 - parity_;
  }
  PYLSTM_INLINE void read(const T* h, T* y) const noexcept {
    if constexpr (few_outputs) {
      kernels::few_outputs_of_row<typename LayerIsa::template vec<T>, O>(head_, head_ + O * H, h, H, y);
    } else {
      kernels::dense_row<typename HeadIsa::template vec<T>>(head, head_, h, y);
    }
  }

  /// A parameter to its place in the panels.
  static void place(const kernels::PanelShape& shape, const kernels::PanelPart& part, const T* values, T* panels) {
    for (std::size_t gate = 0; gate < part.gates; ++gate) {
      for (std::size_t j = 0; j < shape.units; ++j) {
        for (std::size_t k = 0; k < part.columns; ++k) panels[part.index(shape, gate, j, k)] = *values++;
      }
    }
  }

  alignas(64) T panels_[padded * (I * Cell::input_slots.size() + H * Cell::recurrent_slots.size() + Cell::unit_weights +
                                  Cell::slots)] = {};
  /// Of a few outputs W [O][H] and b [O] as they are, or panels.
  alignas(64) T head_[(few_outputs ? O : head_padded) * (H + 1)] = {};
  alignas(64) T h_[2][padded] = {};
  alignas(64) T c_[padded] = {};
  std::size_t parity_ = 0;
};

}  // namespace pylstm::stream
