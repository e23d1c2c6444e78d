/// What is learnt from: views of samples, files that they are mapped from, what is refused, and how many are predicted
/// together.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "pylstm/base/mapped_file.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/train/predict.hpp"
#include "pylstm/train/trainer.hpp"
#include "samples.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;
using pylstm::Buffer;
using pylstm::Interrupt;
using pylstm::MappedFile;

}  // namespace

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

TEST_CASE("features are read in their units, missing ones as zeros") {
  // Two features, flags of both, and one number more.
  const std::vector<double> x = {3, 7, 0, 0, 1, 5, 9, 1, 0, 2};
  pylstm::train::FeatureUnits units{.mean = {1, 0}, .factor = {0.5, 4}, .masks = true};
  SampleView view{.data = x.data(),
                  .is_double = true,
                  .samples = 1,
                  .steps = 2,
                  .features = 5,
                  .step_stride = 5 * sizeof(double),
                  .feature_stride = sizeof(double),
                  .units = &units};
  const std::size_t first = 0;
  std::vector<float> read(10);
  view.check("x", 5);
  view.gather(&first, 1, read.data());
  CHECK(read == std::vector<float>{1, 28, 0, 0, 1, 0, 36, 1, 0, 2});
  units.mean = {1, 0, 0};
  CHECK_THROWS_AS(view.check("x", 5), std::invalid_argument);
  units.factor = {1, 1, 1};
  CHECK_THROWS_AS(view.check("x", 5), std::invalid_argument);  // no room for three flags
  units.masks = false;
  CHECK_NOTHROW(view.check("x", 5));
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

TEST_CASE("items of no weight may be of no class") {
  const Config config{.inputs = 3, .hidden_sizes = {4}, .outputs = 3};
  Samples<double> samples = random_samples<double>({.inputs = 3, .outputs = 1}, 4, 5, 1);
  samples.y = {0, -1, 2, 1};
  samples.weights = {1, 0, 2, 1};
  Network<double> network(config);
  network.initialize(1);
  Trainer<double> trainer(network, {.loss = {.kind = pylstm::train::LossKind::cross_entropy}});
  CHECK(std::isfinite(run_epoch(trainer, samples.batches(4))));
  samples.weights[1] = 1e-300;
  CHECK_THROWS_AS(run_epoch(trainer, samples.batches(4)), std::invalid_argument);
}

TEST_CASE("samples that do not fit the network or each other are refused where the call enters") {
  const Config config{.inputs = 3, .hidden_sizes = {4}, .outputs = 2};
  Network<double> network(config);
  network.initialize(1);
  Samples<double> samples = random_samples<double>(config, 6, 5, 1);
  for (double& y : samples.y) y = std::abs(y);  // which serves as weights, too
  const Buffer<double> before = network.parameters();
  Interrupt never;
  std::vector<double> out(12);
  const auto refused = [&](const char* message, auto change) {
    CAPTURE(message);
    Batches batches = samples.batches(2);
    batches.weights = batches.y;
    batches.weights->features = 1;
    change(batches);
    const auto names_it = doctest::Contains(message);
    CHECK_THROWS_WITH_AS(Trainer<double>(network, {}).run_epoch(batches, never), names_it, std::invalid_argument);
    CHECK(same_bits(network.parameters(), before));
  };
  const std::size_t long_lengths[] = {5, 5, 6, 5, 5, 5};
  refused("x has 1 features, expected 3", [](Batches& b) { b.x.features = 1; });
  refused("x has no data", [](Batches& b) { b.x.data = nullptr; });
  refused("x[2] has 6 steps, expected at most 5", [&](Batches& b) { b.x.lengths = long_lengths; });
  refused("y has 5 samples, expected 6", [](Batches& b) { b.y.samples = 5; });
  refused("y has 1 features, expected 2", [](Batches& b) { b.y.features = 1; });
  refused("y[0] has 5 steps, expected 1", [](Batches& b) { b.y.steps = 5; });
  refused("weights has 2 features, expected 1", [](Batches& b) { b.weights->features = 2; });
  const double negative[] = {1, 1, 1, 1, -1, 1}, infinite[] = {1, 1, 1, 1, 1, std::numeric_limits<double>::infinity()},
               no_numbers[] = {1, 1, std::numeric_limits<double>::quiet_NaN(), 1, 1, 1};
  for (const double* const weights : {negative, infinite, no_numbers}) {
    refused(", expected finite numbers >= 0", [&](Batches& b) {
      b.weights->data = weights;
      b.weights->sample_stride = sizeof(double);
    });
  }
  refused("sample 6 is wanted, expected 0 to 6 - 1", [](Batches& b) { b.order[1] = 6; });
  refused("batch_size is 0", [](Batches& b) { b.batch_size = 0; });

  SampleView x = samples.batches(2).x;
  CHECK_THROWS_AS(predict(network, x, {.count = 7}, out.data(), never), std::invalid_argument);
  CHECK_THROWS_AS(predict(network, x, {.count = 6}, out.data(), never, nullptr, 0), std::invalid_argument);
  x.features = 2;
  CHECK_THROWS_AS(predict(network, x, out.data(), never), std::invalid_argument);

  const Config of_steps{.inputs = 3, .hidden_sizes = {4}, .outputs = 2, .pooling = Pooling::none};
  Network<double> every_step(of_steps);
  CHECK_THROWS_AS(Trainer<double>(every_step, {}).run_epoch(samples.batches(2), never), std::invalid_argument);
}

TEST_CASE("a label that no output has is refused") {
  const Config config{.inputs = 2, .hidden_sizes = {4}, .outputs = 3};
  Network<double> network(config);
  network.initialize(1);
  for (const double label : {-1.0, 3.0, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    Samples<double> samples = random_samples<double>({.inputs = 2, .outputs = 1}, 3, 4, 1);
    samples.y = {0, label, 2};
    Trainer<double> trainer(network, {.loss = {.kind = pylstm::train::LossKind::cross_entropy}});
    const Buffer<double> before = network.parameters();
    CHECK_THROWS_AS(run_epoch(trainer, samples.batches(1)), std::invalid_argument);  // before the first batch
    CHECK(same_bits(network.parameters(), before));
  }
}
