/// Regularisers of the states between steps: dropout of what the products read of h, and zoneout.
///
/// Rows and steps are those of the walk; padded units are zero.
#pragma once

#include <cstddef>

#include "pylstm/base/inline.hpp"
#include "pylstm/base/sequence.hpp"

namespace pylstm::kernels {

/// Null: nothing of the kind.
template <class T>
struct StateNoise {
  /// [rows][padded H]: factors of h where the recurrent product reads it, the same at all steps (Gal & Ghahramani
  /// 2016).
  const T* dropout = nullptr;
  /// [rows][padded H] of each step: shares k of zoneout (Krueger et al. 2017), h = k h_prev + (1 - k) h_new and c
  /// alike: 0 or 1 in training, the rate itself in prediction.
  const T *hold_h = nullptr, *hold_c = nullptr;
  std::size_t hold_step_stride = 0, hold_row_stride = 0;
  std::size_t hold_first = 0;  ///< the step whose shares come first

  PYLSTM_INLINE bool drops() const { return dropout != nullptr; }
  PYLSTM_INLINE bool holds() const { return hold_h != nullptr; }

  PYLSTM_INLINE const T* hold_h_row(std::size_t t, std::size_t n) const { return hold_h + hold_at(t, n); }
  PYLSTM_INLINE const T* hold_c_row(std::size_t t, std::size_t n) const { return hold_c + hold_at(t, n); }

 private:
  PYLSTM_INLINE std::size_t hold_at(std::size_t t, std::size_t n) const {
    return (t - hold_first) * hold_step_stride + n * hold_row_stride;
  }
};

/// to[j] = k[j] before[j] + (1 - k[j]) now[j] for j in [begin, end), a multiple of the lanes: exact where k is 0 or 1.
template <class V, class T>
PYLSTM_INLINE void hold(const T* k, const T* before, const T* now, T* to, std::size_t begin, std::size_t end) {
  for (std::size_t j = begin; j < end; j += V::lanes) {
    const V share = V::load(k + j), value = V::load(now + j);
    fma(share, V::load(before + j), fnma(share, value, value)).store(to + j);
  }
}

/// The gradient of the state goes its two ways: held = k d to the state before, d = (1 - k) d to what the step gave.
template <class V, class T>
PYLSTM_INLINE void release(const T* k, T* d, T* held, std::size_t begin, std::size_t end) {
  for (std::size_t j = begin; j < end; j += V::lanes) {
    const V share = V::load(k + j), gradient = V::load(d + j);
    (share * gradient).store(held + j);
    fnma(share, gradient, gradient).store(d + j);
  }
}

}  // namespace pylstm::kernels
