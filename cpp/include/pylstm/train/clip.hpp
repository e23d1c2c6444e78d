/// Clipping by the global norm (Pascanu, Mikolov & Bengio 2013).
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/network/network.hpp"

namespace pylstm::train {

/// sqrt(sum g^2) over a gradient laid out like the network's parameters, in double and in an order (unit, gate, then
/// the rows of its column) that does not depend on the vector width: the packed order would.
template <class T>
double global_norm(const network::Network<T>& network, const Buffer<T>& gradients) {
  double total = 0;
  std::vector<double> sums;
  for (const network::Part& of : network.parts()) {
    const kernels::PanelShape& shape = of.shape;
    const std::size_t S = shape.lanes;
    const kernels::PanelPart parts[] = {kernels::input_part(shape),          kernels::recurrent_part(shape),
                                        kernels::reset_part(shape),          kernels::bias_part(shape),
                                        kernels::recurrent_bias_part(shape), kernels::unit_weights_part(shape)};
    for (const kernels::PanelPart& part : parts) {
      for (std::size_t block = 0; block < shape.blocks(); ++block) {
        sums.assign(part.gates * S, 0);
        const T* const data = gradients.data() + of.offset + block * shape.block_size() + part.offset;
        network.table().add_squares(data, part.columns, part.gates * S, sums.data());
        for (std::size_t s = 0; s < S; ++s) {
          for (std::size_t gate = 0; gate < part.gates; ++gate) total += sums[gate * S + s];
        }
      }
    }
  }
  return std::sqrt(total);
}

}  // namespace pylstm::train
