/// Definitions of arrays.hpp.
#include "arrays.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace pylstm::bindings {

std::ostream& operator<<(std::ostream& text, Shape shape) {
  text << '(';
  for (std::size_t i = 0; i < shape.size(); ++i) text << (i == 0 ? "" : ", ") << shape[i];
  return text << (shape.size() == 1 ? ",)" : ")");
}

namespace {

py::array as_array(const py::handle& argument, const char* name) {
  if (py::isinstance<py::array>(argument)) {
    // NumPy's own array, which all but few are, has no mask.
    if (Py_TYPE(argument.ptr()) != py::detail::npy_api::get().PyArray_Type_ && py::hasattr(argument, "mask")) {
      throw py::type_error(std::string(name) + " is a masked array, expected one without missing values");
    }
    return py::reinterpret_borrow<py::array>(argument);
  }
  try {
    return py::module_::import("numpy").attr("asarray")(argument);
  } catch (const py::error_already_set& error) {
    const std::string message = std::string(name) + ": " + py::str(error.value()).cast<std::string>();
    if (error.matches(PyExc_ValueError)) throw py::value_error(message);
    if (error.matches(PyExc_TypeError) || error.matches(PyExc_RuntimeError)) throw py::type_error(message);
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

bool is_flag(const py::handle& value) {
  return PyBool_Check(value.ptr()) || py::isinstance(value, py::module_::import("numpy").attr("bool_"));
}

bool is_double(const py::array& x) { return x.dtype().kind() != 'f' || x.itemsize() == 8; }

bool has_shape(const py::array& array, Shape expected) {
  const Shape shape(array);
  return std::equal(shape.begin(), shape.end(), expected.begin(), expected.end());
}

py::array new_array(py::dtype dtype, Shape shape) {
  // By NumPy's function itself: py::array computes strides first, for NumPy to check, and takes twice as long.
  const py::detail::npy_api& api = py::detail::npy_api::get();
  PyObject* const array =
      api.PyArray_NewFromDescr_(api.PyArray_Type_, dtype.release().ptr(), static_cast<int>(shape.size()),
                                reinterpret_cast<const Py_intptr_t*>(shape.data()), nullptr, nullptr, 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::array>(array);
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

/// Whether its elements are T, aligned, in native order.
template <class T>
bool holds(const py::array& array) {
  return array.dtype().kind() == 'f' && array.itemsize() == static_cast<py::ssize_t>(sizeof(T)) && is_native(array) &&
         is_aligned(array, sizeof(T));
}

/// The array itself.
template <class T>
py::array_t<T> typed(const py::array& array) {
  return py::reinterpret_borrow<py::array_t<T>>(array);
}

}  // namespace

template <class T>
py::array_t<T> operand(const py::array& array) {
  constexpr py::ssize_t size = sizeof(T);
  bool usable = holds<T>(array);
  for (py::ssize_t axis = 0; usable && axis < array.ndim(); ++axis) {
    const bool last = axis + 1 == array.ndim();
    usable = array.strides(axis) % size == 0 && (!last || array.shape(axis) <= 1 || array.strides(axis) == size);
  }
  return usable ? typed<T>(array) : contiguous<T>(array);
}

template <class T>
py::array_t<T> contiguous(const py::array& array) {
  if constexpr (std::is_floating_point_v<T>) {
    if (holds<T>(array) && (array.flags() & py::array::c_style) != 0) return typed<T>(array);  // NumPy takes 150 ns
  }
  return py::array_t<T, py::array::c_style | py::array::forcecast>(array);
}

template py::array_t<float> operand<float>(const py::array&);
template py::array_t<double> operand<double>(const py::array&);
template py::array_t<float> contiguous<float>(const py::array&);
template py::array_t<double> contiguous<double>(const py::array&);
template py::array_t<std::int64_t> contiguous<std::int64_t>(const py::array&);

namespace {

void require_native_float(const py::array& array, const char* name) {
  const py::ssize_t size = array.itemsize();
  if (array.dtype().kind() == 'f' && (size == 4 || size == 8) && is_native(array) &&
      is_aligned(array, static_cast<std::size_t>(size))) {
    return;
  }
  throw py::type_error(std::string(name) + " has dtype " +
                       py::str(static_cast<py::object>(array.dtype())).cast<std::string>() +
                       ", expected aligned float32 or float64 in native byte order");
}

/// Where the elements of an array lie.
struct Extent {
  const char* begin;
  std::size_t bytes;

  explicit Extent(const py::array& array) {
    py::ssize_t first = 0, last = array.itemsize();
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
      const py::ssize_t reach = (array.shape(axis) - 1) * array.strides(axis);
      (reach < 0 ? first : last) += reach;
    }
    begin = static_cast<const char*>(array.data()) + first;
    bytes = array.size() == 0 ? 0 : static_cast<std::size_t>(last - first);
  }
};

/// The file that a numpy.memmap, or a view of one, lies in; an empty one for other arrays, and for mappings of mode
/// "c", whose changes are in memory only.
MappedFile mapped_file(const py::array& array) {
  bool shared = false;
  for (py::object at = array; !at.is_none(); at = py::getattr(at, "base", py::none())) {
    if (py::isinstance(at, py::module_::import("numpy").attr("memmap"))) {
      const py::object mode = at.attr("mode");
      shared = !mode.is_none() && !mode.equal(py::str("c"));
    } else if (shared && py::isinstance(at, py::module_::import("mmap").attr("mmap"))) {
      const py::buffer_info memory = py::reinterpret_borrow<py::buffer>(at).request();
      return {memory.ptr, static_cast<std::size_t>(memory.size * memory.itemsize)};
    }
  }
  return {};
}

void list_sequences(const py::list& list, const char* name, Samples& samples) {
  train::SampleView& view = samples.view;
  view.samples = list.size();
  samples.starts.reserve(view.samples);
  samples.lengths.reserve(view.samples);
  for (std::size_t n = 0; n < view.samples; ++n) {
    const py::handle item = PyList_GET_ITEM(list.ptr(), static_cast<py::ssize_t>(n));
    if (!py::isinstance<py::array>(item)) {
      throw py::type_error(std::string(name) + "[" + std::to_string(n) + "] is not an array");
    }
    const auto array = py::reinterpret_borrow<py::array>(item);
    require_native_float(array, name);
    const bool contiguous = (array.flags() & py::array::c_style) != 0;
    require(array.ndim() == 2 && contiguous, name, "[", n, "] has shape ", Shape(array),
            ", expected a C-contiguous (steps, features)");
    const auto features = static_cast<std::size_t>(array.shape(1));
    if (n == 0) {
      view.features = features;
      view.is_double = array.itemsize() == 8;
    }
    require(features == view.features && (array.itemsize() == 8) == view.is_double, name, "[", n,
            "] has another width or type than ", name, "[0]");
    samples.starts.push_back(array.data());
    samples.lengths.push_back(static_cast<std::size_t>(array.shape(0)));
    view.steps = std::max(view.steps, samples.lengths.back());
  }
  view.feature_stride = view.is_double ? 8 : 4;
  view.step_stride = view.feature_stride * static_cast<std::ptrdiff_t>(view.features);
  view.starts = samples.starts.data();
  view.lengths = samples.lengths.data();
  samples.ragged = true;
}

}  // namespace

std::unique_ptr<Samples> samples(const py::object& data, const char* name) {
  auto result = std::make_unique<Samples>();
  result->owner = data;
  if (py::isinstance<py::list>(data)) {
    list_sequences(data, name, *result);
    return result;
  }
  if (!py::isinstance<py::array>(data)) throw py::type_error(std::string(name) + " is neither an array nor a list");
  const auto array = py::reinterpret_borrow<py::array>(data);
  require_native_float(array, name);
  require(array.ndim() == 2 || array.ndim() == 3, name, " has shape ", Shape(array), ", expected 2 or 3 dimensions");
  const auto extent = [&](py::ssize_t axis) { return static_cast<std::size_t>(array.shape(axis)); };
  const bool sequences = array.ndim() == 3;
  result->view = {.data = array.data(),
                  .is_double = array.itemsize() == 8,
                  .samples = extent(0),
                  .steps = sequences ? extent(1) : 1,
                  .features = extent(array.ndim() - 1),
                  .sample_stride = array.strides(0),
                  .step_stride = sequences ? array.strides(1) : 0,
                  .feature_stride = array.strides(array.ndim() - 1)};
  if (Extent(array).bytes > MappedFile::most_resident) {
    // Samples that lie all over the file would have it read anew for each batch.
    const py::array first = array[py::slice(0, 1, 1)];
    if (Extent(first).bytes <= 2 * static_cast<std::size_t>(first.nbytes())) {
      result->file = mapped_file(array);
      result->view.file = &result->file;
    }
  }
  return result;
}

void let_go(const py::array& array) {
  const Extent extent(array);
  mapped_file(array).let_go(extent.begin, extent.bytes);
}

std::vector<std::size_t> lengths(const py::handle& argument, std::size_t rows, std::size_t steps) {
  const py::array array = as_array(argument, "lengths");
  const char kind = array.dtype().kind();
  if (kind != 'i' && kind != 'u') {
    if (array.size() == 0 && array.ndim() == 1 && rows == 0) return {};  // of [] NumPy does not know what it lacks
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
