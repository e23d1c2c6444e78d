/// A folder for the files of a test.
#pragma once

#include <filesystem>
#include <random>
#include <string>

namespace pylstm::testing {

/// A folder that is gone afterwards.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / std::to_string(std::random_device{}());
  Folder() { std::filesystem::create_directory(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

}  // namespace pylstm::testing
