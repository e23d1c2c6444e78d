/// libFuzzer: whatever the bytes, a model or a ModelFormatError, and no more memory than the file explains.
/// tests/cpp/fuzz builds and runs it.
///
/// Of checks taken out of the reader it found, by reads past the end of the bytes and from an empty corpus: that
/// tensors follow one another (4,000 runs, 7 s), that the data is as long as they say (100 runs, 1 s), and that their
/// shapes are the architecture's (41,000 runs, 36 s).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pylstm/io/model_file.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

namespace io = pylstm::io;

std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

/// `text` after one of libFuzzer's mutations.
std::string mutated(std::string text, std::size_t most) {
  const std::size_t size = text.size();
  text.resize(std::max(size, most));
  text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), size, text.size()));
  return text;
}

/// Copies a file to `to` where there is room for it; returns its size, or 0.
std::size_t place(const std::string& head, std::span<const std::byte> content, std::uint8_t* to, std::size_t room) {
  if (head.size() + content.size() > room) return 0;
  std::memmove(to + head.size(), content.data(), content.size());
  std::memcpy(to, head.data(), head.size());
  return head.size() + content.size();
}

/// Moves or resizes one tensor, exchanges two, or cuts the data: numbers that fit each other, as mutated text seldom
/// has them.
void rearrange(std::vector<io::Tensor>& tensors, std::span<const std::byte>& content, std::minstd_rand& random) {
  if (tensors.empty()) return;
  const auto below = [&](std::size_t count) { return static_cast<std::size_t>(random() % count); };
  io::Tensor& tensor = tensors[below(tensors.size())];
  io::Tensor& other = tensors[below(tensors.size())];
  const std::size_t unit = io::size_of(tensor.dtype);
  const std::uint64_t bytes = tensor.end - tensor.begin;
  switch (below(4)) {
    case 0:
      tensor.begin = unit * below(content.size() / unit + 1);
      tensor.end = tensor.begin + bytes;
      break;
    case 1: {
      std::uint64_t count = 1;
      for (std::size_t& extent : tensor.shape) count *= extent = 1 + below(2 * extent + 1);
      tensor.end = tensor.begin + count * unit;
      break;
    }
    case 2:
      std::swap(tensor.begin, other.begin);
      std::swap(tensor.end, other.end);
      break;
    default:
      content = content.first(below(content.size() + 1));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto networks = io::load_any(as_bytes(data, size));
    static_cast<void>(networks);
  } catch (const io::ModelFormatError&) {
  }
  return 0;
}

/// Mutates the bytes, the header with its length put right, or the tensors or the description with length and checksum
/// put right: without these, a changed file comes no further than to its length or its checksum.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  std::minstd_rand random(seed);
  const auto choice = random() % 5;
  std::size_t written = 0;
  if (choice != 0) {
    try {
      io::Container container = io::read_container(io::memory_source(as_bytes(data, size)));
      std::span<const std::byte> content = as_bytes(data, size).subspan(container.data_offset);
      if (choice == 1) {
        std::string header(reinterpret_cast<const char*>(data) + 8, container.data_offset - 8);
        header = mutated(header, 2 * header.size());
        const std::uint64_t length = header.size();
        written = place(std::string(reinterpret_cast<const char*>(&length), 8) + header, content, data, max_size);
      } else {
        std::string& description = container.metadata["pylstm"];
        if (choice == 2) {
          rearrange(container.tensors, content, random);
        } else {
          description = mutated(description, description.size() + 256);
        }
        const std::uint32_t crc = io::crc32(description.data(), description.size());
        container.metadata["pylstm.crc32"] = io::hexadecimal(io::crc32(content.data(), content.size(), crc));
        written = place(io::container_head(container.tensors, container.metadata), content, data, max_size);
      }
    } catch (const std::exception&) {  // no container, or a description that is no UTF-8 any more
    }
  }
  return written != 0 ? written : LLVMFuzzerMutate(data, size, max_size);
}
