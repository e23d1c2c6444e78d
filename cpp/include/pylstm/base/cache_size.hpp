/// What a core's caches hold.
#pragma once

#include <cstddef>

#if defined(__linux__)
#include <unistd.h>
#endif

namespace pylstm {

/// Bytes of the first level, for data; 32 KiB where the system does not say.  How calls are cut may depend on it,
/// results never do.
inline std::size_t l1_cache_bytes() {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  static const long size = sysconf(_SC_LEVEL1_DCACHE_SIZE);
  if (size > 0) return static_cast<std::size_t>(size);
#endif
  return std::size_t{32} << 10;
}

/// As `l1_cache_bytes`, of the second level; 1 MiB where the system does not say.
inline std::size_t l2_cache_bytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (size > 0) return static_cast<std::size_t>(size);
#endif
  return std::size_t{1} << 20;
}

}  // namespace pylstm
