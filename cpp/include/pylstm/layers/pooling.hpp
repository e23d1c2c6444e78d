/// What a read-out takes from the outputs of all real steps of a row; a row without steps gives zeros.
///
/// Outputs come in the order of the walk, [steps][rows][width]; what is pooled is [rows][width] in the caller's order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "pylstm/base/sequence.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// State after the last step, mean, or largest value of each unit.
enum class Pooling { last, mean, max };

template <class T>
void pool_mean(const Schedule& schedule, Sequence<const T> y, std::size_t width, T* pooled) {
  std::fill_n(pooled, schedule.rows * width, T(0));
  for_each_step(schedule, [&](std::size_t t, std::size_t n) {
    const T* const row = y.row(t, n);
    T* const to = pooled + schedule.caller_row(n) * width;
    for (std::size_t j = 0; j < width; ++j) to[j] += row[j];
  });
  for (std::size_t n = 0; n < schedule.rows; ++n) {
    T* const to = pooled + schedule.caller_row(n) * width;
    const T length = static_cast<T>(std::max<std::size_t>(schedule.length(n), 1));
    for (std::size_t j = 0; j < width; ++j) to[j] /= length;
  }
}

template <class T>
void unpool_mean(const Schedule& schedule, const T* dpooled, std::size_t width, Sequence<T> dy) {
  for_each_step(schedule, [&](std::size_t t, std::size_t n) {
    const T* const from = dpooled + schedule.caller_row(n) * width;
    const T length = static_cast<T>(schedule.length(n));
    T* const row = dy.row(t, n);
    for (std::size_t j = 0; j < width; ++j) row[j] = from[j] / length;
  });
}

/// `step` [rows][width]: the first step of the walk that attains the maximum.  NaN is larger than any number.
template <class T>
void pool_max(const Schedule& schedule, Sequence<const T> y, std::size_t width, T* pooled, std::size_t* step) {
  std::fill_n(pooled, schedule.rows * width, T(0));
  for_each_step(schedule, [&](std::size_t t, std::size_t n) {
    const T* const row = y.row(t, n);
    const std::size_t to = schedule.caller_row(n) * width;
    for (std::size_t j = 0; j < width; ++j) {
      if (t > 0 && !(row[j] > pooled[to + j]) && !std::isnan(row[j])) continue;
      pooled[to + j] = row[j];
      step[to + j] = t;
    }
  });
}

template <class T>
void unpool_max(const Schedule& schedule, const T* dpooled, const std::size_t* step, std::size_t width,
                Sequence<T> dy) {
  for_each_step(schedule, [&](std::size_t t, std::size_t n) {
    const std::size_t from = schedule.caller_row(n) * width;
    T* const row = dy.row(t, n);
    for (std::size_t j = 0; j < width; ++j) row[j] = step[from + j] == t ? dpooled[from + j] : T(0);
  });
}

}  // namespace pylstm::layers
