/// What a network cannot learn from is refused before the first batch.
#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/network/config.hpp"
#include "pylstm/train/loss.hpp"
#include "pylstm/train/samples.hpp"

namespace pylstm::train {

/// Fails unless y belongs to x: `width` numbers for each sequence or, `every_step`, for each of its steps.
inline void check_items(std::string_view name, const SampleView& y, const SampleView& x, std::size_t width,
                        bool every_step) {
  require(y.samples == x.samples, name, " has ", y.samples, " samples, expected ", x.samples, ", as x");
  y.check(name, width);
  for (std::size_t n = 0; n < x.samples; ++n) {
    const std::size_t expected = every_step ? x.length(n) : 1;
    require(y.length(n) == expected, name, "[", n, "] has ", y.length(n), " steps, expected ", expected);
  }
}

/// Fails unless every class has an output, of items that weigh something.  `weights` are checked already.
inline void check_classes(std::string_view name, const SampleView& y, const std::optional<SampleView>& weights,
                          std::size_t classes) {
  std::vector<double> labels(y.steps), given(weights ? weights->steps : 0);
  for (std::size_t n = 0; n < y.samples; ++n) {
    y.gather(&n, 1, labels.data());
    if (weights) weights->gather(&n, 1, given.data());
    for (std::size_t t = 0; t < y.length(n); ++t) {
      const double label = labels[t];
      if (weights && given[weights->length(n) == 1 ? 0 : t] == 0) continue;
      require(label >= 0 && label < static_cast<double>(classes) && label == std::floor(label), name, " holds class ",
              label, ", expected integers from 0 to ", classes, " - 1");
    }
  }
}

/// Fails unless they are weights of x's sequences or, where these have items of their own, of the steps.
inline void check_weights(std::string_view name, const SampleView& weights, const SampleView& x, bool every_step) {
  check_items(name, weights, x, 1, every_step && (weights.lengths != nullptr || weights.steps != 1));
  std::vector<double> numbers(weights.steps);
  for (std::size_t n = 0; n < weights.samples; ++n) {
    weights.gather(&n, 1, numbers.data());
    for (std::size_t t = 0; t < weights.length(n); ++t) {
      require(numbers[t] >= 0 && std::isfinite(numbers[t]), name, " holds ", numbers[t],
              ", expected finite numbers >= 0");
    }
  }
}

/// Fails unless a network with this loss can learn from them.
inline void check_learnt(const network::Config& network, const Loss& loss, const SampleView& x, const SampleView& y,
                         const std::optional<SampleView>& weights) {
  const bool every_step = network.pooling == network::Pooling::none;
  x.check("x", network.features());
  check_items("y", y, x, loss.targets(network.outputs), every_step);
  if (weights) check_weights("weights", *weights, x, every_step);
  if (loss.kind == LossKind::cross_entropy) check_classes("y", y, weights, network.outputs);
}

/// Fails where one of [0, count) is no sample.
template <class Order>
void check_order(const Order& order, std::size_t count, std::size_t samples) {
  for (std::size_t i = 0; i < count; ++i) {
    require(order[i] < samples, "sample ", order[i], " is wanted, expected 0 to ", samples, " - 1");
  }
}

}  // namespace pylstm::train
