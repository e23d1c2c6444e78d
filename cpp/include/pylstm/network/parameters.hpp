/// A network's parameters: where each lies in the flat buffer, its name and shape outside, and how it begins.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/random.hpp"
#include "pylstm/kernels/choice.hpp"
#include "pylstm/kernels/panel.hpp"

namespace pylstm::network {

/// A parameter in the public layout: rows x columns, or a vector (columns == 0).
struct ParameterInfo {
  std::string name;
  std::size_t rows, columns;
  std::size_t size() const { return rows * (columns == 0 ? 1 : columns); }
  std::vector<std::size_t> shape() const { return columns == 0 ? std::vector{rows} : std::vector{rows, columns}; }
};

/// Panels in the flat buffer: of one direction of a layer, or of the head.
struct Part {
  kernels::PanelShape shape;
  std::size_t offset;
  std::size_t decayed;  ///< elements of a block, from its beginning, that an L2 penalty draws to zero
};

enum class Role { input, recurrent, projection, gate_bias, zero, gain, head, embedding };

/// A parameter and its place in the panels of a part.
struct Parameter {
  ParameterInfo info;
  std::size_t part;
  kernels::PanelPart place;
  Role role;
};

/// Parts one after the other, and the parameters in them.
class ParameterLayout {
 public:
  /// What is added next begins at a multiple of `line` elements.
  void align(std::size_t line) { size_ = (size_ + line - 1) / line * line; }

  /// One direction of a layer; `projection`: the shape of its projection, or of nothing.
  void add_recurrent(const std::string& name, kernels::CellKind cell, const kernels::PanelShape& shape,
                     const kernels::PanelShape& projection) {
    add(name + "weight_ih", shape, kernels::input_part(shape), shape.inputs, Role::input);
    add(name + "weight_hh", shape, kernels::recurrent_part(shape), shape.recurrent, Role::recurrent);
    add(name + "weight_hn", shape, kernels::reset_part(shape), shape.recurrent, Role::recurrent);
    add(name + "bias", shape, kernels::bias_part(shape), 0, Role::gate_bias);
    add(name + "bias_hn", shape, kernels::recurrent_bias_part(shape), 0, Role::zero);
    const auto rows = [&](std::size_t first, std::size_t count) {
      return kernels::PanelPart{shape.unit_weights_offset() + first * shape.lanes, count, 1};
    };
    if (cell == kernels::CellKind::layer_norm_lstm || cell == kernels::CellKind::layer_norm_gru) {
      const std::size_t of_x = shape.input_slots, of_both = of_x + shape.recurrent_slots;
      add(name + "gain_ih", shape, rows(0, of_x), 0, Role::gain);
      add(name + "gain_hh", shape, rows(of_x, shape.recurrent_slots), 0, Role::gain);
      if (shape.unit_weights > of_both) {
        add(name + "gain_c", shape, rows(of_both, 1), 0, Role::gain);
        add(name + "bias_c", shape, rows(of_both + 1, 1), 0, Role::zero);
      }
      end_part(shape, shape.unit_weights_offset());  // a gain at zero is a unit lost
    } else {
      add(name + "peephole", shape, kernels::unit_weights_part(shape), 0, Role::zero);
      end_part(shape);
    }
    if (projection.units == 0) return;
    add(name + "weight_hr", projection, kernels::input_part(projection), projection.inputs, Role::projection);
    end_part(projection);
  }

  /// A table of rows, one after the other.
  void add_embedding(std::size_t vocabulary, std::size_t width, std::size_t lanes) {
    const kernels::PanelShape shape = own_weights(checked_product(vocabulary, width), lanes);
    add("embedding.weight", shape, kernels::unit_weights_part(shape), 0, Role::embedding);
    parameters_.back().info = {"embedding.weight", vocabulary, width};
    end_part(shape);
  }

  void add_attention(std::size_t width, std::size_t lanes) {
    const kernels::PanelShape shape = own_weights(width, lanes);
    add("attention.query", shape, kernels::unit_weights_part(shape), 0, Role::zero);
    end_part(shape);
  }

  void add_head(const kernels::PanelShape& shape) {
    add("head.weight", shape, kernels::input_part(shape), shape.inputs, Role::head);
    add("head.bias", shape, kernels::bias_part(shape), 0, Role::zero);
    end_part(shape);
  }

  const std::vector<Part>& parts() const { return parts_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::size_t size() const { return size_; }  ///< of the flat buffer

 private:
  /// A vector: panels of weights that no product reads.
  static kernels::PanelShape own_weights(std::size_t count, std::size_t lanes) {
    checked_sum(count, lanes);
    kernels::PanelShape shape = kernels::matrix_shape(0, count, lanes);
    shape.unit_weights = 1;
    return shape;
  }

  void add(std::string name, const kernels::PanelShape& shape, const kernels::PanelPart& place, std::size_t columns,
           Role role) {
    if (place.gates == 0) return;
    parameters_.push_back({{std::move(name), place.gates * shape.units, columns}, parts_.size(), place, role});
  }

  void end_part(const kernels::PanelShape& shape) { end_part(shape, shape.bias_offset()); }
  void end_part(const kernels::PanelShape& shape, std::size_t decayed) {
    parts_.push_back({shape, size_, decayed});
    size_ = checked_sum(size_, shape.size());
  }

  std::vector<Part> parts_;
  std::vector<Parameter> parameters_;
  std::size_t size_ = 0;
};

/// Gram-Schmidt, twice for orthogonality to rounding, on a matrix of normal deviates.
template <class T>
void orthogonal(T* matrix, std::size_t size, RandomStream& random) {
  std::vector<double> rows(size * size);
  for (double& value : rows) value = random.next_normal();
  for (std::size_t i = 0; i < size; ++i) {
    double* const row = rows.data() + i * size;
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t k = 0; k < i; ++k) {
        const double* const other = rows.data() + k * size;
        double dot = 0;
        for (std::size_t j = 0; j < size; ++j) dot += row[j] * other[j];
        for (std::size_t j = 0; j < size; ++j) row[j] -= dot * other[j];
      }
    }
    double norm = 0;
    for (std::size_t j = 0; j < size; ++j) norm += row[j] * row[j];
    norm = std::sqrt(norm);
    for (std::size_t j = 0; j < size; ++j) row[j] /= norm;
  }
  for (std::size_t i = 0; i < size * size; ++i) matrix[i] = static_cast<T>(rows[i]);
}

/// Values a parameter begins with, in the public layout: Glorot-uniform input weights (Glorot & Bengio 2010),
/// orthogonal recurrent weights gate by gate (Saxe et al. 2014), zero peepholes and biases, but 1 for the forget gates
/// (Jozefowicz et al. 2015): -1 for the input gates that are coupled to them; gains of 1.  Projections are
/// Glorot-uniform, and so are recurrent weights behind one.  Embeddings are standard normal; a query of zeros begins
/// with the mean over all steps.
template <class T>
std::vector<T> initial_values(const Parameter& parameter, kernels::CellKind cell, RandomStream random) {
  const auto& [info, part, place, role] = parameter;
  std::vector<T> values(info.size(), T(0));
  const std::size_t H = info.rows / place.gates;
  if (role == Role::recurrent && info.columns == H) {
    for (std::size_t gate = 0; gate < place.gates; ++gate) orthogonal(values.data() + gate * H * H, H, random);
  } else if (role == Role::gain) {
    std::fill(values.begin(), values.end(), T(1));
  } else if (role == Role::embedding) {
    for (T& value : values) value = static_cast<T>(random.next_normal());
  } else if (info.columns > 0) {
    const double limit = std::sqrt(6.0 / static_cast<double>(info.columns + H));
    for (T& value : values) value = static_cast<T>((2 * random.next_uniform() - 1) * limit);
  } else if (role == Role::gate_bias &&
             (cell == kernels::CellKind::lstm || cell == kernels::CellKind::layer_norm_lstm)) {
    std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(H), H, T(1));
  } else if (role == Role::gate_bias && cell == kernels::CellKind::coupled_lstm) {
    std::fill_n(values.begin(), H, T(-1));
  }
  return values;
}

}  // namespace pylstm::network
