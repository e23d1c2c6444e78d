/// The steps of a walk over a batch, and arrays in their order.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/sequence.hpp"

namespace pylstm::layers {

/// Steps [begin, end) of a walk: all real ones, or of each row only those among its last `reach`.
struct Segment {
  std::size_t begin = 0, end = 0;
  std::size_t reach = 0;  ///< 0: all

  static Segment all(const Schedule& schedule) { return {.begin = 0, .end = schedule.steps}; }
  std::size_t steps() const { return end - begin; }
  /// Rows from this one on, longest first, have step t in the segment.
  std::size_t first_row(const Schedule& schedule, std::size_t t) const {
    return reach == 0 ? 0 : schedule.active_at(t + reach);
  }
  /// Steps of a row in the segment.
  std::size_t steps_of(const Schedule& schedule, std::size_t n) const {
    const std::size_t length = schedule.length(n), last = std::clamp(length, begin, end);
    return last - std::clamp(reach == 0 ? begin : length - std::min(length, reach), begin, last);
  }
};

/// A walk cut into segments of `length` steps, but for the first one, or counted from the beginning the last one.
struct Segments {
  std::size_t steps = 0;
  std::size_t length = 0;  ///< 0: one segment
  bool from_beginning = false;
  std::size_t kept = 0;  ///< states between segments that are kept: the last so many; 0: all

  std::size_t count() const { return length == 0 || steps <= length ? 1 : (steps + length - 1) / length; }
  Segment operator[](std::size_t i) const {
    if (count() == 1) return {.begin = 0, .end = steps};
    if (from_beginning) return {.begin = i * length, .end = std::min((i + 1) * length, steps)};
    const std::size_t end = steps - (count() - 1 - i) * length;
    return {.begin = end - std::min(length, end), .end = end};
  }
  /// Places for the states between segments, and which of them is that of the states before segment i > 0.
  std::size_t places() const { return kept == 0 ? count() - 1 : kept; }
  std::size_t place(std::size_t i) const { return (i - 1) % places(); }
};

/// Those of them that are numbered [first, last): what a call goes through.  A layer of two directions takes them all
/// at once: its second one begins at the other end.
struct SegmentRun {
  Segments segments;
  std::size_t first = 0, last = 1;

  Segment segment() const { return {.begin = segments[first].begin, .end = segments[last - 1].end}; }
};

/// An array [steps][rows][width] in the order of the walk, or its steps from `first` on.
template <class T>
Sequence<T> in_walk_order(T* data, const Schedule& schedule, std::size_t width, std::size_t first = 0) {
  const auto step = static_cast<std::ptrdiff_t>(schedule.rows * width);
  return {data - static_cast<std::ptrdiff_t>(first) * step, step, static_cast<std::ptrdiff_t>(width), nullptr};
}

/// Calls visit(t, n) for the real steps of all rows.
template <class Visit>
void for_each_step(const Schedule& schedule, const Segment& segment, Visit visit) {
  for (std::size_t t = segment.begin; t < segment.end; ++t) {
    for (std::size_t n = segment.first_row(schedule, t); n < schedule.active_at(t); ++n) visit(t, n);
  }
}
template <class Visit>
void for_each_step(const Schedule& schedule, Visit visit) {
  for_each_step(schedule, Segment::all(schedule), visit);
}

/// Last step first, as gradients of weights are summed.
template <class Visit>
void for_each_step_back(const Schedule& schedule, const Segment& segment, Visit visit) {
  for (std::size_t t = segment.end; t-- > segment.begin;) {
    for (std::size_t n = segment.first_row(schedule, t); n < schedule.active_at(t); ++n) visit(t, n);
  }
}

/// to += from.
template <class T>
void add(const T* from, std::size_t count, T* to) {
  for (std::size_t k = 0; k < count; ++k) to[k] += from[k];
}

}  // namespace pylstm::layers
