/// Aligned memory that is not initialised: nothing large is zeroed that is about to be written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "pylstm/base/errors.hpp"

namespace pylstm {

/// Owns `size()` elements at a cache-line (large ones: 2 MiB, huge pages advised) boundary.
template <class T>
  requires std::is_trivially_copyable_v<T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : size_(size), data_(allocate(size)) {}
  Buffer(std::size_t size, T value) : Buffer(size) { std::fill_n(data_, size, value); }
  Buffer(const Buffer& other) : Buffer(other.size_) { std::copy_n(other.data_, size_, data_); }
  Buffer(Buffer&& other) noexcept : size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer() { release(data_); }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t i) noexcept { return data_[i]; }
  const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size_; }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size_; }

  /// Makes room for `size` elements; the content is lost only where it grows.
  void reserve(std::size_t size) {
    if (size > size_) *this = Buffer(size);
  }

 private:
  static constexpr std::size_t cache_line = 64, huge_page = std::size_t{1} << 21;

  static T* allocate(std::size_t size) {
    if (size == 0) return nullptr;
    const std::size_t bytes = checked_product(size, sizeof(T));
    const std::size_t alignment = bytes >= 2 * huge_page ? huge_page : cache_line;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
#if defined(_WIN32)
    void* memory = _aligned_malloc(rounded, alignment);
#else
    void* memory = std::aligned_alloc(alignment, rounded);
#endif
    if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    // 784 x 64 x 128 tapes: 512 times fewer page faults where transparent huge pages are on request.
    if (alignment == huge_page) ::madvise(memory, rounded, MADV_HUGEPAGE);
#endif
    return static_cast<T*>(memory);
  }

  static void release(T* memory) noexcept {
#if defined(_WIN32)
    _aligned_free(memory);
#else
    std::free(memory);
#endif
  }

  std::size_t size_ = 0;
  T* data_ = nullptr;
};

}  // namespace pylstm
