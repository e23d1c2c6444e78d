/// A polite way to stop long work: the calling thread asks now and then, every thread can see the answer.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <utility>

namespace pylstm {

/// Thrown by work that was asked to stop.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

class Interrupt {
 public:
  Interrupt() = default;
  /// `should_stop` is asked at most once every 10 ms, on the thread that calls the engine.
  explicit Interrupt(std::function<bool()> should_stop) : should_stop_(std::move(should_stop)) {}

  bool requested() const { return requested_.load(std::memory_order_relaxed); }

  /// For the calling thread only.
  bool poll() {
    if (!should_stop_ || requested()) return requested();
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ >= std::chrono::milliseconds(10)) {
      last_ = now;
      if (should_stop_()) requested_.store(true, std::memory_order_relaxed);
    }
    return requested();
  }

  void throw_if_requested() const {
    if (requested()) throw Interrupted();
  }

 private:
  std::function<bool()> should_stop_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::atomic<bool> requested_{false};
};

}  // namespace pylstm
