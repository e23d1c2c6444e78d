/// JSON as files may contain it: UTF-8, no name twice, not deep.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pylstm/io/error.hpp"

namespace pylstm::io {

using Json = nlohmann::json;

inline constexpr int most_nested = 32;

/// The object that `text` is, of at most `levels` of lists and objects.
inline Json parse_object(std::string_view text, std::string_view what, int levels = most_nested) {
  demand(!text.starts_with("\xEF\xBB\xBF"), Problem::malformed, what, " is no JSON: it begins with a byte order mark");
  std::vector<std::set<std::string>> names;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const bool begins = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    demand(depth + (begins ? 1 : 0) <= levels, Problem::malformed, what, " is nested more than ", levels, " deep");
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& name = parsed.get_ref<const std::string&>();
      demand(names.back().insert(name).second, Problem::malformed, what, " names \"", name, "\" twice");
    }
    return true;
  };
  Json parsed;
  try {
    parsed = Json::parse(text, watch);
  } catch (const Json::exception& error) {
    reject(Problem::malformed, what, " is no JSON: ", error.what());
  }
  demand(parsed.is_object(), Problem::malformed, what, " is not a JSON object");
  return parsed;
}

/// A count or a size.
inline std::size_t as_size(const Json& value, std::string_view what) {
  demand(value.is_number_unsigned(), Problem::malformed, what, " is ", value.dump(), ", expected a whole number");
  return value.get<std::size_t>();
}

inline std::vector<std::size_t> as_sizes(const Json& value, std::string_view what) {
  demand(value.is_array(), Problem::malformed, what, " is ", value.dump(), ", expected a list of whole numbers");
  std::vector<std::size_t> sizes;
  for (const Json& one : value) sizes.push_back(as_size(one, what));
  return sizes;
}

inline std::string as_string(const Json& value, std::string_view what) {
  demand(value.is_string(), Problem::malformed, what, " is ", value.dump(), ", expected a string");
  return value.get<std::string>();
}

}  // namespace pylstm::io
