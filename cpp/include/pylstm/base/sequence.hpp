/// Where the rows of a batch of sequences lie, and in which order the engine walks them.
#pragma once

#include <cstddef>
#include <type_traits>

#include "pylstm/base/inline.hpp"

namespace pylstm {

/// p + n, or null: an array that a call does not have.
template <class T>
PYLSTM_INLINE T* shifted(T* p, std::size_t n) {
  return p == nullptr ? nullptr : p + n;
}

/// The order of a batch: rows longest first, so that the rows still running at a step are a prefix and nothing is
/// masked.
struct Schedule {
  std::size_t steps = 0, rows = 0;
  const std::size_t* order = nullptr;    ///< [rows] caller's row of each scheduled row; null: the same
  const std::size_t* lengths = nullptr;  ///< [rows] real steps of each scheduled row, not increasing; null: all `steps`
  const std::size_t* active = nullptr;   ///< [steps] rows with more than t steps; null: all `rows`
  bool reverse = false;                  ///< walk each row from its last real step to its first

  PYLSTM_INLINE std::size_t length(std::size_t n) const { return lengths == nullptr ? steps : lengths[n]; }
  PYLSTM_INLINE std::size_t active_at(std::size_t t) const {
    return t >= steps ? 0 : active == nullptr ? rows : active[t];
  }
  PYLSTM_INLINE std::size_t caller_row(std::size_t n) const { return order == nullptr ? n : order[n]; }
};

/// The rows of one step of a walk.
template <class T>
struct Rows {
  T* data = nullptr;
  std::ptrdiff_t row_stride = 0;
  const std::size_t* order = nullptr;    ///< as in the schedule
  const std::size_t* lengths = nullptr;  ///< where each row's step depends on its length (reverse), else null
  std::ptrdiff_t step_stride = 0;

  PYLSTM_INLINE explicit operator bool() const { return data != nullptr; }

  PYLSTM_INLINE T* row(std::size_t n) const {
    const std::size_t m = order == nullptr ? n : order[n];
    T* const start = data + static_cast<std::ptrdiff_t>(m) * row_stride;
    return lengths == nullptr ? start : start + static_cast<std::ptrdiff_t>(lengths[n]) * step_stride;
  }
};

/// An array [steps][rows][width] given by strides (in elements; the last axis is contiguous).
/// With a schedule, (t, n) are the walk's step and row and the array is in the caller's order; without, they are one
/// but for `places`.
template <class T>
struct Sequence {
  T* data = nullptr;
  std::ptrdiff_t step_stride = 0, row_stride = 0;
  const Schedule* schedule = nullptr;
  const std::size_t* places = nullptr;  ///< without a schedule: where each row lies, as `Rows::order`

  PYLSTM_INLINE explicit operator bool() const { return data != nullptr; }
  operator Sequence<const T>() const
    requires(!std::is_const_v<T>)
  {
    return {data, step_stride, row_stride, schedule, places};
  }

  PYLSTM_INLINE Rows<T> at(std::size_t t) const {
    if (data == nullptr) return {};
    auto step = static_cast<std::ptrdiff_t>(t);
    if (schedule == nullptr) return {data + step * step_stride, row_stride, places, nullptr, 0};
    const std::size_t* const lengths = schedule->reverse ? schedule->lengths : nullptr;
    if (schedule->reverse) step = (lengths == nullptr ? static_cast<std::ptrdiff_t>(schedule->steps) : 0) - 1 - step;
    return {data + step * step_stride, row_stride, schedule->order, lengths, step_stride};
  }
  PYLSTM_INLINE T* row(std::size_t t, std::size_t n) const { return at(t).row(n); }
};

/// A ring of `period` arrays [rows][width], one for each step: the whole past (a tape), a segment, or a few last steps.
/// Of gates there is a ring for each block of units: the products over time then read one contiguous stretch per block.
template <class T>
struct History {
  T* data = nullptr;
  std::size_t period = 1, row_width = 0;
  std::size_t rows = 0;          ///< from a step to the next
  std::size_t first = 0;         ///< the step that lies at `data`, of a segment
  std::size_t block_stride = 0;  ///< from a block's ring to the next

  PYLSTM_INLINE explicit operator bool() const { return data != nullptr; }
  PYLSTM_INLINE T* at(std::size_t t) const { return shifted(data, (t - first) % period * rows * row_width); }
  PYLSTM_INLINE T* row(std::size_t t, std::size_t n) const { return at(t) + n * row_width; }
};

}  // namespace pylstm
