/// What the tests of networks and of training share: parameters by name, batches, losses, and gradients of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "combinations.hpp"
#include "pylstm/base/buffer.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/kernels/cell_names.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/layers/walk.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/reference/recurrent.hpp"
#include "pylstm/train/loss.hpp"

namespace pylstm::testing {

using layers::BatchOrder;
using network::Config;
using network::Merge;
using network::Network;
using network::NetworkWorkspace;
using network::Pooling;
using network::TrainingPass;

/// Parameters by name, in the public layout.
template <class T>
using Parameters = std::map<std::string, std::vector<T>>;

template <class T>
Parameters<T> unpacked(const Network<T>& network, const Buffer<T>& flat) {
  Parameters<T> all;
  const auto infos = network.parameter_infos();
  for (std::size_t index = 0; index < infos.size(); ++index) {
    std::vector<T>& values = all[infos[index].name];
    values.resize(infos[index].size());
    network.get(index, flat, values.data());
  }
  return all;
}

template <class T>
Parameters<T> parameters_of(const Network<T>& network) {
  return unpacked(network, network.parameters());
}

template <class T>
void set(const Network<T>& network, Buffer<T>& flat, const Parameters<T>& all) {
  const auto infos = network.parameter_infos();
  for (std::size_t index = 0; index < infos.size(); ++index) network.set(index, flat, all.at(infos[index].name).data());
}

inline reference::Cell reference_cell(const kernels::CellChoice& choice) {
  switch (choice.kind) {
    case kernels::CellKind::lstm:
      return reference::Cell::lstm;
    case kernels::CellKind::coupled_lstm:
      return reference::Cell::coupled_lstm;
    case kernels::CellKind::gru:
      return reference::Cell::gru;
    case kernels::CellKind::gru_reset_before:
      return reference::Cell::gru_reset_before;
    case kernels::CellKind::rnn_tanh:
      return reference::Cell::rnn_tanh;
    case kernels::CellKind::rnn_relu:
      return reference::Cell::rnn_relu;
    case kernels::CellKind::layer_norm_lstm:
      return reference::Cell::layer_norm_lstm;
    default:
      return reference::Cell::layer_norm_gru;
  }
}

/// One direction of layer l as the reference takes it: its sizes and weights.
inline reference::Problem<double> reference_problem(const Config& config, const Parameters<double>& all, std::size_t l,
                                                    bool second) {
  const auto parameter = [&](const char* name) {
    const auto found = all.find("layers." + std::to_string(l) + (second ? ".reverse." : ".") + name);
    return found == all.end() ? std::vector<double>{} : found->second;
  };
  std::vector<double> unit_weights = parameter("peephole");
  for (const char* const gain : {"gain_ih", "gain_hh", "gain_c", "bias_c"}) {
    const std::vector<double> values = parameter(gain);
    unit_weights.insert(unit_weights.end(), values.begin(), values.end());
  }
  const std::size_t H = config.hidden_sizes[l];
  std::vector<double> weight_ih = parameter("weight_ih"), weight_hh = parameter("weight_hh");
  const std::vector<double> behind_reset = parameter("weight_hn");
  weight_hh.insert(weight_hh.end(), behind_reset.begin(), behind_reset.end());
  const std::size_t I = weight_ih.size() / (reference::shape_of(reference_cell(config.cell)).gates_x * H);
  return {.cell = reference_cell(config.cell),
          .I = I,
          .H = H,
          .P = config.projection,
          .weight_ih = std::move(weight_ih),
          .weight_hh = std::move(weight_hh),
          .weight_hr = parameter("weight_hr"),
          .bias = parameter("bias"),
          .bias_recurrent = parameter("bias_hn"),
          .unit_weights = std::move(unit_weights)};
}

inline bool is_bias(const std::string& name) { return name.ends_with("bias"); }

template <class T>
bool same_bits(const Buffer<T>& a, const Buffer<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
std::vector<T> random_values(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::vector<T> v(size);
  for (T& a : v) a = static_cast<T>(random.uniform());
  return v;
}

/// A batch for the network itself: x [T][N][features], targets [N][O], or [T][N][O] for every step of the walk.
template <class T>
struct Batch {
  std::size_t T_, N;
  std::vector<T> x, targets;
  std::vector<double> weights;       ///< [N]; empty: ones
  std::vector<std::size_t> lengths;  ///< [N]; empty: all T
  bool reverse = false;
  TrainingPass pass;

  /// Items whose loss counts: the sequences, or the steps that the walk meets.  visit(place, weight).
  template <class Visit>
  void for_each_item(const Config& config, Visit visit) const {
    const BatchOrder rows = order();
    const Schedule schedule = rows.schedule();
    const auto weight = [&](std::size_t n) { return weights.empty() ? 1 : weights[n]; };
    if (config.pooling != Pooling::none) {
      for (std::size_t n = 0; n < N; ++n) visit(n, weight(n));
    } else {
      layers::for_each_step(schedule,
                            [&](std::size_t t, std::size_t n) { visit(t * N + n, weight(schedule.caller_row(n))); });
    }
  }

  BatchOrder order() const { return lengths.empty() ? BatchOrder(T_, N, reverse) : BatchOrder(T_, lengths, reverse); }
};

template <class T>
Batch<T> random_batch(const Config& config, std::size_t steps, std::size_t rows, std::uint64_t seed) {
  const std::size_t places = rows * (config.pooling == Pooling::none ? steps : 1);
  std::vector<T> x = random_values<T>(steps * rows * config.features(), seed);
  if (config.vocabulary > 0)
    for (T& token : x) token = std::floor((token + 1) / 2 * static_cast<T>(config.vocabulary));
  return {.T_ = steps,
          .N = rows,
          .x = std::move(x),
          .targets = random_values<T>(places * config.outputs, seed + 1),
          .weights = {},
          .lengths = {},
          .pass = {.seed = 11, .epoch = 5, .samples = nullptr}};
}

template <class T>
Sequence<const T> time_major(const Batch<T>& batch, const Schedule& schedule, std::size_t inputs) {
  return {batch.x.data(), static_cast<std::ptrdiff_t>(batch.N * inputs), static_cast<std::ptrdiff_t>(inputs),
          &schedule};
}

enum class As { prediction, training };

template <class T>
std::vector<T> outputs(const Network<T>& network, const Batch<T>& batch, As how, NetworkWorkspace<T>& work) {
  const BatchOrder order = batch.order();
  const Schedule schedule = order.schedule();
  const auto x = time_major(batch, schedule, network.config().features());
  std::vector<T> result(batch.targets.size());
  Interrupt never;
  if (how == As::prediction) {
    network.predict(schedule, x, result.data(), work, never);
  } else {
    network.forward_training(schedule, x, result.data(), batch.pass, work, never);
  }
  return result;
}

template <class T>
std::vector<T> outputs(const Network<T>& network, const Batch<T>& batch, As how) {
  NetworkWorkspace<T> work;
  return outputs(network, batch, how, work);
}

/// sum_i w_i mean_o (p - y)^2 / sum_i w_i.
template <class T>
double loss(const Network<T>& network, const Batch<T>& batch, const std::vector<T>& predictions) {
  const std::size_t O = network.config().outputs;
  double sum = 0, weight = 0;
  batch.for_each_item(network.config(), [&](std::size_t place, double w) {
    weight += w;
    for (std::size_t o = place * O; o < (place + 1) * O; ++o)
      sum += w * std::pow(predictions[o] - batch.targets[o], 2) / static_cast<double>(O);
  });
  return sum / weight;
}

/// Of the training loss, in a buffer laid out like the parameters.
template <class T>
Buffer<T> gradients(const Network<T>& network, const Batch<T>& batch) {
  NetworkWorkspace<T> work;
  const std::vector<T> predictions = outputs(network, batch, As::training, work);
  const std::size_t O = network.config().outputs;
  std::vector<T> d(predictions.size());
  double total = 0;
  batch.for_each_item(network.config(), [&](std::size_t, double w) { total += w; });
  batch.for_each_item(network.config(), [&](std::size_t place, double w) {
    train::Loss{}.add(predictions.data() + place * O, batch.targets.data() + place * O, &w, 1, O, total,
                      d.data() + place * O);
  });
  Buffer<T> result(network.parameters().size(), std::numeric_limits<T>::quiet_NaN());  // to be overwritten
  const BatchOrder order = batch.order();
  const Schedule schedule = order.schedule();
  Interrupt never;
  network.backward(schedule, time_major(batch, schedule, network.config().features()), d.data(), batch.pass,
                   result.data(), work, never);
  return result;
}

template <class T>
double largest_difference(const Parameters<T>& a, const Parameters<T>& b) {
  double largest = 0;
  for (const auto& [name, values] : a)
    for (std::size_t k = 0; k < values.size(); ++k) {
      const double difference = std::abs(static_cast<double>(values[k]) - static_cast<double>(b.at(name)[k]));
      if (!(difference <= largest)) largest = difference;
    }
  return largest;
}

inline const Config stacks[] = {
    {.inputs = 2, .hidden_sizes = {5}, .outputs = 1},
    {.inputs = 3, .hidden_sizes = {4, 9}, .outputs = 2},
    {.inputs = 1, .hidden_sizes = {6, 3, 9}, .outputs = 3},
};

inline Config with_dropout(Config config, double rate) {
  config.dropout = config.input_dropout = rate;
  if (config.projection == 0) config.recurrent_dropout = config.zoneout = rate / 2;
  return config;
}

/// The legal ways to build a network: every cell, both directions, every read-out, one layer and several,
/// projections.
inline const std::vector<Config>& all_networks() {
  static const std::vector<Config> list = [] {
    struct Directions {
      bool bidirectional;
      Merge merge;
    };
    struct Stack {
      std::vector<std::size_t> hidden_sizes;
      bool residual;
    };
    std::vector<Config> all;
    for (const auto& [name, cell] : kernels::cell_names)
      for (const Directions& directions :
           {Directions{false, Merge::concat}, Directions{true, Merge::concat}, Directions{true, Merge::sum}})
        for (const auto& [how, pooling] : network::pooling_names)
          for (const Stack& stack : {Stack{{9}, false}, Stack{{4, 5}, false}, Stack{{5, 5}, true}})
            all.push_back({.cell = cell,
                           .inputs = 2,
                           .hidden_sizes = stack.hidden_sizes,
                           .outputs = 2,
                           .bidirectional = directions.bidirectional,
                           .merge = directions.merge,
                           .residual = stack.residual,
                           .pooling = pooling});
    for (const auto& [how, pooling] : network::pooling_names)
      for (const bool bidirectional : {false, true})
        all.push_back({.inputs = 3,
                       .vocabulary = 7,
                       .hidden_sizes = {5, 6},
                       .outputs = 2,
                       .bidirectional = bidirectional,
                       .pooling = pooling});
    for (const bool bidirectional : {false, true})
      for (const char* const cell : {"lstm", "layernorm_lstm"})
        all.push_back({.cell = kernels::cell_from_name(cell),
                       .inputs = 2,
                       .hidden_sizes = {9, 7},
                       .projection = 5,
                       .outputs = 2,
                       .bidirectional = bidirectional,
                       .residual = true});
    return all;
  }();
  return list;
}

inline std::string name(const Config& c) {
  std::ostringstream text;
  text << kernels::cell_name(c.cell);
  if (c.vocabulary > 0) text << ", embedding";
  if (c.bidirectional) text << ", bidirectional, " << name_of(network::merge_names, c.merge);
  text << (c.residual ? ", residual, " : ", ") << name_of(network::pooling_names, c.pooling) << ", hidden sizes";
  for (const std::size_t hidden : c.hidden_sizes) text << " " << hidden;
  return text.str();
}

}  // namespace pylstm::testing
