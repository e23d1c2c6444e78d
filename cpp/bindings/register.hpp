/// The topics of the module.
#pragma once

#include <pybind11/pybind11.h>

namespace pylstm::bindings {

void register_configuration(pybind11::module_& module);
void register_functional(pybind11::module_& module);
void register_network(pybind11::module_& module);
void register_stream(pybind11::module_& module);

}  // namespace pylstm::bindings
