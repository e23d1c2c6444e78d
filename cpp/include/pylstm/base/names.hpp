/// Names of choices, as configurations, files and bindings spell them.
#pragma once

#include <string>
#include <string_view>

#include "pylstm/base/errors.hpp"

namespace pylstm {

/// `names`: pairs of a name and what it stands for; `argument`: what the error calls it.
template <class Names>
auto from_name(std::string_view argument, const Names& names, std::string_view name) {
  std::string known;
  for (const auto& [key, value] : names) {
    if (key == name) return value;
    known += (known.empty() ? "\"" : ", \"") + std::string(key) + "\"";
  }
  fail(argument, " is \"", name, "\", expected one of ", known);
}

template <class Names, class Value>
std::string_view name_of(const Names& names, const Value& value) {
  for (const auto& [key, known] : names) {
    if (known == value) return key;
  }
  return "";
}

}  // namespace pylstm
