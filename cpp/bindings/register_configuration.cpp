/// Version, instruction sets, threads; and the two C symbols by which threadpoolctl sees the pool.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "pylstm/pylstm.hpp"
#include "register.hpp"

extern "C" {
[[gnu::visibility("default")]] int pylstm_get_num_threads() {
  return static_cast<int>(pylstm::ThreadPool::instance().threads());
}
[[gnu::visibility("default")]] void pylstm_set_num_threads(int count) {
  if (count > 0) pylstm::ThreadPool::instance().set_threads(static_cast<std::size_t>(count));
}
}

namespace pylstm::bindings {

namespace {

template <class T>
py::array_t<T> activation(const std::string& kind, const py::array_t<T>& x) {
  const kernels::KernelTable<T>& table = active_kernels<T>();
  const auto function = kind == "sigmoid" ? table.sigmoid
                        : kind == "tanh"  ? table.tanh
                        : kind == "exp"   ? table.exp
                                          : nullptr;
  require(function != nullptr, "kind is \"", kind, "\", expected \"sigmoid\", \"tanh\" or \"exp\"");
  py::array_t<T> y = result<T>({x.size()});
  function(x.data(), y.mutable_data(), static_cast<std::size_t>(x.size()));
  return y;
}

}  // namespace

void register_configuration(py::module_& module) {
  module.def("version", [] { return version; });
  module.def("isa_name", [] { return active_kernels<float>().isa; });
  module.def("isas_available", &available_isas);
  module.def("get_num_threads", [] { return ThreadPool::instance().threads(); });
  module.def("set_num_threads", [](const py::object& num_threads) {
    if (!PyIndex_Check(num_threads.ptr()) || is_flag(num_threads)) {
      throw py::type_error(std::string("num_threads is ") + Py_TYPE(num_threads.ptr())->tp_name +
                           ", expected an integer");
    }
    const py::ssize_t count = PyNumber_AsSsize_t(num_threads.ptr(), nullptr);  // what is larger counts as the largest
    if (count == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    require(count >= 1 && count <= py::ssize_t{ThreadPool::most}, "num_threads is ",
            py::str(num_threads).cast<std::string>(), ", expected 1 to ", ThreadPool::most);
    ThreadPool::instance().set_threads(static_cast<std::size_t>(count));
  });
  module.def("activation", [](const std::string& kind, const py::array& x) -> py::array {
    if (is_double(x)) return activation<double>(kind, contiguous<double>(x));
    return activation<float>(kind, contiguous<float>(x));
  });
}

}  // namespace pylstm::bindings
