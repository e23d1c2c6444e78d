/// What a core's second-level cache holds.
#pragma once

#include <cstddef>

#if defined(__linux__)
#include <unistd.h>
#endif

namespace pylstm {

/// Bytes; 1 MiB where the system does not say.  How calls are cut may depend on it, results never do.
inline std::size_t l2_cache_bytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (size > 0) return static_cast<std::size_t>(size);
#endif
  return std::size_t{1} << 20;
}

}  // namespace pylstm
