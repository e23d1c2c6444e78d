/// A recurrent layer over whole sequences: workspaces, chunks of steps, and threads around the kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

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
#include "pylstm/layers/row_shares.hpp"
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
  /// The outputs that a forward pass left on its tape.
  Sequence<const T> taped_outputs(const Tape<T>& tape, bool drops) const {
    const std::size_t first = tape.segment.begin;
    const History<const T> h =
        on_tape(tape, drops ? tape.m : tape.h, tape.segment.steps() + 1, shape_.padded_recurrent());
    const auto step = static_cast<std::ptrdiff_t>(h.rows * h.row_width);
    return {.data = h.at(first + 1) - static_cast<std::ptrdiff_t>(first) * step,
            .step_stride = step,
            .row_stride = static_cast<std::ptrdiff_t>(h.row_width),
            .places = tape.places.empty() ? nullptr : tape.places.data()};
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

    const RowShares shares = row_shares(plan, schedule);
    const auto place = [&](Buffer<T>& buffer, std::size_t period, std::size_t row_width, std::size_t blocks = 1) {
      return shares.place(buffer, period, row_width, first, blocks);
    };
    const bool gates_kept = tape || plan.input_product || plan.split_units, m_apart = projected() || noise.drops();
    const std::size_t padded = shape_.padded_recurrent(), gate_steps = plan.input_product ? chunk : 1;
    const History<T> h = place(tape ? tape->h : work.h, tape ? steps + 1 : 2, padded);
    History<T> m = h, c, c_new, kept;
    if (m_apart) m = place(tape ? tape->m : work.m, tape ? steps + 1 : projected() ? 1 : 2, width);
    if (cell_->has_memory) c = c_new = place(tape ? tape->c : work.c, tape ? steps + 1 : 1, width);
    if (cell_->has_memory && noise.holds()) c_new = place(tape ? tape->c_new : work.c_new, tape ? steps + 1 : 1, width);
    const History<T> gates =
        place(tape ? tape->gates : work.gates, tape ? std::max<std::size_t>(steps, 1) : gate_steps, gate_width,
              gates_kept ? shape_.blocks() : std::min(shape_.blocks(), kernels::most_blocks));
    if (tape && kept_width() > 0) kept = place(tape->kept, std::max<std::size_t>(steps, 1), kept_width());
    const History<T> h_reset = resets_state() ? place(work.h_reset, 1, width) : History<T>{};
    if (tape != nullptr) {
      tape->segment = segment;
      tape->shares = shares;
      tape->places = shares.places(h);
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
                                               .h = {},
                                               .c = {},
                                               .m = {},
                                               .c_new = {},
                                               .gates = {},
                                               .gates_kept = gates_kept,
                                               .h_reset = nullptr,
                                               .input_product_ready = plan.input_product,
                                               .keep_gates = tape != nullptr,
                                               .kept = {},
                                               .step = alone ? cell_->step : nullptr};
    std::vector<kernels::ForwardOperands<T>> runs(shares.count, operands);
    for (std::size_t i = 0; i < shares.count; ++i) {
      runs[i].h = shares.of(h, i);
      runs[i].c = shares.of(c, i);
      runs[i].m = shares.of(m, i);
      runs[i].c_new = shares.of(c_new, i);
      runs[i].gates = shares.of(gates, i);
      runs[i].h_reset = shares.of(h_reset, i).data;
      runs[i].kept = shares.of(kept, i);
      if (before == nullptr) {
        begin_run(runs[i], shares.begin(i), shares.end(i), states);
      } else {
        copy_run(shares, i, h, c, m, noise, first, schedule.active_at(first),
                 [&](T* state, std::size_t at, std::size_t size) { std::copy_n(before + at, size, state); });
      }
    }
    if (plan.input_product) {
      const std::size_t lists = plan.split_units ? plan.threads : 1;
      work.in.resize(chunk * rows * lists);
      work.out.resize(chunk * rows * lists);
    }
    // Of a range, with the input product of the chunk that `begin` is in, if it begins there, and of those after it.
    const auto run_steps = [&](const kernels::ForwardOperands<T>& run, kernels::Range range, std::size_t begin,
                               std::size_t end, std::size_t lists) {
      for (std::size_t t = begin; t < end; t += chunk) {
        range.step_begin = t;
        range.step_end = std::min(t + chunk, segment.end);
        if (plan.input_product && (t - first) % chunk == 0) input_product(run, range, work, lists);
        range.step_end = std::min(range.step_end, end);
        cell_->forward_steps(run, range);
      }
    };
    BlockQueue queue(plan.split_units ? plan.threads : 0);
    RowBorders borders(shares, schedule, plan.threads);
    const auto share_steps = [&](std::size_t begin, std::size_t end) {
      queue.fill(shape_.blocks());
      borders.share_out({.begin = begin, .end = end});
      ThreadPool::instance().run(plan.threads, [&](const Share& share) {
        kernels::Range range{0, schedule.steps, 0, rows, 0, shape_.blocks()};
        if (plan.split_units) {
          while (queue.take(share.index, range.block_begin, range.block_end)) {
            run_steps(runs[0], range, begin, end, share.index * chunk * rows);
          }
          return;
        }
        for (std::size_t i = 0; i < shares.count; ++i) {
          range.row_begin = std::max(borders.begin(share), shares.begin(i));
          range.row_end = std::min(borders.end(share), shares.end(i));
          if (range.row_begin < range.row_end) run_steps(runs[i], range, begin, end, range.row_begin * chunk);
        }
      });
    };
    for (std::size_t begin = first, polled = first; begin < segment.end;) {
      if (begin == polled) {
        if (interrupt.poll()) break;
        polled = std::min(begin + plan.call_steps, segment.end);
      }
      const std::size_t end = plan.split_units ? begin + 1 : rows_change(plan, schedule, begin, polled);
      share_steps(begin, end);
      begin = end;
    }
    interrupt.throw_if_requested();

    for (std::size_t i = 0; i < shares.count; ++i) {
      for (std::size_t n = shares.begin(i); n < shares.end(i); ++n) {
        const std::size_t row = schedule.caller_row(n), length = schedule.length(n);
        if (length > segment.end || (first > 0 && length <= first)) continue;
        const T* const last = (projected() ? runs[i].h : runs[i].m).row(length, n);
        if (states.h_n) std::copy_n(last, outputs(), states.h_n + row * outputs());
        if (!states.c_n || !cell_->has_memory) continue;
        std::copy_n(runs[i].c.row(length, n), shape_.units, states.c_n + row * shape_.units);
      }
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
    const std::size_t width = shape_.padded_units(), period = tape.segment.steps() + 1;
    const RowShares& shares = tape.shares;
    const auto taped = [&](const Buffer<T>& buffer, std::size_t row_width) {
      return on_tape(tape, buffer, period, row_width);
    };
    for (std::size_t i = 0; i < shares.count; ++i) {
      copy_run(shares, i, taped(tape.h, shape_.padded_recurrent()), taped(tape.c, width), taped(tape.m, width), noise,
               tape.segment.end, schedule.active_at(tape.segment.end),
               [&](const T* state, std::size_t at, std::size_t size) { std::copy_n(state, size, to + at); });
    }
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
    const std::size_t gate_width = shape_.slots * shape_.lanes;
    const Plan plan = backward_plan(whole);  // one ring for all segments
    const std::size_t chunk = plan.chunk_steps;

    // As the rows lay in the segment before, whose gradients come in: there may be more or fewer threads by now.
    if (!g.continues) work.shares = row_shares(plan, schedule);
    const RowShares& shares = work.shares;
    const auto place = [&](Buffer<T>& buffer, std::size_t period, std::size_t row_width, std::size_t blocks = 1) {
      return shares.place(buffer, period, row_width, 0, blocks);
    };
    work.recurrent_transposed.reserve(transposed(shape_, kernels::recurrent_part(shape_)).size());
    const bool transposes_input = g.dx && ProductsOverTime<T>::takes_transposed(shape_);
    if (transposes_input) work.input_transposed.reserve(transposed(shape_, kernels::input_part(shape_)).size());
    const History<T> dgates = place(work.dgates, chunk + 1, gate_width, shape_.blocks());
    const RowShares part_shares = shares.of_parts();
    History<T> dweights;
    if (cell_->dweights > 0) {
      dweights = part_shares.place(work.dweights, chunk, cell_->dweights * shape_.lanes, 0, shape_.blocks());
    }
    // A projection's gradient is a product over time as well: dh of a whole chunk.
    const History<T> dh = place(work.dh, projected() ? chunk : 1, shape_.padded_recurrent());
    const auto place_rows = [&](bool wanted, Buffer<T>& buffer) {
      return wanted ? place(buffer, 1, width) : History<T>{};
    };
    const History<T> dm = place_rows(projected(), work.dm), dh_reset = place_rows(resets_state(), work.dh_reset);
    if (projected()) {
      work.projection_transposed.reserve(transposed(projection_, kernels::input_part(projection_)).size());
      std::fill(work.dm.begin(), work.dm.end(), T(0));
    }
    const bool has_shortcut = cell_->has_shortcut || noise.holds();
    const History<T> dc = place_rows(cell_->has_memory, work.dc),
                     dh_shortcut = place_rows(has_shortcut, work.dh_shortcut),
                     dh_held = place_rows(noise.holds(), work.dh_held),
                     dc_held = place_rows(noise.holds(), work.dc_held);
    History<T> h_reset;
    if (resets_state()) {
      h_reset = place(work.h_reset, chunk, width);
      std::fill(work.dh_reset.begin(), work.dh_reset.end(), T(0));
      work.reset_transposed.reserve(transposed(shape_, kernels::reset_part(shape_)).size());
    }

    const kernels::BackwardOperands<T> operands{.schedule = &schedule,
                                                .shape = shape_,
                                                .panels = panels,
                                                .recurrent_transposed = work.recurrent_transposed.data(),
                                                .options = options_,
                                                .recurrent_gates = cell_->recurrent.gates,
                                                .pointwise = cell_->equations_for(options_).backward,
                                                .noise = noise,
                                                .h = {},
                                                .c = {},
                                                .m = {},
                                                .c_new = {},
                                                .gates = {},
                                                .kept = {},
                                                .dgates = {},
                                                .dweights = {},
                                                .dweights_rows = cell_->dweights_rows,
                                                .whole_rows = cell_->whole_rows,
                                                .reset_transposed = work.reset_transposed.data(),
                                                .h_reset = {},
                                                .dh_reset = nullptr,
                                                .projection = projection(panels, work.projection_transposed.data()),
                                                .dy = g.dy,
                                                .dh_n = g.dh_n,
                                                .dc_n = g.dc_n,
                                                .dc = nullptr,
                                                .dh_shortcut = nullptr,
                                                .has_shortcut = cell_->has_shortcut,
                                                .dh_held = nullptr,
                                                .dc_held = nullptr,
                                                .dh = {},
                                                .dm = nullptr};
    // The tape may be of another number of threads: rows that are one run here and there go together.
    const History<const T> h = on_tape(tape, tape.h, steps + 1, shape_.padded_recurrent());
    const History<const T> m = noise.drops() || projected() ? on_tape(tape, tape.m, steps + 1, width) : h;
    const History<const T> c = cell_->has_memory ? on_tape(tape, tape.c, steps + 1, width) : History<const T>{};
    const History<const T> c_new = cell_->has_memory && noise.holds() ? on_tape(tape, tape.c_new, steps + 1, width) : c;
    const std::size_t gate_steps = std::max<std::size_t>(steps, 1);
    const History<const T> gates = on_tape(tape, tape.gates, gate_steps, gate_width),
                           kept = on_tape(tape, tape.kept, gate_steps, kept_width());
    std::vector<BackwardRun<T>> runs;
    for (std::size_t i = 0; i < shares.count; ++i) {
      for (std::size_t j = 0; j < tape.shares.count; ++j) {
        BackwardRun<T> run{.share = i,
                           .begin = std::max(shares.begin(i), tape.shares.begin(j)),
                           .end = std::min(shares.end(i), tape.shares.end(j)),
                           .operands = operands};
        if (run.begin >= run.end && rows > 0) continue;
        kernels::BackwardOperands<T>& a = run.operands;
        a.h = tape.shares.of(h, j);
        a.m = tape.shares.of(m, j);
        a.c = tape.shares.of(c, j);
        a.c_new = tape.shares.of(c_new, j);
        a.gates = tape.shares.of(gates, j);
        a.kept = tape.shares.of(kept, j);
        a.dgates = shares.of(dgates, i);
        a.dweights = part_shares.of(dweights, i);
        a.h_reset = shares.of(h_reset, i);
        a.dh_reset = shares.of(dh_reset, i).data;
        a.dc = shares.of(dc, i).data;
        a.dh_shortcut = shares.of(dh_shortcut, i).data;
        a.dh_held = shares.of(dh_held, i).data;
        a.dc_held = shares.of(dc_held, i).data;
        a.dh = shares.of(dh, i);
        a.dm = shares.of(dm, i).data;
        runs.push_back(run);
      }
    }
    RowBorders borders(shares, schedule, plan.threads);
    ProductsOverTime<T> products(*cell_, shares, runs, g, chunk, work);
    ThreadPool& pool = ThreadPool::instance();
    if (!g.continues) {
      pool.run(plan.product_threads, [&](const Share& share) {
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
      borders.share_out({.begin = begin, .end = end, .reach = segment.reach});
      const auto share_steps = [&](std::size_t from, std::size_t to) {
        pool.run(plan.threads, [&](const Share& share) {
          kernels::Range range = backward_range(plan, schedule, share, borders);
          const auto go_back = [&](std::size_t begin_row, std::size_t end_row) {
            for (const BackwardRun<T>& run : runs) {
              kernels::Range between = range;
              between.row_begin = std::max({begin_row, run.begin, range.row_begin});
              between.row_end = std::min({end_row, run.end, range.row_end});
              if (between.row_begin < between.row_end) cell_->backward_steps(run.operands, between);
            }
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
      pool.run(plan.product_threads, [&](const Share& share) { products.share(share, fresh); });
      end = begin;
    }
    interrupt.throw_if_requested();
    if (!g.dh0) return;
    borders.share_out({.begin = 0, .end = 1});
    pool.run(plan.threads, [&](const Share& share) {
      const kernels::Range range = backward_range(plan, schedule, share, borders);
      for (const BackwardRun<T>& run : runs) {
        kernels::Range of_run = range;
        of_run.row_begin = std::max(range.row_begin, run.begin);
        of_run.row_end = std::min(range.row_end, run.end);
        if (of_run.row_begin < of_run.row_end) cell_->initial_gradient(run.operands, of_run);
      }
    });
    for (const BackwardRun<T>& run : runs) {
      for (std::size_t n = run.begin; n < run.end; ++n) {
        const std::size_t row = schedule.caller_row(n);
        std::copy_n(run.operands.dh.row(0, n), outputs(), g.dh0 + row * outputs());
        if (!g.dc0 || !cell_->has_memory) continue;
        std::copy_n(run.operands.dc + n * width, shape_.units, g.dc0 + row * shape_.units);
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

  /// Calls copy(state, at, size) for the states before step t of a run's rows, of those before `active`; `at` is their
  /// place among `border_size` elements.
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

  /// The states before the first step, of rows [begin, end).
  void begin_run(const kernels::ForwardOperands<T>& run, std::size_t begin, std::size_t end,
                 const States<T>& states) const {
    const std::size_t width = shape_.padded_units();
    for (std::size_t n = begin; n < end; ++n) {
      const std::size_t row = run.schedule->caller_row(n);
      T* const h = run.h.row(0, n);
      load_state(states.h0, row, outputs(), h, run.h.row_width);
      if (run.noise.drops()) {
        std::copy_n(h, width, run.m.row(0, n));
        for (std::size_t j = 0; j < width; ++j) h[j] *= run.noise.dropout[n * width + j];
      }
      if (cell_->has_memory) load_state(states.c0, row, shape_.units, run.c.row(0, n), width);
    }
  }

  RowShares row_shares(const Plan& plan, const Schedule& schedule) const {
    const bool one = plan.split_units || schedule.lengths != nullptr;
    return {.rows = schedule.rows, .together = cell_->dweights_rows, .count = one ? 1 : plan.threads};
  }

  /// A step up to which nearly as many rows run as at `begin`: those that threads share.
  std::size_t rows_change(const Plan& plan, const Schedule& schedule, std::size_t begin, std::size_t end) const {
    if (schedule.lengths == nullptr || plan.threads == 1) return end;
    const std::size_t unit = plan.input_product ? plan.chunk_steps : 1;
    std::size_t t = std::min(begin + unit, end);
    while (t < end && 4 * schedule.active_at(t) >= 3 * schedule.active_at(begin)) t = std::min(t + unit, end);
    return t;
  }

  /// One of the tape's histories.
  static History<const T> on_tape(const Tape<T>& tape, const Buffer<T>& buffer, std::size_t period,
                                  std::size_t row_width) {
    History<const T> all = tape.shares.template history<const T>(period, row_width, tape.segment.begin);
    all.data = buffer.data();
    return all;
  }

  /// All steps of a share: of its rows, or where threads share the units its blocks, whole groups of the transposed
  /// panels.
  kernels::Range backward_range(const Plan& plan, const Schedule& schedule, const Share& share,
                                const RowBorders& borders) const {
    kernels::Range range{0, schedule.steps, 0, schedule.rows, 0, shape_.blocks()};
    if (!plan.split_units) {
      range.row_begin = borders.begin(share);
      range.row_end = borders.end(share);
    } else {
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
                         .out_block_stride = a.gates.block_stride,
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
