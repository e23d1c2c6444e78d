/// Optimisers over the flat parameter buffer.  They know arrays, not layers.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string_view>
#include <utility>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/base/names.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/kernels/table.hpp"

namespace pylstm::train {

enum class Solver { sgd, adam, adamw, rmsprop };

inline constexpr std::array<std::pair<std::string_view, Solver>, 4> solver_names{
    {{"adam", Solver::adam}, {"adamw", Solver::adamw}, {"rmsprop", Solver::rmsprop}, {"sgd", Solver::sgd}}};

struct OptimiserConfig {
  Solver solver = Solver::adam;
  double learning_rate = 1e-3;
  double momentum = 0.9;  ///< SGD
  bool nesterov = true;   ///< SGD
  double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8;
  double rho = 0.9;  ///< RMSprop
  double alpha = 0;  ///< L2 penalty on weights; AdamW: decoupled weight decay
};

/// Fails unless an optimiser in the precision of T can work with it.
template <class T>
void check(const OptimiserConfig& c) {
  const auto check_share = [](const char* name, double value) {
    require(value >= 0 && value < 1, name, " is ", value, ", expected a number in [0, 1)");
    require(static_cast<T>(value) < 1, name, " is 1 - ", 1 - value, ", expected a number in [0, 1) that is not 1 in ",
            8 * sizeof(T), " bits");
  };
  constexpr auto least = static_cast<double>(std::numeric_limits<T>::min()),
                 most = static_cast<double>(std::numeric_limits<T>::max());
  require(c.learning_rate >= least && c.learning_rate <= most, "learning_rate is ", c.learning_rate,
          ", expected a positive number, from ", least, " to ", most);
  check_share("momentum", c.momentum);
  check_share("beta_1", c.beta_1);
  check_share("beta_2", c.beta_2);
  check_share("rho", c.rho);
  // Where a gradient has always been zero, as in the padding of panels, epsilon is what an update divides by.
  require(c.epsilon >= least && c.epsilon <= most, "epsilon is ", c.epsilon, ", expected a number from ", least, " to ",
          most);
  require(c.alpha >= 0 && c.alpha <= most, "alpha is ", c.alpha, ", expected a number from 0 to ", most);
}

/// What an optimiser has come to.  Moments are laid out like the parameters; empty where the solver has none.
template <class T>
struct OptimiserState {
  Buffer<T> first, second;
  std::size_t updates = 0;
};

template <class T>
class Optimiser {
 public:
  Optimiser(const OptimiserConfig& config, std::size_t size, const kernels::KernelTable<T>& table)
      : config_(config), table_(&table) {
    check<T>(config);
    if (config.solver != Solver::rmsprop) state_.first = Buffer<T>(size, T(0));
    if (config.solver != Solver::sgd) state_.second = Buffer<T>(size, T(0));
  }

  const OptimiserConfig& config() const { return config_; }
  /// From the next update on.
  void configure(const OptimiserConfig& config) {
    check<T>(config);
    require(config.solver == config_.solver, "solver is ", name_of(solver_names, config.solver), ", expected ",
            name_of(solver_names, config_.solver), ": its moments are here");
    config_ = config;
  }

  const OptimiserState<T>& state() const { return state_; }
  void set_state(OptimiserState<T> state) {
    const auto check_size = [](const char* name, const Buffer<T>& given, const Buffer<T>& own) {
      require(given.size() == own.size(), name, " has ", given.size(), " elements, expected ", own.size());
    };
    check_size("first", state.first, state_.first);
    check_size("second", state.second, state_.second);
    state_ = std::move(state);
  }

  /// Call once per update, before `update` over its parts.  `gradient_scale`: of clipping.
  void advance(double gradient_scale) {
    const auto t = static_cast<double>(++state_.updates);
    const bool adamw = config_.solver == Solver::adamw;
    const double momentum = config_.solver == Solver::sgd       ? config_.momentum
                            : config_.solver == Solver::rmsprop ? config_.rho
                                                                : config_.beta_1;
    kernels::UpdateCoefficients<T> c{
        .learning_rate = static_cast<T>(config_.learning_rate),
        .gradient_scale = static_cast<T>(gradient_scale),
        .l2 = 0,
        .decay = 1,
        .momentum = static_cast<T>(momentum),
        .second_momentum = static_cast<T>(config_.beta_2),
        .correction_1 = static_cast<T>(1 / (1 - std::pow(config_.beta_1, t))),
        .correction_2 = static_cast<T>(1 / std::sqrt(1 - std::pow(config_.beta_2, t))),
        .epsilon = static_cast<T>(config_.epsilon),
        .nesterov = config_.nesterov,
    };
    plain_ = decaying_ = c;
    if (adamw) {
      decaying_.decay = static_cast<T>(1 - config_.learning_rate * config_.alpha);
    } else {
      decaying_.l2 = static_cast<T>(config_.alpha);
    }
  }

  /// Elements [begin, begin + n) of the buffers.  `decays`: the L2 penalty applies (weights, not biases).
  void update(T* parameters, const T* gradients, std::size_t begin, std::size_t n, bool decays) {
    const kernels::UpdateOperands<T> a{.parameters = parameters + begin,
                                       .gradients = gradients + begin,
                                       .first = shifted(state_.first.data(), begin),
                                       .second = shifted(state_.second.data(), begin),
                                       .n = n,
                                       .c = decays ? decaying_ : plain_};
    switch (config_.solver) {
      case Solver::sgd:
        return table_->update_sgd(a);
      case Solver::rmsprop:
        return table_->update_rmsprop(a);
      case Solver::adam:
      case Solver::adamw:
        return table_->update_adam(a);
    }
  }

 private:
  OptimiserConfig config_;
  OptimiserState<T> state_;
  kernels::UpdateCoefficients<T> plain_{}, decaying_{};  ///< of the update that is going on
  const kernels::KernelTable<T>* table_;
};

}  // namespace pylstm::train
