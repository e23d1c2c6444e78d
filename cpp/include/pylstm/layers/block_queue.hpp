/// The blocks of units of one step, which threads take in pieces: each its own share first, then what others have not
/// begun.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pylstm/base/thread_pool.hpp"

namespace pylstm::layers {

/// Threads meet after every step, and one of them is always the slower one: on a shared machine another one every few
/// milliseconds.  Pieces are half of what is left, so the last ones are small and all are through at about the same
/// time, while most weights are read by the same thread, from its own cache, at every step.
class BlockQueue {
 public:
  explicit BlockQueue(std::size_t threads) : parts_(threads) {}

  /// Not while anyone takes.
  void fill(std::size_t blocks) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const Share share{i, parts_.size()};
      parts_[i].rest.store(pack(share.begin(blocks), share.end(blocks)), std::memory_order_relaxed);
    }
  }

  /// A piece for the thread that has this share; false: there is none left.
  bool take(std::size_t share, std::size_t& begin, std::size_t& end) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const std::size_t from = (share + i) % parts_.size();
      std::uint64_t rest = parts_[from].rest.load(std::memory_order_relaxed);
      for (;;) {
        const auto first = static_cast<std::size_t>(rest >> 32), last = static_cast<std::size_t>(rest & 0xffffffff);
        if (first == last) break;
        const std::size_t piece = (last - first + 1) / 2;
        begin = i == 0 ? first : last - piece;  // the owner from the front, others from the back
        end = begin + piece;
        const std::uint64_t left = i == 0 ? pack(end, last) : pack(first, begin);
        if (parts_[from].rest.compare_exchange_weak(rest, left, std::memory_order_relaxed)) return true;
      }
    }
    return false;
  }

 private:
  /// The blocks of a share that nobody has taken.
  struct alignas(64) Part {
    std::atomic<std::uint64_t> rest{0};  ///< the first, and the one past the last in the lower half
  };
  static std::uint64_t pack(std::size_t first, std::size_t last) {
    return static_cast<std::uint64_t>(first) << 32 | static_cast<std::uint64_t>(last);
  }

  std::vector<Part> parts_;
};

}  // namespace pylstm::layers
