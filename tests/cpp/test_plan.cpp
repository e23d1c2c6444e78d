/// How calls are shared among threads: how many, along which axis, and which rows.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "fast_layer.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/layers/plan.hpp"
#include "pylstm/layers/row_shares.hpp"
#include "pylstm/layers/schedule.hpp"
#include "pylstm/layers/walk.hpp"

using namespace pylstm::testing;
using pylstm::Schedule;
using pylstm::Share;
using namespace pylstm::layers;

namespace {

pylstm::kernels::PanelShape shape(std::size_t inputs, std::size_t units) {
  return {.inputs = inputs,
          .units = units,
          .recurrent = units,
          .lanes = 16,
          .input_slots = 4,
          .recurrent_slots = 4,
          .slots = 4,
          .bias_slots = 4};
}

}  // namespace

TEST_CASE("more threads in the pool never mean fewer for one row, nor one alone for much work") {
  for (const std::size_t rows : {1U, 4U, 20U, 32U, 128U})
    for (const std::size_t units : {16U, 64U, 256U, 512U, 1500U}) {
      CAPTURE(rows);
      CAPTURE(units);
      std::size_t forward = 1, backward = 1;
      for (std::size_t threads = 1; threads <= 64; ++threads) {
        CAPTURE(threads);
        const Threads scope(threads);
        const Schedule schedule{.steps = 50, .rows = rows};
        const Plan f = plan_forward(shape(64, units), schedule, sizeof(float), false, false),
                   b = plan_backward(shape(64, units), schedule, sizeof(float), false);
        CHECK(f.threads <= threads);
        CHECK(b.product_threads <= threads);
        if (f.split_units) CHECK(f.threads <= (units + 15) / 16);
        // Where one axis gives way to the other, fewer may do more.
        if (rows == 1) CHECK(f.threads >= forward);
        if (rows == 1) CHECK(b.threads >= backward);
        if (threads > 1 && rows * units > 512 * 4) CHECK(std::min(f.threads, b.threads) > 1);
        forward = f.threads, backward = b.threads;
      }
    }
}

TEST_CASE("two threads share rows, units where a row has many weights, and nothing of a call of few rows and steps") {
  const Threads scope(2);
  const auto check = [](std::size_t inputs, std::size_t units, const Schedule& schedule, std::size_t threads,
                        std::size_t product_threads, bool split_units) {
    for (const Plan& plan : {plan_forward(shape(inputs, units), schedule, sizeof(float), false, false),
                             plan_backward(shape(inputs, units), schedule, sizeof(float), false)}) {
      CHECK(plan.threads == threads);
      CHECK(plan.product_threads == product_threads);
      CHECK(plan.split_units == split_units);
    }
  };
  check(64, 64, {.steps = 30, .rows = 2}, 1, 1, false);
  check(32, 128, {.steps = 40, .rows = 2}, 1, 1, false);
  check(40, 100, {.steps = 20, .rows = 8}, 2, 2, false);
  check(128, 256, {.steps = 100, .rows = 1}, 2, 2, true);
  check(64, 64, {.steps = 784, .rows = 1}, 1, 2, false);
  check(650, 650, {.steps = 35, .rows = 20}, 2, 2, true);
  check(128, 512, {.steps = 64, .rows = 128}, 2, 2, false);
}

TEST_CASE("chunks of backpropagation do not depend on the number of threads: segments of other numbers share a ring") {
  for (const std::size_t rows : {1U, 20U, 32U, 128U})
    for (const std::size_t units : {16U, 64U, 256U, 1500U}) {
      CAPTURE(rows);
      CAPTURE(units);
      const auto chunk_steps = [&](std::size_t threads, bool whole_rows) {
        const Threads scope(threads);
        return plan_backward(shape(64, units), {.steps = 2000, .rows = rows}, sizeof(float), whole_rows).chunk_steps;
      };
      for (const bool whole_rows : {false, true})
        for (const std::size_t threads : {2U, 3U, 16U}) {
          CHECK(chunk_steps(threads, whole_rows) == chunk_steps(1, whole_rows));
        }
    }
}

TEST_CASE("groups of rows depend on sizes alone") {
  const auto groups = [](std::size_t inputs, std::size_t units, const Schedule& schedule, std::size_t lanes = 16) {
    pylstm::kernels::PanelShape of_layer = shape(inputs, units);
    of_layer.lanes = lanes;
    return plan_backward(of_layer, schedule, sizeof(float), false).row_groups;
  };
  const std::size_t lengths[40] = {};
  for (const std::size_t threads : {1U, 2U, 3U, 16U})
    for (const std::size_t lanes : {4U, 8U, 16U}) {
      const Threads scope(threads);
      CHECK(groups(8, 64, {.steps = 50, .rows = 32}, lanes) == 2);
      CHECK(groups(16, 128, {.steps = 4, .rows = 128}, lanes) == 2);
      CHECK(groups(128, 256, {.steps = 50, .rows = 32}, lanes) == 1);
      CHECK(groups(8, 64, {.steps = 500, .rows = 31}, lanes) == 1);
      CHECK(groups(8, 64, {.steps = 12, .rows = 40}, lanes) == 1);
      CHECK(groups(8, 64, {.steps = 50, .rows = 40, .lengths = lengths, .active = lengths}, lanes) == 1);
    }
  // From cut to cut: gradients are added up after each.
  const auto cut = [](std::size_t steps) {
    return plan_backward(shape(16, 128), {.steps = 64, .rows = 64}, sizeof(float), false, steps).row_groups;
  };
  CHECK(cut(7) == 1);
  CHECK(cut(8) == 2);
  CHECK(cut(100) == 2);
  pylstm::kernels::PanelShape reset = shape(2, 180);
  reset.recurrent_slots = 3, reset.reset_slots = 1;
  CHECK(plan_backward(reset, {.steps = 50, .rows = 32}, sizeof(float), false).row_groups == 2);
  reset.inputs = 3;
  CHECK(plan_backward(reset, {.steps = 50, .rows = 32}, sizeof(float), false).row_groups == 1);
  // Half a MiB of weights, however many lanes the last block leaves empty: of 16 lanes 12.
  for (const std::size_t lanes : {4U, 8U, 16U}) {
    CHECK(groups(2, 180, {.steps = 50, .rows = 32}, lanes) == 2);
    CHECK(groups(3, 180, {.steps = 50, .rows = 32}, lanes) == 1);
  }
}

TEST_CASE("rows that end one after the other are shared by their steps") {
  std::vector<std::size_t> lengths;
  for (std::size_t n = 0; n < 90; ++n) lengths.push_back(1 + n * n % 50);
  const BatchOrder order(50, lengths, false);
  const Schedule schedule = order.schedule();
  for (const std::size_t together : {1U, 6U})
    for (const std::size_t threads : {1U, 2U, 3U, 16U}) {
      const RowShares shares{.rows = 90, .together = together};
      RowBorders borders(shares, schedule, threads);
      for (const Segment segment : {Segment{0, 50}, {10, 18}, {30, 50}, {0, 20, 7}}) {
        borders.share_out(segment);
        std::size_t most = 0, all = 0, row = 0;
        for (std::size_t i = 0; i < threads; ++i) {
          const Share share{i, threads};
          CHECK(borders.begin(share) == row);  // one after the other, and none is left out
          CHECK(borders.begin(share) % together == 0);
          std::size_t steps = 0;
          for (; row < borders.end(share); ++row) steps += segment.steps_of(schedule, row);
          most = std::max(most, steps);
          all += steps;
        }
        CHECK(row == 90);
        std::size_t visited = 0;
        for_each_step(schedule, segment, [&](std::size_t, std::size_t) { ++visited; });
        CHECK(all == visited);
        CHECK(most <= all / threads + together * segment.steps());
      }
    }
}
