/// The rows of a batch in runs, one for each thread: which rows, and where the recurrence's memory of each run lies.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::layers {

/// Runs of rows.  A history keeps a run's rows of all steps together, and a page away from the next run's.  Were they
/// side by side, what a core's prefetcher reads on past its own rows would be taken, at every step, from the core that
/// is writing it: two threads were as slow as one at 32 units where their cores are far from each other.
struct RowShares {
  std::size_t rows = 0;
  std::size_t together = 1;  ///< runs begin at multiples of this
  std::size_t count = 1;

  std::size_t begin(std::size_t run) const { return std::min(rows, Share{run, count}.begin(parts()) * together); }
  std::size_t end(std::size_t run) const { return std::min(rows, Share{run, count}.end(parts()) * together); }

  /// A history of all runs, without memory.
  template <class T>
  History<T> history(std::size_t period, std::size_t row_width, std::size_t first = 0) const {
    History<T> all{.period = period, .row_width = row_width, .rows = most_rows(), .first = first};
    // One row more than it holds, lest all blocks fall on the same sets of a cache.
    all.block_stride = (count * rows_apart(all) + 1) * row_width;
    return all;
  }
  /// In `buffer`, which is made large enough; of gates a ring for each of `blocks` blocks.
  template <class T>
  History<T> place(Buffer<T>& buffer, std::size_t period, std::size_t row_width, std::size_t first = 0,
                   std::size_t blocks = 1) const {
    checked_product(period, count * most_rows(), row_width, blocks);  // `history` does not check
    History<T> all = history<T>(period, row_width, first);
    buffer.reserve(checked_product(blocks, all.block_stride));
    all.data = buffer.data();
    return all;
  }
  /// What a history has of a run, by the numbers that the rows have in the batch.
  template <class T>
  History<T> of(const History<T>& all, std::size_t run) const {
    History<T> part = all;
    part.data = shifted(all.data, (run * rows_apart(all) - begin(run)) * all.row_width);
    return part;
  }
  /// Where each row lies in a step of a history, in rows; none: the same as in the batch.
  template <class T>
  std::vector<std::size_t> places(const History<T>& all) const {
    if (count == 1) return {};
    std::vector<std::size_t> places(rows);
    for (std::size_t run = 0; run < count; ++run) {
      for (std::size_t n = begin(run); n < end(run); ++n) places[n] = run * rows_apart(all) + n - begin(run);
    }
    return places;
  }

  /// Of what has one row for every `together` rows: the runs of the same rows.
  RowShares of_parts() const { return {.rows = parts(), .count = count}; }

 private:
  std::size_t parts() const { return (rows + together - 1) / together; }
  std::size_t most_rows() const { return (parts() + count - 1) / count * together; }
  /// From one run to the next.
  template <class T>
  std::size_t rows_apart(const History<T>& all) const {
    constexpr std::size_t page = 4096 / sizeof(T);
    return all.period * most_rows() +
           (count > 1 ? (page + all.row_width - 1) / std::max<std::size_t>(all.row_width, 1) : 0);
  }
};

/// Which rows each thread goes through.  Of sequences of one length, those whose memory lies together.  Where sequences
/// end one after the other, those left are shared anew every now and then: their memory is one run.
class RowBorders {
 public:
  RowBorders(const RowShares& shares, const Schedule& schedule, std::size_t threads)
      : shares_(&shares), schedule_(&schedule) {
    const std::size_t runs = schedule.lengths == nullptr ? shares.count : threads;
    for (std::size_t i = 0; i < runs; ++i) borders_.push_back(shares.begin(i));
    borders_.push_back(shares.rows);
  }

  /// Before the steps of a segment.
  void share_out(const Segment& segment) {
    const std::size_t runs = borders_.size() - 1;
    if (schedule_->lengths == nullptr || runs == 1) return;
    const std::size_t rows = schedule_->active_at(segment.begin);
    std::size_t all = 0, sum = 0, i = 1;
    for (std::size_t n = 0; n < rows; ++n) all += segment.steps_of(*schedule_, n);
    for (std::size_t n = 0; n < rows; n += shares_->together) {
      std::size_t steps = 0;
      for (std::size_t m = n; m < std::min(n + shares_->together, rows); ++m) steps += segment.steps_of(*schedule_, m);
      // Run i begins where half of what comes next belongs to it.
      for (; i < runs && (2 * sum + steps) * runs >= 2 * all * i; ++i) borders_[i] = n;
      sum += steps;
    }
    std::fill(borders_.begin() + static_cast<std::ptrdiff_t>(i), borders_.end(), shares_->rows);
  }

  std::size_t begin(const Share& share) const { return borders_[share.begin(borders_.size() - 1)]; }
  std::size_t end(const Share& share) const { return borders_[share.end(borders_.size() - 1)]; }

 private:
  const RowShares* shares_;
  const Schedule* schedule_;
  std::vector<std::size_t> borders_;  ///< the first row of each run, and the number of rows
};

}  // namespace pylstm::layers
