/// The C library through its header: the bits of Python's files, statuses instead of exceptions, messages by thread.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "folder.hpp"
#include "pylstm.h"
#include "pylstm/io/model_file.hpp"

namespace {

const std::string folder = PYLSTM_TEST_DATA "/model_files/0.1.0/";

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The inputs of tests/model/models.py.
template <class T>
std::vector<T> exact_inputs() {
  std::vector<T> x;
  for (int n = 0; n < 4; ++n)
    for (int t = 0; t < 6; ++t)
      for (int k = 0; k < 2; ++k) x.push_back((static_cast<T>((7 * n + 3 * t + k) % 11) - 5) / 8);
  return x;
}

template <class T>
std::string hexadecimal(const std::vector<T>& values) {
  std::string text;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

TEST_CASE("models predict the bits that Python predicted") {
  const nlohmann::json expected = nlohmann::json::parse(std::ifstream(folder + "expected.json"));
  for (const auto& file : expected.items()) {
    const std::string& name = file.key();
    CAPTURE(name);
    pylstm_model* model = nullptr;
    REQUIRE(pylstm_model_load((folder + name).c_str(), &model) == PYLSTM_OK);
    CHECK(pylstm_model_inputs(model) == 2);
    const std::size_t size = 4 * pylstm_model_outputs(model);
    std::vector<float> single(size);
    std::vector<double> twice(size);
    CHECK(pylstm_model_predict_f32(model, exact_inputs<float>().data(), 4, 6, single.data(), size) == PYLSTM_OK);
    CHECK(pylstm_model_predict_f64(model, exact_inputs<double>().data(), 4, 6, twice.data(), size) == PYLSTM_OK);
    const nlohmann::json description = nlohmann::json::parse(pylstm_model_describe(model));
    const bool is_double = description.at("dtype") == "float64";
    CHECK((is_double ? hexadecimal(twice) : hexadecimal(single)) == file.value().get<std::string>());
    for (std::size_t k = 0; k < size; ++k) CHECK(static_cast<float>(twice[k]) == single[k]);
    pylstm_model_free(model);
  }
}

TEST_CASE("y has room for a target of every step, and tokens are one feature") {
  namespace network = pylstm::network;
  const pylstm::testing::Folder folder_of_test;
  const std::string path = (folder_of_test.path / "model.safetensors").string();
  const network::Network<double> every_step({.outputs = 2, .pooling = network::Pooling::none}),
      tokens({.inputs = 4, .vocabulary = 9});
  pylstm_model* model = nullptr;
  pylstm::io::save(every_step, path);
  REQUIRE(pylstm_model_load(path.c_str(), &model) == PYLSTM_OK);
  const std::vector<double> x(15);
  const std::vector<float> single(15);
  std::vector<double> y(31, -1);
  std::vector<float> single_y(31, -1);
  CHECK(pylstm_model_output_size(model, 3, 5) == 30);
  CHECK(pylstm_model_output_size(model, static_cast<std::size_t>(-1), 5) == static_cast<std::size_t>(-1));
  CHECK(pylstm_model_predict_f64(model, x.data(), 3, 5, y.data(), 29) == PYLSTM_INVALID_ARGUMENT);
  CHECK(std::string(pylstm_last_error()) == "y has room for 29 values, expected 30");
  CHECK(pylstm_model_predict_f64(model, x.data(), 3, 5, y.data(), 30) == PYLSTM_OK);
  CHECK(pylstm_model_predict_f32(model, single.data(), 3, 5, single_y.data(), 30) == PYLSTM_OK);
  CHECK(y[30] == -1);
  CHECK(single_y[30] == -1);
  pylstm_model_free(model);

  pylstm::io::save(tokens, path);
  REQUIRE(pylstm_model_load(path.c_str(), &model) == PYLSTM_OK);
  CHECK(pylstm_model_inputs(model) == 1);
  CHECK(pylstm_model_predict_f64(model, x.data(), 3, 5, y.data(), 3) == PYLSTM_OK);
  pylstm_model_free(model);
  CHECK(pylstm_model_output_size(nullptr, 1, 1) == 0);
}

TEST_CASE("a file's bytes will do") {
  const std::string bytes = bytes_of(folder + "lstm.safetensors");
  pylstm_model* model = nullptr;
  REQUIRE(pylstm_model_load_memory(bytes.data(), bytes.size(), &model) == PYLSTM_OK);
  pylstm_model_free(model);
  CHECK(pylstm_model_load_memory(bytes.data(), bytes.size() - 1, &model) == PYLSTM_FORMAT_ERROR);
  CHECK(model == nullptr);
  CHECK(std::string(pylstm_last_error()).find("bytes of data") != std::string::npos);
  CHECK(pylstm_model_load_memory(nullptr, 0, &model) == PYLSTM_FORMAT_ERROR);
}

TEST_CASE("what is wrong is a status and a message") {
  pylstm_model* model = nullptr;
  CHECK(pylstm_model_load((folder + "nowhere").c_str(), &model) == PYLSTM_FILE_ERROR);
  CHECK(std::string(pylstm_last_error()).find("nowhere") != std::string::npos);
  CHECK(pylstm_model_load(folder.c_str(), &model) == PYLSTM_FILE_ERROR);
  CHECK(pylstm_model_load(nullptr, &model) == PYLSTM_INVALID_ARGUMENT);
  CHECK(pylstm_model_load("x", nullptr) == PYLSTM_INVALID_ARGUMENT);
  CHECK(pylstm_set_threads(0) == PYLSTM_INVALID_ARGUMENT);
  CHECK(pylstm_set_threads(1025) == PYLSTM_INVALID_ARGUMENT);
  REQUIRE(pylstm_model_load((folder + "lstm.safetensors").c_str(), &model) == PYLSTM_OK);
  float x[2] = {}, y[1] = {};
  CHECK(pylstm_model_predict_f32(nullptr, x, 1, 1, y, 1) == PYLSTM_INVALID_ARGUMENT);
  CHECK(pylstm_model_predict_f32(model, nullptr, 1, 1, y, 1) == PYLSTM_INVALID_ARGUMENT);
  CHECK(pylstm_model_predict_f32(model, x, 1, 1, nullptr, 1) == PYLSTM_INVALID_ARGUMENT);
  CHECK(pylstm_model_predict_f32(model, x, 1, 1, y, 0) == PYLSTM_INVALID_ARGUMENT);
  CHECK(std::string(pylstm_last_error()) == "y has room for 0 values, expected 1");
  CHECK(pylstm_model_predict_f32(model, x, 1, static_cast<std::size_t>(-1) / 4, y, 1) == PYLSTM_OUT_OF_MEMORY);
  CHECK(pylstm_model_predict_f32(model, x, 1, 1, y, 1) == PYLSTM_OK);
  CHECK(pylstm_model_predict_f32(model, x, 0, 1, nullptr, 0) == PYLSTM_OK);
  pylstm_model_free(model);
  pylstm_model_free(nullptr);
  CHECK(pylstm_model_inputs(nullptr) == 0);
  CHECK(pylstm_model_outputs(nullptr) == 0);
  CHECK(pylstm_model_describe(nullptr) == nullptr);
  CHECK(std::strlen(pylstm_version()) >= 5);
}

TEST_CASE("threads share a model and have messages of their own") {
  pylstm_model* model = nullptr;
  CHECK(pylstm_model_load(nullptr, &model) == PYLSTM_INVALID_ARGUMENT);
  const std::string ours = pylstm_last_error();
  REQUIRE(pylstm_model_load((folder + "lstm.safetensors").c_str(), &model) == PYLSTM_OK);
  std::vector<std::thread> threads;
  std::vector<int> right(4);
  for (std::size_t i = 0; i < right.size(); ++i) {
    threads.emplace_back([&, i] {
      const bool silent = std::string(pylstm_last_error()).empty();
      const std::vector<float> x = exact_inputs<float>();
      std::vector<float> first(4), y(4);
      bool same = pylstm_model_predict_f32(model, x.data(), 4, 6, first.data(), 4) == PYLSTM_OK;
      for (int repeat = 0; repeat < 100; ++repeat) {
        same = same && pylstm_model_predict_f32(model, x.data(), 4, 6, y.data(), 4) == PYLSTM_OK && y == first;
      }
      pylstm_model* none = nullptr;
      same = same && pylstm_model_load((folder + std::to_string(i)).c_str(), &none) == PYLSTM_FILE_ERROR;
      right[i] = silent && same && std::string(pylstm_last_error()).find(std::to_string(i)) != std::string::npos;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int one : right) CHECK(one == 1);
  CHECK(pylstm_last_error() == ours);
  pylstm_model_free(model);
}

}  // namespace
