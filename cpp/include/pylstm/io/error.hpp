/// What is wrong with a model file.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace pylstm::io {

enum class Problem {
  truncated,    ///< shorter than it says
  malformed,    ///< not a model file, or not a whole one
  corrupted,    ///< the checksum is another
  newer,        ///< written by a newer version
  unsupported,  ///< a model of another precision than was asked for
};

class ModelFormatError : public std::invalid_argument {
 public:
  ModelFormatError(Problem problem, const std::string& what) : std::invalid_argument(what), problem_(problem) {}
  Problem problem() const noexcept { return problem_; }

 private:
  Problem problem_;
};

/// Throws ModelFormatError with the parts of the message joined.
template <class... Parts>
[[noreturn]] void reject(Problem problem, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw ModelFormatError(problem, text.str());
}

template <class... Parts>
void demand(bool condition, Problem problem, const Parts&... parts) {
  if (!condition) reject(problem, parts...);
}

}  // namespace pylstm::io
