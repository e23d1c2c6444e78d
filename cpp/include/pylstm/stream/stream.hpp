/// A trained network one time step at a time.
///
/// A step gives the bits of `Network::predict` over the steps so far, for every batch, cell and instruction set.  After
/// construction nothing is allocated, no lock is taken and no system call made; the time of a step does not depend on
/// the data, but for denormal sums (`pool`).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/kernels/step.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/row_shares.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::stream {

/// One array of a stream's state, [rows][width].
struct StatePart {
  std::string name;  ///< "layers.0.h", "layers.0.c", ..., "pooled"
  std::size_t width;
};

/// All that a stream remembers.  The same for every instruction set.
template <class T>
struct State {
  std::vector<std::uint64_t> steps;  ///< [rows] since the row was reset
  std::vector<T> values;             ///< the arrays of `Stream::state_parts`, one after the other
};

template <class T>
class Stream {
 public:
  /// Owns the network, a copy unless it is moved in.  `rows`: sequences side by side.
  explicit Stream(network::Network<T> network, std::size_t rows = 1)
      : Stream(std::make_shared<const network::Network<T>>(std::move(network)), rows) {}

  /// Shares the network with other streams.  Nobody may change its parameters any more.
  explicit Stream(std::shared_ptr<const network::Network<T>> network, std::size_t rows = 1)
      : network_(std::move(network)), rows_(rows) {
    require(network_ != nullptr, "network is null, expected a network");
    const network::Config& config = network_->config();
    require(!config.bidirectional,
            "the network is bidirectional, expected one direction: the other begins at the end of the sequence");
    require(config.pooling != network::Pooling::attention,
            "the network's read-out is attention, expected another: it weighs all steps against each other");
    require(rows >= 1, "rows is 0, expected at least 1");
    checked_product(rows, network_->head().shape().inputs, sizeof(T));
    steps_.assign(rows, 0);
    head_in_[0].resize(rows);
    head_in_[1].resize(rows);
    head_out_.resize(rows);
    layers_.resize(config.hidden_sizes.size());
    Memory measure;
    place(measure);
    memory_ = Buffer<T>(measure.used, T(0));
    Memory memory{memory_.data()};
    place(memory);
    const auto steps_by_rows = [](const Layer& layer) { return layer.step != nullptr && !layer.residual; };
    by_rows_ = embedded_ == nullptr && pooled_ == nullptr && std::all_of(layers_.begin(), layers_.end(), steps_by_rows);
  }

  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;

  const network::Network<T>& network() const { return *network_; }
  std::size_t rows() const { return rows_; }
  /// Since the row was reset.
  std::uint64_t steps(std::size_t row = 0) const {
    check_row(row);
    return steps_[row];
  }

  /// outputs [rows][O] after one more step x [rows][I], or [rows] tokens; one that is none makes its row NaN.
  void step(const T* x, T* outputs) noexcept { run(x, outputs, 1); }

  /// outputs [steps][rows][O] after each of several more steps x [steps][rows][I], or [steps][rows] tokens: what `step`
  /// would give, and sooner for one row.  In place, outputs = x, if O is no more than the numbers of x.
  void run(const T* x, T* outputs, std::size_t steps) noexcept {
    const network::Config& config = network_->config();
    const std::size_t x_width = rows_ * config.features(), y_width = rows_ * config.outputs;
    if (!by_rows_) {
      for (std::size_t t = 0; t < steps; ++t) advance(x + t * x_width, outputs + t * y_width);
      return;
    }
    const simd::FlushDenormals flush;
    for (std::size_t t = 0; t < steps; ++t) {
      layers_.front().forward.x.data = x + t * x_width;
      for (Layer& layer : layers_) take_step(layer, parity_);
      parity_ = 1 - parity_;
      // One step late: the processor takes the head's sums up where the next step's equations leave it room.
      if (t > 0) read(parity_, outputs + (t - 1) * y_width);
    }
    if (steps > 0) read(1 - parity_, outputs + (steps - 1) * y_width);
    steps_[0] += steps;
  }

  /// Forgets all steps: of every row, or of one.
  void reset() noexcept { forget(0, rows_); }
  void reset(std::size_t row) {
    check_row(row);
    forget(row, row + 1);
  }

  /// The arrays of a state, in their order.
  std::vector<StatePart> state_parts() const {
    std::vector<StatePart> parts;
    for_each_part(
        [&](const std::string& name, const T*, std::size_t, std::size_t width) { parts.push_back({name, width}); });
    return parts;
  }

  /// Elements of `State::values`.
  std::size_t state_size() const noexcept {
    std::size_t size = 0;
    for_each_part([&](const std::string&, const T*, std::size_t, std::size_t width) { size += rows_ * width; });
    return size;
  }

  /// A state that has the right sizes already is overwritten without allocation.
  void save_state(State<T>& state) const {
    state.steps = steps_;
    state.values.resize(state_size());
    T* to = state.values.data();
    for_each_part([&](const std::string&, const T* values, std::size_t stride, std::size_t width) {
      for (std::size_t n = 0; n < rows_; ++n, to += width) std::copy_n(values + n * stride, width, to);
    });
  }

  void load_state(const State<T>& state) {
    require(state.steps.size() == rows_, "state.steps has ", state.steps.size(), " elements, expected ", rows_,
            ": one for each row");
    require(state.values.size() == state_size(), "state.values has ", state.values.size(), " elements, expected ",
            state_size(), ": those of state_parts");
    steps_ = state.steps;
    const T* from = state.values.data();
    for_each_part([&](const std::string&, T* values, std::size_t stride, std::size_t width) {
      for (std::size_t n = 0; n < rows_; ++n, from += width) std::copy_n(from, width, values + n * stride);
    });
  }

 private:
  /// A layer and the operands of its kernels.  Steps alternate between t = 0 and 1: histories of two steps are rings,
  /// so that from step to step nothing but x moves.
  struct Layer {
    std::string name_h, name_c;
    void (*step)(const kernels::PanelShape&, const kernels::StepOperands<T>&);  ///< of one row; null: forward_steps
    void (*forward_steps)(const kernels::ForwardOperands<T>&, const kernels::Range&);
    void (*affine)(
        const kernels::AffineOperands<T>&);  ///< x's product where it goes ahead; null: part of forward_steps
    kernels::ForwardOperands<T> forward;
    kernels::AffineOperands<T> input;
    Schedule schedule;
    std::vector<const T*> in;
    std::vector<T*> out;
    std::size_t blocks;
    bool residual;

    /// Of step t, as the layer above reads them.
    Sequence<const T> outputs() const {
      if (residual) return {forward.y.data, 0, forward.y.row_stride, nullptr};
      const auto row = static_cast<std::ptrdiff_t>(forward.h.row_width);
      const std::ptrdiff_t period = row * static_cast<std::ptrdiff_t>(forward.h.rows);
      return {forward.h.data + period, -period, row, nullptr};
    }
    Rows<const T> outputs(std::size_t t) const { return outputs().at(t); }
  };

  /// Cache lines one after the other; without a start they are only counted.
  struct Memory {
    T* begin = nullptr;
    std::size_t used = 0;

    T* take(std::size_t count) {
      constexpr std::size_t line = 64 / sizeof(T);
      const std::size_t at = used;
      used += (checked_product(count, sizeof(T)) / sizeof(T) + line - 1) / line * line;
      return shifted(begin, at);
    }
    History<T> history(std::size_t period, std::size_t rows, std::size_t width) {
      return {take(checked_product(period, rows, width)), period, width, rows};
    }
  };

  void place(Memory& memory) {
    const network::Config& config = network_->config();
    Sequence<const T> x{nullptr, 0, static_cast<std::ptrdiff_t>(config.inputs), nullptr};
    if (config.vocabulary > 0) embedded_ = memory.take(checked_product(rows_, config.inputs));
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const bool residual = config.residual && l > 0;
      place(memory, layers_[l], network_->stack()[l].direction(), network_->panels(l), x, residual);
      layers_[l].name_h = "layers." + std::to_string(l) + ".h";
      layers_[l].name_c = "layers." + std::to_string(l) + ".c";
      x = layers_[l].outputs();
    }
    const std::size_t width = network_->head().shape().inputs;
    if (config.pooling == network::Pooling::mean || config.pooling == network::Pooling::max) {
      pooled_ = memory.take(checked_product(rows_, width));
      if (config.pooling == network::Pooling::mean) mean_ = memory.take(rows_ * width);
      const T* const read = mean_ != nullptr ? mean_ : pooled_;
      x = {read, 0, static_cast<std::ptrdiff_t>(width), nullptr};
    }
    const kernels::PanelShape& shape = network_->head().shape();
    const kernels::KernelTable<T>& table = network_->table().fitting(shape.units);
    if (network_->head().has_few_outputs()) {
      few_outputs_ = table.few_outputs;
      rows_of_head_ = memory.take(network_->head().rows_size());
      if (memory.begin != nullptr) network_->head().copy_rows(network_->panels(layers_.size()), rows_of_head_);
    }
    affine_ = rows_ == 1 ? table.dense_of_row : table.dense.affine;
    head_ = {.shape = shape,
             .panels = network_->panels(layers_.size()),
             .in = nullptr,
             .out = head_out_.data(),
             .n = rows_,
             .out_block_stride = shape.lanes,
             .columns = shape.last_columns(),
             .block_begin = 0,
             .block_end = shape.blocks()};
    for (std::size_t t = 0; t < 2; ++t) {
      for (std::size_t n = 0; n < rows_; ++n) head_in_[t][n] = memory.begin == nullptr ? nullptr : x.row(t, n);
    }
  }

  void place(Memory& memory, Layer& layer, const layers::RecurrentLayer<T>& recurrent, const T* panels,
             Sequence<const T> x, bool residual) {
    const kernels::CellKernels<T>& cell = recurrent.cell();
    const kernels::PanelShape& shape = recurrent.shape();
    const std::size_t gate_width = shape.slots * shape.lanes, width = shape.padded_units();
    const std::size_t gate_blocks = cell.whole_rows ? shape.blocks() : std::min(shape.blocks(), kernels::most_blocks);
    layer.step = rows_ == 1 && !recurrent.projected() && network_->config().zoneout == 0 ? cell.step : nullptr;
    layer.forward_steps = cell.forward_steps;
    layer.affine = cell.whole_rows ? cell.input.affine : nullptr;
    layer.schedule = {.steps = 2, .rows = rows_};
    layer.blocks = shape.blocks();
    layer.residual = residual;
    layer.in.resize(cell.whole_rows ? rows_ : 0);
    layer.out.resize(layer.in.size());

    if (recurrent.centres_weights()) {
      T* const centred = memory.take(recurrent.size());
      if (memory.begin != nullptr) recurrent.centre(panels, centred);
      panels = centred;
    }
    const History<T> h = memory.history(2, rows_, shape.padded_recurrent());
    const History<T> c = cell.has_memory ? memory.history(1, rows_, width) : History<T>{};
    const History<T> m = recurrent.projected() ? memory.history(1, rows_, width) : h;
    const T zoneout = static_cast<T>(network_->config().zoneout);
    History<T> c_new = c;
    kernels::StateNoise<T> noise;
    if (zoneout > 0) {
      T* const shares = memory.take(width);
      if (memory.begin != nullptr) std::fill_n(shares, width, zoneout);
      noise.hold_h = noise.hold_c = shares;
      if (cell.has_memory) c_new = memory.history(1, rows_, width);
    }
    History<T> gates = layers::RowShares{.rows = rows_}.history<T>(1, gate_width);
    gates.data = memory.take(checked_product(gate_blocks, gates.block_stride));
    T* const h_reset = shape.reset_slots > 0 ? memory.take(rows_ * width) : nullptr;
    Sequence<T> y;
    if (residual) y = {memory.take(rows_ * shape.recurrent), 0, static_cast<std::ptrdiff_t>(shape.recurrent), nullptr};
    layer.forward = {.schedule = &layer.schedule,
                     .shape = shape,
                     .panels = panels,
                     .pointwise = cell.equations.forward,
                     .projection = {.shape = recurrent.projection_shape(),
                                    .panels = recurrent.projected() ? panels + shape.size() : nullptr,
                                    .transposed = nullptr},
                     .noise = noise,
                     .x = x,
                     .y = y,
                     .h = h,
                     .c = c,
                     .m = m,
                     .c_new = c_new,
                     .gates = gates,
                     .gates_kept = cell.whole_rows,
                     .h_reset = h_reset,
                     .input_product_ready = cell.whole_rows,
                     .keep_gates = false,
                     .x_sums = gates};
    layer.input = {.shape = shape,
                   .panels = panels,
                   .in = layer.in.data(),
                   .out = layer.out.data(),
                   .n = rows_,
                   .out_block_stride = gates.block_stride,
                   .columns = gate_width,
                   .block_begin = 0,
                   .block_end = shape.blocks()};
    for (std::size_t n = 0; n < layer.out.size() && memory.begin != nullptr; ++n) layer.out[n] = gates.row(0, n);
  }

  void check_row(std::size_t row) const { require(row < rows_, "row is ", row, ", expected 0 to ", rows_, " - 1"); }

  void forget(std::size_t begin, std::size_t end) noexcept {
    for_each_part([&](const std::string&, T* values, std::size_t stride, std::size_t width) {
      for (std::size_t n = begin; n < end; ++n) std::fill_n(values + n * stride, width, T(0));
    });
    std::fill(steps_.data() + begin, steps_.data() + end, std::uint64_t{0});
  }

  const T* embed(const T* tokens) noexcept {
    const layers::EmbeddingShape shape = network_->embedding();
    const T* const table = network_->parameters().data();
    for (std::size_t n = 0; n < rows_; ++n) {
      T* const to = embedded_ + n * shape.width;
      if (shape.holds(tokens[n])) {
        std::copy_n(table + static_cast<std::size_t>(tokens[n]) * shape.width, shape.width, to);
      } else {
        std::fill_n(to, shape.width, std::numeric_limits<T>::quiet_NaN());
      }
    }
    return embedded_;
  }

  /// One step of any rows.
  void advance(const T* x, T* outputs) noexcept {
    const std::size_t t = parity_;
    layers_.front().forward.x.data = embedded_ == nullptr ? x : embed(x);
    for (Layer& layer : layers_) {
      if (layer.step != nullptr) {
        const simd::FlushDenormals flush;
        take_step(layer, t);
      } else {
        if (layer.affine != nullptr) multiply_input(layer, t);
        layer.forward_steps(layer.forward, {t, t + 1, 0, rows_, 0, layer.blocks});
      }
      if (layer.residual) add_input(layer, t);
    }
    if (pooled_ != nullptr) pool(layers_.back().outputs(t));
    for (std::size_t n = 0; n < rows_; ++n) ++steps_[n];
    const simd::FlushDenormals flush;
    read(t, outputs);
    parity_ = 1 - t;
  }

  /// The head after step t.
  void read(std::size_t t, T* outputs) noexcept {
    for (std::size_t n = 0; n < rows_; ++n) head_out_[n] = outputs + n * network_->config().outputs;
    if (few_outputs_ != nullptr)
      return few_outputs_(network_->head().few_outputs(rows_of_head_, head_in_[t].data(), head_out_.data(), rows_));
    head_.in = head_in_[t].data();
    affine_(head_);
  }

  static void take_step(Layer& layer, std::size_t t) noexcept {
    const kernels::ForwardOperands<T>& a = layer.forward;
    T *const even = a.h.data, *const odd = even + a.h.row_width;
    T* const h = t == 0 ? odd : even;
    layer.step(a.shape, {.panels = a.panels,
                         .x = a.x.data + static_cast<std::ptrdiff_t>(t) * a.x.step_stride,
                         .h_prev = t == 0 ? even : odd,
                         .h = h,
                         .c = a.c.data,
                         .clip = a.options.clip,
                         .descending = t != 0});
    if (layer.residual) std::copy_n(h, a.shape.recurrent, a.y.data);
  }

  static void multiply_input(Layer& layer, std::size_t t) noexcept {
    const Rows<const T> x = layer.forward.x.at(t);
    for (std::size_t n = 0; n < layer.in.size(); ++n) layer.in[n] = x.row(n);
    layer.affine(layer.input);
  }

  static void add_input(Layer& layer, std::size_t t) noexcept {
    const Rows<const T> x = layer.forward.x.at(t);
    const Rows<T> y = layer.forward.y.at(t);
    for (std::size_t n = 0; n < layer.schedule.rows; ++n)
      layers::add(x.row(n), layer.forward.shape.recurrent, y.row(n));
  }

  /// As layers/pooling.hpp, a step at a time.  Like there denormal sums are kept.
  void pool(const Rows<const T>& y) noexcept {
    const std::size_t width = network_->head().shape().inputs;
    for (std::size_t n = 0; n < rows_; ++n) {
      const T* const row = y.row(n);
      T* const pooled = pooled_ + n * width;
      if (mean_ == nullptr) {
        const bool first = steps_[n] == 0;
        for (std::size_t j = 0; j < width; ++j) {
          if (first || row[j] > pooled[j] || std::isnan(row[j])) pooled[j] = row[j];
        }
        continue;
      }
      const T length = static_cast<T>(steps_[n] + 1);
      layers::add(row, width, pooled);
      for (std::size_t j = 0; j < width; ++j) mean_[n * width + j] = pooled[j] / length;
    }
  }

  /// Calls visit(name, first row, elements from row to row, width) for every array of the state before the next step.
  template <class Visit>
  void for_each_part(Visit visit) const {
    for (const Layer& layer : layers_) {
      const kernels::ForwardOperands<T>& a = layer.forward;
      visit(layer.name_h, a.h.at(parity_), a.h.row_width, a.shape.recurrent);
      if (a.c) visit(layer.name_c, a.c.at(0), a.c.row_width, a.shape.units);
    }
    const std::size_t width = network_->head().shape().inputs;
    if (pooled_ != nullptr) visit(name_pooled_, pooled_, width, width);
  }

  std::shared_ptr<const network::Network<T>> network_;
  std::size_t rows_, parity_ = 0;
  bool by_rows_ = false;  ///< a step is the layers' `step`, one after the other, and the head
  std::vector<Layer> layers_;
  std::vector<std::uint64_t> steps_;
  Buffer<T> memory_;
  std::string name_pooled_ = "pooled";
  T* embedded_ = nullptr;                  ///< [rows][I] of tokens
  T *pooled_ = nullptr, *mean_ = nullptr;  ///< [rows][width]: sums or maxima, and what is read of sums
  void (*few_outputs_)(const kernels::FewOutputsOperands<T>&) = nullptr;  ///< null: of more, `affine_`
  T* rows_of_head_ = nullptr;
  void (*affine_)(const kernels::AffineOperands<T>&) = nullptr;
  kernels::AffineOperands<T> head_{};
  std::vector<const T*> head_in_[2];  ///< [rows], after steps t = 0 and 1
  std::vector<T*> head_out_;
};

}  // namespace pylstm::stream
