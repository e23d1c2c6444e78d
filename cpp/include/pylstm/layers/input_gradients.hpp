/// Gradients of a layer's inputs from those of its gates.
#pragma once

#include <cstddef>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"

namespace pylstm::layers {

/// Of the input's part of panels: of a few inputs as it is, otherwise transposed.
template <class T>
struct InputGradients {
  const kernels::PanelKernels<T>& kernels;
  kernels::PanelShape shape;
  const T* panels;
  Buffer<T>& transposed;

  bool transposes() const { return shape.inputs > kernels::few_columns; }
  kernels::TransposedShape transposed_shape() const { return kernels::transposed(shape, kernels::input_part(shape)); }
  void reserve() const {
    if (transposes()) transposed.reserve(transposed_shape().size());
  }
  /// A share of what `run` takes.
  void transpose(const Share& share) const {
    if (!transposes()) return;
    const std::size_t groups = transposed_shape().groups();
    kernels.transpose(
        {shape, kernels::input_part(shape), panels, transposed.data(), share.begin(groups), share.end(groups)});
  }
  /// out[i], of I, from d[i], [slots][S] in each block.  Out of line: a copy at each call would be code for nothing.
  [[gnu::noinline]] void run(const T* const* d, std::size_t d_block_stride, T* const* out, std::size_t n) const {
    if (transposes()) {
      kernels.transposed({.shape = transposed_shape(),
                          .gates = kernels.gates,
                          .panels = transposed.data(),
                          .d = d,
                          .out = out,
                          .n = n,
                          .d_block_stride = d_block_stride});
    } else {
      kernels.few_columns({.shape = shape,
                           .part = kernels::input_part(shape),
                           .gates = kernels.gates,
                           .panels = panels,
                           .d = d,
                           .out = out,
                           .n = n,
                           .d_block_stride = d_block_stride});
    }
  }
};

}  // namespace pylstm::layers
