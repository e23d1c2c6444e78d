/// Definitions of arrays.hpp.
#include "arrays.hpp"

#include <cstdint>

namespace pylstm::bindings {

std::string shape_text(const std::vector<py::ssize_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::string shape_text(const py::array& array) {
  return shape_text(std::vector<py::ssize_t>(array.shape(), array.shape() + array.ndim()));
}

namespace {

py::array as_array(const py::handle& argument, const char* name) {
  if (py::isinstance<py::array>(argument)) return py::reinterpret_borrow<py::array>(argument);
  try {
    return py::module_::import("numpy").attr("asarray")(argument);
  } catch (const py::error_already_set& error) {
    if (error.matches(PyExc_ValueError)) throw py::value_error(std::string(name) + ": " + error.what());
    throw;
  }
}

}  // namespace

py::array real_array(const py::handle& argument, const char* name) {
  const py::array array = as_array(argument, name);
  const char kind = array.dtype().kind();
  const py::ssize_t size = array.itemsize();
  const bool real = kind == 'b' || kind == 'i' || kind == 'u' || (kind == 'f' && (size == 4 || size == 8));
  if (!real) {
    throw py::type_error(std::string(name) + " has dtype " +
                         py::str(static_cast<py::object>(array.dtype())).cast<std::string>() +
                         ", expected float32 or float64");
  }
  return array;
}

bool is_double(const py::array& x) { return x.dtype().kind() != 'f' || x.itemsize() == 8; }

void require_shape(const py::array& array, const char* name, const std::vector<py::ssize_t>& expected,
                   const char* why) {
  bool equal = array.ndim() == static_cast<py::ssize_t>(expected.size());
  for (std::size_t i = 0; equal && i < expected.size(); ++i)
    equal = array.shape(static_cast<py::ssize_t>(i)) == expected[i];
  require(equal, name, " has shape ", shape_text(array), ", expected ", shape_text(expected), ": ", why);
}

namespace {

bool is_native(const py::array& array) {
  const char order = array.dtype().byteorder();
  return order == '=' || order == '|';
}

bool is_aligned(const py::array& array, std::size_t size) {
  return (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0 &&
         reinterpret_cast<std::uintptr_t>(array.data()) % size == 0;
}

}  // namespace

template <class T>
py::array_t<T> operand(const py::array& array) {
  constexpr py::ssize_t size = sizeof(T);
  bool usable =
      array.dtype().kind() == 'f' && array.itemsize() == size && is_native(array) && is_aligned(array, sizeof(T));
  for (py::ssize_t axis = 0; usable && axis < array.ndim(); ++axis) {
    const bool last = axis + 1 == array.ndim();
    usable = array.strides(axis) % size == 0 && (!last || array.shape(axis) <= 1 || array.strides(axis) == size);
  }
  return usable ? py::array_t<T>(array) : contiguous<T>(array);
}

template <class T>
py::array_t<T> contiguous(const py::array& array) {
  return py::array_t<T, py::array::c_style | py::array::forcecast>(array);
}

template py::array_t<float> operand<float>(const py::array&);
template py::array_t<double> operand<double>(const py::array&);
template py::array_t<float> contiguous<float>(const py::array&);
template py::array_t<double> contiguous<double>(const py::array&);
template py::array_t<std::int64_t> contiguous<std::int64_t>(const py::array&);

train::SampleView samples(const py::array& array, const char* name, py::ssize_t dimensions) {
  const py::ssize_t size = array.itemsize();
  if (array.dtype().kind() != 'f' || (size != 4 && size != 8) || !is_native(array) ||
      !is_aligned(array, static_cast<std::size_t>(size))) {
    throw py::type_error(std::string(name) + " has dtype " +
                         py::str(static_cast<py::object>(array.dtype())).cast<std::string>() +
                         ", expected aligned float32 or float64 in native byte order");
  }
  require(array.ndim() == dimensions, name, " has shape ", shape_text(array), ", expected ", dimensions, " dimensions");
  const auto extent = [&](py::ssize_t axis) { return static_cast<std::size_t>(array.shape(axis)); };
  const bool sequences = dimensions == 3;
  return {.data = array.data(),
          .is_double = size == 8,
          .samples = extent(0),
          .steps = sequences ? extent(1) : 1,
          .features = extent(dimensions - 1),
          .sample_stride = array.strides(0),
          .step_stride = sequences ? array.strides(1) : 0,
          .feature_stride = array.strides(dimensions - 1)};
}

std::vector<std::size_t> lengths(const py::handle& argument, std::size_t rows, std::size_t steps) {
  const py::array array = as_array(argument, "lengths");
  const char kind = array.dtype().kind();
  if (kind != 'i' && kind != 'u') {
    if (array.size() == 0 && rows == 0) return {};
    throw py::type_error("lengths has dtype " + py::str(static_cast<py::object>(array.dtype())).cast<std::string>() +
                         ", expected integers");
  }
  require_shape(array, "lengths", {static_cast<py::ssize_t>(rows)}, "one length for each row of x");
  std::vector<std::size_t> values(rows);
  const py::array_t<std::int64_t, py::array::c_style | py::array::forcecast> signed_values(array);
  const py::array_t<std::uint64_t, py::array::c_style | py::array::forcecast> unsigned_values(array);
  for (std::size_t n = 0; n < rows; ++n) {
    require(kind == 'u' || signed_values.data()[n] >= 0, "lengths[", n, "] is ", signed_values.data()[n],
            ", expected a number from 0 to ", steps, ", the steps of x");
    values[n] = static_cast<std::size_t>(unsigned_values.data()[n]);
    require(values[n] <= steps, "lengths[", n, "] is ", values[n], ", expected a number from 0 to ", steps,
            ", the steps of x");
  }
  return values;
}

}  // namespace pylstm::bindings
