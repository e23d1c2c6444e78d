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

/// Product of sizes; throws std::length_error where it would not fit into half the address space.
template <class... Sizes>
std::size_t checked_product(std::size_t first, Sizes... others) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 2;
  std::size_t product = first;
  const auto multiply = [&](std::size_t factor) {
    if (factor != 0 && product > most / factor) {
      throw std::length_error("an array of this problem would not fit into memory: its size overflows");
    }
    product *= factor;
  };
  (multiply(static_cast<std::size_t>(others)), ...);
  return product;
}

}  // namespace pylstm
