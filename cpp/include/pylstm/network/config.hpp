/// What a network is made of.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/names.hpp"
#include "pylstm/kernels/choice.hpp"
#include "pylstm/layers/pooling.hpp"
#include "pylstm/layers/stack_layer.hpp"

namespace pylstm::network {

using layers::Merge;
using layers::Pooling;

struct Config {
  kernels::CellChoice cell = {};
  std::size_t inputs = 1;
  std::vector<std::size_t> hidden_sizes = {32};  ///< one per layer
  std::size_t projection = 0;                    ///< width of every layer's h (LSTMs); 0: as many as units
  std::size_t outputs = 1;
  double dropout = 0;          ///< between layers, in training
  bool bidirectional = false;  ///< every layer, with weights of their own for each direction
  Merge merge = Merge::concat;
  bool residual = false;  ///< every layer above the first adds what it reads to its outputs
  /// How the head reads the top layer.  `last` of two directions: the state of each at its own end, so that both have
  /// seen the whole row.
  Pooling pooling = Pooling::last;
};

inline constexpr std::array<std::pair<std::string_view, Merge>, 2> merge_names{
    {{"concat", Merge::concat}, {"sum", Merge::sum}}};
inline constexpr std::array<std::pair<std::string_view, Pooling>, 3> pooling_names{
    {{"last", Pooling::last}, {"mean", Pooling::mean}, {"max", Pooling::max}}};

inline void check(const Config& c) {
  require(c.inputs >= 1, "inputs is 0, expected at least 1");
  require(c.outputs >= 1, "outputs is 0, expected at least 1");
  require(!c.hidden_sizes.empty(), "hidden_sizes is empty, expected at least one layer");
  for (const std::size_t hidden : c.hidden_sizes) require(hidden >= 1, "a hidden size is 0, expected at least 1");
  for (std::size_t l = 1; l < c.hidden_sizes.size() && c.residual && c.projection == 0; ++l) {
    require(c.hidden_sizes[l] == c.hidden_sizes[l - 1], "hidden_sizes[", l, "] is ", c.hidden_sizes[l], ", expected ",
            c.hidden_sizes[l - 1], ": a residual layer is as wide as the one below");
  }
  require(c.dropout >= 0 && c.dropout < 1, "dropout is ", c.dropout, ", expected a number in [0, 1)");
}

}  // namespace pylstm::network
