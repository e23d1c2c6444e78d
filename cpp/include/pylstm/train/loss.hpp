/// Losses: a value and its gradient with respect to the outputs.
#pragma once

#include <cstddef>

namespace pylstm::train {

/// Weighted mean squared error, sum_n w_n mean_o (p - y)^2 / sum_n w_n, with d loss / d p.  [rows][outputs]; w null:
/// ones. A batch whose weights sum to zero has loss 0 and no gradient.
template <class T>
struct SquaredError {
  double weight = 0;  ///< sum of the weights

  double operator()(const T* predictions, const T* targets, const double* weights, std::size_t rows,
                    std::size_t outputs, T* gradient) {
    weight = 0;
    for (std::size_t n = 0; n < rows; ++n) weight += weights ? weights[n] : 1;
    double loss = 0;
    for (std::size_t n = 0; n < rows; ++n) {
      const double share = weight > 0 ? (weights ? weights[n] : 1) / weight / static_cast<double>(outputs) : 0;
      for (std::size_t o = 0; o < outputs; ++o) {
        const std::size_t i = n * outputs + o;
        const double error = static_cast<double>(predictions[i]) - static_cast<double>(targets[i]);
        if (share > 0) loss += share * error * error;
        if (gradient) gradient[i] = static_cast<T>(2 * share * error);
      }
    }
    return loss;
  }
};

}  // namespace pylstm::train
