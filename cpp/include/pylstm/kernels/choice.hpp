/// A cell as data: what configurations, files and bindings name.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "pylstm/base/errors.hpp"
#include "pylstm/cells/lstm.hpp"

namespace pylstm::kernels {

enum class CellKind { lstm, coupled_lstm, gru, rnn_tanh, rnn_relu, layer_norm_lstm, layer_norm_gru };

struct CellChoice {
  CellKind kind = CellKind::lstm;
  cells::LstmOptions options = {};  ///< of the LSTMs

  bool operator==(const CellChoice&) const = default;
};

/// Every named cell.
inline constexpr std::array<std::pair<std::string_view, CellChoice>, 8> cell_names{{
    {"lstm", {CellKind::lstm, {}}},
    {"peephole_lstm", {CellKind::lstm, {.peepholes = true}}},
    {"coupled_lstm", {CellKind::coupled_lstm, {}}},
    {"gru", {CellKind::gru, {}}},
    {"rnn", {CellKind::rnn_tanh, {}}},
    {"rnn_relu", {CellKind::rnn_relu, {}}},
    {"layernorm_lstm", {CellKind::layer_norm_lstm, {}}},
    {"layernorm_gru", {CellKind::layer_norm_gru, {}}},
}};

inline CellChoice cell_from_name(std::string_view name) {
  std::string known;
  for (const auto& [key, choice] : cell_names) {
    if (key == name) return choice;
    known += (known.empty() ? "\"" : ", \"") + std::string(key) + "\"";
  }
  require(false, "cell is \"", name, "\", expected one of ", known);
  return {};
}

inline std::string_view cell_name(const CellChoice& choice) {
  for (const auto& [key, known] : cell_names)
    if (known == choice) return key;
  return "";
}

}  // namespace pylstm::kernels
