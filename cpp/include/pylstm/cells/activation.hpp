/// What a gate does to its pre-activation, as a policy.
#pragma once

#include "pylstm/base/inline.hpp"
#include "pylstm/simd/math.hpp"

namespace pylstm::cells {

struct Activations;  // chosen at run time: chosen_activation.hpp

/// Sigmoid gates, tanh for the candidate (`squash`) and for the cell state on its way out (`output`).  The derivatives
/// take the activation's value, not its argument.
struct Saturating {
  PYLSTM_INLINE static Saturating of(const Activations*) { return {}; }
  template <class V>
  PYLSTM_INLINE static V gate(V x) {
    return simd::sigmoid(x);
  }
  template <class V>
  PYLSTM_INLINE static V gate_derivative(V s) {
    return fnma(s, s, s);
  }
  template <class V>
  PYLSTM_INLINE static V squash(V x) {
    return simd::tanh(x);
  }
  template <class V>
  PYLSTM_INLINE static V squash_derivative(V y) {
    return fnma(y, y, V::set1(1));
  }
  template <class V>
  PYLSTM_INLINE static V output(V x) {
    return squash(x);
  }
  template <class V>
  PYLSTM_INLINE static V output_derivative(V y) {
    return squash_derivative(y);
  }
};

/// max(0, x) for squashing; NaN stays NaN.
struct Relu : Saturating {
  PYLSTM_INLINE static Relu of(const Activations*) { return {}; }
  template <class V>
  PYLSTM_INLINE static V squash(V x) {
    return max(V::zero(), x);
  }
  template <class V>
  PYLSTM_INLINE static V squash_derivative(V y) {
    return zero_unless_less(V::zero(), y, V::set1(1));
  }
};

/// x within [-bound, bound]; NaN stays NaN.
template <class V>
PYLSTM_INLINE V clip(V x, V bound) {
  return min(bound, max(V::zero() - bound, x));
}

/// The identity: on small integers a whole layer is then exact, forward and backward (tests).
struct Linear {
  PYLSTM_INLINE static Linear of(const Activations*) { return {}; }
  template <class V>
  PYLSTM_INLINE static V gate(V x) {
    return x;
  }
  template <class V>
  PYLSTM_INLINE static V gate_derivative(V) {
    return V::set1(1);
  }
  template <class V>
  PYLSTM_INLINE static V squash(V x) {
    return x;
  }
  template <class V>
  PYLSTM_INLINE static V squash_derivative(V) {
    return V::set1(1);
  }
  template <class V>
  PYLSTM_INLINE static V output(V x) {
    return x;
  }
  template <class V>
  PYLSTM_INLINE static V output_derivative(V) {
    return V::set1(1);
  }
};

}  // namespace pylstm::cells
