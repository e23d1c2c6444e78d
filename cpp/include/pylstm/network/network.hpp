/// Stacked recurrent layers and a dense head over one flat parameter buffer.
///
/// Parameters live packed (kernels/panel.hpp), one layer after the other, so that optimiser, clipping and averaging are
/// one loop over one array; `get` and `set` give the public layout by name.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/random.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/layers/dense.hpp"
#include "pylstm/layers/dropout.hpp"
#include "pylstm/layers/packing.hpp"
#include "pylstm/layers/pooling.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/layers/stack_layer.hpp"
#include "pylstm/layers/walk.hpp"
#include "pylstm/network/config.hpp"
#include "pylstm/network/parameters.hpp"

namespace pylstm::network {

/// Memory of a network's calls, kept from one to the next.
template <class T>
struct NetworkWorkspace {
  std::vector<layers::StackLayerWorkspace<T>> layers;
  std::vector<Buffer<T>> outputs;          ///< [layer][steps][rows][width]: after dropout; see `Network::forward`
  std::vector<Sequence<const T>> inputs;   ///< what each layer read in a training pass; the first: the caller's x
  Buffer<T> doutputs, dinputs;             ///< [steps][rows][width] between layers
  Buffer<T> read, dread;                   ///< [rows][width] that the head reads
  std::vector<std::size_t> maximum_steps;  ///< [rows][width]
  Buffer<T> doutputs_padded, head_transposed;
  std::vector<const T*> in, d;
  std::vector<T*> out;
};

/// Keys of the dropout masks of one batch.
struct TrainingPass {
  std::uint64_t seed = 0, epoch = 0;
  const std::size_t* samples = nullptr;  ///< [rows] numbers of the samples; null: 0, 1, ...
};

template <class T>
class Network {
 public:
  explicit Network(Config config, const kernels::KernelTable<T>& table = active_kernels<T>())
      : config_(std::move(config)),
        table_(&table),
        layers_(make_layers(config_, table)),
        head_(table, layers_.back().width(), config_.outputs) {
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      first_part_.push_back(layout_.parts().size());
      const std::string name = "layers." + std::to_string(l) + ".";
      const layers::RecurrentLayer<T>& direction = layers_[l].direction();
      for (std::size_t d = 0; d < layers_[l].directions(); ++d) {
        layout_.add_recurrent(d == 0 ? name : name + "reverse.", config_.cell.kind, direction.shape(),
                              direction.projection_shape());
      }
    }
    first_part_.push_back(layout_.parts().size());
    layout_.add_head(head_.shape());
    parameters_ = Buffer<T>(layout_.size(), T(0));
  }

  const Config& config() const { return config_; }
  const kernels::KernelTable<T>& table() const { return *table_; }

  /// The flat buffer: packed, padding zero.
  Buffer<T>& parameters() { return parameters_; }
  const Buffer<T>& parameters() const { return parameters_; }

  /// What a walk over the layers takes: these, bottom up, and the panels of layer l, or after the last one of the head.
  const std::vector<layers::StackLayer<T>>& stack() const { return layers_; }
  const layers::DenseLayer<T>& head() const { return head_; }
  const T* panels(std::size_t l) const { return panels(l, parameters_.data()); }

  /// What the flat buffer consists of, the head last.
  const std::vector<Part>& parts() const { return layout_.parts(); }

  std::vector<ParameterInfo> parameter_infos() const {
    std::vector<ParameterInfo> infos;
    for (const Parameter& parameter : layout_.parameters()) infos.push_back(parameter.info);
    return infos;
  }

  /// Copies parameter `index` of `parameter_infos` out of a flat buffer laid out like the parameters (moments are,
  /// too).
  void get(std::size_t index, const Buffer<T>& flat, T* values) const {
    const Parameter& p = layout_.parameters()[index];
    const Part& part = parts()[p.part];
    layers::unpack(table_->dense, part.shape, p.place, flat.data() + part.offset, values);
  }
  void set(std::size_t index, Buffer<T>& flat, const T* values) const {
    const Parameter& p = layout_.parameters()[index];
    const Part& part = parts()[p.part];
    layers::pack(table_->dense, part.shape, p.place, values, flat.data() + part.offset);
  }

  /// Sets all parameters to their `initial_values`.  Same seed, same bits.
  void initialize(std::uint64_t seed) {
    for (std::size_t index = 0; index < layout_.parameters().size(); ++index) {
      const RandomStream random(random_key(seed, index));
      set(index, parameters_, initial_values<T>(layout_.parameters()[index], config_.cell.kind, random).data());
    }
  }

  /// outputs [rows][O] from x: rows of I in the order of the schedule's caller.
  void predict(const Schedule& schedule, Sequence<const T> x, T* outputs, NetworkWorkspace<T>& work,
               Interrupt& interrupt) const {
    forward(schedule, x, outputs, nullptr, work, interrupt);
  }

  /// As `predict`, keeping what `backward` needs.
  void forward_training(const Schedule& schedule, Sequence<const T> x, T* outputs, const TrainingPass& pass,
                        NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    forward(schedule, x, outputs, &pass, work, interrupt);
  }

  /// Writes the gradients of all parameters to `gradients`, a buffer laid out like `parameters()`.
  void backward(const Schedule& schedule, Sequence<const T> x, const T* doutputs, const TrainingPass& pass,
                T* gradients, NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    head_backward(schedule.rows, doutputs, gradients, work);
    for (std::size_t l = layers_.size(); l-- > 0;) {
      layers::StackLayerGradients<T> g;
      g.dpanels = panels(l, gradients);
      if (l + 1 < layers_.size()) {
        undrop(schedule, l, pass, work);
        g.dy = layers::in_walk_order<const T>(work.doutputs.data(), schedule, layers_[l].width());
      } else if (config_.pooling == Pooling::last) {
        g.dh_n = work.dread.data();
      } else {
        g.dy = unpool(schedule, work);
      }
      if (l > 0) {
        const std::size_t below = layers_[l - 1].width();
        work.dinputs.reserve(checked_product(schedule.steps, schedule.rows, below));
        g.dx = layers::in_walk_order(work.dinputs.data(), schedule, below);
      }
      layers_[l].backward(panels(l, parameters_.data()), schedule, l == 0 ? x : work.inputs[l], g, work.layers[l],
                          interrupt);
      std::swap(work.dinputs, work.doutputs);
    }
  }

 private:
  static std::vector<layers::StackLayer<T>> make_layers(const Config& config, const kernels::KernelTable<T>& table) {
    check(config);
    std::vector<layers::StackLayer<T>> made;
    std::size_t inputs = config.inputs;
    for (const std::size_t hidden : config.hidden_sizes) {
      const layers::StackLayerOptions options{.bidirectional = config.bidirectional,
                                              .merge = config.merge,
                                              .projection = config.projection,
                                              .residual = config.residual && !made.empty()};
      made.emplace_back(table.cell(config.cell), inputs, hidden, options);
      inputs = made.back().width();
    }
    return made;
  }

  /// Of layer l, or of the head, in the parameters or in a buffer like them.
  template <class U>
  U* panels(std::size_t l, U* flat) const {
    return flat + parts()[first_part_[l]].offset;
  }

  /// Outputs of a layer go to a buffer of its own in training, where they are needed again, else to every other one.
  /// A layer of one direction leaves them on its tape.
  void forward(const Schedule& schedule, Sequence<const T> x, T* outputs, const TrainingPass* pass,
               NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    const std::size_t count = layers_.size(), width = layers_.back().width();
    work.layers.resize(count);
    work.outputs.resize(std::max<std::size_t>(count, 2));
    work.inputs.resize(count);
    work.read.reserve(checked_product(schedule.rows, width));
    Sequence<const T> input = x;
    for (std::size_t l = 0; l < count; ++l) {
      const bool top = l + 1 == count, reads_states = top && config_.pooling == Pooling::last;
      Buffer<T>& own = work.outputs[pass ? l : l % 2];
      work.inputs[l] = input;
      input = layers_[l].forward(panels(l, parameters_.data()), schedule, input, reads_states ? nullptr : &own,
                                 reads_states ? work.read.data() : nullptr, pass != nullptr, work.layers[l], interrupt);
      if (!top && pass != nullptr) input = drop(schedule, l, *pass, input, own);
    }
    pool(schedule, input, work);
    list_read_rows(schedule.rows, work.read, work.in);
    work.out.resize(schedule.rows);
    for (std::size_t n = 0; n < schedule.rows; ++n) work.out[n] = outputs + n * config_.outputs;
    head_.forward(panels(count, parameters_.data()), work.in, work.out);
  }

  void head_backward(std::size_t rows, const T* doutputs, T* gradients, NetworkWorkspace<T>& work) const {
    const std::size_t O = config_.outputs, padded = head_.shape().padded_units();
    work.doutputs_padded.reserve(rows * padded);
    std::fill_n(work.doutputs_padded.data(), rows * padded, T(0));
    work.dread.reserve(checked_product(rows, head_.shape().inputs));
    list_read_rows(rows, work.read, work.in);
    list_read_rows(rows, work.dread, work.out);
    work.d.resize(rows);
    for (std::size_t n = 0; n < rows; ++n) {
      std::copy_n(doutputs + n * O, O, work.doutputs_padded.data() + n * padded);
      work.d[n] = work.doutputs_padded.data() + n * padded;
    }
    const std::size_t head = layers_.size();
    head_.backward(panels(head, parameters_.data()), work.in, work.d, work.out, panels(head, gradients),
                   work.head_transposed);
  }

  template <class Pointer>
  void list_read_rows(std::size_t rows, Buffer<T>& buffer, std::vector<Pointer>& list) const {
    list.resize(rows);
    for (std::size_t n = 0; n < rows; ++n) list[n] = buffer.data() + n * head_.shape().inputs;
  }

  /// What the head reads, of the outputs of the top layer; its last states are there already.
  void pool(const Schedule& schedule, Sequence<const T> y, NetworkWorkspace<T>& work) const {
    const std::size_t width = layers_.back().width();
    if (config_.pooling == Pooling::mean) layers::pool_mean(schedule, y, width, work.read.data());
    if (config_.pooling != Pooling::max) return;
    work.maximum_steps.resize(schedule.rows * width);
    layers::pool_max(schedule, y, width, work.read.data(), work.maximum_steps.data());
  }

  /// The gradient of the top layer's outputs.
  Sequence<const T> unpool(const Schedule& schedule, NetworkWorkspace<T>& work) const {
    const std::size_t width = layers_.back().width();
    work.doutputs.reserve(checked_product(schedule.steps, schedule.rows, width));
    const Sequence<T> dy = layers::in_walk_order(work.doutputs.data(), schedule, width);
    if (config_.pooling == Pooling::mean) {
      layers::unpool_mean(schedule, work.dread.data(), width, dy);
    } else {
      layers::unpool_max(schedule, work.dread.data(), work.maximum_steps.data(), width, dy);
    }
    return {dy.data, dy.step_stride, dy.row_stride, nullptr};
  }

  /// Layer l's outputs after dropout, in its own buffer.
  Sequence<const T> drop(const Schedule& schedule, std::size_t l, const TrainingPass& pass, Sequence<const T> y,
                         Buffer<T>& own) const {
    if (config_.dropout == 0) return y;
    const std::size_t width = layers_[l].width();
    own.reserve(checked_product(schedule.steps, schedule.rows, width));
    mask(schedule, l, pass, y, layers::in_walk_order(own.data(), schedule, width));
    return layers::in_walk_order<const T>(own.data(), schedule, width);
  }

  /// The gradient of layer l's outputs from that of its outputs after dropout, in place: the mask once more.
  void undrop(const Schedule& schedule, std::size_t l, const TrainingPass& pass, NetworkWorkspace<T>& work) const {
    if (config_.dropout == 0) return;
    T* const dy = work.doutputs.data();
    const std::size_t width = layers_[l].width();
    mask(schedule, l, pass, layers::in_walk_order<const T>(dy, schedule, width),
         layers::in_walk_order(dy, schedule, width));
  }

  void mask(const Schedule& schedule, std::size_t l, const TrainingPass& pass, Sequence<const T> from,
            Sequence<T> to) const {
    const layers::DropoutKey key{.seed = pass.seed, .epoch = pass.epoch, .layer = l};
    layers::for_each_step(schedule, [&](std::size_t t, std::size_t n) {
      const std::size_t caller = schedule.caller_row(n);
      const std::uint64_t sample = pass.samples == nullptr ? caller : pass.samples[caller];
      layers::dropout(from.row(t, n), to.row(t, n), layers_[l].width(), config_.dropout, key, sample, t);
    });
  }

  Config config_;
  const kernels::KernelTable<T>* table_;
  std::vector<layers::StackLayer<T>> layers_;
  layers::DenseLayer<T> head_;
  ParameterLayout layout_;
  std::vector<std::size_t> first_part_;  ///< of each layer, then of the head
  Buffer<T> parameters_;
};

}  // namespace pylstm::network
