/// A cell as data.
#pragma once

#include "pylstm/cells/lstm.hpp"

namespace pylstm::kernels {

enum class CellKind { lstm, coupled_lstm, gru, gru_reset_before, rnn_tanh, rnn_relu, layer_norm_lstm, layer_norm_gru };

struct CellChoice {
  CellKind kind = CellKind::lstm;
  cells::LstmOptions options = {};  ///< of the LSTMs

  bool operator==(const CellChoice&) const = default;
};

}  // namespace pylstm::kernels
