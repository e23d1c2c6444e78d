/// A network of either precision, as Python holds it.
#pragma once

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <variant>

#include "pylstm/base/errors.hpp"
#include "pylstm/network/network.hpp"

namespace pylstm::bindings {

inline void check_dtype(const std::string& dtype) {
  require(dtype == "float32" || dtype == "float64", "dtype is \"", dtype, "\", expected \"float32\" or \"float64\"");
}

/// One network of either precision.  Many may read it at once, one may change it.
class AnyNetwork {
 public:
  using Variant = std::variant<std::unique_ptr<network::Network<float>>, std::unique_ptr<network::Network<double>>>;

  AnyNetwork(const std::string& dtype, network::Config config) {
    check_dtype(dtype);
    if (dtype == "float32") {
      net = std::make_unique<network::Network<float>>(std::move(config));
    } else {
      net = std::make_unique<network::Network<double>>(std::move(config));
    }
  }

  const network::Config& config() const {
    return std::visit([](const auto& n) -> const network::Config& { return n->config(); }, net);
  }

  /// A copy that streams share and nobody changes; a new one if the network has changed since the last.
  template <class T>
  std::shared_ptr<const network::Network<T>> frozen() const {
    const std::unique_lock lock(mutex_);
    auto copy = std::static_pointer_cast<const network::Network<T>>(frozen_.lock());
    if (copy == nullptr) {
      copy = std::make_shared<const network::Network<T>>(*std::get<std::unique_ptr<network::Network<T>>>(net));
      frozen_ = copy;
    }
    return copy;
  }

  std::shared_lock<std::shared_mutex> lock_to_read() const { return std::shared_lock(mutex_); }
  /// For who is about to change the network: the lock, and streams opened from now on see the change.
  std::unique_lock<std::shared_mutex> lock_to_change() {
    std::unique_lock lock(mutex_);
    frozen_.reset();
    return lock;
  }

  Variant net;

 private:
  mutable std::shared_mutex mutex_;
  mutable std::weak_ptr<const void> frozen_;
};

}  // namespace pylstm::bindings
