/// NumPy arrays and the engine's views: dtype, shape, strides, writability.  The only place that knows both.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pylstm/base/buffer.hpp"
#include "pylstm/base/errors.hpp"
#include "pylstm/base/interrupt.hpp"
#include "pylstm/base/sequence.hpp"
#include "pylstm/train/trainer.hpp"

namespace pylstm::bindings {

namespace py = pybind11;

/// "(3, 4)", "(3,)".
std::string shape_text(const py::array& array);
std::string shape_text(const std::vector<py::ssize_t>& shape);

/// An argument as an array of real numbers; TypeError names it otherwise.  Strings, objects, complex and other float
/// widths are not.
py::array real_array(const py::handle& argument, const char* name);

/// Whether the computation is in double: decided by x (integers and bools count as float64).
bool is_double(const py::array& x);

/// ValueError unless the shape is the expected one; `why` explains it.
void require_shape(const py::array& array, const char* name, const std::vector<py::ssize_t>& expected, const char* why);

/// The array itself where its elements are T, aligned, in native order, its last axis contiguous and other strides
/// whole elements; a C-ordered copy otherwise.
template <class T>
py::array_t<T> operand(const py::array& array);

/// As `operand`, and C-contiguous.
template <class T>
py::array_t<T> contiguous(const py::array& array);

/// A new array for a result; a large one lies in recycled memory.
template <class T>
py::array_t<T> result(std::vector<py::ssize_t> shape) {
  std::size_t bytes = sizeof(T);
  for (const py::ssize_t extent : shape) bytes = checked_product(bytes, static_cast<std::size_t>(extent));
  if (bytes < BlockCache::least_block) return py::array_t<T>(std::move(shape));
  auto memory = std::make_unique<Buffer<T>>(bytes / sizeof(T));
  T* const data = memory->data();
  const py::capsule owner(memory.get(), [](void* buffer) { delete static_cast<Buffer<T>*>(buffer); });
  memory.release();
  return py::array_t<T>(std::move(shape), data, owner);
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
  std::vector<const void*> starts;
  std::vector<std::size_t> lengths;
  bool ragged = false;
};

/// (n, steps, features), (n, features) as one step, or a list of C-contiguous (steps, features) of one type, all of
/// native float32 or float64; TypeError or ValueError otherwise.  The view points into the result: it must not move.
std::unique_ptr<Samples> samples(const py::object& data, const char* name);

/// Lengths (N,) of integers in [0, steps].
std::vector<std::size_t> lengths(const py::handle& argument, std::size_t rows, std::size_t steps);

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

}  // namespace pylstm::bindings
