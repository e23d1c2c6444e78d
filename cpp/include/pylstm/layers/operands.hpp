/// What calls of a recurrent layer take and give, and what they leave for the next one.
#pragma once

#include <cstddef>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/kernels/norm_of_inputs.hpp"
#include "pylstm/layers/row_shares.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// States before and after a sequence, [rows][H] in the caller's order (h: [rows][P] with a projection); null: zeros,
/// or not wanted.
template <class T>
struct States {
  const T *h0 = nullptr, *c0 = nullptr;
  T *h_n = nullptr, *c_n = nullptr;
};

/// Weights of a layer in the public layout, or their gradients.  G gates; null: zeros, or not wanted.
template <class T>
struct LayerWeights {
  T* weight_ih = nullptr;       ///< [G_ih H][I]
  T* weight_hh = nullptr;       ///< [G_hh H][H]; the slots behind a reset gate come last
  T* bias = nullptr;            ///< [G_ih H]
  T* bias_recurrent = nullptr;  ///< [H] of each slot that x does not feed: the GRU's b_hn
  T* unit_weights = nullptr;    ///< [unit weights][H]: peepholes, or gains
  T* weight_hr = nullptr;       ///< [P][H]: the projection
};

/// What BPTT needs of a forward pass or a segment of one, in the schedule's order.  Backward does not change it.
template <class T>
struct Tape {
  Segment segment;   ///< whose steps it has
  RowShares shares;  ///< how its rows lie: what follows is of each run of rows
  Buffer<T> h, c;    ///< [steps + 1][rows][padded H]: states before each step, and after the last
  Buffer<T> gates;   ///< [steps][rows][slots][S], in each block
  Buffer<T> m;       ///< [steps + 1][rows][padded H]: what became h by a projection or a dropout, if there was one
  Buffer<T> c_new;   ///< [steps + 1][rows][padded H]: what the equations gave, with zoneout
  Buffer<T> kept;    ///< [steps][rows]: what the equations keep beside, of cells that do
  std::vector<std::size_t> places;  ///< `RowShares::places` of h and m
};

/// Gradients that come in and go out of BPTT, in the caller's order.
template <class T>
struct SequenceGradients {
  Sequence<const T> dy;                      ///< may be null
  const T *dh_n = nullptr, *dc_n = nullptr;  ///< [rows][H]; may be null
  Sequence<T> dx;                            ///< out; null: not wanted
  T *dh0 = nullptr, *dc0 = nullptr;          ///< out, [rows][H]; null: not wanted
  T* dpanels = nullptr;                      ///< out: size() elements
  bool continues = false;                    ///< goes on from the sums that a segment left in dpanels and `Workspace`
  std::size_t cut_steps = 0;  ///< truncated BPTT: none comes from after a segment that ends at a multiple; 0: off
};

/// Memory of `NormOfInputs`.
template <class T>
struct NormWorkspace {
  Buffer<T> panels, transposed, covariance, z_and_v, sums, products;
  std::vector<kernels::NormedRow<T>> rows;
};

/// Memory of a layer's calls, kept from one to the next.
template <class T>
struct Workspace {
  Buffer<T> h, c, m, c_new, gates, x_sums, dgates, dweights, dc, dh, dm, dh_shortcut, dh_held, dc_held, h_reset,
      dh_reset;
  Buffer<T> recurrent_transposed, input_transposed, projection_transposed, reset_transposed;
  RowShares shares;  ///< of the last backward pass
  Buffer<T> sums;    ///< its weight gradients, of each group of rows
  std::vector<const T*> in, d;
  std::vector<T*> out;
  NormWorkspace<T> norm;
};

}  // namespace pylstm::layers
