/// Table of contents of pylstm._core.
#include <pybind11/pybind11.h>

#include "pylstm/base/thread_pool.hpp"
#include "pylstm/dispatch.hpp"
#include "register.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The engine of pylstm.  Private: use the names of the package.";
  try {
    // PYLSTM_ISA and PYLSTM_NUM_THREADS are read, and may be wrong, now.
    pylstm::active_kernels<float>();
    pylstm::ThreadPool::instance();
  } catch (const std::exception& error) {
    throw pybind11::import_error(error.what());
  }
  pylstm::bindings::register_configuration(module);
  pylstm::bindings::register_functional(module);
  pylstm::bindings::register_network(module);
  pylstm::bindings::register_stream(module);
}
