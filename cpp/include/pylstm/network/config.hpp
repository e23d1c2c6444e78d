/// What a network is made of.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/names.hpp"
#include "pylstm/kernels/cell_names.hpp"
#include "pylstm/layers/pooling.hpp"
#include "pylstm/layers/stack_layer.hpp"

namespace pylstm::network {

using layers::Merge;
using layers::Pooling;

struct Config {
  kernels::CellChoice cell = {};
  std::size_t inputs = 1;      ///< width of what the first layer reads: features, or of an embedding
  std::size_t vocabulary = 0;  ///< not 0: x holds tokens 0 .. vocabulary - 1, one a step, and an embedding reads them
  std::vector<std::size_t> padding_tokens = {};  ///< their embeddings stay zero
  std::vector<std::size_t> hidden_sizes = {32};  ///< one per layer
  std::size_t projection = 0;                    ///< width of every layer's h (LSTMs); 0: as many as units
  std::size_t outputs = 1;
  double dropout = 0;            ///< between layers, in training
  double input_dropout = 0;      ///< of what the first layer reads, one mask for all steps (Gal & Ghahramani 2016)
  double recurrent_dropout = 0;  ///< of h where the recurrent products read it, one mask for all steps
  double zoneout = 0;        ///< share of the units that keep their h, or c, for a step; in prediction its expectation
                             ///< (Krueger et al. 2017)
  bool variational = false;  ///< `dropout`, too, has one mask for all steps
  bool bidirectional = false;  ///< every layer, with weights of their own for each direction
  Merge merge = Merge::concat;
  bool residual = false;  ///< every layer above the first adds what it reads to its outputs
  /// How the head reads the top layer; `none`: at every step.  `last` of two directions: the state of each at its own
  /// end, so that both have seen the whole row.
  Pooling pooling = Pooling::last;

  /// Elements of a row of x.
  std::size_t features() const { return vocabulary > 0 ? 1 : inputs; }
  /// Where the head reads out a sequence of so many steps.
  std::size_t places(std::size_t steps) const { return pooling == Pooling::none ? steps : 1; }
};

inline constexpr std::array<std::pair<std::string_view, Merge>, 2> merge_names{
    {{"concat", Merge::concat}, {"sum", Merge::sum}}};
inline constexpr std::array<std::pair<std::string_view, Pooling>, 5> pooling_names{{{"last", Pooling::last},
                                                                                    {"mean", Pooling::mean},
                                                                                    {"max", Pooling::max},
                                                                                    {"attention", Pooling::attention},
                                                                                    {"none", Pooling::none}}};

inline void check(const Config& c) {
  require(c.inputs >= 1, "inputs is 0, expected at least 1");
  require(!c.cell.options.clips, "the cell clips its state, expected one that does not: networks have no bound for it");
  require(c.outputs >= 1, "outputs is 0, expected at least 1");
  require(!c.hidden_sizes.empty(), "hidden_sizes is empty, expected at least one layer");
  for (const std::size_t hidden : c.hidden_sizes) require(hidden >= 1, "a hidden size is 0, expected at least 1");
  for (std::size_t l = 1; l < c.hidden_sizes.size() && c.residual && c.projection == 0; ++l) {
    require(c.hidden_sizes[l] == c.hidden_sizes[l - 1], "hidden_sizes[", l, "] is ", c.hidden_sizes[l], ", expected ",
            c.hidden_sizes[l - 1], ": a residual layer is as wide as the one below");
  }
  const auto check_rate = [](const char* name, double rate) {
    require(rate >= 0 && rate < 1, name, " is ", rate, ", expected a number in [0, 1)");
  };
  check_rate("dropout", c.dropout);
  check_rate("input_dropout", c.input_dropout);
  check_rate("recurrent_dropout", c.recurrent_dropout);
  check_rate("zoneout", c.zoneout);
  require(c.projection == 0 || (c.recurrent_dropout == 0 && c.zoneout == 0),
          "recurrent_dropout and zoneout need projection 0: a projected state takes neither");
  for (const std::size_t token : c.padding_tokens) {
    require(token < c.vocabulary, "padding_tokens holds ", token, ", expected tokens, 0 to ", c.vocabulary, " - 1");
  }
}

}  // namespace pylstm::network
