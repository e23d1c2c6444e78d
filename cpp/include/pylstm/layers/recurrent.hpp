/// A recurrent layer over whole sequences: weights to panels and back, and its passes.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/backward_pass.hpp"
#include "pylstm/layers/forward_pass.hpp"
#include "pylstm/layers/operands.hpp"
#include "pylstm/layers/packing.hpp"
#include "pylstm/layers/plan.hpp"
#include "pylstm/layers/recurrent_spec.hpp"
#include "pylstm/layers/row_shares.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

template <class T>
class RecurrentLayer {
 public:
  RecurrentLayer(const kernels::CellKernels<T>& cell, std::size_t inputs, std::size_t units,
                 const kernels::CellOptions<T>& options = {}, std::size_t projection = 0)
      : spec_(RecurrentSpec<T>::of(cell, inputs, units, options, projection)) {}

  const kernels::CellKernels<T>& cell() const { return *spec_.cell; }
  const kernels::PanelShape& shape() const { return spec_.shape; }

  bool has_memory() const { return spec_.cell->has_memory; }
  /// The outputs that a forward pass left on its tape.
  Sequence<const T> taped_outputs(const Tape<T>& tape, bool drops) const {
    const std::size_t first = tape.segment.begin;
    const History<const T> h = spec_.states_on(tape, drops ? tape.m : tape.h, spec_.h_width());
    const auto step = static_cast<std::ptrdiff_t>(h.rows * h.row_width);
    return {.data = h.at(first + 1) - static_cast<std::ptrdiff_t>(first) * step,
            .step_stride = step,
            .row_stride = static_cast<std::ptrdiff_t>(h.row_width),
            .places = tape.places.empty() ? nullptr : tape.places.data()};
  }
  std::size_t outputs() const { return spec_.outputs(); }
  bool projected() const { return spec_.projected(); }
  const kernels::PanelShape& projection_shape() const { return spec_.projection; }
  bool resets_state() const { return spec_.resets_state(); }
  /// Elements of the panels: those of the cell, then the projection's.
  std::size_t size() const { return spec_.size(); }

  Plan forward_plan(const Schedule& schedule) const { return spec_.forward_plan(schedule); }
  Plan backward_plan(const Schedule& schedule) const { return spec_.backward_plan(schedule); }
  RowShares row_groups(const Schedule& schedule) const { return spec_.row_groups(backward_plan(schedule), schedule); }

  /// Whether passes take other panels than parameters lie in: those without the weights' means over the units
  /// (`kernels::centre_weights`), of which these are made.
  bool centres_weights() const { return spec_.centres_weights(); }
  void centre(const T* parameters, T* panels) const { spec_.centre(parameters, panels); }

  /// Weights to the panels that passes take, and gradients back.
  void pack(const LayerWeights<const T>& weights, T* panels) const {
    for_each_matrix(weights, packing_to(panels));
    pack_rest(weights, panels);
  }
  void unpack(const T* panels, const LayerWeights<T>& weights) const {
    const auto unpack = [&](const kernels::PanelPart& part, T* matrix) {
      if (matrix != nullptr) layers::unpack(spec_.cell->input, shape(), part, panels, matrix);
    };
    for_each_matrix(weights, unpack);
    for_each_vector(weights, unpack);
    if (projected() && weights.weight_hr != nullptr) {
      layers::unpack(spec_.cell->input, projection_shape(), kernels::input_part(projection_shape()),
                     panels + shape().size(), weights.weight_hr);
    }
  }

  /// Whether `step` is there.
  bool has_step() const {
    return spec_.cell->step_of_matrices != nullptr && !projected() && !spec_.options.activations;
  }

  /// h and c [H] after one step x [I] of one row, from weights that nobody packs: that would take longer than the step.
  /// c may be c_prev, but h not h_prev.  Unlike in passes the matrices, x and the states before must not be null.
  void step(const LayerWeights<const T>& weights, const T* x, const T* h_prev, const T* c_prev, T* h, T* c) const {
    require(has_step(), "the layer has no step of its own, expected has_step()");
    require(h != h_prev, "h is h_prev, expected another array: every unit reads all of it");
    require(weights.weight_ih != nullptr && weights.weight_hh != nullptr && x != nullptr && h_prev != nullptr &&
                (c_prev != nullptr || !has_memory()),
            "weight_ih, weight_hh, x, h_prev or c_prev is null, expected arrays");
    spec_.cell->step_of_matrices(shape(), {.weight_ih = weights.weight_ih,
                                           .weight_hh = weights.weight_hh,
                                           .bias = weights.bias,
                                           .bias_recurrent = weights.bias_recurrent,
                                           .unit_weights = weights.unit_weights,
                                           .x = x,
                                           .h_prev = h_prev,
                                           .c_prev = c_prev,
                                           .h = h,
                                           .c = c,
                                           .clip = spec_.options.clip});
  }

  /// y and h_n, c_n of x, from panels that `pack` made.  With a tape the pass can be differentiated; the bits are the
  /// same without.
  void forward(const T* panels, const Schedule& schedule, Sequence<const T> x, Sequence<T> y, const States<T>& states,
               Tape<T>* tape, Workspace<T>& work, Interrupt& interrupt,
               const kernels::StateNoise<T>& noise = {}) const {
    forward_segment(Segment::all(schedule), nullptr, panels, schedule, x, y, states, tape, work, interrupt, noise);
  }

  /// `pack`, then `forward`.
  void pack_and_forward(const LayerWeights<const T>& weights, T* panels, const Schedule& schedule, Sequence<const T> x,
                        Sequence<T> y, const States<T>& states, Tape<T>* tape, Workspace<T>& work, Interrupt& interrupt,
                        const kernels::StateNoise<T>& noise = {}) const {
    ForwardPass<T> pass(spec_, Segment::all(schedule), panels, schedule, x, y, tape, work, noise);
    PackingOnTheWay<T> packing(spec_.cell->input, shape(), panels);
    const bool on_the_way = pass.packs_on_the_way();
    if (on_the_way) {
      for_each_matrix(weights, [&](const kernels::PanelPart& part, const T* matrix) { packing.add(part, matrix); });
    } else {
      for_each_matrix(weights, packing_to(panels));
    }
    pack_rest(weights, panels);
    pass.begin(states);
    pass.run(interrupt, on_the_way ? &packing : nullptr);
    pass.end(states);
  }

  /// As `forward`, of a segment of the walk, on a tape: it begins with `before`, what `copy_border` took from the
  /// segment before it, or with h0 and c0.  h_n and c_n are those of the rows that end in it.
  void forward_segment(const Segment& segment, const T* before, const T* panels, const Schedule& schedule,
                       Sequence<const T> x, Sequence<T> y, const States<T>& states, Tape<T>* tape, Workspace<T>& work,
                       Interrupt& interrupt, const kernels::StateNoise<T>& noise) const {
    ForwardPass<T> pass(spec_, segment, panels, schedule, x, y, tape, work, noise);
    if (before != nullptr) {
      pass.begin(before);
    } else {
      pass.begin(states);
    }
    pass.run(interrupt);
    pass.end(states);
  }

  /// Elements of the states between two steps, for a later `forward_segment`.
  std::size_t border_size(const Schedule& schedule, const kernels::StateNoise<T>& noise) const {
    std::size_t size = 0;
    const History<T> h{.row_width = spec_.h_width()}, c{.row_width = spec_.width()}, m{.row_width = spec_.width()};
    spec_.for_each_state(h, c, m, noise,
                         [&](const History<T>& history) { size += checked_product(schedule.rows, history.row_width); });
    return size;
  }

  /// Copies the states after the segment on the tape: `border_size` elements, of which those of rows that go on are
  /// set.
  void copy_border(const Tape<T>& tape, const Schedule& schedule, const kernels::StateNoise<T>& noise, T* to) const {
    const History<const T> h = spec_.states_on(tape, tape.h, spec_.h_width()),
                           c = spec_.states_on(tape, tape.c, spec_.width()),
                           m = spec_.states_on(tape, tape.m, spec_.width());
    for (std::size_t i = 0; i < tape.shares.count; ++i) {
      spec_.copy_run(tape.shares, i, h, c, m, noise, tape.segment.end, schedule.active_at(tape.segment.end),
                     [&](const T* state, std::size_t at, std::size_t size) { std::copy_n(state, size, to + at); });
    }
  }

  /// Backpropagation through time (Werbos 1990) over a tape of `forward`.  `noise`: that of the forward pass.
  void backward(const T* panels, const Schedule& schedule, Sequence<const T> x, const Tape<T>& tape,
                const SequenceGradients<T>& g, Workspace<T>& work, Interrupt& interrupt,
                const kernels::StateNoise<T>& noise = {}) const {
    backward_segment(Segment::all(schedule), panels, schedule, x, tape, g, work, interrupt, noise);
  }

  /// As `backward`, of a segment of the walk that lies on the tape, after a call for another one, with the same `work`:
  /// its transposed weights serve again, and the gradients of the step after this segment, if there is one, and the
  /// sums of weight gradients come in from it.
  void backward_segment(const Segment& segment, const T* panels, const Schedule& schedule, Sequence<const T> x,
                        const Tape<T>& tape, const SequenceGradients<T>& g, Workspace<T>& work, Interrupt& interrupt,
                        const kernels::StateNoise<T>& noise) const {
    BackwardPass<T>(spec_, segment, panels, schedule, tape, g, work, noise).run(x, interrupt);
  }

 private:
  auto packing_to(T* panels) const {
    return [this, panels](const kernels::PanelPart& part, const T* matrix) {
      layers::pack(spec_.cell->input, shape(), part, matrix, panels);
    };
  }
  /// All but what `for_each_matrix` visits, and what then becomes of the panels.
  void pack_rest(const LayerWeights<const T>& weights, T* panels) const {
    for_each_vector(weights, packing_to(panels));
    if (projected()) {
      layers::pack(spec_.cell->input, projection_shape(), kernels::input_part(projection_shape()), weights.weight_hr,
                   panels + shape().size());
    }
    if (centres_weights()) centre(panels, panels);
  }

  template <class U, class Visit>
  void for_each_matrix(const LayerWeights<U>& weights, Visit visit) const {
    visit(kernels::input_part(shape()), weights.weight_ih);
    visit(kernels::recurrent_part(shape()), weights.weight_hh);
    if (resets_state()) {
      visit(kernels::reset_part(shape()),
            shifted(weights.weight_hh, shape().recurrent_slots * shape().units * outputs()));
    }
  }
  template <class U, class Visit>
  void for_each_vector(const LayerWeights<U>& weights, Visit visit) const {
    visit(kernels::bias_part(shape()), weights.bias);
    visit(kernels::recurrent_bias_part(shape()), weights.bias_recurrent);
    visit(kernels::unit_weights_part(shape()), weights.unit_weights);
  }

  RecurrentSpec<T> spec_;
};

#if defined(PYLSTM_DISPATCH)  // compiled there
extern template class RecurrentLayer<float>;
extern template class RecurrentLayer<double>;
#endif

}  // namespace pylstm::layers
