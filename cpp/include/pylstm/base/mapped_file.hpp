/// A file that is mapped to memory, of which not much stays resident however much of it is read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace pylstm {

/// Shared memory of a file: pages that are let go are still in the file, and in the system's cache of it as long as
/// there is room.  Of a private mapping they would lose what has been written: there must be none.
class MappedFile {
 public:
  /// Bytes that stay, about: what is smaller is never let go.
  static constexpr std::size_t most_resident = std::size_t{128} << 20;
  /// What the system may map around a page that is read, where it has it (Linux: 64 KiB, or a huge page).
  static constexpr std::size_t around = std::size_t{2} << 20;

  MappedFile() = default;
  /// Of data in a file, such as those behind its header: pages that they have to themselves are let go.
  MappedFile(const void* begin, std::size_t bytes) : begin_(reinterpret_cast<std::uintptr_t>(begin)), bytes_(bytes) {}

  /// Tells of so many bytes that have been read in one place; now and then all pages go.
  void has_read(std::size_t bytes) {
    read_ += bytes + around;
    if (read_ >= most_resident) let_go(begin_, bytes_);
  }

  /// Lets go what lies in [begin, begin + bytes).
  void let_go(const void* begin, std::size_t bytes) { let_go(reinterpret_cast<std::uintptr_t>(begin), bytes); }

 private:
  void let_go([[maybe_unused]] std::uintptr_t begin, [[maybe_unused]] std::size_t bytes) {
    read_ = 0;
    if (bytes_ <= most_resident) return;
#if defined(__unix__) || defined(__APPLE__)
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const std::uintptr_t first = std::max(begin / page * page, (begin_ + page - 1) / page * page),
                         last = std::min(begin + bytes, begin_ + bytes_) / page * page;
    if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
#endif
  }

  std::uintptr_t begin_ = 0;
  std::size_t bytes_ = 0, read_ = 0;
};

}  // namespace pylstm
