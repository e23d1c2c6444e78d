/// What is wanted next, asked for while the arithmetic goes on.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/inline.hpp"

namespace pylstm::kernels {

/// A vector is a cache line: AVX-512, whose servers have 1 MiB of L2 or more (some laptops half of it).
template <class V>
inline constexpr bool whole_lines = sizeof(V) == 64;

/// Memory that is wanted next: while a tile computes, it asks for its share in the turns of its loop.  What comes from
/// beyond L2 so arrives while the arithmetic goes on.
template <class T>
struct Ahead {
  const T* at = nullptr;
  std::size_t step = 0;      ///< elements from one request to the next
  std::size_t turns = 0;     ///< that still ask
  std::size_t requests = 0;  ///< of each turn, unless its vectors are whole lines: these ask for `most`

  static constexpr std::size_t most = 4;
  static constexpr std::size_t line = 64 / sizeof(T);

  /// `elements` at `next` over `turns` turns: all lines, as far as `most` in a turn go.  Few rows make few tiles, whose
  /// turns ask for more.
  template <class V>
  PYLSTM_INLINE static Ahead spread(const T* next, std::size_t elements, std::size_t turns) {
    const std::size_t requests = whole_lines<V> ? most : std::min(most, elements / turns / line + 1);
    return {next, (elements / requests + turns - 1) / turns, turns, requests};
  }
  /// Of `elements` at `next`, the share of rows [first, first + R) of `rows`.
  template <class V, std::size_t R>
  PYLSTM_INLINE static Ahead share(const T* next, std::size_t elements, std::size_t first, std::size_t rows,
                                   std::size_t turns) {
    return spread<V>(next + elements / rows * first, elements / rows * R, turns);
  }
  /// Every line of `elements` at `next`, as far as `turns` turns go.
  template <class V>
  PYLSTM_INLINE static Ahead lines(const T* next, std::size_t elements, std::size_t turns) {
    constexpr std::size_t requests = whole_lines<V> ? most : 1;
    return {next, line, std::min((elements / line + requests - 1) / requests, turns), requests};
  }
  template <class V>
  PYLSTM_INLINE void fetch() {
    if (turns == 0) [[likely]]
      return;
    --turns;
    const std::size_t count = whole_lines<V> ? most : requests;
    for (std::size_t i = 0; i < count; ++i, at += step) __builtin_prefetch(at, 0, 2);
  }
};

/// Memory that somebody needs next.
template <class T>
struct Stretch {
  const T* at;
  std::size_t size;
};

/// Stretches of memory handed out to tiles, in order.  Where there are none, as in every step of a stream, one
/// comparison; the rest is out of line, or every tile's code would have a copy.
template <class V, class T>
class Wanted {
 public:
  PYLSTM_INLINE Wanted(const Stretch<T>* list, std::size_t count, std::size_t tiles)
      : next_(list), end_(list + (tiles > count ? count : 0)) {
    if (next_ != end_) share_out(tiles - count);
  }

  /// What a tile asks for in `turns` turns.
  PYLSTM_INLINE Ahead<T> next(std::size_t turns) {
    if (next_ == end_) return {};
    return take(turns);
  }

 private:
  /// A stretch's last share is smaller: `shares` is one less for each.
  [[gnu::noinline]] void share_out(std::size_t shares) {
    std::size_t size = 0;
    for (const Stretch<T>* stretch = next_; stretch != end_; ++stretch) size += stretch->size;
    share_ = size / shares + 1;
  }
  [[gnu::noinline]] Ahead<T> take(std::size_t turns) {
    const std::size_t size = std::min(share_, next_->size - done_);
    const Ahead<T> ahead = Ahead<T>::template spread<V>(next_->at + done_, size, turns);
    done_ += size;
    if (done_ == next_->size) ++next_, done_ = 0;
    return ahead;
  }

  const Stretch<T>*next_, *end_;
  std::size_t share_ = 0, done_ = 0;
};

/// Weights up to this size stay in L2 from step to step.
constexpr std::size_t resident_bytes = 512 << 10;

/// Recurrent products ask for the weights that come next from beyond L2.
template <class V>
constexpr bool asks_ahead(std::size_t weights_bytes) {
  return weights_bytes > (whole_lines<V> ? 4 : 1) * resident_bytes;
}

}  // namespace pylstm::kernels
