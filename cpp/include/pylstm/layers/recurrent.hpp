/// A recurrent layer over whole sequences: workspaces, chunks of steps, and threads around the kernels.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/block_queue.hpp"
#include "pylstm/layers/operands.hpp"
#include "pylstm/layers/packing.hpp"
#include "pylstm/layers/plan.hpp"
#include "pylstm/layers/products_over_time.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

template <class T>
class RecurrentLayer {
 public:
  RecurrentLayer(const kernels::CellKernels<T>& cell, std::size_t inputs, std::size_t units,
                 const kernels::CellOptions<T>& options = {}, std::size_t projection = 0)
      : cell_(&cell),
        shape_{.inputs = inputs,
               .units = units,
               .recurrent = projection > 0 ? projection : units,
               .lanes = cell.lanes,
               .input_slots = cell.input_slots,
               .recurrent_slots = cell.recurrent_slots,
               .slots = cell.slots,
               .bias_slots = cell.bias_slots,
               .unit_weights = cell.unit_weights,
               .reset_slots = cell.reset_slots},
        projection_{.inputs = units,
                    .units = projection,
                    .recurrent = 0,
                    .lanes = cell.lanes,
                    .input_slots = 1,
                    .recurrent_slots = 1,
                    .slots = 1,
                    .bias_slots = 0},
        options_(options) {
    cell.equations_for(options);
    if (options.activations) {
      for (const auto& function : {options.activations->f, options.activations->g, options.activations->h}) {
        cells::check<T>(function);
      }
    }
    require(projection == 0 || !cell.has_shortcut, "a cell whose h enters the next h directly has no projection");
    checked_product(sizeof(T), inputs + shape_.recurrent + 1 + cell.unit_weights, units + cell.lanes, cell.slots);
    checked_product(sizeof(T), units, projection + cell.lanes);
  }

  const kernels::PanelShape& shape() const { return shape_; }

  bool has_memory() const { return cell_->has_memory; }
  /// The outputs that a forward pass left on its tape, [steps][rows][padded width].
  Sequence<const T> taped_outputs(const Tape<T>& tape, const Schedule& schedule, bool drops) const {
    const std::size_t padded = shape_.padded_recurrent();
    return in_walk_order<const T>((drops ? tape.m : tape.h).data() + schedule.rows * padded, schedule, padded,
                                  tape.segment.begin);
  }
  /// Width of h: H, or P with a projection.
  std::size_t outputs() const { return shape_.recurrent; }
  bool projected() const { return projection_.units > 0; }
  const kernels::PanelShape& projection_shape() const { return projection_; }
  bool resets_state() const { return shape_.reset_slots > 0; }
  /// Elements of the panels: those of the cell, then the projection's.
  std::size_t size() const { return shape_.size() + projection_.size(); }

  /// How a call is cut.
  Plan forward_plan(const Schedule& schedule) const {
    return plan_forward(shape_, schedule, sizeof(T), cell_->whole_rows, projected());
  }
  Plan backward_plan(const Schedule& schedule) const {
    return plan_backward(shape_, schedule, sizeof(T), cell_->whole_rows || projected());
  }

  /// Weights to panels, and gradients back.
  void pack(const LayerWeights<const T>& weights, T* panels) const {
    for_each_part(weights, [&](const kernels::PanelPart& part, const T* matrix) {
      layers::pack(cell_->input, shape_, part, matrix, panels);
    });
    if (projected()) {
      layers::pack(cell_->input, projection_, kernels::input_part(projection_), weights.weight_hr,
                   panels + shape_.size());
    }
  }
  void unpack(const T* panels, const LayerWeights<T>& weights) const {
    for_each_part(weights, [&](const kernels::PanelPart& part, T* matrix) {
      if (matrix != nullptr) layers::unpack(cell_->input, shape_, part, panels, matrix);
    });
    if (projected() && weights.weight_hr != nullptr) {
      layers::unpack(cell_->input, projection_, kernels::input_part(projection_), panels + shape_.size(),
                     weights.weight_hr);
    }
  }

  /// Whether `step` is there.
  bool has_step() const { return cell_->step_of_matrices != nullptr && !projected() && !options_.activations; }

  /// h and c [H] after one step x [I] of one row, from weights that nobody packs: that would take longer than the step.
  void step(const LayerWeights<const T>& weights, const T* x, const T* h_prev, const T* c_prev, T* h, T* c) const {
    cell_->step_of_matrices(shape_, {.weight_ih = weights.weight_ih,
                                     .weight_hh = weights.weight_hh,
                                     .bias = weights.bias,
                                     .bias_recurrent = weights.bias_recurrent,
                                     .unit_weights = weights.unit_weights,
                                     .x = x,
                                     .h_prev = h_prev,
                                     .c_prev = c_prev,
                                     .h = h,
                                     .c = c,
                                     .clip = options_.clip});
  }

  /// y and h_n, c_n of x.  With a tape the pass can be differentiated; the bits are the same without.
  void forward(const T* panels, const Schedule& schedule, Sequence<const T> x, Sequence<T> y, const States<T>& states,
               Tape<T>* tape, Workspace<T>& work, Interrupt& interrupt,
               const kernels::StateNoise<T>& noise = {}) const {
    forward_segment(Segment::all(schedule), nullptr, panels, schedule, x, y, states, tape, work, interrupt, noise);
  }

  /// As `forward`, of a segment of the walk, on a tape: it begins with `before`, what `copy_border` took from the
  /// segment before it, or with h0 and c0.  h_n and c_n are those of the rows that end in it.
  void forward_segment(const Segment& segment, const T* before, const T* panels, const Schedule& schedule,
                       Sequence<const T> x, Sequence<T> y, const States<T>& states, Tape<T>* tape, Workspace<T>& work,
                       Interrupt& interrupt, const kernels::StateNoise<T>& noise) const {
    require(!projected() || (!noise.drops() && !noise.holds()), "a projected state takes neither dropout nor zoneout");
    const std::size_t steps = segment.steps(), rows = schedule.rows, width = shape_.padded_units();
    const std::size_t gate_width = shape_.slots * shape_.lanes;
    const Plan plan = forward_plan(schedule);
    const std::size_t chunk = plan.chunk_steps, first = segment.begin;

    if (tape != nullptr) tape->segment = segment;
    History<T> h{.period = tape ? steps + 1 : 2, .row_width = shape_.padded_recurrent(), .rows = rows, .first = first};
    History<T> m{.period = tape ? steps + 1 : projected() ? 1 : 2, .row_width = width, .rows = rows, .first = first};
    History<T> c{.period = tape ? steps + 1 : 1, .row_width = width, .rows = rows, .first = first};
    const bool gates_kept = tape || plan.input_product || plan.split_units;
    History<T> gates{.period = tape                 ? std::max<std::size_t>(steps, 1)
                               : plan.input_product ? chunk
                                                    : 1,
                     .row_width = gate_width,
                     .rows = rows,
                     .first = first};
    const auto place = [&](History<T>& history, Buffer<T>& buffer) {
      buffer.reserve(checked_product(history.period, rows, history.row_width));
      history.data = buffer.data();
    };
    const auto place_blocks = [&](History<T>& history, Buffer<T>& buffer, std::size_t blocks) {
      checked_product(history.period, rows, blocks, history.row_width);
      buffer.reserve(checked_product(blocks, history.block_stride()));
      history.data = buffer.data();
    };
    place(h, tape ? tape->h : work.h);
    if (cell_->has_memory) place(c, tape ? tape->c : work.c);
    if (projected() || noise.drops()) {
      place(m, tape ? tape->m : work.m);
    } else {
      m = h;
    }
    History<T> c_new = c;
    if (cell_->has_memory && noise.holds()) place(c_new, tape ? tape->c_new : work.c_new);
    if (resets_state()) work.h_reset.reserve(rows * width);
    place_blocks(gates, tape ? tape->gates : work.gates,
                 gates_kept ? shape_.blocks() : std::min(shape_.blocks(), kernels::most_blocks));
    History<T> kept{.period = std::max<std::size_t>(steps, 1), .row_width = kept_width(), .rows = rows, .first = first};
    if (tape && kept.row_width > 0) place(kept, tape->kept);
    if (before != nullptr) {
      for_each_state(h, c, m, noise, [&](const History<T>& history) {
        const std::size_t count = schedule.active_at(first) * history.row_width;
        std::copy_n(before, count, history.at(first));
        before += rows * history.row_width;
      });
    }
    for (std::size_t n = 0; n < rows && before == nullptr; ++n) {
      load_state(states.h0, schedule.caller_row(n), outputs(), h.row(0, n), h.row_width);
      if (noise.drops()) {
        std::copy_n(h.row(0, n), width, m.row(0, n));
        for (std::size_t j = 0; j < width; ++j) h.row(0, n)[j] *= noise.dropout[n * width + j];
      }
      if (cell_->has_memory) load_state(states.c0, schedule.caller_row(n), shape_.units, c.row(0, n), width);
    }

    // One row, and nothing but its states wanted.
    const bool alone =
        rows == 1 && !gates_kept && !projected() && !noise.drops() && !noise.holds() && !options_.activations;
    const kernels::ForwardOperands<T> operands{.schedule = &schedule,
                                               .shape = shape_,
                                               .panels = panels,
                                               .options = options_,
                                               .pointwise = cell_->equations_for(options_).forward,
                                               .projection = projection(panels, nullptr),
                                               .noise = noise,
                                               .x = x,
                                               .y = y,
                                               .h = h,
                                               .c = c,
                                               .m = m,
                                               .c_new = c_new,
                                               .gates = gates,
                                               .gates_kept = gates_kept,
                                               .h_reset = resets_state() ? work.h_reset.data() : nullptr,
                                               .input_product_ready = plan.input_product,
                                               .keep_gates = tape != nullptr,
                                               .kept = kept,
                                               .step = alone ? cell_->step : nullptr};
    if (plan.input_product) {
      work.in.resize(chunk * rows * plan.threads);
      work.out.resize(chunk * rows * plan.threads);
    }
    // Of a range, with the input product of the chunk that `begin` is in, if it begins there, and of those after it.
    const auto run_steps = [&](kernels::Range range, std::size_t begin, std::size_t end, std::size_t lists) {
      for (std::size_t t = begin; t < end; t += chunk) {
        range.step_begin = t;
        range.step_end = std::min(t + chunk, segment.end);
        if (plan.input_product && (t - first) % chunk == 0) input_product(operands, range, work, lists);
        range.step_end = std::min(range.step_end, end);
        cell_->forward_steps(operands, range);
      }
    };
    BlockQueue queue(plan.split_units ? plan.threads : 0);
    const auto share_steps = [&](std::size_t begin, std::size_t end) {
      queue.fill(shape_.blocks());
      ThreadPool::instance().run(plan.threads, [&](const Share& share) {
        kernels::Range range = forward_range(plan, schedule, share);
        const std::size_t lists = share.index * chunk * rows;
        if (!plan.split_units) return run_steps(range, begin, end, lists);
        while (queue.take(share.index, range.block_begin, range.block_end)) run_steps(range, begin, end, lists);
      });
    };
    const std::size_t call = plan.split_units ? 1 : plan.call_steps;
    for (std::size_t begin = first; begin < segment.end; begin += call) {
      if ((begin - first) % plan.call_steps == 0 && interrupt.poll()) break;
      share_steps(begin, std::min(begin + call, segment.end));
    }
    interrupt.throw_if_requested();

    for (std::size_t n = 0; n < rows; ++n) {
      const std::size_t row = schedule.caller_row(n), length = schedule.length(n);
      if (length > segment.end || (first > 0 && length <= first)) continue;
      const T* const last = projected() ? h.row(length, n) : m.row(length, n);
      if (states.h_n) std::copy_n(last, outputs(), states.h_n + row * outputs());
      if (states.c_n && cell_->has_memory) std::copy_n(c.row(length, n), shape_.units, states.c_n + row * shape_.units);
    }
  }

  /// Elements of the states between two steps, for a later `forward_segment`.
  std::size_t border_size(const Schedule& schedule, const kernels::StateNoise<T>& noise) const {
    std::size_t size = 0;
    const std::size_t width = shape_.padded_units();
    const History<T> h{.row_width = shape_.padded_recurrent()}, c{.row_width = width}, m{.row_width = width};
    for_each_state(h, c, m, noise,
                   [&](const History<T>& history) { size += checked_product(schedule.rows, history.row_width); });
    return size;
  }

  /// Copies the states after the segment on the tape: `border_size` elements, of which those of rows that go on are
  /// set.
  void copy_border(const Tape<T>& tape, const Schedule& schedule, const kernels::StateNoise<T>& noise, T* to) const {
    const std::size_t rows = schedule.rows, width = shape_.padded_units(), period = tape.segment.steps() + 1;
    const auto history = [&](const Buffer<T>& buffer, std::size_t row_width) {
      return History<const T>{.data = buffer.data(), .period = period, .row_width = row_width, .rows = rows};
    };
    for_each_state(history(tape.h, shape_.padded_recurrent()), history(tape.c, width), history(tape.m, width), noise,
                   [&](const History<const T>& states) {
                     const std::size_t count = schedule.active_at(tape.segment.end) * states.row_width;
                     std::copy_n(states.at(tape.segment.steps()), count, to);
                     to += rows * states.row_width;
                   });
  }

  /// Backpropagation through time (Werbos 1990) over a tape of `forward`.  Chunks of steps: while the gradients of
  /// their gates are in cache, the products over time take them.
  /// `noise`: that of the forward pass.
  void backward(const T* panels, const Schedule& schedule, Sequence<const T> x, const Tape<T>& tape,
                const SequenceGradients<T>& g, Workspace<T>& work, Interrupt& interrupt,
                const kernels::StateNoise<T>& noise = {}) const {
    backward_segment(Segment::all(schedule), panels, schedule, x, tape, g, work, interrupt, noise);
  }

  /// As `backward`, of a segment of the walk that lies on the tape, after a call for another one, with the same `work`:
  /// its transposed weights serve again, and the gradients of the step after this segment, if there is one, come in
  /// from it.
  void backward_segment(const Segment& segment, const T* panels, const Schedule& whole, Sequence<const T> x,
                        const Tape<T>& tape, const SequenceGradients<T>& g, Workspace<T>& work, Interrupt& interrupt,
                        const kernels::StateNoise<T>& noise) const {
    Schedule schedule = whole;
    if (g.cut) schedule.steps = segment.end;
    const std::size_t steps = tape.segment.steps(), rows = schedule.rows, width = shape_.padded_units();
    const std::size_t gate_width = shape_.slots * shape_.lanes, first = tape.segment.begin;
    const Plan plan = backward_plan(whole);  // one ring for all segments
    const std::size_t chunk = plan.chunk_steps;

    work.recurrent_transposed.reserve(transposed(shape_, kernels::recurrent_part(shape_)).size());
    const bool transposes_input = g.dx && ProductsOverTime<T>::takes_transposed(shape_);
    if (transposes_input) work.input_transposed.reserve(transposed(shape_, kernels::input_part(shape_)).size());
    History<T> dgates{.period = chunk + 1, .row_width = gate_width, .rows = rows};
    work.dgates.reserve(checked_product(shape_.blocks(), dgates.block_stride()));
    dgates.data = work.dgates.data();
    History<T> dweights{.period = chunk, .row_width = cell_->dweights * shape_.lanes, .rows = cell_->parts(rows)};
    if (cell_->dweights > 0) {
      work.dweights.reserve(checked_product(shape_.blocks(), dweights.block_stride()));
      dweights.data = work.dweights.data();
    }
    // A projection's gradient is a product over time as well: dh of a whole chunk.
    History<T> dh{.period = projected() ? chunk : 1, .row_width = shape_.padded_recurrent(), .rows = rows};
    work.dh.reserve(checked_product(dh.period, rows, dh.row_width));
    dh.data = work.dh.data();
    if (projected()) {
      work.projection_transposed.reserve(transposed(projection_, kernels::input_part(projection_)).size());
      work.dm.reserve(rows * width);
      std::fill_n(work.dm.data(), rows * width, T(0));
    }
    if (cell_->has_memory) work.dc.reserve(rows * width);
    const bool has_shortcut = cell_->has_shortcut || noise.holds();
    if (has_shortcut) work.dh_shortcut.reserve(rows * width);
    if (noise.holds()) {
      work.dh_held.reserve(rows * width);
      work.dc_held.reserve(rows * width);
    }
    History<T> h_reset{.period = chunk, .row_width = width, .rows = rows};
    if (resets_state()) {
      work.h_reset.reserve(checked_product(chunk, rows, width));
      h_reset.data = work.h_reset.data();
      work.dh_reset.reserve(rows * width);
      std::fill_n(work.dh_reset.data(), rows * width, T(0));
      work.reset_transposed.reserve(transposed(shape_, kernels::reset_part(shape_)).size());
    }

    const kernels::BackwardOperands<T> operands{
        .schedule = &schedule,
        .shape = shape_,
        .panels = panels,
        .recurrent_transposed = work.recurrent_transposed.data(),
        .options = options_,
        .recurrent_gates = cell_->recurrent.gates,
        .pointwise = cell_->equations_for(options_).backward,
        .noise = noise,
        .h = {.data = tape.h.data(),
              .period = steps + 1,
              .row_width = shape_.padded_recurrent(),
              .rows = rows,
              .first = first},
        .c = {.data = cell_->has_memory ? tape.c.data() : nullptr,
              .period = steps + 1,
              .row_width = width,
              .rows = rows,
              .first = first},
        .m = {.data = noise.drops() || projected() ? tape.m.data() : tape.h.data(),
              .period = steps + 1,
              .row_width = width,
              .rows = rows,
              .first = first},
        .c_new = {.data = !cell_->has_memory ? nullptr
                          : noise.holds()    ? tape.c_new.data()
                                             : tape.c.data(),
                  .period = steps + 1,
                  .row_width = width,
                  .rows = rows,
                  .first = first},
        .gates = {.data = tape.gates.data(),
                  .period = std::max<std::size_t>(steps, 1),
                  .row_width = gate_width,
                  .rows = rows,
                  .first = first},
        .kept = {.data = tape.kept.data(),
                 .period = std::max<std::size_t>(steps, 1),
                 .row_width = kept_width(),
                 .rows = rows,
                 .first = first},
        .dgates = dgates,
        .dweights = dweights,
        .dweights_rows = cell_->dweights_rows,
        .whole_rows = cell_->whole_rows,
        .reset_transposed = work.reset_transposed.data(),
        .h_reset = h_reset,
        .dh_reset = work.dh_reset.data(),
        .projection = projection(panels, work.projection_transposed.data()),
        .dy = g.dy,
        .dh_n = g.dh_n,
        .dc_n = g.dc_n,
        .dc = cell_->has_memory ? work.dc.data() : nullptr,
        .dh_shortcut = has_shortcut ? work.dh_shortcut.data() : nullptr,
        .has_shortcut = cell_->has_shortcut,
        .dh_held = work.dh_held.data(),
        .dc_held = work.dc_held.data(),
        .dh = dh,
        .dm = work.dm.data()};
    ProductsOverTime<T> products(*cell_, operands, g, chunk * rows, work);
    ThreadPool& pool = ThreadPool::instance();
    if (!g.continues) {
      pool.run(plan.threads, [&](const Share& share) {
        transpose(share, cell_->recurrent, kernels::recurrent_part(shape_), panels, work.recurrent_transposed);
        if (resets_state()) transpose(share, cell_->reset, kernels::reset_part(shape_), panels, work.reset_transposed);
        if (transposes_input) {
          transpose(share, cell_->input, kernels::input_part(shape_), panels, work.input_transposed);
        }
      });
    }
    if (projected() && !g.continues) {
      const kernels::PanelPart part = kernels::input_part(projection_);
      cell_->input.transpose({projection_, part, panels + shape_.size(), work.projection_transposed.data(), 0,
                              transposed(projection_, part).groups()});
    }
    if (segment.steps() == 0) products.share(Share{}, !g.continues);
    for (std::size_t end = segment.end; end > segment.begin && !interrupt.poll();) {
      const std::size_t begin = std::max(end - std::min(chunk, end), segment.begin);
      const auto share_steps = [&](std::size_t from, std::size_t to) {
        pool.run(plan.threads, [&](const Share& share) {
          kernels::Range range = backward_range(plan, schedule, share);
          const auto go_back = [&](std::size_t begin_row, std::size_t end_row) {
            kernels::Range between = range;
            between.row_begin = std::clamp(begin_row, range.row_begin, range.row_end);
            between.row_end = std::clamp(end_row, range.row_begin, range.row_end);
            if (between.row_begin < between.row_end) cell_->backward_steps(operands, between);
          };
          range.step_begin = range.step_end = to;
          while (range.step_begin > from) {  // runs of steps that have the same rows
            const std::size_t first_row = segment.first_row(whole, --range.step_begin);
            while (range.step_begin > from && segment.first_row(whole, range.step_begin - 1) == first_row) {
              --range.step_begin;
            }
            // Rows whose parts of gradients are added up begin at a multiple, but for the first ones.
            const std::size_t multiple = std::min(cell_->parts(first_row) * cell_->dweights_rows, rows);
            go_back(first_row, multiple);
            go_back(multiple, rows);
            range.step_end = range.step_begin;
          }
        });
      };
      if (!plan.split_units) {
        share_steps(begin, end);
      } else {
        for (std::size_t t = end; t-- > begin;) share_steps(t, t + 1);
      }
      products.list(x, {.begin = begin, .end = end, .reach = segment.reach}, whole);
      const bool fresh = end == segment.end && !g.continues;
      pool.run(plan.threads, [&](const Share& share) { products.share(share, fresh); });
      end = begin;
    }
    interrupt.throw_if_requested();
    if (!g.dh0) return;
    pool.run(plan.threads,
             [&](const Share& share) { cell_->initial_gradient(operands, backward_range(plan, schedule, share)); });
    for (std::size_t n = 0; n < rows; ++n) {
      const std::size_t row = schedule.caller_row(n);
      std::copy_n(dh.row(0, n), outputs(), g.dh0 + row * outputs());
      if (g.dc0 && cell_->has_memory) {
        std::copy_n(work.dc.data() + n * width, shape_.units, g.dc0 + row * shape_.units);
      }
    }
  }

 private:
  template <class U, class Visit>
  void for_each_part(const LayerWeights<U>& weights, Visit visit) const {
    visit(kernels::input_part(shape_), weights.weight_ih);
    visit(kernels::recurrent_part(shape_), weights.weight_hh);
    if (resets_state()) {
      visit(kernels::reset_part(shape_), shifted(weights.weight_hh, shape_.recurrent_slots * shape_.units * outputs()));
    }
    visit(kernels::bias_part(shape_), weights.bias);
    visit(kernels::recurrent_bias_part(shape_), weights.bias_recurrent);
    visit(kernels::unit_weights_part(shape_), weights.unit_weights);
  }

  /// Calls visit(history) for the states that one step hands to the next: m is h unless a dropout comes between.
  template <class U, class Visit>
  void for_each_state(const History<U>& h, const History<U>& c, const History<U>& m,
                      const kernels::StateNoise<T>& noise, Visit visit) const {
    visit(h);
    if (cell_->has_memory) visit(c);
    if (noise.drops()) visit(m);
  }

  /// All steps of a share's rows, or of its blocks of units.
  kernels::Range forward_range(const Plan& plan, const Schedule& schedule, const Share& share) const {
    kernels::Range range{0, schedule.steps, 0, schedule.rows, 0, shape_.blocks()};
    if (plan.split_units) return range;
    const std::size_t together = cell_->dweights_rows, parts = cell_->parts(schedule.rows);
    range.row_begin = std::min(schedule.rows, share.begin(parts) * together);
    range.row_end = std::min(schedule.rows, share.end(parts) * together);
    return range;
  }

  /// Blocks go by groups of the transposed panels.
  kernels::Range backward_range(const Plan& plan, const Schedule& schedule, const Share& share) const {
    kernels::Range range = forward_range(plan, schedule, share);
    if (plan.split_units) {
      const kernels::TransposedShape shape = transposed(shape_, kernels::recurrent_part(shape_));
      range.block_begin = shape.group_begin(share.begin(shape.groups()));
      range.block_end = shape.group_begin(share.end(shape.groups()));
    }
    return range;
  }

  /// Elements that the equations keep of a row for backward.
  std::size_t kept_width() const { return (cell_->kept_of_row + shape_.blocks() * cell_->kept) * shape_.lanes; }

  kernels::Projection<T> projection(const T* panels, const T* transposed_panels) const {
    return {projection_, projected() ? panels + shape_.size() : nullptr, transposed_panels};
  }

  void load_state(const T* from, std::size_t row, std::size_t columns, T* to, std::size_t width) const {
    const std::size_t given = from != nullptr ? columns : 0;
    std::copy_n(shifted(from, row * columns), given, to);
    std::fill(to + given, to + width, T(0));
  }

  /// A share of a part's transposed panels.
  void transpose(const Share& share, const kernels::PanelKernels<T>& kernel, const kernels::PanelPart& part,
                 const T* panels, Buffer<T>& buffer) const {
    const std::size_t groups = transposed(shape_, part).groups();
    kernel.transpose({shape_, part, panels, buffer.data(), share.begin(groups), share.end(groups)});
  }

  /// bias + W x of a range's steps and rows, into the gates.
  void input_product(const kernels::ForwardOperands<T>& a, const kernels::Range& range, Workspace<T>& work,
                     std::size_t first) const {
    std::size_t n = first;
    for (std::size_t t = range.step_begin; t < range.step_end; ++t) {
      const std::size_t row_end = std::min(range.row_end, a.schedule->active_at(t));
      for (std::size_t row = range.row_begin; row < row_end; ++row, ++n) {
        work.in[n] = a.x.row(t, row);
        work.out[n] = a.gates.row(t, row);
      }
    }
    cell_->input.affine({.shape = shape_,
                         .panels = a.panels,
                         .in = work.in.data() + first,
                         .out = work.out.data() + first,
                         .n = n - first,
                         .out_block_stride = a.gates.block_stride(),
                         .columns = a.gates.row_width,
                         .block_begin = range.block_begin,
                         .block_end = range.block_end});
  }

  const kernels::CellKernels<T>* cell_;
  kernels::PanelShape shape_, projection_;
  kernels::CellOptions<T> options_;
};

#if defined(PYLSTM_DISPATCH)  // compiled there
extern template class RecurrentLayer<float>;
extern template class RecurrentLayer<double>;
#endif

}  // namespace pylstm::layers
