/// From the caller's lengths to the engine's order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/sequence.hpp"

namespace pylstm::layers {

/// Owns the arrays of a Schedule.
class BatchOrder {
 public:
  BatchOrder() = default;

  /// All rows have `steps` steps.
  BatchOrder(std::size_t steps, std::size_t rows, bool reverse) : steps_(steps), rows_(rows), reverse_(reverse) {}

  /// Row n has lengths[n] steps, 0 <= lengths[n] <= steps.
  BatchOrder(std::size_t steps, std::vector<std::size_t> lengths, bool reverse)
      : steps_(steps), rows_(lengths.size()), reverse_(reverse) {
    for (std::size_t n = 0; n < rows_; ++n) {
      require(lengths[n] <= steps, "lengths[", n, "] is ", lengths[n], ", expected at most ", steps,
              ": the steps of x");
    }
    if (std::all_of(lengths.begin(), lengths.end(), [&](std::size_t length) { return length == steps; })) return;
    if (std::is_sorted(lengths.rbegin(), lengths.rend())) {
      lengths_ = std::move(lengths);
    } else {
      order_.resize(rows_);
      std::iota(order_.begin(), order_.end(), std::size_t{0});
      std::stable_sort(order_.begin(), order_.end(),
                       [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; });
      for (const std::size_t row : order_) lengths_.push_back(lengths[row]);
    }
    active_.assign(steps, 0);
    for (std::size_t t = 0, n = rows_; t < steps; ++t) {
      while (n > 0 && lengths_[n - 1] <= t) --n;
      active_[t] = n;
    }
  }

  /// Valid while this object lives and is not changed.
  Schedule schedule() const {
    if (lengths_.empty()) return {.steps = steps_, .rows = rows_, .reverse = reverse_};
    return {.steps = steps_,
            .rows = rows_,
            .order = order_.empty() ? nullptr : order_.data(),
            .lengths = lengths_.data(),
            .active = active_.data(),
            .reverse = reverse_};
  }

 private:
  std::size_t steps_ = 0, rows_ = 0;
  bool reverse_ = false;
  std::vector<std::size_t> order_, lengths_, active_;
};

}  // namespace pylstm::layers
