/// The forward pass of a recurrent layer over a segment of a walk: memory, chunks of steps, and threads.
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
#include "pylstm/layers/recurrent_spec.hpp"
#include "pylstm/layers/row_shares.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// `begin`, `run`, `end`, once each.
template <class T>
class ForwardPass {
 public:
  /// On a tape, if it is not null: the pass can be differentiated then.
  ForwardPass(const RecurrentSpec<T>& spec, const Segment& segment, const T* panels, const Schedule& schedule,
              Sequence<const T> x, Sequence<T> y, Tape<T>* tape, Workspace<T>& work,
              const kernels::StateNoise<T>& noise)
      : spec_(spec),
        segment_(segment),
        schedule_(schedule),
        plan_(spec.forward_plan(schedule)),
        whole_blocks_(whole_blocks(plan_, spec.shape.blocks(), schedule.rows)),
        shares_(spec.row_shares(plan_, schedule)),
        noise_(noise),
        work_(work) {
    require(!spec.projected() || (!noise.drops() && !noise.holds()),
            "a projected state takes neither dropout nor zoneout");
    place(tape);
    if (tape != nullptr) {
      tape->segment = segment;
      tape->shares = shares_;
      tape->places = shares_.places(h_);
    }
    // One row, and nothing but its states wanted.
    const bool alone = schedule.rows == 1 && !gates_kept_ && !spec.projected() && !noise.drops() && !noise.holds() &&
                       !spec.options.activations;
    const kernels::ForwardOperands<T> operands{.schedule = &schedule,
                                               .shape = spec.shape,
                                               .panels = panels,
                                               .options = spec.options,
                                               .pointwise = spec.cell->equations_for(spec.options).forward,
                                               .projection = spec.projection_of(panels, nullptr),
                                               .noise = noise,
                                               .x = x,
                                               .y = y,
                                               .gates_kept = gates_kept_,
                                               .input_product_ready = plan_.input_product,
                                               .keep_gates = tape != nullptr,
                                               .step = alone ? spec.cell->step : nullptr};
    runs_.assign(shares_.count, operands);
    for (std::size_t i = 0; i < shares_.count; ++i) {
      runs_[i].h = shares_.of(h_, i);
      runs_[i].c = shares_.of(c_, i);
      runs_[i].m = shares_.of(m_, i);
      runs_[i].c_new = shares_.of(c_new_, i);
      runs_[i].gates = shares_.of(gates_, i);
      runs_[i].x_sums = shares_.of(x_sums_, i);
      runs_[i].h_reset = shares_.of(h_reset_, i).data;
      runs_[i].kept = shares_.of(kept_, i);
    }
  }

  /// With h0 and c0.
  void begin(const States<T>& states) {
    for (std::size_t i = 0; i < shares_.count; ++i) {
      const kernels::ForwardOperands<T>& run = runs_[i];
      for (std::size_t n = shares_.begin(i); n < shares_.end(i); ++n) {
        const std::size_t row = schedule_.caller_row(n);
        T* const h = run.h.row(0, n);
        load_state(states.h0, row, spec_.outputs(), h, run.h.row_width);
        if (noise_.drops()) {
          std::copy_n(h, spec_.width(), run.m.row(0, n));
          for (std::size_t j = 0; j < spec_.width(); ++j) h[j] *= noise_.dropout[n * spec_.width() + j];
        }
        if (run.c) load_state(states.c0, row, spec_.shape.units, run.c.row(0, n), spec_.width());
      }
    }
  }
  /// With what `RecurrentLayer::copy_border` took from the segment before.
  void begin(const T* before) {
    for (std::size_t i = 0; i < shares_.count; ++i) {
      spec_.copy_run(shares_, i, h_, c_, m_, noise_, segment_.begin, schedule_.active_at(segment_.begin),
                     [&](T* state, std::size_t at, std::size_t size) { std::copy_n(before + at, size, state); });
    }
  }

  /// Of the pass's own plan: the number of threads may be another one now.
  bool packs_on_the_way() const { return plan_.packs_on_the_way(schedule_) && !spec_.centres_weights(); }

  /// `packing`: matrices that the panels lack yet, if the pass packs on the way.
  void run(Interrupt& interrupt, const PackingOnTheWay<T>* packing = nullptr) {
    packing_ = packing;
    if (plan_.input_product) {
      const std::size_t lists = plan_.split_units ? plan_.threads : 1;
      work_.in.resize(most_listed() * lists);
      work_.out.resize(most_listed() * lists);
    }
    if (packing_ != nullptr) {
      for (std::size_t block = whole_blocks_; block < spec_.shape.blocks(); ++block) packing_->pack(block);
    }
    BlockQueue queue(plan_.split_units ? plan_.threads : 0);
    RowBorders borders(shares_, schedule_, plan_.threads);
    for (std::size_t begin = segment_.begin, polled = begin; begin < segment_.end;) {
      if (begin == polled) {
        if (interrupt.poll()) break;
        polled = std::min(begin + plan_.call_steps, segment_.end);
      }
      const std::size_t end = plan_.split_units ? begin + 1 : rows_change(begin, polled);
      if (plan_.split_units) {
        queue.fill(whole_blocks_);
      } else {
        borders.share_out({.begin = begin, .end = end});
      }
      ThreadPool::instance().run(plan_.threads, [&](const Share& share) {
        if (plan_.split_units) {
          run_units(queue, share, begin, end);
        } else {
          run_rows(borders.begin(share), borders.end(share), begin, end);
        }
      });
      begin = end;
    }
    interrupt.throw_if_requested();
  }

  /// h_n and c_n of the rows that end in the segment.
  void end(const States<T>& states) const {
    for (std::size_t i = 0; i < shares_.count; ++i) {
      const kernels::ForwardOperands<T>& run = runs_[i];
      for (std::size_t n = shares_.begin(i); n < shares_.end(i); ++n) {
        const std::size_t row = schedule_.caller_row(n), length = schedule_.length(n);
        if (length > segment_.end || (segment_.begin > 0 && length <= segment_.begin)) continue;
        const T* const last = (spec_.projected() ? run.h : run.m).row(length, n);
        if (states.h_n) std::copy_n(last, spec_.outputs(), states.h_n + row * spec_.outputs());
        if (!states.c_n || !run.c) continue;
        std::copy_n(run.c.row(length, n), spec_.shape.units, states.c_n + row * spec_.shape.units);
      }
    }
  }

 private:
  /// All steps on a tape; without one, what the next step needs.
  void place(Tape<T>* tape) {
    const std::size_t steps = segment_.steps(), width = spec_.width(), blocks = spec_.shape.blocks();
    const auto place = [&](Buffer<T>& buffer, std::size_t period, std::size_t row_width, std::size_t of_blocks = 1) {
      return shares_.place(buffer, period, row_width, segment_.begin, of_blocks);
    };
    const auto taped = [&](std::size_t on_tape, std::size_t without) { return tape != nullptr ? on_tape : without; };
    const bool memory = spec_.cell->has_memory;
    gates_kept_ = tape != nullptr || plan_.input_product || plan_.split_units;
    m_ = h_ = place(tape ? tape->h : work_.h, taped(steps + 1, 2), spec_.h_width());
    if (spec_.projected() || noise_.drops()) {
      m_ = place(tape ? tape->m : work_.m, taped(steps + 1, spec_.projected() ? 1 : 2), width);
    }
    if (memory) c_ = c_new_ = place(tape ? tape->c : work_.c, taped(steps + 1, 1), width);
    if (memory && noise_.holds()) c_new_ = place(tape ? tape->c_new : work_.c_new, taped(steps + 1, 1), width);
    const std::size_t gate_steps = plan_.input_product ? plan_.chunk_steps : 1;
    gates_ = place(tape ? tape->gates : work_.gates, taped(std::max<std::size_t>(steps, 1), gate_steps),
                   spec_.gate_width(), gates_kept_ ? blocks : std::min(blocks, kernels::most_blocks));
    // Where gates take the place of the sums of x on the tape these are in cache, not there.
    const bool apart = tape != nullptr && spec_.norm_of_inputs();
    x_sums_ = apart ? place(work_.x_sums, gate_steps, spec_.shape.input_slots * spec_.shape.lanes, blocks) : gates_;
    if (tape && spec_.kept_width() > 0) {
      kept_ = place(tape->kept, std::max<std::size_t>(steps, 1), spec_.kept_width());
    }
    if (spec_.resets_state()) h_reset_ = place(work_.h_reset, 1, width);
  }

  void load_state(const T* from, std::size_t row, std::size_t columns, T* to, std::size_t width) const {
    const std::size_t given = from != nullptr ? columns : 0;
    std::copy_n(shifted(from, row * columns), given, to);
    std::fill(to + given, to + width, T(0));
  }

  /// Where there are rows enough, threads share by rows the blocks that would be left over: 41 blocks are 20 and a half
  /// for each of two.
  static std::size_t whole_blocks(const Plan& plan, std::size_t blocks, std::size_t rows) {
    constexpr std::size_t least_rows = 8;  // of each: fewer take a tile no less time
    return plan.split_units && rows >= least_rows * plan.threads ? blocks / plan.threads * plan.threads : blocks;
  }

  /// A step up to which nearly as many rows run as at `begin`: those that threads share.
  std::size_t rows_change(std::size_t begin, std::size_t end) const {
    if (schedule_.lengths == nullptr || plan_.threads == 1) return end;
    const std::size_t unit = plan_.input_product ? plan_.chunk_steps : 1;
    std::size_t t = std::min(begin + unit, end);
    while (t < end && 4 * schedule_.active_at(t) >= 3 * schedule_.active_at(begin)) t = std::min(t + unit, end);
    return t;
  }

  void run_rows(std::size_t row_begin, std::size_t row_end, std::size_t begin, std::size_t end) const {
    kernels::Range range = all();
    for (std::size_t i = 0; i < shares_.count; ++i) {
      range.row_begin = std::max(row_begin, shares_.begin(i));
      range.row_end = std::min(row_end, shares_.end(i));
      if (range.row_begin < range.row_end) {
        run_steps(runs_[i], range, begin, end, range.row_begin * plan_.chunk_steps);
      }
    }
  }

  void run_units(BlockQueue& queue, const Share& share, std::size_t begin, std::size_t end) const {
    kernels::Range range = all();
    if (whole_blocks_ < range.block_end) {
      range.block_begin = whole_blocks_;
      range.row_begin = share.begin(schedule_.active_at(begin));
      range.row_end = share.end(schedule_.active_at(begin));
      run_steps(runs_[0], range, begin, end, share.index * most_listed());
      range = all();
    }
    while (queue.take(share.index, range.block_begin, range.block_end)) {
      run_steps(runs_[0], range, begin, end, share.index * most_listed());
    }
  }

  /// Of a range, with the input product of the chunk that `begin` is in, if it begins there, and of those after it.
  void run_steps(const kernels::ForwardOperands<T>& run, kernels::Range range, std::size_t begin, std::size_t end,
                 std::size_t lists) const {
    const std::size_t chunk = plan_.chunk_steps;
    for (std::size_t t = begin; t < end; t += chunk) {
      range.step_begin = t;
      range.step_end = std::min(t + chunk, segment_.end);
      if (plan_.input_product && (t - segment_.begin) % chunk == 0) input_product(run, range, lists);
      range.step_end = std::min(range.step_end, end);
      spec_.cell->forward_steps(run, range);
    }
  }

  /// bias + W x of a range's steps and rows.
  void input_product(const kernels::ForwardOperands<T>& a, const kernels::Range& range, std::size_t first) const {
    std::size_t n = first;
    for (std::size_t t = range.step_begin; t < range.step_end; ++t) {
      const std::size_t row_end = std::min(range.row_end, schedule_.active_at(t));
      for (std::size_t row = range.row_begin; row < row_end; ++row, ++n) {
        work_.in[n] = a.x.row(t, row);
        work_.out[n] = a.x_sums.row(t, row);
      }
    }
    kernels::AffineOperands<T> product{.shape = spec_.shape,
                                       .panels = a.panels,
                                       .in = work_.in.data() + first,
                                       .out = work_.out.data() + first,
                                       .n = n - first,
                                       .out_block_stride = a.x_sums.block_stride,
                                       .columns = a.x_sums.row_width,
                                       .block_begin = range.block_begin,
                                       .block_end = range.block_end};
    if (packing_ == nullptr || range.block_begin >= whole_blocks_) return spec_.cell->input.affine(product);
    for (std::size_t block = range.block_begin; block < range.block_end; ++block) {
      packing_->pack(block);
      typename PackingOnTheWay<T>::Stretches next;
      if (block + 1 < range.block_end) next = packing_->stretches(block + 1);
      product.block_begin = block;
      product.block_end = block + 1;
      product.wanted = next.list.data();
      product.wanted_count = next.count;
      spec_.cell->input.affine(product);
    }
  }

  kernels::Range all() const { return {0, schedule_.steps, 0, schedule_.rows, 0, spec_.shape.blocks()}; }
  std::size_t most_listed() const { return plan_.chunk_steps * schedule_.rows; }

  const RecurrentSpec<T>& spec_;
  const Segment segment_;
  const Schedule& schedule_;
  const Plan plan_;
  const std::size_t whole_blocks_;  ///< those that threads take whole where they share the units
  const RowShares shares_;
  const kernels::StateNoise<T>& noise_;
  const PackingOnTheWay<T>* packing_ = nullptr;
  Workspace<T>& work_;
  History<T> h_, c_, m_, c_new_, gates_, x_sums_, kept_, h_reset_;  ///< of all runs
  bool gates_kept_ = false;
  std::vector<kernels::ForwardOperands<T>> runs_;
};

#if defined(PYLSTM_DISPATCH)  // compiled there
extern template class ForwardPass<float>;
extern template class ForwardPass<double>;
#endif

}  // namespace pylstm::layers
