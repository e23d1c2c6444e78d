/// What a gate does to its pre-activation, as a policy.
#pragma once

#include "pylstm/base/inline.hpp"
#include "pylstm/simd/math.hpp"

namespace pylstm::cells {

/// Sigmoid gates, tanh squashing.  The derivatives take the activation's value, not its argument.
struct Saturating {
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
};

/// max(0, x) for squashing; NaN stays NaN.
struct Relu : Saturating {
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
};

}  // namespace pylstm::cells
