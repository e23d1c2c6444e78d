/// Packing parts of the panels: whole ones, shared by threads where they are large, or block by block on the way.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

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

/// Matrices that a pass packs on its way, each block of units right before its first use.
template <class T>
class PackingOnTheWay {
 public:
  PackingOnTheWay(const kernels::PanelKernels<T>& kernel, const kernels::PanelShape& shape, T* panels)
      : kernel_(&kernel), shape_(shape), panels_(panels) {}

  void add(const kernels::PanelPart& part, const T* matrix) { matrices_.push_back({part, matrix}); }

  void pack(std::size_t block) const {
    for (const Matrix& m : matrices_) kernel_->pack({shape_, m.part, m.data, panels_, block, block + 1});
  }

  /// Of a block, without memory of its own: threads ask in the middle of their shares.
  struct Stretches {
    std::array<kernels::Stretch<T>, 1 + 3 * 4> list;  ///< the panel, and of three matrices the rows of four gates
    std::size_t count = 0;

    void add(const T* at, std::size_t size) {
      if (count < list.size()) list[count++] = {at, size};
    }
  };

  /// What `pack` will read and write.
  Stretches stretches(std::size_t block) const {
    Stretches stretches;
    stretches.add(panels_ + block * shape_.block_size(), shape_.block_size());
    const std::size_t first = block * shape_.lanes, units = std::min(shape_.lanes, shape_.units - first);
    for (const Matrix& m : matrices_) {
      for (std::size_t gate = 0; m.data != nullptr && gate < m.part.gates; ++gate) {
        stretches.add(m.data + (gate * shape_.units + first) * m.part.columns, units * m.part.columns);
      }
    }
    return stretches;
  }

 private:
  struct Matrix {
    kernels::PanelPart part;
    const T* data;  ///< null counts as zeros
  };

  const kernels::PanelKernels<T>* kernel_;
  kernels::PanelShape shape_;
  T* panels_;
  std::vector<Matrix> matrices_;
};

}  // namespace pylstm::layers
