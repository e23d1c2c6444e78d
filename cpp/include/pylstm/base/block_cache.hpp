/// Large blocks of memory, kept for the next who asks: a page once mapped need not be cleared by the kernel again.
///
/// Fresh pages cost more than arithmetic does: at (35, 20, 1500, 1500) a quarter of a training step went to
/// clear_page.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define PYLSTM_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PYLSTM_ADDRESS_SANITIZER
#endif
#endif

namespace pylstm {

namespace detail {

inline constexpr std::size_t cache_line = 64, huge_page = std::size_t{1} << 21;

/// Memory of the system, aligned to cache lines (large blocks: to huge pages, which are asked for); null: there is
/// none.
inline void* system_allocate(std::size_t bytes) noexcept {
  const std::size_t alignment = bytes >= 2 * huge_page ? huge_page : cache_line;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
#if defined(_WIN32)
  return _aligned_malloc(rounded, alignment);
#else
  void* const memory = std::aligned_alloc(alignment, rounded);
#if defined(__linux__)
  if (memory != nullptr && alignment == huge_page) ::madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  return memory;
#endif
}

inline void system_release(void* memory) noexcept {
#if defined(_WIN32)
  _aligned_free(memory);
#else
  std::free(memory);
#endif
}

}  // namespace detail

/// The process's free blocks.  Blocks in use and free ones together never exceed one and a half times what was asked
/// for at once, and the free ones never `most_free` bytes: the longest unused go back to the system first.  The half is
/// for loops that keep a step's results until the next step has made its own: each size is in use most at another time.
class BlockCache {
 public:
  static constexpr std::size_t least_block = 64 << 10;
#if defined(PYLSTM_ADDRESS_SANITIZER)
  static constexpr std::size_t most_free = 0;  // a block that is reused hides its use after release
#else
  static constexpr std::size_t most_free = std::size_t{512} << 20;
#endif

  /// Never destroyed: thread-local buffers outlive whatever is static.
  static BlockCache& instance() {
    static BlockCache* const cache = create();
    return *cache;
  }

  /// Sizes go in steps of an eighth of a power of two, so that nearly equal needs share blocks.
  static std::size_t block_size(std::size_t bytes) {
    const std::size_t step = std::bit_floor(bytes) / 8;
    return (bytes + step - 1) / step * step;
  }

  /// A block of `size` = block_size(...) bytes; null: the system has none.
  void* take(std::size_t size) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      in_use_ += size;
      most_in_use_ = std::max(most_in_use_, in_use_);
      const auto found = std::find_if(free_.rbegin(), free_.rend(), [&](const Block& b) { return b.size == size; });
      if (found != free_.rend()) {
        void* const memory = found->memory;
        free_bytes_ -= size;
        free_.erase(std::next(found).base());
        return memory;
      }
      shrink();
    }
    if (void* const memory = detail::system_allocate(size)) return memory;
    const std::lock_guard<std::mutex> lock(mutex_);
    release_down_to(0);
    void* const memory = detail::system_allocate(size);
    if (memory == nullptr) in_use_ -= size;
    return memory;
  }

  void give(void* memory, std::size_t size) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_use_ -= std::min(in_use_, size);  // a forked child may give back what its parent took
    try {
      free_.push_back({memory, size});
      free_bytes_ += size;
    } catch (const std::bad_alloc&) {
      detail::system_release(memory);
    }
    shrink();
  }

 private:
  struct Block {
    void* memory;
    std::size_t size;
  };

  void shrink() noexcept { release_down_to(std::min(most_in_use_ + most_in_use_ / 2 - in_use_, most_free)); }

  void release_down_to(std::size_t bytes) noexcept {
    auto block = free_.begin();
    for (; free_bytes_ > bytes; ++block) {
      detail::system_release(block->memory);
      free_bytes_ -= block->size;
    }
    free_.erase(free_.begin(), block);
  }

  static BlockCache* create() {
    BlockCache* const cache = new BlockCache;
#if !defined(_WIN32)
    // The child may have been made while another thread held the mutex: it forgets the free blocks.
    pthread_atfork(nullptr, nullptr, [] { new (&instance()) BlockCache; });
#endif
    return cache;
  }

  std::mutex mutex_;
  std::vector<Block> free_;  ///< longest unused first
  std::size_t free_bytes_ = 0, in_use_ = 0, most_in_use_ = 0;
};

}  // namespace pylstm
