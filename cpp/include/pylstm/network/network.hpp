/// Stacked recurrent layers and a dense head over one flat parameter buffer.
///
/// Parameters live packed (kernels/panel.hpp), one layer after the other, so that optimiser, clipping and averaging are
/// one loop over one array; `get` and `set` give the public layout by name.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/random.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/layers/dropout.hpp"
#include "pylstm/layers/embedding.hpp"
#include "pylstm/layers/packing.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/layers/stack_layer.hpp"
#include "pylstm/layers/walk.hpp"
#include "pylstm/network/config.hpp"
#include "pylstm/network/parameters.hpp"
#include "pylstm/network/read_out.hpp"

namespace pylstm::network {

/// Memory of a network's calls, kept from one to the next.
template <class T>
struct NetworkWorkspace {
  std::vector<layers::StackLayerWorkspace<T>> layers;
  std::vector<Buffer<T>> outputs;         ///< [layer][steps][rows][width]: after dropout; see `Network::walk`
  std::vector<Sequence<const T>> inputs;  ///< what each layer read in a training pass
  Buffer<T> embedded, dropped;            ///< [steps][rows][I]: what the first layer reads, if not x itself
  Buffer<T> doutputs, dinputs;            ///< [steps][rows][width] between layers
  ReadOutWorkspace<T> read_out;
};

/// What decides about the pass of one batch: the keys of its dropout masks, and what becomes of long sequences.
struct TrainingPass {
  static constexpr std::size_t about_root = static_cast<std::size_t>(-1);

  std::uint64_t seed = 0, epoch = 0;
  const std::size_t* samples = nullptr;  ///< [rows] numbers of the samples; null: 0, 1, ...
  /// Not 0: of T steps the tapes keep this many, or about sqrt(T), and the states between such segments, from which the
  /// way back walks each segment again (Chen et al. 2016).  The same bits.
  std::size_t checkpoint = 0;
  /// Not 0: truncated backpropagation through time (Williams & Peng 1990).  Of every step's outputs, and pooled ones,
  /// no gradient crosses the multiples of this step; of the last state it reaches the last so many steps of each row.
  std::size_t tbptt_steps = 0;
};

template <class T>
class Network {
 public:
  explicit Network(Config config, const kernels::KernelTable<T>& table = active_kernels<T>(), bool with_memory = true)
      : config_(std::move(config)),
        table_(&table),
        layers_(make_layers(config_, table)),
        read_out_(config_.pooling, layers_.back().width(), config_.outputs, table) {
    constexpr std::size_t most_tokens = std::size_t{1} << std::numeric_limits<T>::digits;
    require(config_.vocabulary <= most_tokens, "vocabulary is ", config_.vocabulary, ", expected at most ", most_tokens,
            ": x holds tokens as numbers of its precision");
    if (config_.vocabulary > 0) layout_.add_embedding(config_.vocabulary, config_.inputs, table.lanes);
    constexpr std::size_t line = 64 / sizeof(T);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      layout_.align(line);
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
    layout_.align(line);
    first_part_.push_back(layout_.parts().size());
    layout_.add_head(head().shape());
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
  const layers::DenseLayer<T>& head() const { return read_out_.head(); }
  layers::EmbeddingShape embedding() const { return {config_.vocabulary, config_.inputs}; }  ///< of tokens, if any
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
    const Parameter& p = parameter(index, flat);
    const Part& part = parts()[p.part];
    layers::unpack(table_->with_lanes(part.shape.lanes).dense, part.shape, p.place, flat.data() + part.offset, values);
  }
  void set(std::size_t index, Buffer<T>& flat, const T* values) const {
    const Parameter& p = parameter(index, flat);
    const Part& part = parts()[p.part];
    layers::pack(table_->with_lanes(part.shape.lanes).dense, part.shape, p.place, values, flat.data() + part.offset);
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

  /// Throws if the network cannot be trained like this.
  void check_pass(const TrainingPass& pass) const {
    require(pass.tbptt_steps == 0 || !config_.bidirectional, "tbptt_steps is ", pass.tbptt_steps,
            ", expected 0 for a bidirectional network: states come in from both ends");
  }

  /// The gradients of all parameters: `forward_training`, then `differentiate(segment)`, which makes `doutputs` of
  /// `outputs` (those of the segment's steps, where every step is read) and returns whether to go on, then `backward`.
  /// Where every step is read and truncated backpropagation needs no step twice, segment after segment.  False if it
  /// was not to go on: then `gradients` are void.
  template <class Differentiate>
  bool gradient(const Schedule& schedule, Sequence<const T> x, T* outputs, const T* doutputs, const TrainingPass& pass,
                T* gradients, NetworkWorkspace<T>& work, Interrupt& interrupt, Differentiate differentiate) const {
    if (pass.tbptt_steps == 0 || pass.checkpoint > 0 || config_.pooling != Pooling::none) {
      forward_training(schedule, x, outputs, pass, work, interrupt);
      if (!differentiate(Segment::all(schedule))) return false;
      backward(schedule, x, doutputs, pass, gradients, work, interrupt);
      return true;
    }
    const Segments segments{.steps = schedule.steps, .length = pass.tbptt_steps, .from_beginning = true, .kept = 1};
    check_pass(pass);
    for (std::size_t i = 0; i < segments.count(); ++i) {
      const Segment segment = segments[i];
      walk(schedule, {.segments = segments, .first = i, .last = i + 1}, x, &pass, false, work, interrupt);
      read_out_.forward(schedule, segment, head_panels(), outputs, work.read_out);
      if (!differentiate(segment)) return false;
      backward_segment(schedule, segments, segment, {.continues = i > 0, .cut_steps = pass.tbptt_steps}, x, doutputs,
                       pass, gradients, work, interrupt);
    }
    return true;
  }

  /// As `predict`, keeping what `backward` needs.
  void forward_training(const Schedule& schedule, Sequence<const T> x, T* outputs, const TrainingPass& pass,
                        NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    forward(schedule, x, outputs, &pass, work, interrupt);
  }

  /// Writes the gradients of all parameters to `gradients`, a buffer laid out like `parameters()`.
  void backward(const Schedule& schedule, Sequence<const T> x, const T* doutputs, const TrainingPass& pass,
                T* gradients, NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    const Segments segments = segments_of(schedule, pass);
    const std::size_t count = segments.count(), at_once = segments_at_once(segments);
    if (!read_out_.every_step()) head_backward(schedule, {}, false, doutputs, gradients, work);
    if (config_.pooling == Pooling::attention) {
      read_out_.unattend(schedule, cleared_part(attention_part_, gradients), work.read_out);
    }
    const std::size_t reach = reach_of(schedule, pass), cut_steps = reach > 0 ? 0 : pass.tbptt_steps;
    bool continues = false;
    for (std::size_t last = count; last > 0; last -= at_once) {
      const SegmentRun run{.segments = segments, .first = last - at_once, .last = last};
      Segment segment = run.segment();
      segment.reach = reach;
      if (last < count) {
        if (!has_steps(schedule, segment)) continue;
        walk(schedule, run, x, &pass, true, work, interrupt);
      }
      // From cut to cut.
      for (std::size_t begin = segment.end, end = begin; begin > segment.begin || !continues; end = begin) {
        begin = cut_steps == 0 ? segment.begin
                               : std::max(segment.begin, (end - std::min<std::size_t>(end, 1)) / cut_steps * cut_steps);
        backward_segment(schedule, segments, {.begin = begin, .end = end, .reach = segment.reach},
                         {.continues = continues, .cut_steps = cut_steps}, x, doutputs, pass, gradients, work,
                         interrupt);
        continues = true;
      }
    }
  }

 private:
  using Segment = layers::Segment;
  using Segments = layers::Segments;
  using SegmentRun = layers::SegmentRun;

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
      made.emplace_back(table.fitting(hidden).cell(config.cell), inputs, hidden, options);
      inputs = made.back().width();
    }
    return made;
  }

  /// Number `index`, for who looks for it in `flat`.
  const Parameter& parameter(std::size_t index, const Buffer<T>& flat) const {
    require(index < layout_.parameters().size(), "parameter ", index, " is wanted, expected 0 to ",
            layout_.parameters().size(), " - 1");
    require(flat.size() == layout_.size(), "the flat buffer has ", flat.size(), " elements, expected ", layout_.size());
    return layout_.parameters()[index];
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

  /// The segments whose tapes are kept one at a time.
  Segments segments_of(const Schedule& schedule, const TrainingPass& pass) const {
    check_pass(pass);
    const std::size_t steps = schedule.steps;
    const auto root = static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(steps))));
    Segments segments{.steps = steps, .length = pass.checkpoint == TrainingPass::about_root ? root : pass.checkpoint};
    const std::size_t reach = reach_of(schedule, pass);
    if (reach == 0) return segments;
    if (segments.length == 0) segments.length = std::max(reach, root);
    std::size_t first = 0;  // no step before it is needed twice
    const auto needed = [&](Segment segment) {
      segment.reach = reach;
      return has_steps(schedule, segment);
    };
    while (first + 1 < segments.count() && !needed(segments[first])) ++first;
    segments.kept = segments.count() - first;
    return segments;
  }

  /// How far back the gradient of a row's last state goes; 0: all the way.
  std::size_t reach_of(const Schedule& schedule, const TrainingPass& pass) const {
    return config_.pooling == Pooling::last ? std::min(pass.tbptt_steps, schedule.steps) : 0;
  }

  /// A layer of two directions needs all of what it reads.
  std::size_t segments_at_once(const Segments& segments) const { return config_.bidirectional ? segments.count() : 1; }

  static bool has_steps(const Schedule& schedule, const Segment& segment) {
    bool found = false;
    for (std::size_t t = segment.begin; t < segment.end && !found; ++t) {
      found = segment.first_row(schedule, t) < schedule.active_at(t);
    }
    return found;
  }

  void forward(const Schedule& schedule, Sequence<const T> x, T* outputs, const TrainingPass* pass,
               NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    const Segments segments = pass ? segments_of(schedule, *pass) : Segments{.steps = schedule.steps};
    const std::size_t at_once = segments_at_once(segments);
    const bool attends = config_.pooling == Pooling::attention, keeps = attends && at_once < segments.count();
    for (std::size_t first = 0; first < segments.count(); first += at_once) {
      const SegmentRun run{.segments = segments, .first = first, .last = first + at_once};
      const Segment segment = run.segment();
      walk(schedule, run, x, pass, false, work, interrupt);
      read_out_.take(schedule, segment, work.read_out);
      if (keeps) read_out_.keep(schedule, segment, work.read_out);
      if (read_out_.every_step()) read_out_.forward(schedule, segment, head_panels(), outputs, work.read_out);
    }
    if (attends) read_out_.attend(schedule, query(), work.read_out);
    if (!read_out_.every_step()) read_out_.forward(schedule, {}, head_panels(), outputs, work.read_out);
  }

  /// All layers through a run; `again`: for its tapes alone.
  /// Outputs of a layer go to a buffer of its own in training, where they are needed again, else to every other one.
  /// A layer of one direction leaves them on its tape.
  void walk(const Schedule& schedule, const SegmentRun& run, Sequence<const T> x, const TrainingPass* pass, bool again,
            NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    const std::size_t count = layers_.size();
    const Segment segment = run.segment();
    work.layers.resize(count);
    work.outputs.resize(std::max<std::size_t>(count, 2));
    work.inputs.resize(count);
    T* const rows_read = read_out_.rows_read(schedule, work.read_out);
    Sequence<const T> input = x;
    if (config_.vocabulary > 0) {
      work.embedded.reserve(checked_product(segment.steps(), schedule.rows, config_.inputs));
      const Sequence<T> embedded = layers::in_walk_order(work.embedded.data(), schedule, config_.inputs, segment.begin);
      layers::embed(embedding(), schedule, segment, parameters_.data(), x, embedded);
      input = embedded;
    }
    if (pass != nullptr) input = drop(schedule, segment, inputs_dropped(), *pass, input, work.dropped);
    for (std::size_t l = 0; l < count; ++l) {
      const bool top = l + 1 == count, reads_states = top && config_.pooling == Pooling::last;
      Buffer<T>& own = work.outputs[pass ? l : l % 2];
      const layers::PassKeys keys = pass ? keys_of(*pass, l) : layers::PassKeys{};
      work.inputs[l] = input;
      input = layers_[l].forward(panels(l, parameters_.data()), schedule, run, input, reads_states ? nullptr : &own,
                                 reads_states && !again ? rows_read : nullptr, pass ? &keys : nullptr, work.layers[l],
                                 interrupt);
      if (!top && pass != nullptr) input = drop(schedule, segment, outputs_dropped(l), *pass, input, own);
    }
    if (config_.pooling != Pooling::attention || !again) work.read_out.top = input;
  }

  /// How the gradients of a segment go with those of other segments (`layers::SequenceGradients`).
  struct Joint {
    bool continues;
    std::size_t cut_steps;
  };

  /// Of the segment, which lies on the tapes, through all layers.
  void backward_segment(const Schedule& schedule, const Segments& segments, const Segment& segment, const Joint& joint,
                        Sequence<const T> x, const T* doutputs, const TrainingPass& pass, T* gradients,
                        NetworkWorkspace<T>& work, Interrupt& interrupt) const {
    const auto of_segment = [&]<class U>(U* data, std::size_t width) {
      return layers::in_walk_order(data, schedule, width, segment.begin);
    };
    if (config_.pooling == Pooling::none) {
      head_backward(schedule, segment, joint.continues, doutputs, gradients, work);
    } else if (config_.pooling != Pooling::last) {
      read_out_.unpool(schedule, segment, query(), work.doutputs, work.read_out);
    }
    for (std::size_t l = layers_.size(); l-- > 0;) {
      layers::StackLayerGradients<T> g;
      g.dpanels = panels(l, gradients);
      g.continues = joint.continues;
      g.cut_steps = joint.cut_steps;
      if (l + 1 < layers_.size() || config_.pooling != Pooling::last) {
        g.dy = of_segment(std::as_const(work.doutputs).data(), layers_[l].width());
      } else {
        g.dh_n = work.read_out.dread.data();
      }
      if (l > 0 || config_.vocabulary > 0) {
        const std::size_t below = l > 0 ? layers_[l - 1].width() : config_.inputs;
        work.dinputs.reserve(checked_product(segment.steps(), schedule.rows, below));
        g.dx = of_segment(work.dinputs.data(), below);
      }
      layers_[l].backward(panels(l, parameters_.data()), schedule, segments, segment,
                          l == 0 && reads_x() ? x : work.inputs[l], g, keys_of(pass, l), work.layers[l], interrupt);
      std::swap(work.dinputs, work.doutputs);
      // The mask once more, in place.
      if (l > 0) drop(schedule, segment, outputs_dropped(l - 1), pass, work.doutputs);
    }
    if (config_.vocabulary == 0) return;
    drop(schedule, segment, inputs_dropped(), pass, work.doutputs);
    layers::unembed(embedding(), schedule, segment, x, of_segment(std::as_const(work.doutputs).data(), config_.inputs),
                    joint.continues ? part(0, gradients) : cleared_part(0, gradients));
    for (const std::size_t token : config_.padding_tokens) {
      std::fill_n(gradients + token * config_.inputs, config_.inputs, T(0));
    }
  }

  void head_backward(const Schedule& schedule, const Segment& segment, bool continues, const T* doutputs, T* gradients,
                     NetworkWorkspace<T>& work) const {
    read_out_.backward(schedule, segment, continues, head_panels(), doutputs, panels(layers_.size(), gradients),
                       work.doutputs, work.read_out);
  }

  const T* head_panels() const { return panels(layers_.size()); }
  /// Of attention.
  const T* query() const {
    return config_.pooling == Pooling::attention ? part(attention_part_, parameters_.data()) : nullptr;
  }

  /// `from` under its mask: in the order of the walk in `to`, which may be where it lies; or as it is without dropout.
  Sequence<const T> drop(const Schedule& schedule, const Segment& segment, const Drop& d, const TrainingPass& pass,
                         Sequence<const T> from, Buffer<T>& to) const {
    if (d.rate == 0) return from;
    to.reserve(checked_product(segment.steps(), schedule.rows, d.width));
    const Sequence<T> masked = layers::in_walk_order(to.data(), schedule, d.width, segment.begin);
    const layers::DropoutKey key{.seed = pass.seed, .epoch = pass.epoch, .layer = d.layer, .what = d.what};
    const layers::PassKeys keys = keys_of(pass, d.layer);
    layers::for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
      layers::dropout(from.row(t, n), masked.row(t, n), d.width, d.rate, key, keys.sample(schedule, n),
                      d.every_step ? t : 0);
    });
    return masked;
  }
  /// In place.
  void drop(const Schedule& schedule, const Segment& segment, const Drop& d, const TrainingPass& pass,
            Buffer<T>& both) const {
    drop(schedule, segment, d, pass, layers::in_walk_order<const T>(both.data(), schedule, d.width, segment.begin),
         both);
  }

  Config config_;
  const kernels::KernelTable<T>* table_;
  std::vector<layers::StackLayer<T>> layers_;
  ReadOut<T> read_out_;
  ParameterLayout layout_;
  std::vector<std::size_t> first_part_;  ///< of each layer, then of the head
  std::size_t attention_part_ = 0;
  Buffer<T> parameters_;
};

#if defined(PYLSTM_DISPATCH)  // compiled there
extern template class Network<float>;
extern template class Network<double>;
#endif

}  // namespace pylstm::network
