/// Backpropagation through time of a recurrent layer over a segment of a walk: memory, chunks of steps, and threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/operands.hpp"
#include "pylstm/layers/products_over_time.hpp"
#include "pylstm/layers/recurrent_spec.hpp"
#include "pylstm/layers/row_shares.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// `run`, once.  Chunks of steps: while the gradients of their gates are in cache, the products over time take them.
template <class T>
class BackwardPass {
 public:
  /// As `RecurrentLayer::backward_segment`.
  BackwardPass(const RecurrentSpec<T>& spec, const Segment& segment, const T* panels, const Schedule& whole,
               const Tape<T>& tape, const SequenceGradients<T>& gradients, Workspace<T>& work,
               const kernels::StateNoise<T>& noise)
      : spec_(spec),
        segment_(segment),
        whole_(whole),
        schedule_(whole),
        plan_(spec.backward_plan(whole, std::max(segment.reach, gradients.cut_steps))),  // one ring for all segments
        panels_(panels),
        g_(gradients),
        norm_(spec, panels, work),
        inputs_{spec.cell->input, norm_ ? norm_.shape() : spec.shape, norm_ ? norm_.panels() : panels,
                work.input_transposed},
        shares_(work.shares),
        work_(work) {
    if (g_.cut_steps > 0 && segment.end % g_.cut_steps == 0) schedule_.steps = segment.end;
    // As the rows lay in the segment before, whose gradients come in: there may be more or fewer threads by now.
    if (!g_.continues) work.shares = spec.row_shares(plan_, schedule_);
    place_runs(tape, noise);
  }

  void run(Sequence<const T> x, Interrupt& interrupt) {
    RowBorders borders(shares_, schedule_, plan_.threads);
    ProductsOverTime<T> products(*spec_.cell, inputs_, norm_, shares_, spec_.row_groups(plan_, whole_), runs_, g_,
                                 plan_.chunk_steps, work_);
    if (!g_.continues) transpose_weights(products.wants_inputs());
    // By rows, if the threads' rows are whole groups, nothing that one computes is read by another before the end.
    const bool apart = plan_.product_threads == plan_.threads && !plan_.split_units && products.owns_groups() &&
                       shares_.count % plan_.threads == 0;
    if (segment_.steps() == 0) take_products(products, 1, !g_.continues);
    for (std::size_t end = segment_.end; end > segment_.begin && !interrupt.poll();) {
      const std::size_t begin =
          std::max(end - std::min(apart ? plan_.call_steps : plan_.chunk_steps, end), segment_.begin);
      if (apart) {
        pool_.run(plan_.threads, [&](const Share& share) {
          for_each_chunk(begin, end, [&](const Segment& chunk) {
            go_back(borders, share, chunk.begin, chunk.end);
            products.own(share, x, chunk, whole_, is_fresh(chunk));
          });
        });
      } else {
        share_chunk(borders, products, x, {.begin = begin, .end = end, .reach = segment_.reach});
      }
      end = begin;
    }
    interrupt.throw_if_requested();
    products.finish(plan_.product_threads);
    if (g_.dh0) initial_gradients(borders);
  }

 private:
  /// Memory of all rows, and the runs of rows that lie together in it and on the tape, which may be of another number
  /// of threads.
  void place_runs(const Tape<T>& tape, const kernels::StateNoise<T>& noise) {
    const kernels::CellKernels<T>& cell = *spec_.cell;
    const std::size_t width = spec_.width(), blocks = spec_.shape.blocks(), chunk = plan_.chunk_steps;
    const auto place = [&](Buffer<T>& buffer, std::size_t period, std::size_t row_width, std::size_t of_blocks = 1) {
      return shares_.place(buffer, period, row_width, 0, of_blocks);
    };
    const auto place_rows = [&](bool wanted, Buffer<T>& buffer) {
      return wanted ? place(buffer, 1, width) : History<T>{};
    };
    const bool memory = cell.has_memory, holds = noise.holds();
    const History<T> dgates = place(work_.dgates, chunk + 1, spec_.gate_width(), blocks);
    // A projection's gradient is a product over time as well: dh of a whole chunk.
    const History<T> dh = place(work_.dh, spec_.projected() ? chunk : 1, spec_.h_width());
    const History<T> dm = place_rows(spec_.projected(), work_.dm),
                     dh_reset = place_rows(spec_.resets_state(), work_.dh_reset), dc = place_rows(memory, work_.dc),
                     dh_shortcut = place_rows(cell.has_shortcut || holds, work_.dh_shortcut),
                     dh_held = place_rows(holds, work_.dh_held), dc_held = place_rows(holds, work_.dc_held);
    const RowShares part_shares = shares_.of_parts();
    History<T> dweights, h_reset;
    if (cell.dweights > 0) {
      dweights = part_shares.place(work_.dweights, chunk, cell.dweights * spec_.shape.lanes, 0, blocks);
    }
    if (spec_.resets_state()) {
      h_reset = place(work_.h_reset, chunk, width);
      std::fill(work_.dh_reset.begin(), work_.dh_reset.end(), T(0));
    }
    if (spec_.projected()) std::fill(work_.dm.begin(), work_.dm.end(), T(0));

    const History<const T> h = spec_.states_on(tape, tape.h, spec_.h_width());
    const History<const T> m = noise.drops() || spec_.projected() ? spec_.states_on(tape, tape.m, width) : h;
    const History<const T> c = memory ? spec_.states_on(tape, tape.c, width) : History<const T>{};
    const History<const T> c_new = memory && holds ? spec_.states_on(tape, tape.c_new, width) : c;
    const History<const T> gates = spec_.steps_on(tape, tape.gates, spec_.gate_width()),
                           kept = spec_.steps_on(tape, tape.kept, spec_.kept_width());
    const kernels::BackwardOperands<T> of_all = operands(noise);
    for (std::size_t i = 0; i < shares_.count; ++i) {
      for (std::size_t j = 0; j < tape.shares.count; ++j) {
        BackwardRun<T> run{.share = i,
                           .begin = std::max(shares_.begin(i), tape.shares.begin(j)),
                           .end = std::min(shares_.end(i), tape.shares.end(j)),
                           .operands = of_all};
        if (run.begin >= run.end && schedule_.rows > 0) continue;
        kernels::BackwardOperands<T>& a = run.operands;
        a.h = tape.shares.of(h, j);
        a.m = tape.shares.of(m, j);
        a.c = tape.shares.of(c, j);
        a.c_new = tape.shares.of(c_new, j);
        a.gates = tape.shares.of(gates, j);
        a.kept = tape.shares.of(kept, j);
        a.dgates = shares_.of(dgates, i);
        a.dweights = part_shares.of(dweights, i);
        a.h_reset = shares_.of(h_reset, i);
        a.dh_reset = shares_.of(dh_reset, i).data;
        a.dc = shares_.of(dc, i).data;
        a.dh_shortcut = shares_.of(dh_shortcut, i).data;
        a.dh_held = shares_.of(dh_held, i).data;
        a.dc_held = shares_.of(dc_held, i).data;
        a.dh = shares_.of(dh, i);
        a.dm = shares_.of(dm, i).data;
        runs_.push_back(run);
      }
    }
  }

  /// All but where a run's rows lie.
  kernels::BackwardOperands<T> operands(const kernels::StateNoise<T>& noise) {
    const auto reserved = [&](bool wanted, Buffer<T>& buffer, const kernels::PanelShape& shape,
                              const kernels::PanelPart& part) {
      if (wanted) buffer.reserve(transposed(shape, part).size());
      return buffer.data();
    };
    const kernels::PanelShape& shape = spec_.shape;
    return {
        .schedule = &schedule_,
        .shape = shape,
        .panels = panels_,
        .recurrent_transposed = reserved(true, work_.recurrent_transposed, shape, kernels::recurrent_part(shape)),
        .options = spec_.options,
        .recurrent_gates = spec_.cell->recurrent.gates,
        .pointwise = spec_.cell->equations_for(spec_.options).backward,
        .noise = noise,
        .dweights_rows = spec_.cell->dweights_rows,
        .whole_rows = spec_.cell->whole_rows,
        .reset_transposed = reserved(spec_.resets_state(), work_.reset_transposed, shape, kernels::reset_part(shape)),
        .projection = spec_.projection_of(panels_, reserved(spec_.projected(), work_.projection_transposed,
                                                            spec_.projection, kernels::input_part(spec_.projection))),
        .dy = g_.dy,
        .dh_n = g_.dh_n,
        .dc_n = g_.dc_n,
        .has_shortcut = spec_.cell->has_shortcut,
    };
  }

  void transpose_weights(bool wants_inputs) {
    if (wants_inputs && norm_) norm_.prepare();
    if (wants_inputs) inputs_.reserve();
    pool_.run(plan_.product_threads, [&](const Share& share) {
      const auto transpose = [&](const kernels::PanelKernels<T>& kernel, const kernels::PanelShape& shape,
                                 const kernels::PanelPart& part, const T* panels, Buffer<T>& buffer) {
        const std::size_t groups = transposed(shape, part).groups();
        kernel.transpose({shape, part, panels, buffer.data(), share.begin(groups), share.end(groups)});
      };
      const kernels::CellKernels<T>& cell = *spec_.cell;
      const kernels::PanelShape& shape = spec_.shape;
      transpose(cell.recurrent, shape, kernels::recurrent_part(shape), panels_, work_.recurrent_transposed);
      if (spec_.resets_state()) {
        transpose(cell.reset, shape, kernels::reset_part(shape), panels_, work_.reset_transposed);
      }
      if (wants_inputs) inputs_.transpose(share);
      if (spec_.projected()) {
        transpose(cell.input, spec_.projection, kernels::input_part(spec_.projection), panels_ + shape.size(),
                  work_.projection_transposed);
      }
    });
  }

  /// Calls visit(run, range) for what a share has of each run: rows, or where threads share the units blocks, whole
  /// groups of the transposed panels.
  template <class Visit>
  void for_each_run(const RowBorders& borders, const Share& share, std::size_t row_begin, std::size_t row_end,
                    Visit visit) const {
    kernels::Range range{0, schedule_.steps, 0, 0, 0, spec_.shape.blocks()};
    if (plan_.split_units) {
      const kernels::TransposedShape shape = transposed(spec_.shape, kernels::recurrent_part(spec_.shape));
      range.block_begin = shape.group_begin(share.begin(shape.groups()));
      range.block_end = shape.group_begin(share.end(shape.groups()));
    } else {
      row_begin = std::max(row_begin, borders.begin(share));
      row_end = std::min(row_end, borders.end(share));
    }
    for (const BackwardRun<T>& run : runs_) {
      range.row_begin = std::max(row_begin, run.begin);
      range.row_end = std::min(row_end, run.end);
      if (range.row_begin < range.row_end) visit(run, range);
    }
  }

  /// Calls visit(chunk), last first.
  template <class Visit>
  void for_each_chunk(std::size_t from, std::size_t to, Visit visit) const {
    for (std::size_t end = to, begin = to; end > from; end = begin) {
      begin = std::max(end - std::min(plan_.chunk_steps, end), from);
      visit(Segment{.begin = begin, .end = end, .reach = segment_.reach});
    }
  }

  /// Whether the sums of weight gradients begin with the chunk.
  bool is_fresh(const Segment& chunk) const { return chunk.end == segment_.end && !g_.continues; }

  /// A chunk for whose products the threads meet.
  void share_chunk(RowBorders& borders, ProductsOverTime<T>& products, const Sequence<const T>& x,
                   const Segment& chunk) {
    const auto steps = [&](std::size_t from, std::size_t to) {
      pool_.run(plan_.threads, [&](const Share& share) { go_back(borders, share, from, to); });
    };
    if (plan_.split_units) {
      for (std::size_t t = chunk.end; t-- > chunk.begin;) steps(t, t + 1);
    } else {
      borders.share_out(chunk);
      steps(chunk.begin, chunk.end);
    }
    products.list(x, chunk, whole_);
    take_products(products, plan_.product_threads, is_fresh(chunk));
  }

  /// The products over time of rows listed.
  void take_products(ProductsOverTime<T>& products, std::size_t threads, bool fresh) const {
    const bool meets = products.meets();
    pool_.run(threads, [&](const Share& share) {
      if (!meets) products.share_weights(share, fresh);
      products.share_inputs(share);
    });
    if (meets) pool_.run(threads, [&](const Share& share) { products.share_weights(share, fresh); });
  }

  /// A share of the recurrence.
  void go_back(const RowBorders& borders, const Share& share, std::size_t from, std::size_t to) const {
    for (std::size_t end = to, begin = to; begin > from; end = begin) {  // runs of steps that have the same rows
      const std::size_t first_row = segment_.first_row(whole_, --begin);
      while (begin > from && segment_.first_row(whole_, begin - 1) == first_row) --begin;
      const auto rows_back = [&](std::size_t row_begin, std::size_t row_end) {
        for_each_run(borders, share, row_begin, row_end, [&](const BackwardRun<T>& run, kernels::Range range) {
          range.step_begin = begin;
          range.step_end = end;
          spec_.cell->backward_steps(run.operands, range);
        });
      };
      // Rows whose parts of gradients are added up begin at a multiple, but for the first ones.
      const std::size_t multiple = std::min(spec_.cell->parts(first_row) * spec_.cell->dweights_rows, schedule_.rows);
      rows_back(first_row, multiple);
      rows_back(multiple, schedule_.rows);
    }
  }

  /// dh0 and dc0, after the last chunk.
  void initial_gradients(RowBorders& borders) {
    borders.share_out({.begin = 0, .end = 1});
    pool_.run(plan_.threads, [&](const Share& share) {
      for_each_run(borders, share, 0, schedule_.rows, [&](const BackwardRun<T>& run, const kernels::Range& range) {
        spec_.cell->initial_gradient(run.operands, range);
      });
    });
    for (const BackwardRun<T>& run : runs_) {
      for (std::size_t n = run.begin; n < run.end; ++n) {
        const std::size_t row = schedule_.caller_row(n);
        std::copy_n(run.operands.dh.row(0, n), spec_.outputs(), g_.dh0 + row * spec_.outputs());
        if (!g_.dc0 || !spec_.cell->has_memory) continue;
        std::copy_n(run.operands.dc + n * spec_.width(), spec_.shape.units, g_.dc0 + row * spec_.shape.units);
      }
    }
  }

  const RecurrentSpec<T>& spec_;
  const Segment segment_;
  const Schedule& whole_;
  Schedule schedule_;  ///< up to where gradients come from
  const Plan plan_;
  const T* panels_;  ///< those that the forward pass took
  const SequenceGradients<T>& g_;
  NormOfInputs<T> norm_;
  InputGradients<T> inputs_;
  const RowShares& shares_;
  Workspace<T>& work_;
  std::vector<BackwardRun<T>> runs_;
  ThreadPool& pool_ = ThreadPool::instance();
};

#if defined(PYLSTM_DISPATCH)  // compiled there
extern template class BackwardPass<float>;
extern template class BackwardPass<double>;
#endif

}  // namespace pylstm::layers
