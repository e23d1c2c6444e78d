/// What is learnt from, where it lies in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/mapped_file.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/layers/walk.hpp"

namespace pylstm::train {

/// Units that the first features of a step are read in: (x - mean) * factor, factor being 1 / spread.
struct FeatureUnits {
  std::vector<double> mean, factor;  ///< one of each feature
  bool masks = false;                ///< behind them is for each whether it is missing: then it is 0

  template <class T>
  void apply(T* features) const {
    const std::size_t n = mean.size();
    for (std::size_t k = 0; k < n; ++k) {
      features[k] = static_cast<T>((static_cast<double>(features[k]) - mean[k]) * factor[k]);
    }
    for (std::size_t k = 0; masks && k < n; ++k) {
      if (features[n + k] != 0) features[k] = T(0);
    }
  }
};

/// A view of samples [n][steps][features], float or double, any strides (in bytes): an array, its windows, a mapped
/// file; or of sequences that begin anywhere and have lengths of their own.
struct SampleView {
  const void* data = nullptr;
  bool is_double = false;
  std::size_t samples = 0, steps = 0, features = 0;  ///< steps: of the longest sequence
  std::ptrdiff_t sample_stride = 0, step_stride = 0, feature_stride = 0;
  const void* const* starts = nullptr;   ///< [n] where each sequence begins; null: data + n * sample_stride
  const std::size_t* lengths = nullptr;  ///< [n] steps of each; null: all `steps`
  MappedFile* file = nullptr;            ///< that they lie in, to let go what has been read; null: all stays
  const FeatureUnits* units = nullptr;   ///< null: features are read as they are

  std::size_t length(std::size_t sample) const { return lengths == nullptr ? steps : lengths[sample]; }

  /// Fails unless there are `width` features, and memory for sequences of at most `steps`.
  void check(std::string_view name, std::size_t width) const {
    if (samples == 0) return;
    require(features == width, name, " has ", features, " features, expected ", width);
    require(units == nullptr ||
                (units->factor.size() == units->mean.size() && units->mean.size() * (units->masks ? 2 : 1) <= features),
            name, " has ", features, " features, and units for others");
    require(steps == 0 || data != nullptr || starts != nullptr, name, " has no data");
    for (std::size_t n = 0; n < samples && lengths != nullptr; ++n) {
      require(lengths[n] <= steps, name, "[", n, "] has ", lengths[n], " steps, expected at most ", steps);
    }
  }

  /// Copies samples[0..rows) to time-major [steps][rows][features]: shuffling, transposing, casting and scaling are
  /// this one pass.  What lies past a sequence's end is left as it is.
  template <class T>
  void gather(const std::size_t* indices, std::size_t rows, T* out) const {
    if (is_double) {
      gather_as<double>(indices, rows, out);
    } else {
      gather_as<float>(indices, rows, out);
    }
  }

 private:
  template <class From, class T>
  void gather_as(const std::size_t* indices, std::size_t rows, T* out) const {
    const auto at = [](const char* p) {
      From value;
      std::memcpy(&value, p, sizeof value);  // strides need not be multiples of its size
      return static_cast<T>(value);
    };
    for (std::size_t n = 0; n < rows; ++n) {
      const char* const sample =
          starts != nullptr ? static_cast<const char*>(starts[indices[n]])
                            : static_cast<const char*>(data) + static_cast<std::ptrdiff_t>(indices[n]) * sample_stride;
      T* to = out + n * features;
      for (std::size_t t = 0; t < length(indices[n]); ++t, to += rows * features) {
        const char* from = sample + static_cast<std::ptrdiff_t>(t) * step_stride;
        for (std::size_t k = 0; k < features; ++k, from += feature_stride) to[k] = at(from);
        if (units != nullptr) units->apply(to);
      }
      if (file != nullptr) file->has_read(steps * features * sizeof(From));
    }
  }
};

}  // namespace pylstm::train
