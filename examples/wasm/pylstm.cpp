/// A trained network for JavaScript: reads a model file's bytes and goes one time step at a time.  The kernels are the
/// generic ones on WebAssembly's vectors of 16 bytes: the bits of Python with PYLSTM_ISA=generic.
#include <emscripten.h>

#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "pylstm/io/model_file.hpp"
#include "pylstm/pylstm.hpp"

namespace {

struct Model {
  pylstm::stream::Stream<float> stream;
  std::string description;
};

std::string message;

}  // namespace

extern "C" {

/// Null where the bytes are no model, or one that has no stream: `last_error` says why.
EMSCRIPTEN_KEEPALIVE Model* load(const std::byte* bytes, std::size_t size) try {
  const std::span<const std::byte> file(bytes, size);
  std::string description = pylstm::io::to_json(pylstm::io::describe(file));
  return new Model{pylstm::stream::Stream<float>(pylstm::io::load<float>(file)), std::move(description)};
} catch (const std::exception& error) {
  message = error.what();
  return nullptr;
}

EMSCRIPTEN_KEEPALIVE const char* last_error() { return message.c_str(); }
EMSCRIPTEN_KEEPALIVE void unload(Model* model) { delete model; }
EMSCRIPTEN_KEEPALIVE const char* describe(const Model* model) { return model->description.c_str(); }
EMSCRIPTEN_KEEPALIVE std::size_t inputs(const Model* model) { return model->stream.network().config().features(); }
EMSCRIPTEN_KEEPALIVE std::size_t outputs(const Model* model) { return model->stream.network().config().outputs; }

/// Back to before the first step.
EMSCRIPTEN_KEEPALIVE void reset(Model* model) { model->stream.reset(); }

/// y [n][outputs] after each of n more time steps x [n][inputs].
EMSCRIPTEN_KEEPALIVE void step(Model* model, const float* x, std::size_t n, float* y) {
  for (const std::size_t in = inputs(model), out = outputs(model); n > 0; --n, x += in, y += out)
    model->stream.step(x, y);
}
}
