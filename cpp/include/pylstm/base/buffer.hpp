/// Aligned memory that is not initialised: nothing large is zeroed that is about to be written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "pylstm/base/block_cache.hpp"
#include "pylstm/base/errors.hpp"

namespace pylstm {

/// Owns `size()` elements at a cache-line boundary; large blocks are recycled (block_cache.hpp).
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
  ~Buffer() { release(data_, size_); }

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
  static T* allocate(std::size_t size) {
    if (size == 0) return nullptr;
    const std::size_t bytes = checked_product(size, sizeof(T));
    void* const memory = bytes < BlockCache::least_block ? detail::system_allocate(bytes)
                                                         : BlockCache::instance().take(BlockCache::block_size(bytes));
    if (memory == nullptr) throw std::bad_alloc();
    return static_cast<T*>(memory);
  }

  static void release(T* memory, std::size_t size) noexcept {
    const std::size_t bytes = size * sizeof(T);
    if (bytes < BlockCache::least_block) {
      detail::system_release(memory);
    } else {
      BlockCache::instance().give(memory, BlockCache::block_size(bytes));
    }
  }

  std::size_t size_ = 0;
  T* data_ = nullptr;
};

}  // namespace pylstm
