/// Stacked LSTM layers and a dense head over one flat parameter buffer.
///
/// Parameters live packed (kernels/panel.hpp), one layer after the other, so that optimiser, clipping and averaging are
/// one loop over one array; `get` and `set` give the public layout by name.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/base/random.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/layers/dense.hpp"
#include "pylstm/layers/dropout.hpp"
#include "pylstm/layers/packing.hpp"
#include "pylstm/layers/recurrent.hpp"
#include "pylstm/layers/schedule.hpp"

namespace pylstm::network {

struct Config {
  std::size_t inputs = 1;
  std::vector<std::size_t> hidden_sizes = {32};  ///< one per layer
  std::size_t outputs = 1;
  double dropout = 0;  ///< between layers, in training
};

/// A parameter in the public layout: rows x columns, or a vector (columns == 0).
struct ParameterInfo {
  std::string name;
  std::size_t rows, columns;
  std::size_t size() const { return rows * (columns == 0 ? 1 : columns); }
};

/// Memory of a network's calls, kept from one to the next.
template <class T>
struct NetworkWorkspace {
  std::vector<layers::Tape<T>> tapes;
  std::vector<layers::Workspace<T>> layers;
  std::vector<Buffer<T>> dropped;  ///< [layer][steps][rows][H]: a layer's outputs after dropout
  Buffer<T> sequence, dsequence;   ///< [steps][rows][H] between layers
  Buffer<T> last, dlast;           ///< [rows][H] of the last layer
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
      : config_(std::move(config)), table_(&table), head_(table, check(config_), config_.outputs) {
    std::size_t inputs = config_.inputs, offset = 0;
    for (const std::size_t hidden : config_.hidden_sizes) {
      layers_.emplace_back(table.lstm, inputs, hidden);
      offsets_.push_back(offset);
      offset += layers_.back().shape().size();
      inputs = hidden;
    }
    offsets_.push_back(offset);
    offset += head_.shape().size();
    parameters_ = Buffer<T>(offset, T(0));
  }

  const Config& config() const { return config_; }
  const kernels::KernelTable<T>& table() const { return *table_; }

  /// The flat buffer: packed, padding zero.
  Buffer<T>& parameters() { return parameters_; }
  const Buffer<T>& parameters() const { return parameters_; }

  /// Panels of each layer in the flat buffer, the head last; and where each begins.
  std::size_t parts() const { return layers_.size() + 1; }
  const kernels::PanelShape& part_shape(std::size_t part) const {
    return part < layers_.size() ? layers_[part].shape() : head_.shape();
  }
  std::size_t part_offset(std::size_t part) const { return offsets_[part]; }

  std::vector<ParameterInfo> parameter_infos() const {
    std::vector<ParameterInfo> infos;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const kernels::PanelShape& s = layers_[l].shape();
      const std::string prefix = "layers." + std::to_string(l) + ".";
      infos.push_back({prefix + "weight_ih", s.input_slots * s.units, s.inputs});
      infos.push_back({prefix + "weight_hh", s.recurrent_slots * s.units, s.units});
      infos.push_back({prefix + "bias", s.slots * s.units, 0});
    }
    infos.push_back({"head.weight", config_.outputs, config_.hidden_sizes.back()});
    infos.push_back({"head.bias", config_.outputs, 0});
    return infos;
  }

  /// Copies parameter `index` of `parameter_infos` out of a flat buffer laid out like the parameters (moments are,
  /// too).
  void get(std::size_t index, const Buffer<T>& flat, T* values) const {
    const auto [shape, part, offset] = locate(index);
    layers::unpack(table_->dense, *shape, part, flat.data() + offset, values);
  }
  void set(std::size_t index, Buffer<T>& flat, const T* values) const {
    const auto [shape, part, offset] = locate(index);
    layers::pack(table_->dense, *shape, part, values, flat.data() + offset);
  }

  /// Glorot-uniform input weights (Glorot & Bengio 2010), orthogonal recurrent weights gate by gate (Saxe et al. 2014),
  /// zero biases but 1 for the forget gates (Jozefowicz et al. 2015).  Same seed, same bits.
  void initialize(std::uint64_t seed) {
    const std::vector<ParameterInfo> infos = parameter_infos();
    for (std::size_t index = 0; index < infos.size(); ++index) {
      const ParameterInfo& info = infos[index];
      RandomStream random(random_key(seed, index));
      std::vector<T> values(info.size(), T(0));
      const bool head = info.name.starts_with("head.");
      if (info.name.ends_with("weight_hh")) {
        for (std::size_t gate = 0; gate < info.rows / info.columns; ++gate) {
          orthogonal(values.data() + gate * info.columns * info.columns, info.columns, random);
        }
      } else if (info.columns != 0) {
        const std::size_t fan_out = head ? info.rows : info.rows / 4;
        const double limit = std::sqrt(6.0 / static_cast<double>(info.columns + fan_out));
        for (T& value : values) value = static_cast<T>((2 * random.next_uniform() - 1) * limit);
      } else if (!head) {
        std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(info.rows / 4), info.rows / 4, T(1));
      }
      set(index, parameters_, values.data());
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
    const std::size_t rows = schedule.rows, O = config_.outputs, padded = head_.shape().padded_units();
    work.doutputs_padded.reserve(rows * padded);
    std::fill_n(work.doutputs_padded.data(), rows * padded, T(0));
    const std::size_t last = config_.hidden_sizes.back();
    work.dlast.reserve(rows * last);
    work.in.resize(rows);
    work.d.resize(rows);
    work.out.resize(rows);
    for (std::size_t n = 0; n < rows; ++n) {
      std::copy_n(doutputs + n * O, O, work.doutputs_padded.data() + n * padded);
      work.in[n] = work.last.data() + n * last;
      work.d[n] = work.doutputs_padded.data() + n * padded;
      work.out[n] = work.dlast.data() + n * last;
    }
    head_.backward(head_panels(), work.in, work.d, work.out, gradients + offsets_.back(), work.head_transposed);

    for (std::size_t l = layers_.size(); l-- > 0;) {
      layers::SequenceGradients<T> g;
      g.dpanels = gradients + offsets_[l];
      if (l + 1 == layers_.size()) {
        g.dh_n = work.dlast.data();
      } else {
        undrop(schedule, l, pass, work);
        g.dy = between<const T>(work.dsequence.data(), schedule, config_.hidden_sizes[l]);
      }
      const Sequence<const T> input = l == 0 ? x : layer_input(schedule, l, work);
      if (l > 0) {
        const std::size_t below = config_.hidden_sizes[l - 1];
        work.sequence.reserve(schedule.steps * rows * below);
        g.dx = between(work.sequence.data(), schedule, below);
      }
      layers_[l].backward(parameters_.data() + offsets_[l], schedule, input, work.tapes[l], g, work.layers[l],
                          interrupt);
      std::swap(work.sequence, work.dsequence);
    }
  }

 private:
  static std::size_t check(const Config& c) {
    require(c.inputs >= 1, "inputs is 0, expected at least 1");
    require(c.outputs >= 1, "outputs is 0, expected at least 1");
    require(!c.hidden_sizes.empty(), "hidden_sizes is empty, expected at least one layer");
    for (const std::size_t hidden : c.hidden_sizes) require(hidden >= 1, "a hidden size is 0, expected at least 1");
    require(c.dropout >= 0 && c.dropout < 1, "dropout is ", c.dropout, ", expected a number in [0, 1)");
    return c.hidden_sizes.back();
  }

  struct Location {
    const kernels::PanelShape* shape;
    kernels::PanelPart part;
    std::size_t offset;
  };
  Location locate(std::size_t index) const {
    const std::size_t layer = std::min(index / 3, layers_.size());
    const kernels::PanelShape& shape = part_shape(layer);
    if (layer == layers_.size()) {
      return {&shape, index == 3 * layer ? kernels::input_part(shape) : kernels::bias_part(shape), offsets_[layer]};
    }
    const kernels::PanelPart parts[] = {kernels::input_part(shape), kernels::recurrent_part(shape),
                                        kernels::bias_part(shape)};
    return {&shape, parts[index % 3], offsets_[layer]};
  }

  const T* head_panels() const { return parameters_.data() + offsets_.back(); }

  /// [steps][rows][width] in the schedule's own order.
  template <class U>
  static Sequence<U> between(U* data, const Schedule& schedule, std::size_t width) {
    return {data, static_cast<std::ptrdiff_t>(schedule.rows * width), static_cast<std::ptrdiff_t>(width), nullptr};
  }

  /// What layer l > 0 read in a training pass: the tape below it, or that after dropout.
  Sequence<const T> layer_input(const Schedule& schedule, std::size_t l, const NetworkWorkspace<T>& work) const {
    if (config_.dropout > 0) {
      return between<const T>(work.dropped[l - 1].data(), schedule, config_.hidden_sizes[l - 1]);
    }
    const std::size_t width = layers_[l - 1].shape().padded_units();
    return between<const T>(work.tapes[l - 1].h.data() + schedule.rows * width, schedule, width);
  }

  template <class Row>
  void for_each_dropout_row(const Schedule& schedule, std::size_t l, const TrainingPass& pass, Row row) const {
    const layers::DropoutKey key{.seed = pass.seed, .epoch = pass.epoch, .layer = l};
    for (std::size_t t = 0; t < schedule.steps; ++t) {
      for (std::size_t n = 0; n < schedule.active_at(t); ++n) {
        const std::size_t caller = schedule.caller_row(n);
        row(key, pass.samples == nullptr ? caller : pass.samples[caller], t, n);
      }
    }
  }

  /// The gradient of layer l's outputs from that of its outputs after dropout, in place: the mask once more.
  void undrop(const Schedule& schedule, std::size_t l, const TrainingPass& pass, NetworkWorkspace<T>& work) const {
    if (config_.dropout == 0) return;
    const std::size_t H = config_.hidden_sizes[l];
    for_each_dropout_row(schedule, l, pass, [&](const auto& key, std::uint64_t sample, std::size_t t, std::size_t n) {
      T* const row = work.dsequence.data() + (t * schedule.rows + n) * H;
      layers::dropout(row, row, H, config_.dropout, key, sample, t);
    });
  }

  void forward(const Schedule& schedule, Sequence<const T> x, T* outputs, const TrainingPass* pass,
               NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    const std::size_t rows = schedule.rows, steps = schedule.steps, count = layers_.size();
    work.tapes.resize(count);
    work.layers.resize(count);
    work.dropped.resize(count);
    work.last.reserve(rows * config_.hidden_sizes.back());
    Sequence<const T> input = x;
    for (std::size_t l = 0; l < count; ++l) {
      const std::size_t H = config_.hidden_sizes[l];
      const bool top = l + 1 == count;
      Sequence<T> y;
      if (!top && pass == nullptr) {
        work.dsequence.reserve(steps * rows * H);
        y = between(work.dsequence.data(), schedule, H);
      }
      layers::States<T> states;
      if (top) states.h_n = work.last.data();
      layers_[l].forward(parameters_.data() + offsets_[l], schedule, input, y, states, pass ? &work.tapes[l] : nullptr,
                         work.layers[l], interrupt);
      if (top) break;
      if (pass == nullptr) {
        std::swap(work.sequence, work.dsequence);
        input = between<const T>(work.sequence.data(), schedule, H);
        continue;
      }
      if (config_.dropout > 0) {
        work.dropped[l].reserve(steps * rows * H);
        const std::size_t width = layers_[l].shape().padded_units();
        for_each_dropout_row(
            schedule, l, *pass, [&](const auto& key, std::uint64_t sample, std::size_t t, std::size_t n) {
              layers::dropout(work.tapes[l].h.data() + ((t + 1) * rows + n) * width,
                              work.dropped[l].data() + (t * rows + n) * H, H, config_.dropout, key, sample, t);
            });
      }
      input = layer_input(schedule, l + 1, work);
    }
    work.in.resize(rows);
    work.out.resize(rows);
    for (std::size_t n = 0; n < rows; ++n) {
      work.in[n] = work.last.data() + n * config_.hidden_sizes.back();
      work.out[n] = outputs + n * config_.outputs;
    }
    head_.forward(head_panels(), work.in, work.out);
  }

  /// Gram-Schmidt, twice for orthogonality to rounding, on a matrix of normal deviates.
  static void orthogonal(T* matrix, std::size_t size, RandomStream& random) {
    std::vector<double> rows(size * size);
    for (double& value : rows) value = random.next_normal();
    for (std::size_t i = 0; i < size; ++i) {
      double* const row = rows.data() + i * size;
      for (int pass = 0; pass < 2; ++pass) {
        for (std::size_t k = 0; k < i; ++k) {
          const double* const other = rows.data() + k * size;
          double dot = 0;
          for (std::size_t j = 0; j < size; ++j) dot += row[j] * other[j];
          for (std::size_t j = 0; j < size; ++j) row[j] -= dot * other[j];
        }
      }
      double norm = 0;
      for (std::size_t j = 0; j < size; ++j) norm += row[j] * row[j];
      norm = std::sqrt(norm);
      for (std::size_t j = 0; j < size; ++j) row[j] /= norm;
    }
    for (std::size_t i = 0; i < size * size; ++i) matrix[i] = static_cast<T>(rows[i]);
  }

  Config config_;
  const kernels::KernelTable<T>* table_;
  std::vector<layers::RecurrentLayer<T>> layers_;
  layers::DenseLayer<T> head_;
  std::vector<std::size_t> offsets_;  ///< of each layer's panels in the flat buffer, then the head's
  Buffer<T> parameters_;
};

}  // namespace pylstm::network
