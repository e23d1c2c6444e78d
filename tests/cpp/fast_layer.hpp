/// The engine's recurrent layer called with, and answering in, the types of the reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "combinations.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/panel.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/packing.hpp"
#include "pylstm/layers/recurrent.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::testing {

/// How many threads the pool may use, for as long as one of these lives.
class Threads {
 public:
  explicit Threads(std::size_t count) : before_(ThreadPool::instance().threads()) {
    ThreadPool::instance().set_threads(count);
  }
  ~Threads() { ThreadPool::instance().set_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  std::size_t before_;
};

/// What the caller gets, time-major; `written_past_end` tells of a write into the padding of y or dx.
template <class T>
struct LayerOutputs {
  std::vector<T> y, h_n, c_n;  ///< [T][N][H], [N][H], [N][H]
  bool written_past_end = false;
};

template <class T>
struct LayerGradients {
  reference::Gradients<T> d;
  bool written_past_end = false;
  bool padding_is_zero = true;  ///< units past H in the packed gradient: an optimiser relies on it
};

enum class Mode { inference, training };

/// The engine's name of the cell of a problem.
template <class T>
kernels::CellChoice choice_of(const reference::Problem<T>& p) {
  constexpr kernels::CellKind kinds[] = {kernels::CellKind::lstm,
                                         kernels::CellKind::coupled_lstm,
                                         kernels::CellKind::gru,
                                         kernels::CellKind::gru_reset_before,
                                         kernels::CellKind::rnn_tanh,
                                         kernels::CellKind::rnn_relu,
                                         kernels::CellKind::layer_norm_lstm,
                                         kernels::CellKind::layer_norm_gru};
  const bool peepholes = !is_layer_norm(p.cell) && !p.unit_weights.empty();
  return {kinds[static_cast<int>(p.cell)], {.peepholes = peepholes, .clips = std::isfinite(p.clip)}};
}

/// One layer; tape and workspace live from call to call, full of NaN before each, so that nothing stale can be of use.
template <class T>
class FastLayer {
 public:
  FastLayer(const kernels::KernelTable<T>& table, const reference::Problem<T>& p)
      : layer_(table.cell(choice_of(p)), p.I, p.H, {.clip = p.clip}, p.P), panels_(layer_.size(), nan) {
    layer_.pack(weights_of(p), panels_.data());
  }

  bool has_memory() const { return layer_.has_memory(); }

  const Buffer<T>& panels() const { return panels_; }
  layers::Plan forward_plan(const Schedule& schedule) const { return layer_.forward_plan(schedule); }
  layers::RowShares row_groups(const Schedule& schedule) const { return layer_.row_groups(schedule); }

  LayerOutputs<T> forward(const reference::Problem<T>& p, Mode mode) {
    return outputs(p, mode, [&](auto&&... operands) { layer_.forward(panels_.data(), operands...); });
  }
  LayerOutputs<T> pack_and_forward(const reference::Problem<T>& p, Mode mode) {
    std::fill(panels_.begin(), panels_.end(), nan);
    return outputs(p, mode,
                   [&](auto&&... operands) { layer_.pack_and_forward(weights_of(p), panels_.data(), operands...); });
  }

  /// Of the last forward pass in training mode; with `threads` a segment of the steps on each of these numbers.
  LayerGradients<T> backward(const Case<T>& a, const std::vector<std::size_t>& threads = {}) {
    const auto& p = a.problem;
    const layers::BatchOrder order = order_of(p);
    const Schedule schedule = order.schedule();
    Buffer<T> dpanels(layer_.size(), nan);
    const reference::CellShape shape = reference::shape_of(p.cell);
    const std::size_t peepholes = layer_.shape().unit_weights;
    LayerGradients<T> g{.d = {.x = std::vector<T>(p.T * p.N * p.I, untouched),
                              .weight_ih = std::vector<T>(shape.gates_x * p.H * p.I),
                              .weight_hh = std::vector<T>(shape.gates_h * p.H * p.width()),
                              .weight_hr = std::vector<T>(p.P * p.H),
                              .bias = std::vector<T>(shape.gates_x * p.H),
                              .bias_recurrent = std::vector<T>(shape.recurrent_bias() * p.H),
                              .unit_weights = std::vector<T>(peepholes * p.H),
                              .h0 = std::vector<T>(p.N * p.width(), untouched),
                              .c0 = std::vector<T>(layer_.has_memory() ? p.N * p.H : 0, untouched)}};
    poison_workspace();
    Interrupt never;
    const Sequence<const T> x = time_major<const T>(p.x, p.N, p.I, schedule);
    layers::SequenceGradients<T> wanted{
        .dy = a.dy.empty() ? Sequence<const T>{} : time_major<const T>(a.dy, p.N, p.width(), schedule),
        .dh_n = or_null(a.dh_n),
        .dc_n = or_null(a.dc_n),
        .dx = time_major<T>(g.d.x, p.N, p.I, schedule),
        .dpanels = dpanels.data()};
    const kernels::StateNoise<T> noise = noise_of(p, schedule);
    const std::size_t segments = std::max<std::size_t>(threads.size(), 1);
    for (std::size_t i = segments; i-- > 0; wanted.continues = true) {
      const Threads scope(threads.empty() ? ThreadPool::instance().threads() : threads[i]);
      if (i == 0) {
        wanted.dh0 = g.d.h0.data();
        wanted.dc0 = g.d.c0.data();
      }
      const Share steps{i, segments};
      layer_.backward_segment({.begin = steps.begin(schedule.steps), .end = steps.end(schedule.steps)}, panels_.data(),
                              schedule, x, tape_, wanted, work_, never, noise);
    }
    layer_.unpack(dpanels.data(), {.weight_ih = g.d.weight_ih.data(),
                                   .weight_hh = g.d.weight_hh.data(),
                                   .bias = g.d.bias.data(),
                                   .bias_recurrent = g.d.bias_recurrent.data(),
                                   .unit_weights = g.d.unit_weights.data(),
                                   .weight_hr = g.d.weight_hr.data()});
    Buffer<T> packed(dpanels.size(), nan);
    pack_parameters(weights_of(g.d), packed.data());
    g.padding_is_zero = std::equal(packed.begin(), packed.end(), dpanels.begin());
    g.written_past_end = clear_padding(p, g.d.x, p.I);
    return g;
  }

 private:
  static constexpr T untouched = T(-12345), nan = std::numeric_limits<T>::quiet_NaN();

  /// Of a problem, or of its gradients.
  template <class P>
  static layers::LayerWeights<const T> weights_of(const P& p) {
    return {.weight_ih = or_null(p.weight_ih),
            .weight_hh = or_null(p.weight_hh),
            .bias = or_null(p.bias),
            .bias_recurrent = or_null(p.bias_recurrent),
            .unit_weights = or_null(p.unit_weights),
            .weight_hr = or_null(p.weight_hr)};
  }

  /// The inverse of `unpack`: a layer's own `pack` may leave other panels than the weights'.
  void pack_parameters(const layers::LayerWeights<const T>& weights, T* panels) const {
    const kernels::PanelKernels<T>& kernels = layer_.cell().input;
    const kernels::PanelShape &shape = layer_.shape(), &projection = layer_.projection_shape();
    const auto pack = [&](const kernels::PanelPart& part, const T* matrix) {
      layers::pack(kernels, shape, part, matrix, panels);
    };
    pack(kernels::input_part(shape), weights.weight_ih);
    pack(kernels::recurrent_part(shape), weights.weight_hh);
    if (layer_.resets_state()) {
      pack(kernels::reset_part(shape), weights.weight_hh + shape.recurrent_slots * shape.units * layer_.outputs());
    }
    pack(kernels::bias_part(shape), weights.bias);
    pack(kernels::recurrent_bias_part(shape), weights.bias_recurrent);
    pack(kernels::unit_weights_part(shape), weights.unit_weights);
    if (!layer_.projected()) return;
    layers::pack(kernels, projection, kernels::input_part(projection), weights.weight_hr, panels + shape.size());
  }

  template <class Forward>
  LayerOutputs<T> outputs(const reference::Problem<T>& p, Mode mode, Forward forward) {
    const layers::BatchOrder order = order_of(p);
    const Schedule schedule = order.schedule();
    LayerOutputs<T> r{.y = std::vector<T>(p.T * p.N * p.width(), untouched),
                      .h_n = std::vector<T>(p.N * p.width(), untouched),
                      .c_n = std::vector<T>(layer_.has_memory() ? p.N * p.H : 0, untouched)};
    poison();
    Interrupt never;
    const layers::States<T> states{.h0 = or_null(p.h0), .c0 = or_null(p.c0), .h_n = r.h_n.data(), .c_n = r.c_n.data()};
    layers::Tape<T>* const tape = mode == Mode::training ? &tape_ : nullptr;
    forward(schedule, time_major<const T>(p.x, p.N, p.I, schedule), time_major<T>(r.y, p.N, p.width(), schedule),
            states, tape, work_, never, noise_of(p, schedule));
    r.written_past_end = clear_padding(p, r.y, p.width());
    return r;
  }

  /// From the reference's order of rows and times to that of the walk.
  kernels::StateNoise<T> noise_of(const reference::Problem<T>& p, const Schedule& schedule) {
    kernels::StateNoise<T> noise;
    const std::size_t width = layer_.shape().padded_units();
    if (!p.dropout.empty()) {
      drop_.assign(p.N * width, 0);
      for (std::size_t n = 0; n < p.N; ++n)
        std::copy_n(p.dropout.data() + schedule.caller_row(n) * p.H, p.H, drop_.data() + n * width);
      noise.dropout = drop_.data();
    }
    if (p.hold_h.empty()) return noise;
    hold_.assign(2 * p.T * p.N * width, 0);
    noise.hold_h = hold_.data();
    noise.hold_c = hold_.data() + p.N * width;
    noise.hold_step_stride = 2 * p.N * width;
    noise.hold_row_stride = width;
    layers::for_each_step(schedule, [&](std::size_t t, std::size_t n) {
      const std::size_t time = p.reverse ? schedule.length(n) - 1 - t : t;
      const std::size_t from = (time * p.N + schedule.caller_row(n)) * p.H;
      T* const to = hold_.data() + t * noise.hold_step_stride + n * width;
      std::copy_n(p.hold_h.data() + from, p.H, to);
      std::copy_n(p.hold_c.data() + from, p.H, to + p.N * width);
    });
    return noise;
  }

  static const T* or_null(const std::vector<T>& v) { return v.empty() ? nullptr : v.data(); }

  static layers::BatchOrder order_of(const reference::Problem<T>& p) {
    if (p.lengths.empty()) return {p.T, p.N, p.reverse};
    return {p.T, p.lengths, p.reverse};
  }

  template <class U, class Values>
  static Sequence<U> time_major(Values& v, std::size_t rows, std::size_t width, const Schedule& schedule) {
    return {v.data(), static_cast<std::ptrdiff_t>(rows * width), static_cast<std::ptrdiff_t>(width), &schedule};
  }

  static bool clear_padding(const reference::Problem<T>& p, std::vector<T>& v, std::size_t width) {
    bool written = false;
    for (std::size_t n = 0; n < p.lengths.size(); ++n)
      for (std::size_t t = p.lengths[n]; t < p.T; ++t)
        for (std::size_t k = 0; k < width; ++k) {
          T& value = v[(t * p.N + n) * width + k];
          written |= value != untouched;
          value = 0;
        }
    return written;
  }

  static void fill_with_nan(auto&... buffers) { (std::fill(buffers.begin(), buffers.end(), nan), ...); }

  void poison_workspace() {
    fill_with_nan(work_.h, work_.c, work_.m, work_.gates, work_.dgates, work_.dweights, work_.dc, work_.dh, work_.dm,
                  work_.dh_shortcut, work_.c_new, work_.dh_held, work_.dc_held, work_.h_reset, work_.dh_reset,
                  work_.sums, work_.reset_transposed, work_.recurrent_transposed, work_.input_transposed,
                  work_.projection_transposed);
  }

  void poison() {
    poison_workspace();
    fill_with_nan(tape_.h, tape_.c, tape_.m, tape_.c_new, tape_.gates);
  }

  layers::RecurrentLayer<T> layer_;
  Buffer<T> panels_;
  layers::Tape<T> tape_;
  layers::Workspace<T> work_;
  std::vector<T> drop_, hold_;
};

}  // namespace pylstm::testing
