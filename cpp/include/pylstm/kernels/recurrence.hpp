/// What both directions of the recurrence take beside their operands (forward_steps.hpp, backward_steps.hpp).
#pragma once

#include <cstddef>
#include <optional>

#include "pylstm/base/inline.hpp"
#include "pylstm/cells/chosen_activation.hpp"
#include "pylstm/kernels/panel.hpp"

namespace pylstm::kernels {

/// What part of the work a call does: steps, scheduled rows, and blocks of S units.
struct Range {
  std::size_t step_begin, step_end, row_begin, row_end, block_begin, block_end;
};

/// What the equations take beside the step's arrays.
template <class T>
struct CellOptions {
  T clip = 0;                                          ///< bound of |c|, for cells that clip
  std::optional<cells::Activations> activations = {};  ///< none: the cell's own

  PYLSTM_INLINE const cells::Activations* chosen() const { return activations ? &*activations : nullptr; }
};

/// The recurrent projection h = W m of the units' outputs m = o tanh(c) (Sak, Senior & Beaufays 2014).
template <class T>
struct Projection {
  PanelShape shape;     ///< of a dense layer from H to P
  const T* panels;      ///< or null: h is m
  const T* transposed;  ///< transposed panels, backward

  PYLSTM_INLINE explicit operator bool() const { return panels != nullptr; }
};

}  // namespace pylstm::kernels
