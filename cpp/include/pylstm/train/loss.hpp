/// Losses: a value and its gradient with respect to the outputs.
///
/// A loss is a weighted mean over items: sequences, or real steps where every step has a target.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/names.hpp"

namespace pylstm::train {

enum class LossKind {
  squared_error,         ///< (p - y)^2
  absolute_error,        ///< |p - y|
  huber,                 ///< e^2 / 2 up to |e| = delta, from there delta (|e| - delta / 2) (Huber 1964)
  quantile,              ///< max(q e, (q - 1) e) of e = y - p, for every level q (Koenker & Bassett 1978)
  poisson,               ///< exp(p) - y p: the mean is exp(p)
  cross_entropy,         ///< of softmax(p); y is the number of a class
  binary_cross_entropy,  ///< of sigmoid(p), for every output; y is 0 or 1
};

inline constexpr std::array<std::pair<std::string_view, LossKind>, 7> loss_names{{
    {"squared_error", LossKind::squared_error},
    {"absolute_error", LossKind::absolute_error},
    {"huber", LossKind::huber},
    {"quantile", LossKind::quantile},
    {"poisson", LossKind::poisson},
    {"cross_entropy", LossKind::cross_entropy},
    {"binary_cross_entropy", LossKind::binary_cross_entropy},
}};

struct Loss {
  LossKind kind = LossKind::squared_error;
  double delta = 1;                       ///< Huber
  std::vector<double> quantiles = {0.5};  ///< levels; outputs are [targets][levels]
  double label_smoothing = 0;             ///< share of a label that goes to all classes alike (Szegedy et al. 2016)

  void check(std::size_t outputs) const {
    require(delta > 0, "delta is ", delta, ", expected a positive number");
    require(label_smoothing >= 0 && label_smoothing < 1, "label_smoothing is ", label_smoothing,
            ", expected a number in [0, 1)");
    if (kind != LossKind::quantile) return;
    require(!quantiles.empty() && outputs % quantiles.size() == 0, "quantiles has ", quantiles.size(),
            " levels, expected a divisor of the ", outputs, " outputs");
    for (const double level : quantiles) {
      require(level > 0 && level < 1, "a quantile is ", level, ", expected a number in (0, 1)");
    }
  }

  /// Numbers that make a target of an item with `outputs` outputs.
  std::size_t targets(std::size_t outputs) const {
    if (kind == LossKind::cross_entropy) return 1;
    return kind == LossKind::quantile ? outputs / quantiles.size() : outputs;
  }

  /// sum_i w_i loss_i / weight over `items` items, the mean over each one's outputs; writes the gradient where wanted.
  /// weights null: ones.  An item of weight 0 is as good as absent, whatever its targets; so are all if `weight` is 0.
  template <class T>
  double add(const T* predictions, const T* items_targets, const double* weights, std::size_t items,
             std::size_t outputs, double weight, T* gradient) const {
    const std::size_t per_item = targets(outputs);
    double sum = 0;
    for (std::size_t i = 0; i < items; ++i, predictions += outputs, items_targets += per_item) {
      const double share = weight > 0 ? (weights ? weights[i] : 1) / weight : 0;
      T* const g = gradient ? gradient + i * outputs : nullptr;
      if (share == 0) {
        if (g) std::fill_n(g, outputs, T(0));
      } else if (kind == LossKind::cross_entropy) {
        sum += share * softmax_item(predictions, items_targets, outputs, share, g);
      } else {
        sum += share * item(predictions, items_targets, outputs, share, g);
      }
    }
    return sum;
  }

 private:
  template <class T>
  double item(const T* predictions, const T* target, std::size_t outputs, double share, T* gradient) const {
    const std::size_t levels = kind == LossKind::quantile ? quantiles.size() : 1;
    const double each = 1 / static_cast<double>(outputs);
    double sum = 0;
    for (std::size_t o = 0; o < outputs; ++o) {
      const double level = kind == LossKind::quantile ? quantiles[o % levels] : 0;
      const auto [value, slope] =
          element(static_cast<double>(predictions[o]), static_cast<double>(target[o / levels]), level);
      sum += value;
      if (gradient) gradient[o] = static_cast<T>(share * each * slope);
    }
    return sum * each;
  }

  /// The loss of one output and its derivative.
  std::pair<double, double> element(double p, double y, double level) const {
    const double e = p - y, size = std::abs(e), sign = e > 0 ? 1 : e < 0 ? -1 : 0;
    switch (kind) {
      case LossKind::absolute_error:
        return {size, sign};
      case LossKind::huber:
        return size <= delta ? std::pair{e * e / 2, e} : std::pair{delta * (size - delta / 2), delta * sign};
      case LossKind::quantile:
        return {std::max(-level * e, (1 - level) * e), e > 0 ? 1 - level : e < 0 ? -level : 0};
      case LossKind::poisson: {
        const double mean = std::exp(p);
        return {mean - y * p, mean - y};
      }
      case LossKind::binary_cross_entropy: {
        const double label = y * (1 - label_smoothing) + label_smoothing / 2, small = std::exp(-std::abs(p));
        const double probability = (p >= 0 ? 1 : small) / (1 + small);
        return {std::max(p, 0.0) - p * label + std::log1p(small), probability - label};
      }
      default:
        return {e * e, 2 * e};
    }
  }

  template <class T>
  double softmax_item(const T* predictions, const T* target, std::size_t classes, double share, T* gradient) const {
    const auto at = [&](std::size_t o) { return static_cast<double>(predictions[o]); };
    double most = at(0), total = 0, spread = 0;
    for (std::size_t o = 1; o < classes; ++o) most = std::max(most, at(o));
    for (std::size_t o = 0; o < classes; ++o) total += std::exp(at(o) - most);
    const double log_total = most + std::log(total), smooth = label_smoothing / static_cast<double>(classes);
    const auto label = static_cast<std::size_t>(target[0]);
    for (std::size_t o = 0; o < classes; ++o) {
      const double wanted = smooth + (o == label ? 1 - label_smoothing : 0);
      spread += wanted * (log_total - at(o));
      if (gradient) gradient[o] = static_cast<T>(share * (std::exp(at(o) - log_total) - wanted));
    }
    return spread;
  }
};

}  // namespace pylstm::train
