/// The fields of a configuration by their public names: the one list that files, bindings and descriptions go through.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/names.hpp"
#include "pylstm/kernels/cell_names.hpp"
#include "pylstm/network/config.hpp"

namespace pylstm::network {

/// Calls `visit(name, field)` for sizes, numbers and flags, `visit(name, field, names)` for choices.  `C`: Config,
/// const or not.  A new field of Config is bound and listed here, or this does not compile.  Its default has to mean
/// what networks were before it: files written before it do not name it.
template <class C, class Visitor>
void for_each_field(C& config, Visitor&& visit) {
  auto& [cell, inputs, vocabulary, padding_tokens, hidden_sizes, projection, outputs, dropout, input_dropout,
         recurrent_dropout, zoneout, variational, bidirectional, merge, residual, pooling] = config;
  visit("cell", cell, kernels::cell_names);
  visit("n_features", inputs);
  visit("vocabulary_size", vocabulary);
  visit("padding_tokens", padding_tokens);
  visit("hidden_sizes", hidden_sizes);
  visit("proj_size", projection);
  visit("n_outputs", outputs);
  visit("dropout", dropout);
  visit("input_dropout", input_dropout);
  visit("recurrent_dropout", recurrent_dropout);
  visit("zoneout", zoneout);
  visit("variational", variational);
  visit("bidirectional", bidirectional);
  visit("merge", merge, merge_names);
  visit("residual", residual);
  visit("pooling", pooling, pooling_names);
}

/// Fields without a default.
inline constexpr std::string_view required_fields[] = {"cell", "n_features", "hidden_sizes", "n_outputs"};

/// A Config from named values.  `read(name, field)` sets a bool, a size, a number, a list of sizes or a string where
/// there is a value of that name, and returns whether there is; it throws where the value is of another type.
template <class Read>
Config config_from(const Read& read) {
  Config config;
  for_each_field(config, [&](const char* name, auto& field, const auto&... names) {
    bool found = false;
    if constexpr (sizeof...(names) == 0) {
      found = read(name, field);
    } else {
      std::string value;
      found = read(name, value);
      if (found) field = from_name(name, names..., value);
    }
    require(
        found || std::find(std::begin(required_fields), std::end(required_fields), name) == std::end(required_fields),
        name, " is missing");
  });
  return config;
}

inline bool is_field(std::string_view name) {
  Config config;
  bool found = false;
  for_each_field(config, [&](const char* field, const auto&...) { found = found || name == field; });
  return found;
}

/// Hands the fields to `write(name, value)` as bools, sizes, numbers, lists of sizes and strings.
template <class Write>
void describe(const Config& config, const Write& write) {
  for_each_field(config, [&](const char* name, const auto& field, const auto&... names) {
    if constexpr (sizeof...(names) == 0) {
      write(name, field);
    } else {
      const std::string_view chosen = name_of(names..., field);
      require(!chosen.empty(), "the ", name, " of this network has no name");
      write(name, std::string(chosen));
    }
  });
}

}  // namespace pylstm::network
