/// Predictions of many samples, and their loss: some at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/train/batch.hpp"
#include "pylstm/train/checks.hpp"
#include "pylstm/train/loss.hpp"
#include "pylstm/train/samples.hpp"

namespace pylstm::train {

/// Which samples are meant, in which order.
struct Chosen {
  const std::size_t* samples = nullptr;  ///< null: the first `count`
  std::size_t count = 0;

  std::size_t operator[](std::size_t i) const { return samples == nullptr ? i : samples[i]; }
};

/// Samples that are predicted together: fewer where they are long, since a batch is in memory as a whole.
inline std::size_t rows_at_once(const network::Config& network, std::size_t steps, std::size_t wanted) {
  constexpr std::size_t most_numbers = std::size_t{32} << 20;  // of all inputs, or of a layer's outputs
  std::size_t widest = network.inputs;
  const std::size_t directions = network.bidirectional && network.merge == network::Merge::concat ? 2 : 1;
  for (const std::size_t units : network.hidden_sizes) widest = std::max(widest, checked_product(units, directions));
  return std::clamp<std::size_t>(most_numbers / std::max<std::size_t>(1, checked_product(steps, widest)), 1, wanted);
}

/// Calls visit(first, batch, predictions) for the chosen samples, `wanted` at a time or fewer from the `first` on;
/// predictions lie as `Network::predict` leaves them.
template <class T, class Visit>
void for_each_prediction(const network::Network<T>& network, const SampleView& x, const Chosen& chosen,
                         Interrupt& interrupt, std::size_t wanted, Visit visit) {
  require(wanted >= 1, "batch_size is 0, expected at least 1");
  x.check("x", network.config().features());
  const std::size_t size = rows_at_once(network.config(), x.steps, wanted);
  check_order(chosen, chosen.count, x.samples);
  network::NetworkWorkspace<T> work;
  GatheredBatch<T> batch;
  Buffer<T> predictions;
  std::vector<std::size_t> samples;
  for (std::size_t first = 0; first < chosen.count; first += size) {
    samples.resize(std::min(size, chosen.count - first));
    for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = chosen[first + i];
    batch.gather(x, samples.data(), samples.size());
    const Schedule schedule = batch.schedule();
    predictions.reserve(
        checked_product(network.config().places(schedule.steps), schedule.rows, network.config().outputs));
    interrupt.poll();
    interrupt.throw_if_requested();
    network.predict(schedule, batch.x(), predictions.data(), work, interrupt);
    visit(first, std::as_const(batch), std::as_const(predictions));
  }
}

/// outputs [chosen][O].  Of a network that reads out every step [chosen][x.steps][O]: those of the i-th chosen sample
/// from row starts[i] on, or i * x.steps without `starts`; past a sequence's end they are left as they are.
template <class T>
void predict(const network::Network<T>& network, const SampleView& x, const Chosen& chosen, T* outputs,
             Interrupt& interrupt, const std::size_t* starts = nullptr, std::size_t batch_size = 256) {
  const network::Config& config = network.config();
  const std::size_t O = config.outputs;
  const auto copy = [&](std::size_t begin, const GatheredBatch<T>& batch, const Buffer<T>& from) {
    const Schedule schedule = batch.schedule();
    for (std::size_t n = 0; n < schedule.rows; ++n) {
      const std::size_t i = begin + batch.places()[n];
      const std::size_t row = starts != nullptr ? starts[i] : i * config.places(x.steps);
      for (std::size_t t = 0; t < config.places(schedule.length(n)); ++t) {
        std::copy_n(from.data() + (t * schedule.rows + n) * O, O, outputs + (row + t) * O);
      }
    }
  };
  for_each_prediction(network, x, chosen, interrupt, batch_size, copy);
}

/// Of all samples.
template <class T>
void predict(const network::Network<T>& network, const SampleView& x, T* outputs, Interrupt& interrupt) {
  predict(network, x, {.samples = nullptr, .count = x.samples}, outputs, interrupt);
}

/// The weighted mean loss of the chosen samples.
template <class T>
double mean_loss(const network::Network<T>& network, const Loss& loss, const SampleView& x, const SampleView& y,
                 const std::optional<SampleView>& weights, const Chosen& chosen, Interrupt& interrupt,
                 std::size_t batch_size = 256) {
  double sum = 0, weight = 0;
  BatchTargets<T> targets;
  loss.check(network.config().outputs);
  check_learnt(network.config(), loss, x, y, weights);
  const auto add = [&](std::size_t, const GatheredBatch<T>& batch, const Buffer<T>& predicted) {
    targets.gather(batch, y, weights, network.config().pooling == network::Pooling::none);
    sum += targets.loss(loss, predicted.data(), network.config().outputs, nullptr) * targets.weight();
    weight += targets.weight();
  };
  for_each_prediction(network, x, chosen, interrupt, batch_size, add);
  return weight > 0 ? sum / weight : 0;
}

}  // namespace pylstm::train
