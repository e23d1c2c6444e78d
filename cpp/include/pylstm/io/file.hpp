/// Files: read at random positions, and replaced as a whole or not at all.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

#include "pylstm/io/error.hpp"
#include "pylstm/io/safetensors.hpp"

namespace pylstm::io {

inline std::system_error file_error(const char* what, const std::filesystem::path& path, int code = errno) {
  return {code == 0 ? EIO : code, std::generic_category(), std::string("cannot ") + what + " " + path.string()};
}

/// A regular file, open.  Not to be moved while a source of it is in use.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path) : path_(path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) throw file_error("open", path, error ? error.value() : ENOENT);
    if (!std::filesystem::is_regular_file(status)) throw file_error("read", path, EINVAL);
    stream_.open(path, std::ios::binary);
    if (!stream_) throw file_error("open", path);
    stream_.seekg(0, std::ios::end);
    size_ = static_cast<std::uint64_t>(stream_.tellg());
  }

  Source source() const {
    return {size_, [this](std::uint64_t offset, std::size_t size, void* to) {
              stream_.seekg(static_cast<std::streamoff>(offset));
              stream_.read(static_cast<char*>(to), static_cast<std::streamsize>(size));
              if (!stream_) throw file_error("read", path_);
            }};
  }

 private:
  std::filesystem::path path_;
  mutable std::ifstream stream_;
  std::uint64_t size_ = 0;
};

inline Source memory_source(std::span<const std::byte> bytes) {
  return {bytes.size(), [bytes](std::uint64_t offset, std::size_t size, void* to) {
            if (size != 0) std::memcpy(to, bytes.data() + offset, size);
          }};
}

/// A new file in place of `path`, with its permissions, once it is complete and on the disk.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path) : path_(path), target_(path) {
    std::error_code ignored;
    for (int links = 0; std::filesystem::is_symlink(target_, ignored); ++links) {  // to a file that may not be there
      if (links == 40) throw file_error("write", path_, ELOOP);
      target_ = target_.parent_path() / std::filesystem::read_symlink(target_);
    }
    const std::filesystem::file_status old = std::filesystem::status(target_, ignored);
    if (std::filesystem::exists(old) && !std::filesystem::is_regular_file(old)) {
      throw file_error("write", path_, std::filesystem::is_directory(old) ? EISDIR : EINVAL);
    }
    std::random_device random;
    do {
      errno = 0;
      temporary_ = target_;
      temporary_ += '.';
      temporary_ += std::to_string(random());
      temporary_ += ".tmp";
      file_ = std::fopen(temporary_.string().c_str(), "wbx");
    } while (file_ == nullptr && errno == EEXIST);
    if (file_ == nullptr) throw file_error("write", path_);
    if (std::filesystem::exists(old)) {
      std::filesystem::permissions(temporary_, old.permissions() & std::filesystem::perms::all, ignored);
    }
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (file_ == nullptr) return;
    std::fclose(file_);
    remove_temporary();
  }

  void write(const void* data, std::size_t size) {
    if (std::fwrite(data, 1, size, file_) != size) throw file_error("write", path_);
  }

  void commit() {
#if defined(_WIN32)
    const bool on_disk = std::fflush(file_) == 0 && _commit(_fileno(file_)) == 0;
#else
    const bool on_disk = std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0;
#endif
    if (!on_disk) throw file_error("write", path_);
    if (std::fclose(std::exchange(file_, nullptr)) != 0) {
      const int code = errno;
      remove_temporary();
      throw file_error("write", path_, code);
    }
    std::error_code error;
    std::filesystem::rename(temporary_, target_, error);
    if (!error) return;
    remove_temporary();
    throw std::system_error(error, "cannot write " + path_.string());
  }

 private:
  void remove_temporary() {
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
  }

  std::filesystem::path path_, target_, temporary_;  ///< what was asked for, the file that it means, and the new one
  std::FILE* file_ = nullptr;
};

}  // namespace pylstm::io
