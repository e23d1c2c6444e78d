/// What a read-out takes from the outputs of all real steps of a row; a row without steps gives zeros.
///
/// Outputs come in the order of the walk, [steps][rows][width]; what is pooled is [rows][width] in the caller's order.
/// Means and maxima take the segments of a walk one after the other.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "pylstm/base/sequence.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// State after the last step; mean, largest value, or attention's mean of each unit; or nothing is pooled: the read-out
/// reads every step.
enum class Pooling { last, mean, max, attention, none };

/// In an order of its own, the same on every machine.
template <class T>
T dot(const T* a, const T* b, std::size_t count) {
  constexpr std::size_t partial = 8;
  T sums[partial] = {};
  for (std::size_t k = 0; k < count; ++k) sums[k % partial] += a[k] * b[k];
  T total = 0;
  for (const T sum : sums) total += sum;
  return total;
}

template <class T>
void pool_mean(const Schedule& schedule, const Segment& segment, Sequence<const T> y, std::size_t width, T* pooled) {
  if (segment.begin == 0) std::fill_n(pooled, schedule.rows * width, T(0));
  for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
    const T* const row = y.row(t, n);
    T* const to = pooled + schedule.caller_row(n) * width;
    for (std::size_t j = 0; j < width; ++j) to[j] += row[j];
  });
  if (segment.end < schedule.steps) return;
  for (std::size_t n = 0; n < schedule.rows; ++n) {
    T* const to = pooled + schedule.caller_row(n) * width;
    const T length = static_cast<T>(std::max<std::size_t>(schedule.length(n), 1));
    for (std::size_t j = 0; j < width; ++j) to[j] /= length;
  }
}

template <class T>
void unpool_mean(const Schedule& schedule, const Segment& segment, const T* dpooled, std::size_t width,
                 Sequence<T> dy) {
  for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
    const T* const from = dpooled + schedule.caller_row(n) * width;
    const T length = static_cast<T>(schedule.length(n));
    T* const row = dy.row(t, n);
    for (std::size_t j = 0; j < width; ++j) row[j] = from[j] / length;
  });
}

/// `step` [rows][width]: the first step of the walk that attains the maximum.  NaN is larger than any number.
template <class T>
void pool_max(const Schedule& schedule, const Segment& segment, Sequence<const T> y, std::size_t width, T* pooled,
              std::size_t* step) {
  if (segment.begin == 0) std::fill_n(pooled, schedule.rows * width, T(0));
  for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
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
void unpool_max(const Schedule& schedule, const Segment& segment, const T* dpooled, const std::size_t* step,
                std::size_t width, Sequence<T> dy) {
  for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
    const std::size_t from = schedule.caller_row(n) * width;
    T* const row = dy.row(t, n);
    for (std::size_t j = 0; j < width; ++j) row[j] = step[from + j] == t ? dpooled[from + j] : T(0);
  });
}

/// Steps weighted by how well they answer a query that is learnt: a = softmax_t(query . y_t), sum_t a_t y_t (Raffel &
/// Ellis 2015).  `shares` [steps][rows] out: a.
template <class T>
void pool_attention(const Schedule& schedule, Sequence<const T> y, const T* query, std::size_t width, T* pooled,
                    T* shares) {
  const std::size_t rows = schedule.rows;
  std::fill_n(pooled, rows * width, T(0));
  for_each_step(schedule, [&](std::size_t t, std::size_t n) { shares[t * rows + n] = dot(y.row(t, n), query, width); });
  for (std::size_t n = 0; n < rows; ++n) {
    const std::size_t length = schedule.length(n);
    T most = -std::numeric_limits<T>::infinity(), total = 0;
    for (std::size_t t = 0; t < length; ++t) most = std::max(most, shares[t * rows + n]);
    for (std::size_t t = 0; t < length; ++t) total += shares[t * rows + n] = std::exp(shares[t * rows + n] - most);
    for (std::size_t t = 0; t < length; ++t) shares[t * rows + n] /= total;
  }
  for_each_step(schedule, [&](std::size_t t, std::size_t n) {
    const T* const row = y.row(t, n);
    T* const to = pooled + schedule.caller_row(n) * width;
    for (std::size_t j = 0; j < width; ++j) to[j] += shares[t * rows + n] * row[j];
  });
}

/// Gradients of the scores, `dscores` [steps][rows], from the shares that `pool_attention` left, and what is added to
/// that of the query.
template <class T>
void score_gradients(const Schedule& schedule, Sequence<const T> y, const T* dpooled, const T* shares,
                     std::size_t width, T* dscores, T* dquery) {
  const std::size_t rows = schedule.rows;
  // First of the shares.
  for_each_step(schedule, [&](std::size_t t, std::size_t n) {
    dscores[t * rows + n] = dot(y.row(t, n), dpooled + schedule.caller_row(n) * width, width);
  });
  for (std::size_t n = 0; n < rows; ++n) {
    const std::size_t length = schedule.length(n);
    T mean = 0;
    for (std::size_t t = 0; t < length; ++t) mean += shares[t * rows + n] * dscores[t * rows + n];
    for (std::size_t t = 0; t < length; ++t) {
      dscores[t * rows + n] = shares[t * rows + n] * (dscores[t * rows + n] - mean);
    }
  }
  for_each_step(schedule, [&](std::size_t t, std::size_t n) {
    const T dscore = dscores[t * rows + n];
    const T* const row = y.row(t, n);
    for (std::size_t j = 0; j < width; ++j) dquery[j] += dscore * row[j];
  });
}

template <class T>
void unpool_attention(const Schedule& schedule, const Segment& segment, const T* query, const T* dpooled,
                      const T* shares, const T* dscores, std::size_t width, Sequence<T> dy) {
  for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
    const T share = shares[t * schedule.rows + n], dscore = dscores[t * schedule.rows + n];
    const T* const from = dpooled + schedule.caller_row(n) * width;
    T* const to = dy.row(t, n);
    for (std::size_t j = 0; j < width; ++j) to[j] = share * from[j] + dscore * query[j];
  });
}

}  // namespace pylstm::layers
