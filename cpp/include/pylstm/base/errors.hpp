/// Errors of the public functions: the argument, what it got, what it expected.
#pragma once

#include <cstddef>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>

namespace pylstm {

/// Throws std::invalid_argument with the parts of the message joined.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw std::invalid_argument(text.str());
}

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) fail(parts...);
}

namespace detail {

/// The most elements, or bytes, that an array may have: half the address space.
constexpr std::size_t most_elements = std::numeric_limits<std::size_t>::max() / 2;

inline void require_fits(bool fits) {
  if (!fits) throw std::length_error("an array of this problem would not fit into memory: its size overflows");
}

}  // namespace detail

/// Product of sizes; throws std::length_error where it would not fit into half the address space.
template <class... Sizes>
std::size_t checked_product(std::size_t first, Sizes... others) {
  std::size_t product = first;
  const auto multiply = [&](std::size_t factor) {
    detail::require_fits(factor == 0 || product <= detail::most_elements / factor);
    product *= factor;
  };
  (multiply(static_cast<std::size_t>(others)), ...);
  return product;
}

/// Their sum, as well.
template <class... Sizes>
std::size_t checked_sum(std::size_t first, Sizes... others) {
  std::size_t sum = first;
  const auto add = [&](std::size_t term) {
    detail::require_fits(term <= detail::most_elements && sum <= detail::most_elements - term);
    sum += term;
  };
  (add(static_cast<std::size_t>(others)), ...);
  return sum;
}

}  // namespace pylstm
