/// The container: safetensors, strictly.  8 bytes: length of the header, little endian; the header, a JSON object;
/// data. github.com/huggingface/safetensors
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pylstm/io/error.hpp"
#include "pylstm/io/json.hpp"

namespace pylstm::io {

static_assert(std::endian::native == std::endian::little, "model files are read and written on little-endian machines");

/// Bytes at random positions.  `read(offset, size, to)` is called within `size` only.
struct Source {
  std::uint64_t size;
  std::function<void(std::uint64_t, std::size_t, void*)> read;
};

enum class DType { f32, f64 };

inline std::size_t size_of(DType type) { return type == DType::f32 ? 4 : 8; }

struct Tensor {
  std::string name;
  DType dtype;
  std::vector<std::size_t> shape;
  std::uint64_t begin, end;  ///< bytes of the data
};

struct Container {
  std::vector<Tensor> tensors;  ///< as they lie in the data
  std::map<std::string, std::string> metadata;
  std::uint64_t data_offset, data_size;  ///< of the file
};

inline constexpr std::uint64_t most_header_bytes = 4 << 20;

inline Tensor tensor_from(const std::string& name, const Json& entry) {
  const std::string what = "tensor \"" + name + "\"";
  demand(entry.is_object() && entry.size() == 3 && entry.contains("dtype") && entry.contains("shape") &&
             entry.contains("data_offsets"),
         Problem::malformed, what, " is not described by dtype, shape and data_offsets");
  Tensor tensor{name, DType::f32, as_sizes(entry["shape"], what), 0, 0};
  const std::string dtype = as_string(entry["dtype"], what);
  demand(dtype == "F32" || dtype == "F64", Problem::malformed, what, " has dtype ", dtype, ", expected F32 or F64");
  if (dtype == "F64") tensor.dtype = DType::f64;
  const std::vector<std::size_t> offsets = as_sizes(entry["data_offsets"], what);
  demand(offsets.size() == 2 && offsets[0] <= offsets[1], Problem::malformed, what, " has data_offsets ",
         entry["data_offsets"].dump());
  tensor.begin = offsets[0];
  tensor.end = offsets[1];
  std::uint64_t room = (tensor.end - tensor.begin) / size_of(tensor.dtype);
  bool fits = (tensor.end - tensor.begin) % size_of(tensor.dtype) == 0;
  for (const std::size_t extent : tensor.shape) {
    fits = fits && extent != 0 && room % extent == 0;
    if (fits) room /= extent;
  }
  demand(fits && room == 1, Problem::malformed, what, " has shape ", entry["shape"].dump(),
         ", which is not the size of its data");
  return tensor;
}

inline Container read_container(const Source& source) {
  demand(source.size >= 8, Problem::truncated, "the file has ", source.size, " bytes, expected a header");
  std::uint64_t length = 0;
  source.read(0, 8, &length);
  demand(length <= most_header_bytes, Problem::malformed, "the header has ", length, " bytes, expected at most ",
         most_header_bytes);
  demand(length <= source.size - 8, Problem::truncated, "the file ends within its header");
  std::string text(static_cast<std::size_t>(length), '\0');
  source.read(8, text.size(), text.data());
  demand(text.starts_with('{') && text.substr(0, text.find_last_not_of(' ') + 1).ends_with('}'), Problem::malformed,
         "the header does not begin with { and end with }");

  Container container{{}, {}, 8 + length, source.size - 8 - length};
  const Json header = parse_object(text, "the header");
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") {
      container.tensors.push_back(tensor_from(name, entry));
      continue;
    }
    demand(entry.is_object(), Problem::malformed, "__metadata__ is not an object");
    for (const auto& [key, value] : entry.items())
      container.metadata[key] = as_string(value, "a value of __metadata__");
  }
  std::sort(container.tensors.begin(), container.tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.begin < b.begin; });
  std::uint64_t end = 0;
  for (const Tensor& tensor : container.tensors) {
    demand(tensor.begin == end, Problem::malformed, "tensor \"", tensor.name, "\" begins at byte ", tensor.begin,
           ", expected ", end, ", the end of the one before");
    end = tensor.end;
  }
  demand(end <= container.data_size, Problem::truncated, "the file has ", container.data_size,
         " bytes of data, expected ", end);
  demand(end == container.data_size, Problem::malformed, "the file has ", container.data_size,
         " bytes of data, expected ", end);
  return container;
}

/// Length and header of a file; the data begins at a multiple of 64 bytes.
inline std::string container_head(const std::vector<Tensor>& tensors,
                                  const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  for (const Tensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype == DType::f32 ? "F32" : "F64"},
                           {"shape", tensor.shape},
                           {"data_offsets", {tensor.begin, tensor.end}}};
  }
  std::string text = header.dump();
  text.resize((8 + text.size() + 63) / 64 * 64 - 8, ' ');
  const std::uint64_t length = text.size();
  std::string head(8, '\0');
  std::copy_n(reinterpret_cast<const char*>(&length), 8, head.begin());
  return head + text;
}

}  // namespace pylstm::io
