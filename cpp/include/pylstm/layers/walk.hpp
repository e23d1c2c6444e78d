/// The steps of a walk over a batch, and arrays in their order.
#pragma once

#include <cstddef>

#include "pylstm/base/sequence.hpp"

namespace pylstm::layers {

/// An array [steps][rows][width] in the order of the walk.
template <class T>
Sequence<T> in_walk_order(T* data, const Schedule& schedule, std::size_t width) {
  return {data, static_cast<std::ptrdiff_t>(schedule.rows * width), static_cast<std::ptrdiff_t>(width), nullptr};
}

/// Calls visit(t, n) for the real steps of all rows.
template <class Visit>
void for_each_step(const Schedule& schedule, Visit visit) {
  for (std::size_t t = 0; t < schedule.steps; ++t) {
    for (std::size_t n = 0; n < schedule.active_at(t); ++n) visit(t, n);
  }
}

/// to += from.
template <class T>
void add(const T* from, std::size_t count, T* to) {
  for (std::size_t k = 0; k < count; ++k) to[k] += from[k];
}

}  // namespace pylstm::layers
