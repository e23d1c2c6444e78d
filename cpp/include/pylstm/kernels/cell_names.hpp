/// Every named cell, as configurations, files and bindings spell it.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "pylstm/base/names.hpp"
#include "pylstm/kernels/choice.hpp"

namespace pylstm::kernels {

inline constexpr std::array<std::pair<std::string_view, CellChoice>, 9> cell_names{{
    {"lstm", {CellKind::lstm, {}}},
    {"peephole_lstm", {CellKind::lstm, {.peepholes = true}}},
    {"coupled_lstm", {CellKind::coupled_lstm, {}}},
    {"gru", {CellKind::gru, {}}},
    {"gru_reset_before", {CellKind::gru_reset_before, {}}},
    {"rnn", {CellKind::rnn_tanh, {}}},
    {"rnn_relu", {CellKind::rnn_relu, {}}},
    {"layernorm_lstm", {CellKind::layer_norm_lstm, {}}},
    {"layernorm_gru", {CellKind::layer_norm_gru, {}}},
}};

inline CellChoice cell_from_name(std::string_view name) { return from_name("cell", cell_names, name); }
inline std::string_view cell_name(const CellChoice& choice) { return name_of(cell_names, choice); }

}  // namespace pylstm::kernels
