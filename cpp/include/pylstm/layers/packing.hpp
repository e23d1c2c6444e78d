/// Packing whole parts of the panels, shared by threads where a part is large.
#pragma once

#include <cstddef>

#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/table.hpp"

namespace pylstm::layers {

/// Calls work(begin, end) on shares of the panels' blocks.
template <class T, class Work>
void share_blocks(const kernels::PanelShape& shape, const kernels::PanelPart& part, const Work& work) {
  constexpr std::size_t least_bytes = 256 << 10;  // about 20 us of one core
  const std::size_t bytes = shape.padded_units() * part.gates * part.columns * sizeof(T);
  ThreadPool::instance().run(bytes / least_bytes,
                             [&](const Share& share) { work(share.begin(shape.blocks()), share.end(shape.blocks())); });
}

/// Public layout (row-major) to panels; null counts as zeros.
template <class T>
void pack(const kernels::PanelKernels<T>& kernel, const kernels::PanelShape& shape, const kernels::PanelPart& part,
          const T* matrix, T* panels) {
  share_blocks<T>(shape, part,
                  [&](std::size_t begin, std::size_t end) { kernel.pack({shape, part, matrix, panels, begin, end}); });
}

template <class T>
void unpack(const kernels::PanelKernels<T>& kernel, const kernels::PanelShape& shape, const kernels::PanelPart& part,
            const T* panels, T* matrix) {
  share_blocks<T>(shape, part, [&](std::size_t begin, std::size_t end) {
    kernel.unpack({shape, part, matrix, panels, begin, end});
  });
}

}  // namespace pylstm::layers
