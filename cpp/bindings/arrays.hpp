/// NumPy arrays and the engine's views: dtype, shape, strides, writability.  The only place that knows both.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/base/mapped_file.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/train/samples.hpp"

namespace pylstm::bindings {

namespace py = pybind11;

/// A shape for the time of a call: of `{N, H}` nothing is allocated.  In messages "(3, 4)", "(3,)".
struct Shape : std::span<const py::ssize_t> {
  Shape(std::initializer_list<py::ssize_t> extents) : span(extents.begin(), extents.size()) {}
  Shape(const std::vector<py::ssize_t>& extents) : span(extents) {}
  explicit Shape(const py::array& array) : span(array.shape(), static_cast<std::size_t>(array.ndim())) {}

  friend std::ostream& operator<<(std::ostream& text, Shape shape);
};

/// An argument as an array of real numbers; TypeError names it otherwise.  Strings, objects, complex and other float
/// widths are not.
py::array real_array(const py::handle& argument, const char* name);

/// Whether it is True or False, of Python or of NumPy.
bool is_flag(const py::handle& value);

/// Whether the computation is in double: decided by x (integers and bools count as float64).
bool is_double(const py::array& x);

bool has_shape(const py::array& array, Shape expected);

/// ValueError unless the shape is the expected one.  `why...` explains it: parts that are joined only then.
template <class... Why>
void require_shape(const py::array& array, const char* name, Shape expected, const Why&... why) {
  if (!has_shape(array, expected)) {
    fail(name, " has shape ", Shape(array), ", expected ", expected, ": ", why...);
  }
}

/// The array itself where its elements are T, aligned, in native order, its last axis contiguous and other strides
/// whole elements; a C-ordered copy otherwise.
template <class T>
py::array_t<T> operand(const py::array& array);

/// As `operand`, and C-contiguous.
template <class T>
py::array_t<T> contiguous(const py::array& array);

/// A new C-contiguous array whose elements are not set.
py::array new_array(py::dtype dtype, Shape shape);

/// A new array for a result; a large one lies in recycled memory.
template <class T>
py::array_t<T> result(Shape shape) {
  std::size_t bytes = sizeof(T);
  for (const py::ssize_t extent : shape) bytes = checked_product(bytes, static_cast<std::size_t>(extent));
  if (bytes < BlockCache::least_block) {
    return py::reinterpret_steal<py::array_t<T>>(new_array(py::dtype::of<T>(), shape).release());
  }
  auto memory = std::make_unique<Buffer<T>>(bytes / sizeof(T));
  T* const data = memory->data();
  const py::capsule owner(memory.get(), [](void* buffer) { delete static_cast<Buffer<T>*>(buffer); });
  memory.release();
  return py::array_t<T>(std::vector<py::ssize_t>(shape.begin(), shape.end()), data, owner);
}

/// A batch-first array (N, T, width) as the engine's sequence.
template <class U, class Array>
Sequence<U> sequence(U* data, const Array& array, const Schedule& schedule) {
  const auto stride = [&](py::ssize_t axis) { return array.strides(axis) / static_cast<py::ssize_t>(sizeof(U)); };
  return {data, stride(1), stride(0), &schedule};
}

/// Samples, and what keeps them alive.
struct Samples {
  train::SampleView view;
  py::object owner;
  MappedFile file;
  std::vector<const void*> starts;
  std::vector<std::size_t> lengths;
  bool ragged = false;
};

/// (n, steps, features), (n, features) as one step, or a list of C-contiguous (steps, features) of one type, all of
/// native float32 or float64; TypeError or ValueError otherwise.  The view points into the result: it must not move.
std::unique_ptr<Samples> samples(const py::object& data, const char* name);

/// Lets go of the memory of an array that a file is mapped to; of others nothing.
void let_go(const py::array& array);

/// Lengths (N,) of integers in [0, steps].
std::vector<std::size_t> lengths(const py::handle& argument, std::size_t rows, std::size_t steps);

/// Runs `work(interrupt)` of so many multiply-adds: with the GIL where it takes less than 50 us or so, since to get the
/// GIL back may take longer than that; `without_gil` otherwise.
template <class Work>
auto with_or_without_gil(double products, Work work);

/// Runs `work(interrupt)` without the GIL; Ctrl-C is asked for now and then and raises KeyboardInterrupt.
template <class Work>
auto without_gil(Work work) {
  Interrupt interrupt([] {
    const py::gil_scoped_acquire hold;
    return PyErr_CheckSignals() != 0;
  });
  try {
    const py::gil_scoped_release release;
    return work(interrupt);
  } catch (const Interrupted&) {
    throw py::error_already_set();
  }
}

template <class Work>
auto with_or_without_gil(double products, Work work) {
  constexpr double short_work = 1e6;
  if (products > short_work) return without_gil(std::move(work));
  Interrupt never;
  return work(never);
}

}  // namespace pylstm::bindings
