/// pylstm.h over the C++ API: no exception leaves, the last message is kept for each thread.
#include "pylstm.h"

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "pylstm/io/model_file.hpp"
#include "pylstm/pylstm.hpp"

struct pylstm_model {
  std::variant<pylstm::network::Network<float>, pylstm::network::Network<double>> network;
  std::string description;

  const pylstm::network::Config& config() const {
    return std::visit([](const auto& n) -> const pylstm::network::Config& { return n.config(); }, network);
  }
};

namespace {

/// One for each thread: a message of a fixed size needs no memory when there is none left.
thread_local char last_error[512] = "";

pylstm_status failed(pylstm_status status, const char* what) {
  std::snprintf(last_error, sizeof last_error, "%s", what);
  return status;
}

/// Runs `body`; its exceptions become statuses.
template <class Body>
pylstm_status guarded(const Body& body) noexcept {
  try {
    body();
    return PYLSTM_OK;
  } catch (const pylstm::io::ModelFormatError& error) {
    return failed(PYLSTM_FORMAT_ERROR, error.what());
  } catch (const std::invalid_argument& error) {
    return failed(PYLSTM_INVALID_ARGUMENT, error.what());
  } catch (const std::system_error& error) {
    return failed(PYLSTM_FILE_ERROR, error.what());
  } catch (const std::length_error& error) {
    return failed(PYLSTM_OUT_OF_MEMORY, error.what());
  } catch (const std::bad_alloc&) {
    return failed(PYLSTM_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(PYLSTM_INTERNAL_ERROR, error.what());
  } catch (...) {
    return failed(PYLSTM_INTERNAL_ERROR, "unknown error");
  }
}

template <class From>
void load(const From& from, pylstm_model** model) {
  auto [network, description] = pylstm::io::load_described(from);
  *model = new pylstm_model{std::move(network), pylstm::io::to_json(description)};
}

/// Elements of y; std::length_error where that is no size.
std::size_t output_size(const pylstm_model& model, std::size_t n_samples, std::size_t n_steps) {
  return pylstm::checked_product(n_samples, model.config().places(n_steps), model.config().outputs);
}

template <class T>
pylstm_status predict(const pylstm_model* model, const T* x, std::size_t n_samples, std::size_t n_steps, T* y,
                      std::size_t y_size) {
  return guarded([&] {
    pylstm::require(model != nullptr, "model is null");
    const std::size_t inputs = model->config().features(), wanted = output_size(*model, n_samples, n_steps);
    pylstm::require(y_size >= wanted, "y has room for ", y_size, " values, expected ", wanted);
    pylstm::require(wanted == 0 || (y != nullptr && (x != nullptr || n_steps == 0)), "x or y is null");
    pylstm::checked_product(n_samples, n_steps, inputs, sizeof(T));
    const auto stride = [](std::size_t elements) { return static_cast<std::ptrdiff_t>(elements * sizeof(T)); };
    const pylstm::train::SampleView view{
        .data = x,
        .is_double = std::is_same_v<T, double>,
        .samples = n_samples,
        .steps = n_steps,
        .features = inputs,
        .sample_stride = stride(n_steps * inputs),
        .step_stride = stride(inputs),
        .feature_stride = stride(1),
    };
    pylstm::Interrupt never;
    std::visit(
        [&]<class Own>(const pylstm::network::Network<Own>& network) {
          if constexpr (std::is_same_v<Own, T>) {
            pylstm::train::predict(network, view, y, never);
          } else {
            std::vector<Own> own(wanted);
            pylstm::train::predict(network, view, own.data(), never);
            for (std::size_t k = 0; k < wanted; ++k) y[k] = static_cast<T>(own[k]);
          }
        },
        model->network);
  });
}

}  // namespace

extern "C" {

const char* pylstm_version(void) { return pylstm::version; }

const char* pylstm_last_error(void) { return last_error; }

pylstm_status pylstm_set_threads(size_t threads) {
  return guarded([&] {
    constexpr std::size_t most = pylstm::ThreadPool::most;
    pylstm::require(threads >= 1 && threads <= most, "threads is ", threads, ", expected 1 to ", most);
    pylstm::ThreadPool::instance().set_threads(threads);
  });
}

pylstm_status pylstm_model_load(const char* path, pylstm_model** model) {
  if (model != nullptr) *model = nullptr;
  return guarded([&] {
    pylstm::require(path != nullptr && model != nullptr, "path or model is null");
    load(std::filesystem::path(path), model);
  });
}

pylstm_status pylstm_model_load_memory(const void* bytes, size_t size, pylstm_model** model) {
  if (model != nullptr) *model = nullptr;
  return guarded([&] {
    pylstm::require((bytes != nullptr || size == 0) && model != nullptr, "bytes or model is null");
    load(std::span(static_cast<const std::byte*>(bytes), size), model);
  });
}

void pylstm_model_free(pylstm_model* model) { delete model; }

size_t pylstm_model_inputs(const pylstm_model* model) { return model == nullptr ? 0 : model->config().features(); }

size_t pylstm_model_outputs(const pylstm_model* model) { return model == nullptr ? 0 : model->config().outputs; }

size_t pylstm_model_output_size(const pylstm_model* model, size_t n_samples, size_t n_steps) {
  if (model == nullptr) return 0;
  try {
    return output_size(*model, n_samples, n_steps);
  } catch (const std::length_error&) {
    return SIZE_MAX;
  }
}

const char* pylstm_model_describe(const pylstm_model* model) {
  return model == nullptr ? nullptr : model->description.c_str();
}

pylstm_status pylstm_model_predict_f32(const pylstm_model* model, const float* x, size_t n_samples, size_t n_steps,
                                       float* y, size_t y_size) {
  return predict(model, x, n_samples, n_steps, y, y_size);
}

pylstm_status pylstm_model_predict_f64(const pylstm_model* model, const double* x, size_t n_samples, size_t n_steps,
                                       double* y, size_t y_size) {
  return predict(model, x, n_samples, n_steps, y, y_size);
}
}
