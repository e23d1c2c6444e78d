/// Activations of the reference.  Derivatives are written in terms of the activation itself, a = sigmoid(z), a =
/// tanh(z).
#pragma once

#include <cmath>

namespace pylstm::reference {

struct Saturating {
  template <class Real>
  static Real gate(Real z) {
    return 1 / (1 + std::exp(-z));
  }
  template <class Real>
  static Real squash(Real z) {
    return std::tanh(z);
  }
  template <class Real>
  static Real gate_derivative(Real a) {
    return a * (1 - a);
  }
  template <class Real>
  static Real squash_derivative(Real a) {
    return 1 - a * a;
  }
};

/// The identity in place of every activation: with integers for weights, the whole layer is integer arithmetic.
struct Linear {
  template <class Real>
  static Real gate(Real z) {
    return z;
  }
  template <class Real>
  static Real squash(Real z) {
    return z;
  }
  template <class Real>
  static Real gate_derivative(Real) {
    return 1;
  }
  template <class Real>
  static Real squash_derivative(Real) {
    return 1;
  }
};

}  // namespace pylstm::reference
