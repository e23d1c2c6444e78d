/// Model files: every network comes back with every bit, Python's files predict what Python predicted, and a file that
/// is not whole and consistent is rejected, whatever is wrong with it.
#include <doctest/doctest.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#if !defined(_WIN32)
#include <sys/stat.h>
#endif

#include "folder.hpp"
#include "networks.hpp"
#include "pylstm/io/model_file.hpp"
#include "pylstm/train/predict.hpp"
#include "pylstm/train/trainer.hpp"

namespace pylstm::testing {
namespace {

namespace fs = std::filesystem;

using Bytes = std::vector<std::byte>;

Bytes bytes_of(const fs::path& path) {
  Bytes bytes(fs::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

void write(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// A file of a header and data.
Bytes packed(const std::string& header, std::size_t data = 0) {
  const std::uint64_t length = header.size();
  Bytes bytes(8 + header.size() + data);
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

std::vector<fs::path> golden_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(PYLSTM_TEST_DATA "/model_files")) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

bool is_rejected(const Bytes& bytes) {
  try {
    io::load_any(std::span(bytes));
  } catch (const io::ModelFormatError&) {
    return true;
  }
  return false;
}

template <class T>
void check_round_trip(const Config& config) {
  const Folder folder;
  Network<T> network(config);
  network.initialize(3);
  io::save(network, folder.path / "model", R"({"kind":"test"})");
  const Network<T> again = io::load<T>(folder.path / "model");
  CHECK(same_bits(again.parameters(), network.parameters()));
  io::save(again, folder.path / "again", io::describe(folder.path / "model").task);
  CHECK(bytes_of(folder.path / "again") == bytes_of(folder.path / "model"));
}

TEST_CASE("every network comes back with every bit") {
  for (const Config& config : all_networks()) {
    CAPTURE(name(config));
    check_round_trip<float>(with_dropout(config, 0.25));
  }
  for (const Config& config : stacks) check_round_trip<double>(config);
}

/// The inputs of tests/model/models.py.
template <class T>
std::vector<T> exact_inputs(std::size_t samples, std::size_t steps, std::size_t features) {
  std::vector<T> x;
  for (std::size_t n = 0; n < samples; ++n)
    for (std::size_t t = 0; t < steps; ++t)
      for (std::size_t k = 0; k < features; ++k) x.push_back((static_cast<T>((7 * n + 3 * t + k) % 11) - 5) / 8);
  return x;
}

template <class T>
std::string predicted_bits(const Network<T>& network) {
  const std::vector<T> x = exact_inputs<T>(4, 6, 2);
  std::vector<T> y(4 * network.config().outputs);
  constexpr auto size = static_cast<std::ptrdiff_t>(sizeof(T));
  const train::SampleView view{x.data(), sizeof(T) == 8, 4, 6, 2, 12 * size, 2 * size, size};
  Interrupt never;
  train::predict(network, view, y.data(), never);
  std::string text;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(y.data());
  for (std::size_t i = 0; i < y.size() * sizeof(T); ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

TEST_CASE("files of every version predict the bits that Python predicted") {
  if (available_isas().front() == "generic") return;  // which has no fused multiply-add
  for (const fs::path& path : golden_files()) {
    CAPTURE(path);
    const io::Json expected = io::Json::parse(std::ifstream(path.parent_path() / "expected.json"));
    const std::string bits = std::visit([](const auto& n) { return predicted_bits(n); }, io::load_any(path));
    CHECK(bits == expected.at(path.filename().string()).get<std::string>());
  }
  CHECK(golden_files().size() >= 20);
}

TEST_CASE("no truncated file is read") {
  for (const fs::path& path : golden_files()) {
    const Bytes whole = bytes_of(path);
    CHECK(!is_rejected(whole));
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      REQUIRE(is_rejected(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))));
    }
  }
}

TEST_CASE("no file with a changed byte is read") {
  std::mt19937 random(1);
  for (const fs::path& path : golden_files()) {
    Bytes bytes = bytes_of(path);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      CAPTURE(i);
      const std::byte was = bytes[i];
      bytes[i] ^= static_cast<std::byte>(1 + random() % 255);
      REQUIRE(is_rejected(bytes));
      bytes[i] = was;
    }
    bytes.push_back({});
    CHECK(is_rejected(bytes));
  }
}

TEST_CASE("a container that lies is rejected") {
  const std::string shape = R"("dtype":"F32","shape":[2,3])";
  for (const auto& lie : std::vector<std::pair<std::string, std::size_t>>{
           {"", 0},
           {"[]", 0},
           {"{}\n", 0},
           {R"({"a":1,"a":2})", 0},
           {R"({"a":1e999})", 0},
           {"{\"a\":\"\xff\"}", 0},
           {R"({"a":)" + std::string(100000, '[') + std::string(100000, ']') + "}", 0},
           {R"({"a":{)" + shape + "}}", 24},
           {R"({"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,24]}})", 24},
           {R"({"a":{"dtype":"F32","shape":[3,3],"data_offsets":[0,24]}})", 24},
           {R"({"a":{"dtype":"F32","shape":[-2,-3],"data_offsets":[0,24]}})", 24},
           {R"({"a":{"dtype":"F32","shape":[2.0,3],"data_offsets":[0,24]}})", 24},
           {R"({"a":{"dtype":"F32","shape":[0,9],"data_offsets":[0,0]}})", 0},
           {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0},
           {R"({"a":{)" + shape + R"(,"data_offsets":[24,0]}})", 24},
           {R"({"a":{)" + shape + R"(,"data_offsets":[0,24]},"b":{)" + shape + R"(,"data_offsets":[0,24]}})", 24},
           {R"({"a":{)" + shape + R"(,"data_offsets":[0,24]},"b":{)" + shape + R"(,"data_offsets":[28,52]}})", 52},
           {R"({"a":{)" + shape + R"(,"data_offsets":[0,24]}})", 23},
           {R"({"a":{)" + shape + R"(,"data_offsets":[0,24]}})", 25},
           {R"({"__metadata__":{"pylstm":1}})", 0},
           {R"({"__metadata__":{"pylstm":"{}"}})", 0},
       }) {
    CAPTURE(lie.first.substr(0, 80));
    CHECK(is_rejected(packed(lie.first, lie.second)));
  }
  Bytes endless = packed("{}");
  endless[7] = std::byte{0x7f};
  CHECK(is_rejected(endless));
}

/// A small model whose description has `from` replaced by `to`, its checksum right.
Bytes lying(const std::string& from, const std::string& to) {
  const Folder folder;
  Network<float> network({.inputs = 2, .hidden_sizes = {3, 2}, .outputs = 2});
  io::save(network, folder.path / "model");
  const Bytes bytes = bytes_of(folder.path / "model");
  const io::Source source = io::memory_source(bytes);
  io::Container container = io::read_container(source);
  std::string& description = container.metadata["pylstm"];
  const std::size_t place = description.find(from);
  REQUIRE(place != std::string::npos);
  description.replace(place, from.size(), to);
  const std::byte* const data = bytes.data() + container.data_offset;
  const std::uint32_t crc = io::crc32(data, container.data_size, io::crc32(description.data(), description.size()));
  container.metadata["pylstm.crc32"] = io::hexadecimal(crc);
  const std::string head = io::container_head(container.tensors, container.metadata);
  Bytes changed(head.size() + container.data_size);
  std::memcpy(changed.data(), head.data(), head.size());
  std::memcpy(changed.data() + head.size(), data, container.data_size);
  return changed;
}

io::Problem problem_of(const Bytes& bytes) {
  try {
    io::load<float>(std::span(bytes));
  } catch (const io::ModelFormatError& error) {
    CHECK(std::string(error.what()) != "");
    return error.problem();
  }
  FAIL("the file was read");
  return {};
}

TEST_CASE("a description that lies is rejected, and says of what kind the lie is") {
  CHECK(!is_rejected(lying("{}", "{}")));
  for (const auto& lie : std::vector<std::pair<std::string, std::string>>{
           {"\"cell\":\"lstm\"", "\"cell\":\"transformer\""},
           {"\"cell\":\"lstm\"", "\"cell\":\"gru\""},
           {"\"cell\":\"lstm\"", "\"cell\":1"},
           {"\"cell\":\"lstm\",", ""},
           {"\"n_features\":2", "\"n_features\":-2"},
           {"\"n_features\":2", "\"n_features\":true"},
           {"\"n_features\":2", "\"n_features\":2.0"},
           {"\"n_features\":2", "\"n_features\":4611686018427387904"},
           {"[3,2]", "[]"},
           {"[3,2]", "[3,1099511627776]"},
           {"[3,2]", "[1048576,1048576]"},
           {"[3,2]", "[1,1,1,1,1,1,1,1,1,1,1,1]"},
           {"[3,2]", "3"},
           {"\"dropout\":0.0", "\"dropout\":2"},
           {"\"bidirectional\":false", "\"bidirectional\":1"},
           {"\"bidirectional\":false", "\"bidirectional\":true"},
           {"\"pooling\":\"last\"", "\"pooling\":\"median\""},
           {"\"task\":{}", "\"task\":[]"},
           {"\"format\":1", "\"format\":0"},
       }) {
    CAPTURE(lie.second);
    CHECK(problem_of(lying(lie.first, lie.second)) == io::Problem::malformed);
  }
  CHECK(problem_of(lying("\"format\":1", "\"format\":2")) == io::Problem::newer);
  CHECK(problem_of(lying("\"cell\"", "\"attention_heads\":4,\"cell\"")) == io::Problem::newer);
  CHECK(problem_of(lying("\"task\":{}", "\"task\":{},\"more\":1")) == io::Problem::newer);
  const auto lists = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  const auto nested = [&](std::size_t levels) {
    return lying("\"task\":{}", "\"task\":{\"a\":" + lists(levels) + "}");
  };
  CHECK_NOTHROW(io::load_any(std::span<const std::byte>(nested(io::most_nested - 2))));
  CHECK(problem_of(nested(io::most_nested - 1)) == io::Problem::malformed);
  CHECK(problem_of(lying("{\"format\"", "\xEF\xBB\xBF{\"format\"")) == io::Problem::malformed);
  Bytes bytes = lying("{}", "{}");
  bytes.back() ^= std::byte{1};
  CHECK(problem_of(bytes) == io::Problem::corrupted);
  bytes.pop_back();
  CHECK(problem_of(bytes) == io::Problem::truncated);
}

TEST_CASE("what can be saved can be loaded: a task is nested a level less than a file") {
  const Folder folder;
  const auto task = [](std::size_t levels) {
    return "{\"a\":" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
  };
  io::save(Network<float>({}), folder.path / "model", task(io::most_nested - 1));
  CHECK_NOTHROW(io::load<float>(folder.path / "model"));
  CHECK_THROWS_AS(io::save(Network<float>({}), folder.path / "model", task(io::most_nested)), io::ModelFormatError);
}

TEST_CASE("a network of another precision is not read as one of this") {
  const Folder folder;
  io::save(Network<double>({}), folder.path / "model");
  CHECK_THROWS_WITH_AS(io::load<float>(folder.path / "model"), "the model is of float64, expected float32",
                       io::ModelFormatError);
  CHECK(io::load_any(folder.path / "model").index() == 1);
}

TEST_CASE("what the system does not give is an error of its own") {
  const Folder folder;
  CHECK_THROWS_AS(io::load<float>(folder.path / "nowhere"), std::system_error);
  CHECK_THROWS_AS(io::load<float>(folder.path), std::system_error);
  CHECK_THROWS_AS(io::save(Network<float>({}), folder.path / "nowhere" / "model"), std::system_error);
  const auto code = [](const fs::path& path) {
    try {
      io::load<float>(path);
    } catch (const std::system_error& error) {
      return error.code().value();
    }
    return 0;
  };
  CHECK(code(folder.path / "nowhere") == ENOENT);
#if !defined(_WIN32)
  CHECK(code(folder.path / std::string(300, 'x')) == ENAMETOOLONG);
#endif
}

TEST_CASE("what is no file is not replaced, and a file keeps its permissions") {
  const Folder folder;
  const Network<float> network({});
  CHECK_THROWS_AS(io::save(network, folder.path), std::system_error);
#if !defined(_WIN32)
  const fs::path pipe = folder.path / "pipe", path = folder.path / "model";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_AS(io::save(network, pipe), std::system_error);
  CHECK(fs::is_fifo(pipe));
  io::save(network, path);
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  io::save(network, path);
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 2);
#endif
}

#if !defined(_WIN32)
TEST_CASE("links are followed, to files that are not there yet as well, but not in a circle") {
  const Folder folder;
  const Network<float> network({});
  fs::create_directory(folder.path / "there");
  fs::create_symlink("there/model", folder.path / "first");
  fs::create_symlink("first", folder.path / "second");
  for (int round = 0; round < 2; ++round) {
    io::save(network, folder.path / "second");
    CHECK(fs::is_symlink(folder.path / "first"));
    CHECK(fs::is_symlink(folder.path / "second"));
    CHECK(fs::is_regular_file(folder.path / "there" / "model"));
  }
  fs::create_symlink("one", folder.path / "other");
  fs::create_symlink("other", folder.path / "one");
  CHECK_THROWS_WITH_AS(io::save(network, folder.path / "one"),
                       doctest::Contains((folder.path / "one").string().c_str()), std::system_error);
  CHECK(fs::is_symlink(folder.path / "one"));
}
#endif

TEST_CASE("a network and its description come from one reading") {
  const Folder folder;
  io::save(Network<double>({.hidden_sizes = {3}}), folder.path / "model", R"({"kind": "test"})");
  const auto [network, description] = io::load_described(folder.path / "model");
  CHECK(network.index() == 1);
  CHECK(description.config.hidden_sizes == std::vector<std::size_t>{3});
  CHECK(description.task == R"({"kind":"test"})");
}

TEST_CASE("a failed write leaves the old file and nothing else") {
  const Folder folder;
  write(folder.path / "model", Bytes(3));
  {
    io::OutputFile file(folder.path / "model");
    file.write("abc", 3);
  }
  CHECK(bytes_of(folder.path / "model") == Bytes(3));
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("the checksum is that of zlib") {
  CHECK(io::hexadecimal(io::crc32("123456789", 9)) == "cbf43926");
  CHECK(io::crc32("6789", 4, io::crc32("12345", 5)) == 0xcbf43926);
}

}  // namespace
}  // namespace pylstm::testing
