/// Model files: what Python's `save_model` writes and `load_model` reads, without Python.
///
///   auto network = pylstm::io::load<float>("model.safetensors");
///   pylstm::io::save(network, "copy.safetensors");
///
/// A file that is not whole and consistent raises ModelFormatError, one that the system will not give or take
/// std::system_error.  Nothing in a file is executed, and what is allocated is bounded by its size.
/// docs/design/0003-model-files.md has the format.  Needs nlohmann-json.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "pylstm/io/checksum.hpp"
#include "pylstm/io/error.hpp"
#include "pylstm/io/file.hpp"
#include "pylstm/io/json.hpp"
#include "pylstm/io/safetensors.hpp"
#include "pylstm/network/description.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/version.hpp"

namespace pylstm::io {

/// Of the files that this version writes, and the newest that it reads.
inline constexpr std::size_t format_version = 1;

/// What a file says about itself.
struct Description {
  std::string library_version;
  network::Config config;
  DType dtype;
  std::string task;  ///< JSON object: what the model is for, and how data become its inputs; Python's side of a file
};

namespace detail {

struct Document {
  Description description;
  Container container;
};

inline network::Config config_from_json(const Json& architecture, const std::string& written_by) {
  demand(architecture.is_object(), Problem::malformed, "the architecture is not an object");
  for (const auto& [name, value] : architecture.items()) {
    demand(network::is_field(name), Problem::newer, "the architecture has a field \"", name, "\" that pylstm ", version,
           " does not know: the file was written by a newer version (", written_by, ")");
  }
  try {
    return network::config_from([&](const char* name, auto& field) {
      const auto found = architecture.find(name);
      if (found == architecture.end()) return false;
      using Field = std::remove_cvref_t<decltype(field)>;
      if constexpr (std::is_same_v<Field, bool>) {
        demand(found->is_boolean(), Problem::malformed, name, " is ", found->dump(), ", expected true or false");
        field = found->template get<bool>();
      } else if constexpr (std::is_same_v<Field, double>) {
        demand(found->is_number(), Problem::malformed, name, " is ", found->dump(), ", expected a number");
        field = found->template get<double>();
      } else if constexpr (std::is_same_v<Field, std::size_t>) {
        field = as_size(*found, name);
      } else if constexpr (std::is_same_v<Field, std::string>) {
        field = as_string(*found, name);
      } else {
        field = as_sizes(*found, name);
      }
      return true;
    });
  } catch (const ModelFormatError&) {
    throw;
  } catch (const std::invalid_argument& error) {
    reject(Problem::malformed, "the architecture is wrong: ", error.what());
  }
}

inline nlohmann::ordered_json json_from(const network::Config& config) {
  nlohmann::ordered_json architecture;
  network::describe(config, [&](const char* name, const auto& value) { architecture[name] = value; });
  return architecture;
}

/// Everything but the values of the parameters.
inline Document read_document(const Source& source) {
  Container container = read_container(source);
  demand(container.metadata.contains("pylstm"), Problem::malformed, "a safetensors file, but not a pylstm model");
  const Json document = parse_object(container.metadata["pylstm"], "the model's description");
  for (const char* const name : {"format", "library", "architecture", "task"}) {
    demand(document.contains(name), Problem::malformed, "the model's description lacks \"", name, "\"");
  }
  const std::string library = as_string(document["library"], "library");
  const std::size_t format = as_size(document["format"], "format");
  demand(format <= format_version && document.size() == 4, Problem::newer, "written by a newer version (", library,
         ", format ", format, "); pylstm ", version, " reads formats up to ", format_version);
  demand(format >= 1, Problem::malformed, "format is 0");
  demand(document["task"].is_object(), Problem::malformed, "task is not an object");
  demand(!container.tensors.empty(), Problem::malformed, "the file has no parameters");
  const DType dtype = container.tensors.front().dtype;
  for (const Tensor& tensor : container.tensors) {
    demand(tensor.dtype == dtype, Problem::malformed, "the parameters are of different precision");
  }
  network::Config config = config_from_json(document["architecture"], library);
  demand(config.hidden_sizes.size() <= container.tensors.size(), Problem::malformed, "the file has ",
         container.tensors.size(), " parameters for ", config.hidden_sizes.size(), " layers");
  return {{library, std::move(config), dtype, document["task"].dump()}, std::move(container)};
}

/// Where in the container each parameter of the network lies; there is nothing else in it.
inline std::vector<const Tensor*> match(const std::vector<network::ParameterInfo>& infos, const Container& container) {
  demand(infos.size() == container.tensors.size(), Problem::malformed, "the file has ", container.tensors.size(),
         " parameters, expected ", infos.size());
  std::map<std::string_view, const Tensor*> by_name;
  for (const Tensor& tensor : container.tensors) by_name[tensor.name] = &tensor;
  std::vector<const Tensor*> found;
  for (const network::ParameterInfo& info : infos) {
    const auto place = by_name.find(info.name);
    demand(place != by_name.end(), Problem::malformed, "the file has no parameter \"", info.name, "\"");
    const std::vector<std::size_t> shape = info.shape();
    demand(place->second->shape == shape, Problem::malformed, "parameter \"", info.name, "\" has shape ",
           Json(place->second->shape).dump(), ", expected ", Json(shape).dump());
    found.push_back(place->second);
  }
  return found;
}

/// The checksum of description and data, over whatever buffer is at hand.
inline void check_data(const Source& source, const Document& document) {
  const Container& container = document.container;
  const auto& metadata = container.metadata;
  const std::string& description = metadata.at("pylstm");
  std::uint32_t crc = crc32(description.data(), description.size());
  std::vector<unsigned char> piece(std::min<std::uint64_t>(container.data_size, 1 << 16));
  for (std::uint64_t done = 0; done < container.data_size; done += piece.size()) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), container.data_size - done));
    source.read(container.data_offset + done, count, piece.data());
    crc = crc32(piece.data(), count, crc);
  }
  const auto expected = metadata.find("pylstm.crc32");
  demand(expected != metadata.end() && expected->second == hexadecimal(crc), Problem::corrupted,
         "the file's checksum is not that of its content");
}

template <class T>
network::Network<T> load(const Source& source, const Document& document) {
  constexpr DType wanted = sizeof(T) == 4 ? DType::f32 : DType::f64;
  demand(document.description.dtype == wanted, Problem::unsupported, "the model is of ",
         wanted == DType::f32 ? "float64, expected float32" : "float32, expected float64");
  const network::Config& config = document.description.config;
  std::vector<network::ParameterInfo> infos;
  try {
    infos = network::Network<T>::parameters_of(config);
  } catch (const std::invalid_argument& error) {
    reject(Problem::malformed, "the architecture is wrong: ", error.what());
  } catch (const std::length_error& error) {
    reject(Problem::malformed, "the architecture is wrong: ", error.what());
  }
  const std::vector<const Tensor*> tensors = match(infos, document.container);
  check_data(source, document);
  network::Network<T> network(config);
  std::vector<T> values;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    values.resize(infos[i].size());
    source.read(document.container.data_offset + tensors[i]->begin, values.size() * sizeof(T), values.data());
    network.set(i, network.parameters(), values.data());
  }
  return network;
}

template <class Networks>
Networks load_any(const Source& source, const Document& document) {
  if (document.description.dtype == DType::f32) return load<float>(source, document);
  return load<double>(source, document);
}

/// use(source, document) of a file, open once for both.
template <class Use>
auto with_document(const std::filesystem::path& path, const Use& use) {
  const InputFile file(path);
  const Source source = file.source();
  return use(source, read_document(source));
}
/// Of a file's bytes in memory.
template <class Use>
auto with_document(std::span<const std::byte> bytes, const Use& use) {
  const Source source = memory_source(bytes);
  return use(source, read_document(source));
}

}  // namespace detail

template <class T>
network::Network<T> load(const std::filesystem::path& path) {
  return detail::with_document(path, detail::load<T>);
}
/// Of a file's bytes in memory.
template <class T>
network::Network<T> load(std::span<const std::byte> bytes) {
  return detail::with_document(bytes, detail::load<T>);
}

/// A network of whichever precision the file has.
template <class Networks = std::variant<network::Network<float>, network::Network<double>>>
Networks load_any(const std::filesystem::path& path) {
  return detail::with_document(path, detail::load_any<Networks>);
}
template <class Networks = std::variant<network::Network<float>, network::Network<double>>>
Networks load_any(std::span<const std::byte> bytes) {
  return detail::with_document(bytes, detail::load_any<Networks>);
}

/// What the file says, its parameters unread.
inline Description describe(const std::filesystem::path& path) {
  return detail::with_document(path, [](const Source&, const detail::Document& read) { return read.description; });
}
inline Description describe(std::span<const std::byte> bytes) {
  return detail::with_document(bytes, [](const Source&, const detail::Document& read) { return read.description; });
}

/// `load_any` and `describe` of one and the same file, which somebody may be about to replace.  `From`: a path, or
/// bytes.
template <class Networks = std::variant<network::Network<float>, network::Network<double>>, class From>
std::pair<Networks, Description> load_described(const From& from) {
  return detail::with_document(from, [](const Source& source, const detail::Document& document) {
    return std::pair(detail::load_any<Networks>(source, document), document.description);
  });
}

/// {"library", "dtype", "architecture", "task"}.
inline std::string to_json(const Description& description) {
  nlohmann::ordered_json text;
  text["library"] = description.library_version;
  text["dtype"] = description.dtype == DType::f32 ? "float32" : "float64";
  text["architecture"] = detail::json_from(description.config);
  text["task"] = Json::parse(description.task);
  return text.dump();
}

/// Writes a network.  Whoever reads `path` meanwhile, or after a failure, finds the file that was there.
/// `task`: a JSON object; `Description::task` gives it back, names sorted.
template <class T>
void save(const network::Network<T>& network, const std::filesystem::path& path, const std::string& task = "{}") {
  nlohmann::ordered_json document;
  document["format"] = format_version;
  document["library"] = version;
  document["architecture"] = detail::json_from(network.config());
  document["task"] = parse_object(task, "task", most_nested - 1);  // it lies in an object
  const std::string description = document.dump();

  const std::vector<network::ParameterInfo> infos = network.parameter_infos();
  std::vector<Tensor> tensors;
  std::vector<T> values;
  std::uint64_t end = 0;
  std::uint32_t crc = crc32(description.data(), description.size());
  for (std::size_t i = 0; i < infos.size(); ++i) {
    values.resize(infos[i].size());
    network.get(i, network.parameters(), values.data());
    crc = crc32(values.data(), values.size() * sizeof(T), crc);
    const std::uint64_t begin = std::exchange(end, end + values.size() * sizeof(T));
    tensors.push_back({infos[i].name, sizeof(T) == 4 ? DType::f32 : DType::f64, infos[i].shape(), begin, end});
  }
  const std::string head = container_head(tensors, {{"pylstm", description}, {"pylstm.crc32", hexadecimal(crc)}});
  demand(head.size() - 8 <= most_header_bytes, Problem::malformed, "the header has ", head.size() - 8,
         " bytes, expected at most ", most_header_bytes);

  OutputFile file(path);
  file.write(head.data(), head.size());
  for (std::size_t i = 0; i < infos.size(); ++i) {
    values.resize(infos[i].size());
    network.get(i, network.parameters(), values.data());
    file.write(values.data(), values.size() * sizeof(T));
  }
  file.commit();
}

}  // namespace pylstm::io
