/// What is learnt from: views of samples, files that they are mapped from, and how many are predicted together.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "pylstm/base/mapped_file.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/train/trainer.hpp"

using pylstm::MappedFile;
using pylstm::layers::BatchOrder;
using pylstm::network::Config;
using pylstm::train::SampleView;

TEST_CASE("numbers are read at any stride in bytes, aligned or not") {
  const std::size_t samples = 2, steps = 3, features = 2, record = 1 + features * sizeof(double);
  std::vector<char> records(samples * steps * record);
  std::vector<double> expected;
  for (std::size_t i = 0; i < samples * steps; ++i) {
    const double values[] = {static_cast<double>(i), -0.5 * static_cast<double>(i)};
    std::memcpy(records.data() + i * record + 1, values, sizeof values);
    expected.insert(expected.end(), {values[0], values[1]});
  }
  const SampleView view{.data = records.data() + 1,
                        .is_double = true,
                        .samples = samples,
                        .steps = steps,
                        .features = features,
                        .sample_stride = static_cast<std::ptrdiff_t>(steps * record),
                        .step_stride = static_cast<std::ptrdiff_t>(record),
                        .feature_stride = sizeof(double)};
  for (std::size_t sample = 0; sample < samples; ++sample) {
    std::vector<double> read(steps * features);
    view.gather(&sample, 1, read.data());
    const auto begin = expected.begin() + static_cast<std::ptrdiff_t>(sample * steps * features);
    CHECK(std::equal(read.begin(), read.end(), begin));
  }
}

#if defined(__linux__)
TEST_CASE("of data in a file whole pages are let go, and nothing before or behind them") {
  // Private memory instead of a file's: what is let go reads as zeros.
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t size = MappedFile::most_resident + 4 * page;
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  char* const bytes = static_cast<char*>(memory);
  const std::size_t pages[] = {0, 1, 2, 3, size / page - 2, size / page - 1};
  for (const std::size_t header : {std::size_t{0}, std::size_t{128}, page, page + 128}) {
    CAPTURE(header);
    for (const std::size_t k : pages) bytes[k * page] = bytes[(k + 1) * page - 1] = 1;
    MappedFile file(bytes + header, size - header - 100);
    file.let_go(bytes + header, size - header);
    for (const std::size_t k : pages) {
      CAPTURE(k);
      const bool whole = k * page >= header && (k + 1) * page <= size - 100;
      CHECK(bytes[k * page] == (whole ? 0 : 1));
      CHECK(bytes[(k + 1) * page - 1] == (whole ? 0 : 1));
    }
  }
  munmap(memory, size);
}
#endif

TEST_CASE("fewer long samples are predicted together, by the widest that a network makes of a step") {
  using pylstm::train::rows_at_once;
  const std::size_t steps = 1 << 16;
  CHECK(rows_at_once({.inputs = 4, .hidden_sizes = {8}}, steps, 256) == 64);
  CHECK(rows_at_once({.inputs = 512, .hidden_sizes = {8}}, steps, 256) == 1);
  CHECK(rows_at_once({.inputs = 512, .vocabulary = 10, .hidden_sizes = {8}}, steps, 256) == 1);
  CHECK(rows_at_once({.inputs = 4, .hidden_sizes = {32}}, steps, 256) == 16);
  CHECK(rows_at_once({.inputs = 4, .hidden_sizes = {8, 32, 8}, .bidirectional = true}, steps, 256) == 8);
  CHECK(rows_at_once({.inputs = 4, .hidden_sizes = {32}, .bidirectional = true, .merge = pylstm::network::Merge::sum},
                     steps, 256) == 16);
  CHECK(rows_at_once({.inputs = 4, .hidden_sizes = {8}}, 10, 256) == 256);
}

TEST_CASE("a batch that lies longest first stays in its order, others are sorted stably") {
  const BatchOrder sorted(5, {5, 3, 3, 0}, false), mixed(5, {3, 5, 0, 3}, false), equal(5, {5, 5}, false);
  CHECK(sorted.schedule().order == nullptr);
  CHECK(equal.schedule().order == nullptr);
  CHECK(equal.schedule().lengths == nullptr);
  const std::size_t lengths[] = {5, 3, 3, 0}, order[] = {1, 0, 3, 2}, active[] = {3, 3, 3, 1, 1};
  for (const BatchOrder* const one : {&sorted, &mixed}) {
    CHECK(std::equal(lengths, lengths + 4, one->schedule().lengths));
    CHECK(std::equal(active, active + 5, one->schedule().active));
  }
  CHECK(std::equal(order, order + 4, mixed.schedule().order));
}
