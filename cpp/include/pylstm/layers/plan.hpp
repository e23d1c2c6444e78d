/// How a layer's call is cut: chunks of steps, threads, and along which axis.  No choice that depends on the number of
/// threads changes a bit of a result.
#pragma once

#include <algorithm>
#include <cstddef>

#include "pylstm/base/cache_size.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/kernels/panel.hpp"

namespace pylstm::layers {

inline constexpr std::size_t most_row_groups = 2;

struct Plan {
  std::size_t threads = 1;          ///< of the recurrence
  std::size_t product_threads = 1;  ///< of products over time: these can be cut finer
  bool split_units = false;         ///< threads share the units (a call per step), not the rows (none)
  bool input_product = false;       ///< W x for a chunk of steps in one product before the recurrence
  std::size_t chunk_steps = 1;      ///< steps that share a product: forward of the input, backward of the weights
  /// Steps between two looks at the interrupt; by rows, of a call of the threads.  Backward where each thread owns its
  /// groups of rows, otherwise a chunk is one.
  std::size_t call_steps = 1;
  std::size_t row_groups = 1;  ///< backward: groups of rows whose weight gradients are summed apart

  /// Forward: whether each thread may pack the blocks of units it takes, right before the one product of their input.
  bool packs_on_the_way(const Schedule& schedule) const {
    const bool once = schedule.rows > 0 && schedule.steps > 0 && chunk_steps >= schedule.steps;
    return input_product && once && (split_units || product_threads == 1);
  }
};

/// Real steps of all rows.
inline double work_rows(const Schedule& schedule) {
  if (schedule.lengths == nullptr) return static_cast<double>(schedule.steps) * static_cast<double>(schedule.rows);
  double sum = 0;
  for (std::size_t n = 0; n < schedule.rows; ++n) sum += static_cast<double>(schedule.lengths[n]);
  return sum;
}

/// Threads, and the axis they share; the units can be cut in `most_by_units`.
inline void plan_threads(Plan& plan, const kernels::PanelShape& shape, const Schedule& schedule,
                         std::size_t scalar_size, std::size_t most_by_units) {
  constexpr double least_flops = 3e6;       // 15 to 25 us of one core, ten times what starting a region costs
  constexpr double least_step_flops = 4e5;  // 2 to 3 us of one core between two calls
  constexpr double least_rows = 4;          // fewer take no less time: what a step waits for is its weights
  const double weights = static_cast<double>(shape.size()), rows = static_cast<double>(schedule.rows),
               uses = work_rows(schedule), flops = 2 * weights * uses;
  const std::size_t pool = ThreadPool::instance().threads();
  const std::size_t wanted = std::min(pool, static_cast<std::size_t>(std::min(flops / least_flops, 1e6)) + 1);
  if (wanted < 2 || schedule.rows == 0) return;
  plan.product_threads = wanted;

  const double step_flops = 2 * weights * std::max(rows, least_rows);
  const std::size_t by_rows = std::min(wanted, schedule.rows);
  const std::size_t by_units =
      std::min({wanted, most_by_units, static_cast<std::size_t>(std::min(step_flops / least_step_flops, 1e6))});
  // What a step takes, in flops.  By rows each thread passes over all weights, as if it had some rows more; from beyond
  // L2 many more.  By units all rows share a pass, but threads meet after it.  And once a call weights come from the
  // cache of the thread that has packed or updated them.
  const bool streams = weights * static_cast<double>(scalar_size) > 2 * static_cast<double>(l2_cache_bytes());
  const double pass_rows = streams ? 16 : 3;
  constexpr double meeting = 4e5;  // 2 us of a fast core, as those need that are far from each other
  constexpr double coming = 140;   // of a weight: 0.7 ns of such a core
  const auto pass = [&](double rows_of_each) { return 2 * weights * (rows_of_each + pass_rows); };
  const double fetching = coming * weights * rows / uses, alone = pass(rows);
  const double shared_by_rows = by_rows > 1 ? pass(rows / static_cast<double>(by_rows)) + fetching : alone;
  const double shared_by_units =
      by_units > 1 ? (alone / 0.8 + fetching) / static_cast<double>(by_units) + meeting : alone;
  if (alone <= std::min(shared_by_rows, shared_by_units)) {
    if (uses < coming) plan.product_threads = 1;  // of a weight's flops, two for each use, two threads save half
    return;
  }
  plan.split_units = shared_by_units < shared_by_rows;
  plan.threads = plan.split_units ? by_units : by_rows;
}

/// Whether the product of the input is worth passes of its own, rather than a longer sum in each step's tiles: where
/// few rows share a pass over many weights, and with vectors shorter than a cache line.
inline bool multiplies_input_apart(const Plan& plan, const kernels::PanelShape& shape, const Schedule& schedule,
                                   std::size_t scalar_size) {
  constexpr std::size_t least_inputs = 48, least_rows = 3;
  constexpr std::size_t far_l2 = 2 << 20;  // bytes: cores of servers on a mesh, whose L3 is far
  if (shape.inputs < least_inputs || schedule.steps < 2) return false;
  const std::size_t rows = schedule.rows / (plan.split_units ? 1 : plan.threads),
                    bytes = shape.size() * scalar_size / (plan.split_units ? plan.threads : 1);
  const bool whole_lines = shape.lanes * scalar_size >= 64;
  const bool far = l2_cache_bytes() >= far_l2 && bytes > l2_cache_bytes();
  const std::size_t row_bytes = std::size_t{far ? 64U : 256U} << 10;  // of weights that come by while a row is computed
  return !whole_lines || rows < least_rows || bytes > rows * row_bytes;
}

/// Whole chunks, or all steps: at the end of a call threads wait for each other.
inline std::size_t steps_of_call(const Plan& plan, double step_flops, std::size_t steps) {
  constexpr double flops = 1e9;  // of each thread, some 20 ms; without SIMD 200
  const double chunk_flops = step_flops * static_cast<double>(plan.chunk_steps);
  const double chunks = std::clamp(flops * static_cast<double>(plan.threads) / chunk_flops, 1.0, 1e6);
  return std::min(static_cast<std::size_t>(chunks) * plan.chunk_steps, steps);
}

inline Plan plan_forward(const kernels::PanelShape& shape, const Schedule& schedule, std::size_t scalar_size,
                         bool whole_rows, bool projected) {
  constexpr std::size_t chunk_bytes = 512 << 10;  // half of L2
  Plan plan;
  plan_threads(plan, shape, schedule, scalar_size, whole_rows || projected ? 1 : (shape.blocks() + 1) / 2);
  plan.input_product = whole_rows || multiplies_input_apart(plan, shape, schedule, scalar_size);
  const std::size_t rows = std::max<std::size_t>(schedule.rows, 1);
  if (plan.input_product) {
    const std::size_t step_bytes = rows * shape.padded_units() * shape.slots * scalar_size;
    plan.chunk_steps = std::clamp<std::size_t>(chunk_bytes * plan.threads / step_bytes, 1, 64);
    // At least a few tiles of rows per pass over the weights, and many where they come from beyond L2.
    const std::size_t weights_bytes = shape.inputs * shape.padded_units() * shape.input_slots * scalar_size;
    const bool streams = weights_bytes > (1 << 20);
    const std::size_t least_rows = streams ? 256 : 48;
    plan.chunk_steps = std::max(plan.chunk_steps, (least_rows + rows - 1) / rows);
    // A short sequence makes one pass.
    if (streams && rows * schedule.steps <= 1024 && step_bytes * schedule.steps <= (32 << 20)) {
      plan.chunk_steps = schedule.steps;
    }
  }
  const std::size_t steps = std::max<std::size_t>(schedule.steps, 1);
  plan.chunk_steps = std::min(plan.chunk_steps, steps);
  plan.call_steps = steps_of_call(plan, 2.0 * static_cast<double>(shape.size() * rows), steps);
  if (!plan.input_product) plan.chunk_steps = plan.call_steps;
  return plan;
}

/// Groups of rows whose weight gradients are summed apart, so that two threads sum over rows that they have computed
/// themselves: where that is much work without a cut, and two copies of the weights' gradients stay in L2.  Bits depend
/// on it, so it depends on sizes alone: not on threads, nor on the lanes or the caches of a machine.  A projection is
/// not counted.
inline std::size_t row_groups(const kernels::PanelShape& shape, const Schedule& schedule, std::size_t scalar_size,
                              std::size_t reach) {
  constexpr std::size_t least_rows = 32, least_uses = 512, most_bytes = 512 << 10;
  const std::size_t bytes =
      shape.units * scalar_size *
      (shape.inputs * shape.input_slots + shape.recurrent * (shape.recurrent_slots + shape.reset_slots));
  const std::size_t steps = reach == 0 ? schedule.steps : std::min(reach, schedule.steps);
  const bool grouped = schedule.lengths == nullptr && schedule.rows >= least_rows &&
                       schedule.rows * steps >= least_uses && bytes <= most_bytes;
  return grouped ? most_row_groups : 1;
}

/// `reach`: how many steps gradients go back; 0: all.
inline Plan plan_backward(const kernels::PanelShape& shape, const Schedule& schedule, std::size_t scalar_size,
                          bool whole_rows, std::size_t reach = 0) {
  Plan plan;
  const std::size_t groups = transposed(shape, kernels::recurrent_part(shape)).groups();
  plan_threads(plan, shape, schedule, scalar_size, whole_rows ? 1 : groups);
  // Every chunk reads and writes all of the weights' gradients: few chunks where these come from beyond L2.  And
  // threads that do not own their groups of rows meet twice in each: more rows where a row's gradients are few, fewer
  // where the equations of whole rows pass over as much again.  Not by the number of threads: a later segment finds
  // what an earlier one left in its place, whoever computed it.
  constexpr std::size_t gradients_bytes = 512 << 10;
  const std::size_t least_rows = whole_rows ? 128 : 256;
  const std::size_t row_bytes = shape.padded_units() * shape.slots * scalar_size;
  const std::size_t chunk_rows =
      shape.size() * scalar_size > (4 << 20) ? 1024 : std::max(least_rows, gradients_bytes / row_bytes);
  const std::size_t rows = std::max<std::size_t>(schedule.rows, 1);
  const std::size_t steps = std::max<std::size_t>(schedule.steps, 1);
  plan.chunk_steps = std::clamp<std::size_t>(chunk_rows / rows, 1, steps);
  plan.row_groups = row_groups(shape, schedule, scalar_size, reach);
  plan.call_steps = steps_of_call(plan, 4.0 * static_cast<double>(shape.size() * rows), steps);
  return plan;
}

}  // namespace pylstm::layers
