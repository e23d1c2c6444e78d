/// Optimiser updates and the gradient's norm over flat arrays, in plain loops that the compiler vectorises.
///
/// Without contraction (-ffp-contract=off) each element sees the same IEEE operations on every ISA.
#pragma once

#include <cmath>
#include <cstddef>

namespace pylstm::kernels {

/// Coefficients of one update.  Unused ones are ignored by the solver.
template <class T>
struct UpdateCoefficients {
  T learning_rate;
  T gradient_scale;              ///< clipping
  T l2;                          ///< added to the gradient after clipping, times the parameter
  T decay;                       ///< parameters are multiplied by it first (AdamW)
  T momentum;                    ///< SGD: momentum; Adam: beta_1; RMSprop: rho
  T second_momentum;             ///< Adam: beta_2
  T correction_1, correction_2;  ///< Adam: 1 / (1 - beta_1^t), 1 / sqrt(1 - beta_2^t)
  T epsilon;
  bool nesterov;
};

template <class T>
struct UpdateOperands {
  T* parameters;
  const T* gradients;
  T *first, *second;  ///< moments; may be null where the solver has none
  std::size_t n;
  UpdateCoefficients<T> c;
};

/// Stochastic gradient descent with (Nesterov) momentum: Sutskever et al. 2013, in the form of torch.optim.SGD.
template <class T, class Isa>
void update_sgd(const UpdateOperands<T>& a) {
  T* __restrict p = a.parameters;
  const T* __restrict gradients = a.gradients;
  T* __restrict velocity = a.first;
  const UpdateCoefficients<T> c = a.c;
  const T look_ahead = c.nesterov ? c.momentum : T(1), now = c.nesterov ? T(1) : T(0);
  for (std::size_t i = 0; i < a.n; ++i) {
    const T gradient = gradients[i] * c.gradient_scale + c.l2 * p[i];
    velocity[i] = c.momentum * velocity[i] + gradient;
    p[i] -= c.learning_rate * (look_ahead * velocity[i] + now * gradient);
  }
}

/// Adam (Kingma & Ba 2015); with `decay` < 1 AdamW (Loshchilov & Hutter 2019).
template <class T, class Isa>
void update_adam(const UpdateOperands<T>& a) {
  T* __restrict p = a.parameters;
  const T* __restrict gradients = a.gradients;
  T* __restrict first = a.first;
  T* __restrict second = a.second;
  const UpdateCoefficients<T> c = a.c;
  const T new_1 = T(1) - c.momentum, new_2 = T(1) - c.second_momentum;
  const T step = c.learning_rate * c.correction_1;
  for (std::size_t i = 0; i < a.n; ++i) {
    const T gradient = gradients[i] * c.gradient_scale + c.l2 * p[i];
    first[i] = c.momentum * first[i] + new_1 * gradient;
    second[i] = c.second_momentum * second[i] + new_2 * gradient * gradient;
    p[i] = c.decay * p[i] - step * first[i] / (std::sqrt(second[i]) * c.correction_2 + c.epsilon);
  }
}

/// RMSprop (Tieleman & Hinton 2012), in the form of torch.optim.RMSprop.
template <class T, class Isa>
void update_rmsprop(const UpdateOperands<T>& a) {
  T* __restrict p = a.parameters;
  const T* __restrict gradients = a.gradients;
  T* __restrict second = a.second;
  const UpdateCoefficients<T> c = a.c;
  const T fresh = T(1) - c.momentum;
  for (std::size_t i = 0; i < a.n; ++i) {
    const T gradient = gradients[i] * c.gradient_scale + c.l2 * p[i];
    second[i] = c.momentum * second[i] + fresh * gradient * gradient;
    p[i] -= c.learning_rate * gradient / (std::sqrt(second[i]) + c.epsilon);
  }
}

/// sums[v] += sum over rows k of data[k][v]^2 in double, k ascending: the same for every vector width, as each column
/// belongs to one unit and gate.
template <class T, class Isa>
void add_squares(const T* __restrict data, std::size_t rows, std::size_t width, double* __restrict sums) {
  for (std::size_t k = 0; k < rows; ++k, data += width) {
    for (std::size_t v = 0; v < width; ++v) sums[v] += static_cast<double>(data[v]) * static_cast<double>(data[v]);
  }
}

}  // namespace pylstm::kernels
