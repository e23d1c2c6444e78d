/// What a cell of the reference takes and gives at one step of one row.  H hidden units.
#pragma once

#include <cstddef>

namespace pylstm::reference {

template <class Real>
struct Forward {
  std::size_t H;
  const Real *z_x, *z_h;  ///< [gates of x][H] = W x, [gates of h][H] = U h_prev
  const Real* bias;       ///< [biases][H]
  const Real *h_prev, *c_prev;
  const Real* unit_weights;  ///< [unit weights][H]: peepholes, or gains
  Real clip;                 ///< bound of |c|; infinity: none
  Real *gates, *h, *c;       ///< out; gates [kept][H]: what `backward` wants to see again
};

/// `d` = derivative of the loss.
template <class Real>
struct Backward {
  std::size_t H;
  const Real *gates, *h_prev, *c_prev, *c, *bias, *unit_weights;
  Real clip;
  const Real* dh;
  Real *dz_x, *dz_h;            ///< out
  Real* dh_prev;                ///< out: past the recurrent product
  Real* dc;                     ///< in: of c; out: of c_prev
  Real *dbias, *dunit_weights;  ///< added to
};

}  // namespace pylstm::reference
