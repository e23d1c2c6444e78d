/// Streams for the compiled modules beside this one: a capsule of plain functions.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "any_network.hpp"
#include "pylstm/stream/stream.hpp"
#include "register.hpp"
#include "stream_interface.h"

namespace pylstm::bindings {

namespace py = pybind11;

namespace {

template <class T>
struct OpenStream {
  explicit OpenStream(std::shared_ptr<const network::Network<T>> network, std::size_t rows)
      : stream(std::move(network), rows), parts(stream.state_parts()) {
    stream.save_state(state);
    const network::Config& config = stream.network().config();
    interface = {
        .self = this,
        .is_double = std::is_same_v<T, double>,
        .rows = rows,
        .inputs = config.features(),
        .outputs = config.outputs,
        .step_products = checked_product(rows, stream.network().parameters().size()),
        .parts = parts.size(),
        .state_size = stream.state_size(),
        .step = [](void* self, const void* x,
                   void* outputs) { of(self).stream.step(static_cast<const T*>(x), static_cast<T*>(outputs)); },
        .run = [](void* self, const void* x, void* outputs,
                  size_t steps) { of(self).stream.run(static_cast<const T*>(x), static_cast<T*>(outputs), steps); },
        .reset = [](void* self, std::size_t row) { of(self).stream.reset(row); },
        .part_name = [](void* self, std::size_t part) { return of(self).parts[part].name.c_str(); },
        .part_width = [](void* self, std::size_t part) { return of(self).parts[part].width; },
        .save =
            [](void* self, void* values, std::uint64_t* steps) {
              of(self).stream.save_state(of(self).state);
              std::copy(of(self).state.values.begin(), of(self).state.values.end(), static_cast<T*>(values));
              std::copy(of(self).state.steps.begin(), of(self).state.steps.end(), steps);
            },
        .load =
            [](void* self, const void* values, const std::uint64_t* steps) {
              std::copy_n(static_cast<const T*>(values), of(self).state.values.size(), of(self).state.values.begin());
              std::copy_n(steps, of(self).state.steps.size(), of(self).state.steps.begin());
              of(self).stream.load_state(of(self).state);
            }};
  }

  static OpenStream& of(void* self) { return *static_cast<OpenStream*>(self); }

  stream::Stream<T> stream;
  std::vector<stream::StatePart> parts;
  stream::State<T> state;  ///< of the right sizes: neither `save` nor `load` can fail
  pylstm_stream interface;
};

template <class T>
py::capsule open(const AnyNetwork& any, std::size_t rows) {
  std::unique_ptr<OpenStream<T>> opened;
  {
    const py::gil_scoped_release release;  // who trains the network holds its lock, and may want the GIL
    opened = std::make_unique<OpenStream<T>>(any.frozen<T>(), rows);
  }
  const py::capsule capsule(&opened->interface, PYLSTM_STREAM_CAPSULE, [](PyObject* object) {
    void* const interface = PyCapsule_GetPointer(object, PYLSTM_STREAM_CAPSULE);
    delete &OpenStream<T>::of(static_cast<pylstm_stream*>(interface)->self);
  });
  opened.release();
  return capsule;
}

}  // namespace

void register_stream(py::module_& module) {
  module.def(
      "open_stream",
      [](const AnyNetwork& any, std::size_t rows) {
        return any.net.index() == 0 ? open<float>(any, rows) : open<double>(any, rows);
      },
      py::arg("network"), py::arg("rows"));
}

}  // namespace pylstm::bindings
