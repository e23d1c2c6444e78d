/// The dense layer: outputs = W h + b over many rows.  A few outputs are sums over vectors of h
/// (kernels/few_outputs.hpp), from a copy of the weights by rows.
#pragma once

#include <cstddef>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/simd/denormals.hpp"

namespace pylstm::layers {

template <class T>
class DenseLayer {
 public:
  DenseLayer(const kernels::KernelTable<T>& table, std::size_t inputs, std::size_t units)
      : kernel_(&table.dense),
        few_outputs_(table.few_outputs),
        sum_rows_(table.sum_rows),
        shape_(kernels::matrix_shape(inputs, units, table.lanes, 1)) {
    checked_product(sizeof(T), checked_sum(inputs, 1), checked_sum(units, table.lanes));
  }

  const kernels::PanelShape& shape() const { return shape_; }

  bool has_few_outputs() const { return shape_.units <= kernels::few_columns; }
  /// W [units][inputs], then b [units], out of the panels: what `few_outputs` takes.
  void copy_rows(const T* panels, T* to) const {
    for (const kernels::PanelPart& part : {kernels::input_part(shape_), kernels::bias_part(shape_)}) {
      for (std::size_t unit = 0; unit < shape_.units; ++unit) {
        for (std::size_t k = 0; k < part.columns; ++k) *to++ = panels[part.index(shape_, 0, unit, k)];
      }
    }
  }
  std::size_t rows_size() const { return shape_.units * (shape_.inputs + 1); }
  kernels::FewOutputsOperands<T> few_outputs(const T* rows, const T* const* in, T* const* out, std::size_t n) const {
    return {rows, rows + shape_.units * shape_.inputs, shape_.inputs, shape_.units, in, out, n};
  }

  /// Rows of `units` elements.
  void forward(const T* panels, const std::vector<const T*>& in, const std::vector<T*>& out, Buffer<T>& rows) const {
    if (has_few_outputs()) {
      rows.reserve(rows_size());
      copy_rows(panels, rows.data());
      const simd::FlushDenormals flush;
      few_outputs_(few_outputs(rows.data(), in.data(), out.data(), in.size()));
      return;
    }
    kernel_->affine({.shape = shape_,
                     .panels = panels,
                     .in = in.data(),
                     .out = out.data(),
                     .n = in.size(),
                     .out_block_stride = shape_.lanes,
                     .columns = shape_.last_columns(),
                     .block_begin = 0,
                     .block_end = shape_.blocks()});
  }

  /// d: rows of padded_units(), zero past the end.  Writes dpanels, or adds to them unless `fresh`, and writes din
  /// where wanted (not empty).
  void backward(const T* panels, const std::vector<const T*>& in, const std::vector<const T*>& d,
                const std::vector<T*>& din, bool fresh, T* dpanels, Buffer<T>& transposed_panels) const {
    kernel_->outer({.d = d.data(),
                    .in = in.data(),
                    .n = in.size(),
                    .d_block_stride = shape_.lanes,
                    .fresh = fresh,
                    .k_begin = 0,
                    .k_end = shape_.inputs,
                    .dw = dpanels,
                    .block_size = shape_.block_size(),
                    .block_begin = 0,
                    .block_end = shape_.blocks()});
    sum_rows_({.rows = d.data(),
               .n = in.size(),
               .block_stride = shape_.lanes,
               .fresh = fresh,
               .slot = 0,
               .slots = 1,
               .sums = dpanels + shape_.bias_offset(),
               .sums_block_stride = shape_.block_size(),
               .block_begin = 0,
               .block_end = shape_.blocks()});
    if (din.empty()) return;
    const kernels::PanelPart part = kernels::input_part(shape_);
    const kernels::TransposedShape transposed = kernels::transposed(shape_, part);
    transposed_panels.reserve(transposed.size());
    kernel_->transpose({shape_, part, panels, transposed_panels.data(), 0, transposed.groups()});
    kernel_->transposed({.shape = transposed,
                         .gates = kernel_->gates,
                         .panels = transposed_panels.data(),
                         .d = d.data(),
                         .out = din.data(),
                         .n = d.size(),
                         .d_block_stride = shape_.lanes});
  }

 private:
  const kernels::PanelKernels<T>* kernel_;
  void (*few_outputs_)(const kernels::FewOutputsOperands<T>&);
  void (*sum_rows_)(const kernels::SumRowsOperands<T>&);
  kernels::PanelShape shape_;
};

}  // namespace pylstm::layers
