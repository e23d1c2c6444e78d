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
#include "pylstm/layers/embedding.hpp"
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
  std::vector<Sequence<const T>> inputs;   ///< what each layer read in a training pass
  Buffer<T> embedded, dropped;             ///< [steps][rows][I]: what the first layer reads, if not x itself
  Buffer<T> doutputs, dinputs;             ///< [steps][rows][width] between layers
  Buffer<T> read, dread;                   ///< [rows][width] that the head reads
  Sequence<const T> top;                   ///< outputs of the top layer; null where its last states are read
  std::vector<std::size_t> maximum_steps;  ///< [rows][width]
  Buffer<T> shares, dshares;               ///< [steps][rows] of attention
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
  explicit Network(Config config, const kernels::KernelTable<T>& table = active_kernels<T>(), bool with_memory = true)
      : config_(std::move(config)),
        table_(&table),
        layers_(make_layers(config_, table)),
        head_(table, layers_.back().width(), config_.outputs) {
    if (config_.vocabulary > 0) layout_.add_embedding(config_.vocabulary, config_.inputs, table.lanes);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      first_part_.push_back(layout_.parts().size());
      const std::string name = "layers." + std::to_string(l) + ".";
      const layers::RecurrentLayer<T>& direction = layers_[l].direction();
      for (std::size_t d = 0; d < layers_[l].directions(); ++d) {
        layout_.add_recurrent(d == 0 ? name : name + "reverse.", config_.cell.kind, direction.shape(),
                              direction.projection_shape());
      }
    }
    attention_part_ = layout_.parts().size();
    if (config_.pooling == Pooling::attention) layout_.add_attention(layers_.back().width(), table.lanes);
    first_part_.push_back(layout_.parts().size());
    layout_.add_head(head_.shape());
    if (with_memory) parameters_ = Buffer<T>(layout_.size(), T(0));
  }

  /// The parameters that a network of this configuration has, found without the memory that they take.
  static std::vector<ParameterInfo> parameters_of(const Config& config) {
    return Network(config, active_kernels<T>(), false).parameter_infos();
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
    for (const std::size_t token : config_.padding_tokens) {
      std::fill_n(parameters_.data() + token * config_.inputs, config_.inputs, T(0));
    }
  }

  /// outputs [rows][O] in the order of the schedule's caller; read at every step, [steps][rows][O] in that of the walk,
  /// those of real steps.
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
    head_backward(schedule, doutputs, gradients, work);
    if (config_.pooling != Pooling::last && config_.pooling != Pooling::none) unpool(schedule, gradients, work);
    for (std::size_t l = layers_.size(); l-- > 0;) {
      layers::StackLayerGradients<T> g;
      g.dpanels = panels(l, gradients);
      if (l + 1 < layers_.size() || config_.pooling != Pooling::last) {
        g.dy = layers::in_walk_order<const T>(work.doutputs.data(), schedule, layers_[l].width());
      } else {
        g.dh_n = work.dread.data();
      }
      if (l > 0 || config_.vocabulary > 0) {
        const std::size_t below = l > 0 ? layers_[l - 1].width() : config_.inputs;
        work.dinputs.reserve(checked_product(schedule.steps, schedule.rows, below));
        g.dx = layers::in_walk_order(work.dinputs.data(), schedule, below);
      }
      layers_[l].backward(panels(l, parameters_.data()), schedule, l == 0 && reads_x() ? x : work.inputs[l], g,
                          work.layers[l], interrupt);
      std::swap(work.dinputs, work.doutputs);
      // The mask once more, in place.
      if (l > 0) drop(schedule, outputs_dropped(l - 1), pass, work.doutputs.data(), work.doutputs);
    }
    if (config_.vocabulary == 0) return;
    drop(schedule, inputs_dropped(), pass, work.doutputs.data(), work.doutputs);
    layers::unembed(embedding(), schedule, x,
                    layers::in_walk_order<const T>(work.doutputs.data(), schedule, config_.inputs),
                    cleared_part(0, gradients));
    for (const std::size_t token : config_.padding_tokens) {
      std::fill_n(gradients + token * config_.inputs, config_.inputs, T(0));
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
                                              .residual = config.residual && !made.empty(),
                                              .recurrent_dropout = config.recurrent_dropout,
                                              .zoneout = config.zoneout};
      made.emplace_back(table.cell(config.cell), inputs, hidden, options);
      inputs = made.back().width();
    }
    return made;
  }

  /// In the parameters or in a buffer like them.
  template <class U>
  U* part(std::size_t index, U* flat) const {
    return flat + parts()[index].offset;
  }
  /// Zeros, in the padding as well.
  T* cleared_part(std::size_t index, T* flat) const {
    std::fill_n(part(index, flat), parts()[index].shape.size(), T(0));
    return part(index, flat);
  }
  /// Of layer l, or of the head.
  template <class U>
  U* panels(std::size_t l, U* flat) const {
    return part(first_part_[l], flat);
  }

  /// Whether the first layer reads x itself, in training.
  bool reads_x() const { return config_.vocabulary == 0 && config_.input_dropout == 0; }
  layers::EmbeddingShape embedding() const { return {config_.vocabulary, config_.inputs}; }

  static layers::PassKeys keys_of(const TrainingPass& pass, std::size_t layer) {
    return {.seed = pass.seed, .epoch = pass.epoch, .layer = layer, .samples = pass.samples};
  }

  /// What a mask is laid over, and with which rate.
  struct Drop {
    layers::Masked what;
    std::size_t layer, width;
    double rate;
    bool every_step;  ///< a mask for each step
  };
  Drop outputs_dropped(std::size_t l) const {
    return {layers::Masked::outputs, l, layers_[l].width(), config_.dropout, !config_.variational};
  }
  Drop inputs_dropped() const { return {layers::Masked::inputs, 0, config_.inputs, config_.input_dropout, false}; }

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
    if (config_.vocabulary > 0) {
      work.embedded.reserve(checked_product(schedule.steps, schedule.rows, config_.inputs));
      layers::embed(embedding(), schedule, parameters_.data(), x,
                    layers::in_walk_order(work.embedded.data(), schedule, config_.inputs));
      input = layers::in_walk_order<const T>(work.embedded.data(), schedule, config_.inputs);
    }
    if (pass != nullptr) input = drop(schedule, inputs_dropped(), *pass, input, work.dropped);
    for (std::size_t l = 0; l < count; ++l) {
      const bool top = l + 1 == count, reads_states = top && config_.pooling == Pooling::last;
      Buffer<T>& own = work.outputs[pass ? l : l % 2];
      const layers::PassKeys keys = pass ? keys_of(*pass, l) : layers::PassKeys{};
      work.inputs[l] = input;
      input = layers_[l].forward(panels(l, parameters_.data()), schedule, input, reads_states ? nullptr : &own,
                                 reads_states ? work.read.data() : nullptr, pass ? &keys : nullptr, work.layers[l],
                                 interrupt);
      if (!top && pass != nullptr) input = drop(schedule, outputs_dropped(l), *pass, input, own);
    }
    work.top = input;
    pool(schedule, work);
    list_read(schedule, work);
    list_rows(schedule, outputs, config_.outputs, work.out);
    head_.forward(panels(count, parameters_.data()), work.in, work.out);
  }

  void head_backward(const Schedule& schedule, const T* doutputs, T* gradients, NetworkWorkspace<T>& work) const {
    const std::size_t O = config_.outputs, padded = head_.shape().padded_units(), head = layers_.size();
    list_read(schedule, work);
    list_rows(schedule, doutputs, O, work.d);
    Buffer<T>& dread = config_.pooling == Pooling::none ? work.doutputs : work.dread;
    dread.reserve(
        checked_product(schedule.rows, config_.pooling == Pooling::none ? schedule.steps : 1, head_.shape().inputs));
    list_rows(schedule, dread.data(), head_.shape().inputs, work.out);
    work.doutputs_padded.reserve(checked_product(work.d.size(), padded));
    std::fill_n(work.doutputs_padded.data(), work.d.size() * padded, T(0));
    for (std::size_t i = 0; i < work.d.size(); ++i) {
      std::copy_n(work.d[i], O, work.doutputs_padded.data() + i * padded);
      work.d[i] = work.doutputs_padded.data() + i * padded;
    }
    head_.backward(panels(head, parameters_.data()), work.in, work.d, work.out, panels(head, gradients),
                   work.head_transposed);
  }

  /// Lists rows of what goes with the head's items: of every row, or of every real step.
  template <class U>
  void list_rows(const Schedule& schedule, U* data, std::size_t width, std::vector<U*>& list) const {
    list.clear();
    if (config_.pooling != Pooling::none) {
      for (std::size_t n = 0; n < schedule.rows; ++n) list.push_back(data + n * width);
      return;
    }
    layers::for_each_step(
        schedule, [&](std::size_t t, std::size_t n) { list.push_back(data + (t * schedule.rows + n) * width); });
  }

  /// Lists what the head reads.
  void list_read(const Schedule& schedule, NetworkWorkspace<T>& work) const {
    if (config_.pooling != Pooling::none) {
      return list_rows(schedule, std::as_const(work.read).data(), head_.shape().inputs, work.in);
    }
    work.in.clear();
    layers::for_each_step(schedule, [&](std::size_t t, std::size_t n) { work.in.push_back(work.top.row(t, n)); });
  }

  /// What the head reads, of the outputs of the top layer; its last states are there already.
  void pool(const Schedule& schedule, NetworkWorkspace<T>& work) const {
    const std::size_t width = layers_.back().width();
    switch (config_.pooling) {
      case Pooling::last:
      case Pooling::none:
        return;
      case Pooling::mean:
        return layers::pool_mean(schedule, work.top, width, work.read.data());
      case Pooling::max:
        work.maximum_steps.resize(schedule.rows * width);
        return layers::pool_max(schedule, work.top, width, work.read.data(), work.maximum_steps.data());
      case Pooling::attention:
        work.shares.reserve(checked_product(schedule.steps, schedule.rows));
        return layers::pool_attention(schedule, work.top, part(attention_part_, parameters_.data()), width,
                                      work.read.data(), work.shares.data());
    }
  }

  /// The gradient of the top layer's outputs, in `work.doutputs`.
  void unpool(const Schedule& schedule, T* gradients, NetworkWorkspace<T>& work) const {
    const std::size_t width = layers_.back().width();
    work.doutputs.reserve(checked_product(schedule.steps, schedule.rows, width));
    const Sequence<T> dy = layers::in_walk_order(work.doutputs.data(), schedule, width);
    if (config_.pooling == Pooling::mean) return layers::unpool_mean(schedule, work.dread.data(), width, dy);
    if (config_.pooling == Pooling::max) {
      return layers::unpool_max(schedule, work.dread.data(), work.maximum_steps.data(), width, dy);
    }
    work.dshares.reserve(schedule.steps * schedule.rows);
    layers::unpool_attention(schedule, work.top, part(attention_part_, parameters_.data()), work.dread.data(),
                             work.shares.data(), width, work.dshares.data(), cleared_part(attention_part_, gradients),
                             dy);
  }

  /// `from` under its mask: in the order of the walk in `to`, which may be where it lies; or as it is without dropout.
  Sequence<const T> drop(const Schedule& schedule, const Drop& d, const TrainingPass& pass, Sequence<const T> from,
                         Buffer<T>& to) const {
    if (d.rate == 0) return from;
    to.reserve(checked_product(schedule.steps, schedule.rows, d.width));
    const Sequence<T> masked = layers::in_walk_order(to.data(), schedule, d.width);
    const layers::DropoutKey key{.seed = pass.seed, .epoch = pass.epoch, .layer = d.layer, .what = d.what};
    const layers::PassKeys keys = keys_of(pass, d.layer);
    layers::for_each_step(schedule, [&](std::size_t t, std::size_t n) {
      layers::dropout(from.row(t, n), masked.row(t, n), d.width, d.rate, key, keys.sample(schedule, n),
                      d.every_step ? t : 0);
    });
    return layers::in_walk_order<const T>(to.data(), schedule, d.width);
  }
  void drop(const Schedule& schedule, const Drop& d, const TrainingPass& pass, const T* from, Buffer<T>& to) const {
    drop(schedule, d, pass, layers::in_walk_order<const T>(from, schedule, d.width), to);
  }

  Config config_;
  const kernels::KernelTable<T>* table_;
  std::vector<layers::StackLayer<T>> layers_;
  layers::DenseLayer<T> head_;
  ParameterLayout layout_;
  std::vector<std::size_t> first_part_;  ///< of each layer, then of the head
  std::size_t attention_part_ = 0;
  Buffer<T> parameters_;
};

}  // namespace pylstm::network
