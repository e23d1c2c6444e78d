/// A trained network as a stream of compile-time sizes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/stream/static_stream.hpp"

namespace pylstm::stream {

/// A stream with the weights of a network of exactly its sizes: static_stream<StaticStream<float, 1, 8>>(network).
template <class Stream, class T>
Stream static_stream(const network::Network<T>& network) {
  const network::Config& config = network.config();
  require(config.hidden_sizes == std::vector<std::size_t>{Stream::units} && config.inputs == Stream::inputs &&
              config.outputs == Stream::outputs,
          "the network has other sizes, expected one layer: ", Stream::inputs, " inputs, ", Stream::units, " units, ",
          Stream::outputs, " outputs");
  require(config.cell == Stream::cell && config.projection == 0 && !config.bidirectional && config.vocabulary == 0 &&
              config.zoneout == 0 && config.pooling == network::Pooling::last,
          "the network is of another kind, expected the cell of this stream, one direction, no projection, no "
          "embedding, no zoneout, and the last state read");
  const auto infos = network.parameter_infos();
  std::vector<std::vector<T>> values(infos.size());
  const auto parameter = [&](const std::string& name) -> const T* {
    for (std::size_t index = 0; index < infos.size(); ++index) {
      if (infos[index].name != name) continue;
      values[index].resize(infos[index].size());
      network.get(index, network.parameters(), values[index].data());
      return values[index].data();
    }
    return nullptr;
  };
  return Stream({.weight_ih = parameter("layers.0.weight_ih"),
                 .weight_hh = parameter("layers.0.weight_hh"),
                 .bias = parameter("layers.0.bias"),
                 .head_weight = parameter("head.weight"),
                 .head_bias = parameter("head.bias"),
                 .bias_hn = parameter("layers.0.bias_hn"),
                 .peephole = parameter("layers.0.peephole")});
}

}  // namespace pylstm::stream
