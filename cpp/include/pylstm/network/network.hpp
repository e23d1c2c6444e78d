/// Stacked recurrent layers and a dense head over one flat parameter buffer.
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
  kernels::CellChoice cell = {};
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
      layers_.emplace_back(table.cell(config_.cell), inputs, hidden);
      list_parameters(layers_.size() - 1, layers_.back().shape());
      offsets_.push_back(offset);
      offset += layers_.back().shape().size();
      inputs = hidden;
    }
    parameter_list_.push_back(
        {{"head.weight", config_.outputs, inputs}, layers_.size(), kernels::input_part(head_.shape()), Role::head});
    parameter_list_.push_back(
        {{"head.bias", config_.outputs, 0}, layers_.size(), kernels::bias_part(head_.shape()), Role::bias});
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
    for (const Parameter& parameter : parameter_list_) infos.push_back(parameter.info);
    return infos;
  }

  /// Copies parameter `index` of `parameter_infos` out of a flat buffer laid out like the parameters (moments are,
  /// too).
  void get(std::size_t index, const Buffer<T>& flat, T* values) const {
    const Parameter& p = parameter_list_[index];
    layers::unpack(table_->dense, part_shape(p.part), p.place, flat.data() + offsets_[p.part], values);
  }
  void set(std::size_t index, Buffer<T>& flat, const T* values) const {
    const Parameter& p = parameter_list_[index];
    layers::pack(table_->dense, part_shape(p.part), p.place, values, flat.data() + offsets_[p.part]);
  }

  /// Glorot-uniform input weights (Glorot & Bengio 2010), orthogonal recurrent weights gate by gate (Saxe et al. 2014),
  /// zero peepholes and biases, but 1 for the forget gates (Jozefowicz et al. 2015): -1 for the input gates that are
  /// coupled to them.  Same seed, same bits.
  void initialize(std::uint64_t seed) {
    for (std::size_t index = 0; index < parameter_list_.size(); ++index) {
      const auto& [info, part, place, role] = parameter_list_[index];
      RandomStream random(random_key(seed, index));
      std::vector<T> values(info.size(), T(0));
      const std::size_t H = info.rows / place.gates;
      if (role == Role::recurrent) {
        for (std::size_t gate = 0; gate < place.gates; ++gate) orthogonal(values.data() + gate * H * H, H, random);
      } else if (role == Role::input || role == Role::head) {
        const double limit = std::sqrt(6.0 / static_cast<double>(info.columns + H));
        for (T& value : values) value = static_cast<T>((2 * random.next_uniform() - 1) * limit);
      } else if (role == Role::gate_bias && config_.cell.kind == kernels::CellKind::lstm) {
        std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(H), H, T(1));
      } else if (role == Role::gate_bias && config_.cell.kind == kernels::CellKind::coupled_lstm) {
        std::fill_n(values.begin(), H, T(-1));
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

  enum class Role { input, recurrent, gate_bias, bias, peephole, head };

  /// A parameter and its place: a part of the panels of layer `part`, or of the head's.
  struct Parameter {
    ParameterInfo info;
    std::size_t part;
    kernels::PanelPart place;
    Role role;
  };

  void list_parameters(std::size_t layer, const kernels::PanelShape& shape) {
    const auto add = [&](const char* name, const kernels::PanelPart& place, std::size_t columns, Role role) {
      if (place.gates == 0) return;
      parameter_list_.push_back(
          {{"layers." + std::to_string(layer) + "." + name, place.gates * shape.units, columns}, layer, place, role});
    };
    add("weight_ih", kernels::input_part(shape), shape.inputs, Role::input);
    add("weight_hh", kernels::recurrent_part(shape), shape.units, Role::recurrent);
    add("bias", kernels::bias_part(shape), 0, Role::gate_bias);
    add("bias_hn", kernels::recurrent_bias_part(shape), 0, Role::bias);
    add("peephole", kernels::unit_weights_part(shape), 0, Role::peephole);
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
  std::vector<Parameter> parameter_list_;
  std::vector<std::size_t> offsets_;  ///< of each layer's panels in the flat buffer, then the head's
  Buffer<T> parameters_;
};

}  // namespace pylstm::network
