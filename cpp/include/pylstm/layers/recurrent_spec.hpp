/// What the passes of a recurrent layer know of it: the cell's kernels, the sizes, and where its memory lies.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/operands.hpp"
#include "pylstm/layers/plan.hpp"
#include "pylstm/layers/row_shares.hpp"

namespace pylstm::layers {

template <class T>
struct RecurrentSpec {
  const kernels::CellKernels<T>* cell;
  kernels::PanelShape shape, projection;
  kernels::CellOptions<T> options;

  /// `projected`: P, the width of h; 0: none.
  static RecurrentSpec of(const kernels::CellKernels<T>& cell, std::size_t inputs, std::size_t units,
                          const kernels::CellOptions<T>& options, std::size_t projected) {
    require(units >= 1, "units is 0, expected at least 1");
    cell.equations_for(options);
    if (options.activations) {
      for (const auto& function : {options.activations->f, options.activations->g, options.activations->h}) {
        cells::check<T>(function);
      }
    }
    require(projected == 0 || !cell.has_shortcut, "a cell whose h enters the next h directly has no projection");
    RecurrentSpec spec{.cell = &cell,
                       .shape = {.inputs = inputs,
                                 .units = units,
                                 .recurrent = projected > 0 ? projected : units,
                                 .lanes = cell.lanes,
                                 .input_slots = cell.input_slots,
                                 .recurrent_slots = cell.recurrent_slots,
                                 .slots = cell.slots,
                                 .bias_slots = cell.bias_slots,
                                 .unit_weights = cell.unit_weights,
                                 .reset_slots = cell.reset_slots},
                       .projection = kernels::matrix_shape(units, projected, cell.lanes),
                       .options = options};
    checked_product(sizeof(T), checked_sum(inputs, spec.shape.recurrent, 1, cell.unit_weights),
                    checked_sum(units, cell.lanes), cell.slots);
    checked_product(sizeof(T), units, checked_sum(projected, cell.lanes));
    return spec;
  }

  bool projected() const { return projection.units > 0; }
  bool resets_state() const { return shape.reset_slots > 0; }
  /// As `RecurrentLayer::size`.
  std::size_t size() const { return shape.size() + projection.size(); }
  /// Whether passes take panels without the weights' means, and these, which may take the place of the others.
  bool centres_weights() const { return cell->centre_weights != nullptr; }
  void centre(const T* panels, T* to) const {
    centre_part(kernels::input_part(shape), panels, to);
    centre_part(kernels::recurrent_part(shape), panels, to);
    if (to == panels) return;
    for (std::size_t block = 0; block < shape.blocks(); ++block) {
      const std::size_t begin = block * shape.block_size();
      std::copy(panels + begin + shape.unit_weights_offset(), panels + begin + shape.block_size(),
                to + begin + shape.unit_weights_offset());
    }
    std::copy(panels + shape.size(), panels + size(), to + shape.size());
  }
  void centre_part(const kernels::PanelPart& part, const T* panels, T* to) const {
    constexpr std::size_t least = 64 << 10;  // weights: some 20 us of one core
    ThreadPool::instance().run(shape.padded_units() * part.gates * part.columns / least, [&](const Share& share) {
      cell->centre_weights({shape, part, panels, to, share.begin(part.columns), share.end(part.columns)});
    });
  }
  /// Whether backward goes through the norm of x's product by its inputs.
  bool norm_of_inputs() const { return cell->normed_rows != nullptr && shape.few_inputs(); }
  /// Width of h: H, or P with a projection.
  std::size_t outputs() const { return shape.recurrent; }
  /// Elements of the rows of h, of those of c and m, of those of the gates in a block, and of what the equations keep.
  std::size_t h_width() const { return shape.padded_recurrent(); }
  std::size_t width() const { return shape.padded_units(); }
  std::size_t gate_width() const { return shape.slots * shape.lanes; }
  std::size_t kept_width() const {
    const std::size_t of_block = cell->kept + (norm_of_inputs() ? 0 : cell->kept_gates);
    return (cell->kept_of_row + shape.blocks() * of_block) * shape.lanes;
  }

  /// How a call is cut.
  Plan forward_plan(const Schedule& schedule) const {
    return plan_forward(shape, schedule, sizeof(T), cell->whole_rows, projected());
  }
  /// `reach`: how many steps gradients go back; 0: all.
  Plan backward_plan(const Schedule& schedule, std::size_t reach = 0) const {
    return plan_backward(shape, schedule, sizeof(T), cell->whole_rows || projected(), reach);
  }
  RowShares row_shares(const Plan& plan, const Schedule& schedule) const {
    const bool one = plan.split_units || schedule.lengths != nullptr;
    return {.rows = schedule.rows, .together = cell->dweights_rows, .count = one ? 1 : plan.threads};
  }

  /// The groups of rows whose weight gradients are summed apart.
  RowShares row_groups(const Plan& plan, const Schedule& schedule) const {
    return {.rows = schedule.rows, .together = cell->dweights_rows, .count = plan.row_groups};
  }

  kernels::Projection<T> projection_of(const T* panels, const T* transposed_panels) const {
    return {projection, projected() ? panels + shape.size() : nullptr, transposed_panels};
  }

  /// One of a tape's histories of states, before each step and after the last.
  History<const T> states_on(const Tape<T>& tape, const Buffer<T>& buffer, std::size_t row_width) const {
    return on_tape(tape, buffer, tape.segment.steps() + 1, row_width);
  }
  /// And of what it has of each step.
  History<const T> steps_on(const Tape<T>& tape, const Buffer<T>& buffer, std::size_t row_width) const {
    return on_tape(tape, buffer, std::max<std::size_t>(tape.segment.steps(), 1), row_width);
  }

  /// Calls visit(history) for the states that one step hands to the next: m is h unless a dropout comes between.
  template <class U, class Visit>
  void for_each_state(const History<U>& h, const History<U>& c, const History<U>& m,
                      const kernels::StateNoise<T>& noise, Visit visit) const {
    visit(h);
    if (cell->has_memory) visit(c);
    if (noise.drops()) visit(m);
  }

  /// Calls copy(state, at, size) for the states before step t of a run's rows, of those before `active`; `at` is their
  /// place among the `RecurrentLayer::border_size` elements between two segments.
  template <class U, class Copy>
  void copy_run(const RowShares& shares, std::size_t i, const History<U>& h, const History<U>& c, const History<U>& m,
                const kernels::StateNoise<T>& noise, std::size_t t, std::size_t active, Copy copy) const {
    const std::size_t begin = shares.begin(i), end = std::clamp(active, begin, shares.end(i));
    std::size_t at = 0;
    for_each_state(h, c, m, noise, [&](const History<U>& all) {
      copy(shares.of(all, i).row(t, begin), at + begin * all.row_width, (end - begin) * all.row_width);
      at += shares.rows * all.row_width;
    });
  }

 private:
  static History<const T> on_tape(const Tape<T>& tape, const Buffer<T>& buffer, std::size_t period,
                                  std::size_t row_width) {
    History<const T> all = tape.shares.template history<const T>(period, row_width, tape.segment.begin);
    all.data = buffer.data();
    return all;
  }
};

}  // namespace pylstm::layers
