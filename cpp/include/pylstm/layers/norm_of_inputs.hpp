/// Backward through the norm of x's product by its inputs (kernels/norm_of_inputs.hpp, whose names these are), where a
/// layer does so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"
#include "pylstm/layers/input_gradients.hpp"
#include "pylstm/layers/operands.hpp"
#include "pylstm/layers/recurrent_spec.hpp"

namespace pylstm::layers {

template <class T>
class NormOfInputs {
 public:
  /// Of a pass that takes these panels.
  NormOfInputs(const RecurrentSpec<T>& spec, const T* panels, Workspace<T>& work)
      : spec_(spec), panels_(panels), work_(work.norm) {
    if (*this) work_.panels.reserve(shape().size());
  }

  explicit operator bool() const { return spec_.norm_of_inputs(); }

  /// Panels of x's product alone, [I][gates][S] in each block.
  kernels::PanelShape shape() const {
    return {.inputs = inputs(),
            .units = spec_.shape.units,
            .recurrent = 0,
            .lanes = spec_.shape.lanes,
            .input_slots = spec_.shape.input_slots,
            .recurrent_slots = 0,
            .slots = spec_.shape.slots,
            .bias_slots = 0};
  }
  /// gain * W.
  const T* panels() const { return work_.panels.data(); }
  /// A group's D, which the pass sums.
  T* sums(std::size_t group) const { return work_.sums.data() + group * shape().size(); }

  /// Makes what all segments take.  Cold, as `finish`: for all that they call the kernels, once a pass.
  [[gnu::cold]] void prepare() {
    const std::size_t I = inputs();
    spec_.cell->multiply_gains({.shape = spec_.shape,
                                .gains = panels_ + spec_.shape.unit_weights_offset(),
                                .from = panels_,
                                .from_block_size = spec_.shape.block_size(),
                                .to = work_.panels.data(),
                                .to_block_size = shape().block_size(),
                                .weights = nullptr,
                                .dgains = nullptr});
    work_.covariance.reserve(checked_product(I, width()));
    std::fill_n(work_.covariance.data(), I * width(), T(0));
    const InputGradients<T> by_columns{spec_.cell->input, spec_.shape, panels_, work_.transposed};
    by_columns.reserve();
    pool_.run(threads(), [&](const Share& share) { by_columns.transpose(share); });
    std::vector<T*> rows(I);
    for (std::size_t i = 0; i < I; ++i) rows[i] = work_.covariance.data() + i * width();
    const std::vector<const T*> of_w = columns();
    pool_.run(threads(), [&](const Share& share) {
      const std::size_t begin = share.begin(I), end = share.end(I);
      by_columns.run(of_w.data() + begin, spec_.shape.block_size(), rows.data() + begin, end - begin);
    });
    for (std::size_t i = 0; i < I * width(); ++i) work_.covariance[i] /= count();
  }

  /// Makes room for `rows` rows of a chunk and the sums of `groups` groups of them.
  void reserve(std::size_t rows, std::size_t groups) {
    work_.z_and_v.reserve(checked_product(2, rows, width()));
    work_.rows.resize(rows);
    work_.sums.reserve(checked_product(groups, shape().size()));
    work_.products.reserve(checked_product(groups, products().size()));
  }
  /// z and v of the i-th row listed.
  T* z(std::size_t i) const { return work_.z_and_v.data() + 2 * i * width(); }
  T* v(std::size_t i) const { return z(i) + width(); }
  void list(std::size_t i, const T* x, const T* scale, T* dx) const {
    work_.rows[i] = {.x = x, .scale = scale, .z = z(i), .v = v(i), .dx = dx};
  }

  /// z and dx of listed rows, of which v is there.
  void go_back(std::size_t begin, std::size_t end) const {
    spec_.cell->normed_rows({inputs(), work_.covariance.data(), work_.rows.data() + begin, end - begin});
  }

  /// A share of a group's P; d: the rows (z v) z that `go_back` left, in: their z.
  void sum_products(std::size_t group, const T* const* d, const T* const* in, std::size_t n, const Share& share,
                    bool fresh) const {
    const kernels::PanelShape shape = products();
    spec_.cell->projection_outer({.d = d,
                                  .in = in,
                                  .n = n,
                                  .d_block_stride = shape.lanes,
                                  .fresh = fresh,
                                  .k_begin = share.begin(inputs()),
                                  .k_end = share.end(inputs()),
                                  .dw = work_.products.data() + group * shape.size(),
                                  .block_size = shape.block_size(),
                                  .block_begin = 0,
                                  .block_end = shape.blocks()});
  }

  /// A group's gradients of weights and gains, from its sums.
  [[gnu::cold]] void finish(std::size_t group, T* dpanels) const {
    const std::size_t I = inputs(), gains_at = spec_.shape.unit_weights_offset();
    spec_.cell->multiply_gains({.shape = spec_.shape,
                                .gains = panels_ + gains_at,
                                .from = sums(group),
                                .from_block_size = shape().block_size(),
                                .to = dpanels,
                                .to_block_size = spec_.shape.block_size(),
                                .weights = panels_,
                                .dgains = dpanels + gains_at});
    const kernels::PanelShape shape = products();
    const T* const sums_of_group = work_.products.data() + group * shape.size();
    std::vector<T> negated(I * I);
    std::vector<const T*> rows(I);
    for (std::size_t i = 0; i < I; ++i) {
      rows[i] = negated.data() + i * I;
      for (std::size_t k = 0; k < I; ++k) {
        negated[i * I + k] = -sums_of_group[kernels::input_part(shape).index(shape, 0, k, i)] / count();
      }
    }
    const std::vector<const T*> of_w = columns();
    pool_.run(threads(), [&](const Share& share) {
      spec_.cell->input.outer({.d = of_w.data(),
                               .in = rows.data(),
                               .n = I,
                               .d_block_stride = spec_.shape.block_size(),
                               .fresh = false,
                               .k_begin = share.begin(I),
                               .k_end = share.end(I),
                               .dw = dpanels,
                               .block_size = spec_.shape.block_size(),
                               .block_begin = 0,
                               .block_end = spec_.shape.blocks()});
    });
    spec_.centre_part(kernels::input_part(spec_.shape), dpanels, dpanels);
  }

 private:
  std::size_t inputs() const { return spec_.shape.inputs; }
  std::size_t width() const { return spec_.shape.padded_inputs(); }
  std::size_t lanes() const { return spec_.shape.lanes; }
  /// n.
  T count() const { return static_cast<T>(spec_.shape.input_slots * spec_.shape.units); }
  std::size_t threads() const {
    constexpr std::size_t least = 512 << 10;  // multiply-adds: some 20 us of one core
    return shape().size() * inputs() / least;
  }
  /// Panels of P.
  kernels::PanelShape products() const { return kernels::matrix_shape(inputs(), inputs(), lanes()); }

  /// The columns of W, which lie as gradients of the gates do.
  std::vector<const T*> columns() const {
    std::vector<const T*> all(inputs());
    for (std::size_t k = 0; k < inputs(); ++k) all[k] = panels_ + k * spec_.shape.input_slots * lanes();
    return all;
  }

  const RecurrentSpec<T>& spec_;
  const T* panels_;
  NormWorkspace<T>& work_;
  ThreadPool& pool_ = ThreadPool::instance();
};

}  // namespace pylstm::layers
