/// A layer of a stack: a recurrent layer that walks the sequences one way, or two that walk them both ways.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/layers/dropout.hpp"
#include "pylstm/layers/plan.hpp"
#include "pylstm/layers/recurrent.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// How the outputs of two directions become one: side by side, or added.
enum class Merge { concat, sum };

/// Tapes and memory of a layer's calls, kept from one to the next.
template <class T>
struct StackLayerWorkspace {
  struct Direction {
    Tape<T> tape;
    Workspace<T> recurrent;
    Buffer<T> states;  ///< [rows][width of h]: this direction's half of h_n, or of its gradient
    Buffer<T> drop;    ///< [rows][padded H]: factors of h in the recurrent product
    Buffer<T> hold;    ///< [steps][2][rows][padded H], or one row for all: shares of zoneout, of h and of c
    kernels::StateNoise<T> noise;
    Buffer<T> borders;  ///< states before each segment of the walk but the first
    Buffer<T> centred;  ///< panels of a layer that centres its weights
  };
  Direction directions[2];
  Buffer<T> addend;  ///< [steps][rows][...]: outputs or dx of the second direction, to be added to the first's
};

template <class T>
struct StackLayerGradients {
  Sequence<const T> dy;       ///< in the order of the walk; may be null
  const T* dh_n = nullptr;    ///< [rows][width()]; may be null
  Sequence<T> dx;             ///< out, in the order of the walk; null: not wanted
  T* dpanels = nullptr;       ///< out: of the directions, one after the other
  bool continues = false;     ///< as in `SequenceGradients`
  std::size_t cut_steps = 0;  ///< as there
};

struct StackLayerOptions {
  bool bidirectional = false;
  Merge merge = Merge::concat;
  std::size_t projection = 0;    ///< width of h; 0: as many as units
  bool residual = false;         ///< adds x, as wide as the outputs and in the order of the walk, to the outputs
  double recurrent_dropout = 0;  ///< of h where the recurrent product reads it, one mask for all steps
  double zoneout = 0;            ///< share of the units that keep their state for a step
};

/// The keys of a pass in training.
struct PassKeys {
  std::uint64_t seed = 0, epoch = 0, layer = 0;
  const std::size_t* samples = nullptr;  ///< [rows] numbers of the samples, in the caller's order; null: 0, 1, ...

  std::uint64_t sample(const Schedule& schedule, std::size_t n) const {
    const std::size_t row = schedule.caller_row(n);
    return samples == nullptr ? row : samples[row];
  }
};

template <class T>
class StackLayer {
 public:
  StackLayer(const kernels::CellKernels<T>& cell, std::size_t inputs, std::size_t units,
             const StackLayerOptions& options)
      : recurrent_(cell, inputs, units, {}, options.projection),
        options_(options),
        directions_(options.bidirectional ? 2 : 1) {}

  /// Of each direction: both have the same.
  const RecurrentLayer<T>& direction() const { return recurrent_; }
  std::size_t directions() const { return directions_; }
  /// Elements of an output.
  std::size_t width() const { return state_width() * (concatenates() ? 2 : 1); }

  /// Returns the outputs [steps][rows][width()] in the order of the walk; they lie in `outputs` or on the tape, and are
  /// not wanted if `outputs` is null.  After a segment the states before the next one are kept, so that it can be
  /// walked again. A pass in training has `keys`.  h_n [rows][width()], in the caller's order, may be null: of two
  /// directions the state of each at its own end, merged as outputs are.  A residual layer adds what it read there;
  /// where directions are summed, at the end of the first.
  Sequence<const T> forward(const T* panels, const Schedule& schedule, const SegmentRun& run, Sequence<const T> x,
                            Buffer<T>* outputs, T* h_n, const PassKeys* keys, StackLayerWorkspace<T>& work,
                            Interrupt& interrupt) const {
    const bool training = keys != nullptr;
    const Segment segment = run.segment();
    const OtherWay other(schedule, x.schedule);
    auto& [first, second] = work.directions;
    const bool on_tape = training && directions_ == 1 && !options_.residual;
    Sequence<T> y, parts[2];
    if (outputs != nullptr && !on_tape) {
      outputs->reserve(checked_product(segment.steps(), schedule.rows, width()));
      parts[0] = y = in_walk_order(outputs->data(), schedule, width(), segment.begin);
      if (directions_ == 2) parts[1] = other.seen(second_half(y, schedule, work.addend));
    }
    T* ends[2] = {h_n, nullptr};
    if (h_n != nullptr && directions_ == 2) {
      for (auto& direction : work.directions) direction.states.reserve(schedule.rows * state_width());
      if (concatenates()) ends[0] = first.states.data();
      ends[1] = second.states.data();
    }

    const std::size_t threads = recurrent_.forward_plan(schedule).threads;
    for_each_direction(threads, interrupt, [&](std::size_t d, Interrupt& heard) {
      for (std::size_t i = run.first; i < run.last; ++i) {
        walk(d, panels, schedule, run.segments, i, d == 0 ? x : other.seen(x), parts[d], ends[d], keys,
             work.directions[d], heard);
      }
    });

    if (directions_ == 2 && !concatenates() && y) {
      const auto addend = in_walk_order<const T>(work.addend.data(), schedule, width());
      for_each_step(schedule, [&](std::size_t t, std::size_t n) { add(addend.row(t, n), width(), y.row(t, n)); });
    }
    if (directions_ == 2 && h_n != nullptr) merge_states(schedule.rows, work, h_n);
    if (options_.residual) {
      const auto add_input = [&](std::size_t t, std::size_t n) { add(x.row(t, n), width(), y.row(t, n)); };
      if (y) for_each_step(schedule, segment, add_input);
      if (h_n != nullptr) {
        for_each_end(schedule, segment, [&](std::size_t t, std::size_t n, std::size_t column, std::size_t state) {
          add(x.row(t, n) + column, state_width(), h_n + state);
        });
      }
    }
    if (outputs == nullptr) return {};
    if (!on_tape) return y;
    return recurrent_.taped_outputs(first.tape, first.noise.drops());
  }

  /// Backpropagation over the tapes of a forward pass in training: through `segment` of what one direction has on its
  /// tape; of two, through all of `segments`, walking again those that are no longer there.
  void backward(const T* panels, const Schedule& schedule, const Segments& segments, const Segment& segment,
                Sequence<const T> x, const StackLayerGradients<T>& g, const PassKeys& keys,
                StackLayerWorkspace<T>& work, Interrupt& interrupt) const {
    const OtherWay other(schedule, x.schedule);
    const std::size_t I = recurrent_.shape().inputs, W = state_width();
    Sequence<const T> dy[2] = {g.dy, {}};
    Sequence<T> dx[2] = {g.dx, {}};
    const T* dends[2] = {g.dh_n, g.dh_n};
    if (directions_ == 2) {
      if (g.dy) dy[1] = other.seen(concatenates() ? shifted_by(g.dy, W) : g.dy);
      if (g.dx) {
        work.addend.reserve(checked_product(schedule.steps, schedule.rows, I));
        dx[1] = other.seen(in_walk_order(work.addend.data(), schedule, I));
      }
      if (g.dh_n != nullptr && concatenates()) {
        split_states(schedule.rows, g.dh_n, work);
        for (std::size_t d = 0; d < 2; ++d) dends[d] = work.directions[d].states.data();
      }
    }

    const std::size_t threads = recurrent_.backward_plan(schedule).threads;
    for_each_direction(threads, interrupt, [&](std::size_t d, Interrupt& heard) {
      auto& at = work.directions[d];
      const Sequence<const T> seen = d == 0 ? x : other.seen(x);
      SequenceGradients<T> own{.dy = dy[d],
                               .dh_n = dends[d],
                               .dx = dx[d],
                               .dpanels = g.dpanels + d * recurrent_.size(),
                               .continues = g.continues,
                               .cut_steps = g.cut_steps};
      const auto go_back = [&](const Segment& through) {
        recurrent_.backward_segment(through, panels_of(d, panels, at), schedule, seen, at.tape, own, at.recurrent,
                                    heard, at.noise);
      };
      if (directions_ == 1) return go_back(segment);
      for (std::size_t i = segments.count(); i-- > 0; own.continues = true) {
        if (i + 1 < segments.count()) walk(d, panels, schedule, segments, i, seen, {}, nullptr, &keys, at, heard);
        go_back(segments[i]);
      }
    });

    if (directions_ == 2 && g.dx) {
      const auto addend = in_walk_order<const T>(work.addend.data(), schedule, I);
      for_each_step(schedule, [&](std::size_t t, std::size_t n) { add(addend.row(t, n), I, g.dx.row(t, n)); });
    }
    if (options_.residual) {
      const auto add_gradient = [&](std::size_t t, std::size_t n) { add(g.dy.row(t, n), width(), g.dx.row(t, n)); };
      if (g.dy) for_each_step(schedule, segment, add_gradient);
      if (g.dh_n != nullptr) {
        for_each_end(schedule, segment, [&](std::size_t t, std::size_t n, std::size_t column, std::size_t state) {
          add(g.dh_n + state, W, g.dx.row(t, n) + column);
        });
      }
    }
  }

 private:
  /// How arrays look to a walk that begins at each row's other end.
  class OtherWay {
   public:
    OtherWay(const Schedule& schedule, const Schedule* of_x) : walk_(schedule), x_(of_x != nullptr ? *of_x : schedule) {
      walk_.order = nullptr;
      walk_.reverse = true;
      x_.reverse = !x_.reverse;
    }

    template <class U>
    Sequence<U> seen(Sequence<U> s) const {
      require(s.places == nullptr, "two directions do not read another layer's tape");
      s.schedule = s.schedule == nullptr ? &walk_ : &x_;
      return s;
    }

   private:
    Schedule walk_, x_;
  };

  /// What the passes of direction d take: of the last `walk` of the first segment, if the layer centres its weights.
  const T* panels_of(std::size_t d, const T* panels, const typename StackLayerWorkspace<T>::Direction& at) const {
    return recurrent_.centres_weights() ? at.centred.data() : panels + d * recurrent_.size();
  }

  /// Direction d through segment i.
  void walk(std::size_t d, const T* panels, const Schedule& schedule, const Segments& segments, std::size_t i,
            Sequence<const T> x, Sequence<T> y, T* h_n, const PassKeys* keys,
            typename StackLayerWorkspace<T>::Direction& at, Interrupt& interrupt) const {
    const Segment segment = segments[i];
    at.noise = make_noise(schedule, segment, keys, d, at);
    const std::size_t size = recurrent_.border_size(schedule, at.noise);
    at.borders.reserve(checked_product(segments.places(), size));
    const auto border = [&](std::size_t before) { return at.borders.data() + segments.place(before) * size; };
    if (i == 0 && recurrent_.centres_weights()) {
      at.centred.reserve(recurrent_.size());
      recurrent_.centre(panels + d * recurrent_.size(), at.centred.data());
    }
    recurrent_.forward_segment(segment, i > 0 ? border(i) : nullptr, panels_of(d, panels, at), schedule, x, y,
                               {.h_n = h_n}, keys != nullptr ? &at.tape : nullptr, at.recurrent, interrupt, at.noise);
    if (i + 1 < segments.count()) recurrent_.copy_border(at.tape, schedule, at.noise, border(i + 1));
  }

  /// What lies over the states of direction d, in the order of the walk: masks in training, expectations in prediction.
  kernels::StateNoise<T> make_noise(const Schedule& schedule, const Segment& segment, const PassKeys* keys,
                                    std::size_t d, typename StackLayerWorkspace<T>::Direction& at) const {
    const std::size_t H = recurrent_.shape().units, width = recurrent_.shape().padded_units(), rows = schedule.rows;
    kernels::StateNoise<T> noise;
    const auto key = [&](Masked what) {
      return DropoutKey{.seed = keys->seed, .epoch = keys->epoch, .layer = keys->layer, .what = what, .direction = d};
    };
    if (keys != nullptr && options_.recurrent_dropout > 0) {
      at.drop.reserve(checked_product(rows, width));
      const T scale = static_cast<T>(1 / (1 - options_.recurrent_dropout));
      for (std::size_t n = 0; n < rows; ++n) {
        T* const row = at.drop.data() + n * width;
        std::fill_n(row, width, T(0));
        for_each_unit(H, options_.recurrent_dropout, key(Masked::recurrent).row(keys->sample(schedule, n), 0),
                      [&](std::size_t j, bool hit) { row[j] = hit ? T(0) : scale; });
      }
      noise.dropout = at.drop.data();
    }
    if (options_.zoneout == 0) return noise;
    if (keys == nullptr) {
      at.hold.reserve(width);
      std::fill_n(at.hold.data(), width, static_cast<T>(options_.zoneout));
      noise.hold_h = noise.hold_c = at.hold.data();
      return noise;
    }
    at.hold.reserve(checked_product(segment.steps(), 2, rows, width));
    noise.hold_h = at.hold.data();
    noise.hold_c = at.hold.data() + rows * width;
    noise.hold_step_stride = 2 * rows * width;
    noise.hold_row_stride = width;
    noise.hold_first = segment.begin;
    for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
      T* const h = at.hold.data() + (t - segment.begin) * noise.hold_step_stride + n * width;
      T* const c = h + rows * width;
      for_each_unit_twice(H, options_.zoneout, key(Masked::held).row(keys->sample(schedule, n), t),
                          [&](std::size_t unit, bool holds_h, bool holds_c) {
                            h[unit] = static_cast<T>(holds_h);
                            c[unit] = static_cast<T>(holds_c);
                          });
      std::fill(h + H, h + width, T(0));
      std::fill(c + H, c + width, T(0));
    });
    return noise;
  }

  std::size_t state_width() const { return recurrent_.outputs(); }
  bool concatenates() const { return directions_ == 2 && options_.merge == Merge::concat; }

  /// Calls visit(t, n, column, state) for the last step of each walk that ends in the segment: its outputs begin at
  /// `column`, and where h_n has them is `state`.
  template <class Visit>
  void for_each_end(const Schedule& schedule, const Segment& segment, Visit visit) const {
    for (std::size_t n = 0; n < schedule.rows; ++n) {
      const std::size_t length = schedule.length(n), state = schedule.caller_row(n) * width(), W = state_width();
      if (length <= segment.begin || length > segment.end) continue;
      visit(length - 1, n, 0, state);
      if (concatenates()) visit(0, n, W, state + W);
    }
  }

  template <class U>
  static Sequence<U> shifted_by(Sequence<U> s, std::size_t columns) {
    s.data += columns;
    return s;
  }

  /// Where the second direction writes its outputs, in the order of the first.
  Sequence<T> second_half(Sequence<T> y, const Schedule& schedule, Buffer<T>& addend) const {
    if (concatenates()) return shifted_by(y, state_width());
    addend.reserve(checked_product(schedule.steps, schedule.rows, width()));
    return in_walk_order(addend.data(), schedule, width());
  }

  void merge_states(std::size_t rows, const StackLayerWorkspace<T>& work, T* h_n) const {
    const std::size_t W = state_width();
    const auto& [first, second] = work.directions;
    if (!concatenates()) return add(second.states.data(), rows * W, h_n);
    for (std::size_t n = 0; n < rows; ++n, h_n += 2 * W) {
      std::copy_n(first.states.data() + n * W, W, h_n);
      std::copy_n(second.states.data() + n * W, W, h_n + W);
    }
  }

  void split_states(std::size_t rows, const T* dh_n, StackLayerWorkspace<T>& work) const {
    const std::size_t W = state_width();
    for (auto& direction : work.directions) direction.states.reserve(rows * W);
    auto& [first, second] = work.directions;
    for (std::size_t n = 0; n < rows; ++n, dh_n += 2 * W) {
      std::copy_n(dh_n, W, first.states.data() + n * W);
      std::copy_n(dh_n + W, W, second.states.data() + n * W);
    }
  }

  /// Calls walk(direction, interrupt).  Two directions go side by side, unless one alone keeps more `threads` busy:
  /// inside a share it would have one.  Only the calling thread may ask whether to stop.
  template <class Walk>
  void for_each_direction(std::size_t threads, Interrupt& interrupt, const Walk& walk) const {
    if (directions_ == 1) return walk(0, interrupt);
    const std::thread::id caller = std::this_thread::get_id();
    ThreadPool::instance().run(threads > 2 ? 1 : 2, [&](const Share& share) {
      for (std::size_t d = share.begin(2); d < share.end(2); ++d) {
        Interrupt heard(
            [&] { return std::this_thread::get_id() == caller ? interrupt.poll() : interrupt.requested(); });
        walk(d, heard);
      }
    });
  }

  RecurrentLayer<T> recurrent_;
  StackLayerOptions options_;
  std::size_t directions_;
};

#if defined(PYLSTM_DISPATCH)
extern template class StackLayer<float>;
extern template class StackLayer<double>;
#endif

}  // namespace pylstm::layers
