/// Embedding: a row of a table for every token.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

struct EmbeddingShape {
  std::size_t vocabulary = 0, width = 0;  ///< tokens 0 .. vocabulary - 1

  template <class T>
  bool holds(T value) const {
    return value >= 0 && value < static_cast<T>(vocabulary) && value == static_cast<T>(static_cast<std::size_t>(value));
  }
  template <class T>
  std::size_t token(T value) const {
    require(holds(value), "a token is ", value, ", expected an integer from 0 to ", vocabulary, " - 1");
    return static_cast<std::size_t>(value);
  }
};

/// `to` rows of `table` [vocabulary][width] for the tokens, rows of one element.
template <class T>
void embed(const EmbeddingShape& shape, const Schedule& schedule, const Segment& segment, const T* table,
           Sequence<const T> tokens, Sequence<T> to) {
  for_each_step(schedule, segment, [&](std::size_t t, std::size_t n) {
    std::copy_n(table + shape.token(*tokens.row(t, n)) * shape.width, shape.width, to.row(t, n));
  });
}

/// Adds to the table's gradient: the sum of `d` over the steps of each token, last step first.
template <class T>
void unembed(const EmbeddingShape& shape, const Schedule& schedule, const Segment& segment, Sequence<const T> tokens,
             Sequence<const T> d, T* dtable) {
  for_each_step_back(schedule, segment, [&](std::size_t t, std::size_t n) {
    add(d.row(t, n), shape.width, dtable + shape.token(*tokens.row(t, n)) * shape.width);
  });
}

}  // namespace pylstm::layers
