/// Optimisers over the flat parameter buffer.  They know arrays, not layers.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/kernels/table.hpp"

namespace pylstm::train {

enum class Solver { sgd, adam, adamw, rmsprop };

inline Solver solver_from_name(const std::string& name) {
  if (name == "sgd") return Solver::sgd;
  if (name == "adam") return Solver::adam;
  if (name == "adamw") return Solver::adamw;
  if (name == "rmsprop") return Solver::rmsprop;
  fail("solver is \"", name, "\", expected \"adam\", \"adamw\", \"rmsprop\" or \"sgd\"");
}

struct OptimiserConfig {
  Solver solver = Solver::adam;
  double learning_rate = 1e-3;
  double momentum = 0.9;  ///< SGD
  bool nesterov = true;   ///< SGD
  double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8;
  double rho = 0.9;  ///< RMSprop
  double alpha = 0;  ///< L2 penalty on weights; AdamW: decoupled weight decay
};

template <class T>
class Optimiser {
 public:
  Optimiser(const OptimiserConfig& settings, std::size_t size, const kernels::KernelTable<T>& table)
      : config(settings), table_(&table) {
    const auto check_share = [](const char* name, double value) {
      require(value >= 0 && value < 1, name, " is ", value, ", expected a number in [0, 1)");
    };
    require(config.learning_rate > 0 && std::isfinite(config.learning_rate), "learning_rate is ", config.learning_rate,
            ", expected a positive number");
    check_share("momentum", config.momentum);
    check_share("beta_1", config.beta_1);
    check_share("beta_2", config.beta_2);
    check_share("rho", config.rho);
    require(config.epsilon >= 0, "epsilon is ", config.epsilon, ", expected a number >= 0");
    require(config.alpha >= 0, "alpha is ", config.alpha, ", expected a number >= 0");
    if (config.solver != Solver::rmsprop) first = Buffer<T>(size, T(0));
    if (config.solver != Solver::sgd) second = Buffer<T>(size, T(0));
  }

  /// Call once per update, before `update` over its parts.
  void advance() { ++updates; }

  /// Elements [begin, begin + n) of the buffers.  `decays`: the L2 penalty applies (weights, not biases).
  void update(T* parameters, const T* gradients, std::size_t begin, std::size_t n, double gradient_scale, bool decays) {
    const bool adamw = config.solver == Solver::adamw;
    const double penalty = decays ? config.alpha : 0, t = static_cast<double>(updates);
    kernels::UpdateOperands<T> a{.parameters = parameters + begin,
                                 .gradients = gradients + begin,
                                 .first = first.size() ? first.data() + begin : nullptr,
                                 .second = second.size() ? second.data() + begin : nullptr,
                                 .n = n,
                                 .c = {}};
    a.c.learning_rate = static_cast<T>(config.learning_rate);
    a.c.gradient_scale = static_cast<T>(gradient_scale);
    a.c.l2 = static_cast<T>(adamw ? 0 : penalty);
    a.c.decay = static_cast<T>(adamw ? 1 - config.learning_rate * penalty : 1);
    a.c.second_momentum = static_cast<T>(config.beta_2);
    a.c.correction_1 = static_cast<T>(1 / (1 - std::pow(config.beta_1, t)));
    a.c.correction_2 = static_cast<T>(1 / std::sqrt(1 - std::pow(config.beta_2, t)));
    a.c.epsilon = static_cast<T>(config.epsilon);
    a.c.nesterov = config.nesterov;
    switch (config.solver) {
      case Solver::sgd:
        a.c.momentum = static_cast<T>(config.momentum);
        return table_->update_sgd(a);
      case Solver::rmsprop:
        a.c.momentum = static_cast<T>(config.rho);
        return table_->update_rmsprop(a);
      case Solver::adam:
      case Solver::adamw:
        a.c.momentum = static_cast<T>(config.beta_1);
        return table_->update_adam(a);
    }
  }

  OptimiserConfig config;
  Buffer<T> first, second;  ///< moments, laid out like the parameters; empty where the solver has none
  std::size_t updates = 0;

 private:
  const kernels::KernelTable<T>* table_;
};

}  // namespace pylstm::train
