/// Network and Trainer: what the estimators are made of.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <variant>

#include "any_network.hpp"
#include "arrays.hpp"
#include "pylstm/pylstm.hpp"
#include "register.hpp"

namespace pylstm::bindings {
namespace {

template <class T>
py::array_t<T> export_parameter(const network::Network<T>& net, std::size_t index, const network::ParameterInfo& info,
                                const Buffer<T>& flat) {
  std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(info.rows)};
  if (info.columns != 0) shape.push_back(static_cast<py::ssize_t>(info.columns));
  py::array_t<T> values = result<T>(shape);
  net.get(index, flat, values.mutable_data());
  return values;
}

template <class T>
py::dict export_all(const network::Network<T>& net, const Buffer<T>& flat) {
  py::dict parameters;
  const auto infos = net.parameter_infos();
  for (std::size_t i = 0; i < infos.size(); ++i)
    parameters[infos[i].name.c_str()] = export_parameter(net, i, infos[i], flat);
  return parameters;
}

/// Reads all named arrays first, so that an error leaves the buffer as it was.
template <class T>
Buffer<T> import_all(const network::Network<T>& net, const py::dict& parameters, const char* what) {
  Buffer<T> flat(net.parameters().size(), T(0));
  const auto infos = net.parameter_infos();
  require(parameters.size() == infos.size(), what, " has ", parameters.size(), " names, expected ", infos.size());
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const char* const name = infos[i].name.c_str();
    require(parameters.contains(name), what, " lacks \"", name, "\"");
    const py::array array = real_array(parameters[name], name);
    std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(infos[i].rows)};
    if (infos[i].columns != 0) shape.push_back(static_cast<py::ssize_t>(infos[i].columns));
    require_shape(array, name, shape, "the network's");
    net.set(i, flat, contiguous<T>(array).data());
  }
  return flat;
}

/// Checks samples against the network.
train::SampleView checked_samples(const AnyNetwork& any, const py::array& x) {
  const train::SampleView view = samples(x, "X", 3);
  require(view.features == any.config().inputs, "X has ", view.features, " features, expected ", any.config().inputs);
  return view;
}

train::SampleView checked_targets(const AnyNetwork& any, const py::array& y, std::size_t n) {
  const train::SampleView view = samples(y, "y", 2);
  require(view.samples == n && view.features == any.config().outputs, "y has shape ", shape_text(y), ", expected (", n,
          ", ", any.config().outputs, ")");
  return view;
}

std::optional<py::array_t<double>> checked_weights(const py::object& weights, std::size_t n) {
  if (weights.is_none()) return std::nullopt;
  const py::array array = real_array(weights, "sample_weight");
  require_shape(array, "sample_weight", {static_cast<py::ssize_t>(n)}, "one weight for each sample");
  return contiguous<double>(array);
}

template <class T>
void predict_into(const network::Network<T>& net, std::shared_mutex& mutex, const train::SampleView& view, T* out) {
  without_gil([&](Interrupt& interrupt) {
    const std::shared_lock lock(mutex);
    train::predict(net, view, out, interrupt);
  });
}

py::array predict(const AnyNetwork& any, const py::array& x) {
  const train::SampleView view = checked_samples(any, x);
  return std::visit(
      [&]<class T>(const std::unique_ptr<network::Network<T>>& net) -> py::array {
        py::array_t<T> out =
            result<T>({static_cast<py::ssize_t>(view.samples), static_cast<py::ssize_t>(net->config().outputs)});
        predict_into(*net, any.mutex, view, out.mutable_data());
        return out;
      },
      any.net);
}

double loss(const AnyNetwork& any, const py::array& x, const py::array& y, const py::object& sample_weight) {
  const train::SampleView view = checked_samples(any, x), targets = checked_targets(any, y, view.samples);
  const auto weights = checked_weights(sample_weight, view.samples);
  const double* const weight_data = weights ? weights->data() : nullptr;
  return std::visit(
      [&]<class T>(const std::unique_ptr<network::Network<T>>& net) {
        const std::size_t outputs = net->config().outputs;
        Buffer<T> predictions(checked_product(view.samples, outputs)), expected(view.samples * outputs);
        predict_into(*net, any.mutex, view, predictions.data());
        std::vector<std::size_t> all(view.samples);
        for (std::size_t n = 0; n < all.size(); ++n) all[n] = n;
        targets.gather(all.data(), all.size(), expected.data());
        return train::SquaredError<T>{}(predictions.data(), expected.data(), weight_data, view.samples, outputs,
                                        nullptr);
      },
      any.net);
}

/// Trains one network; keeps it alive.
class AnyTrainer {
 public:
  AnyTrainer(std::shared_ptr<AnyNetwork> network, const train::TrainerConfig& config) : network(std::move(network)) {
    std::visit(
        [&]<class T>(std::unique_ptr<network::Network<T>>& net) {
          trainer = std::make_unique<train::Trainer<T>>(*net, config);
        },
        this->network->net);
  }

  double run_epoch(const py::array& x, const py::array& y, const py::object& sample_weight, const py::object& order,
                   std::size_t batch_size, std::uint64_t epoch, const py::object& progress) {
    require(batch_size >= 1, "batch_size is 0, expected at least 1");
    train::Batches batches;
    batches.x = checked_samples(*network, x);
    batches.y = checked_targets(*network, y, batches.x.samples);
    const auto weights = checked_weights(sample_weight, batches.x.samples);
    batches.weights = weights ? weights->data() : nullptr;
    const py::array_t<std::int64_t> indices = contiguous_indices(order);
    batches.order.reserve(static_cast<std::size_t>(indices.size()));
    for (py::ssize_t i = 0; i < indices.size(); ++i) {
      const std::int64_t sample = indices.data()[i];
      require(sample >= 0 && static_cast<std::size_t>(sample) < batches.x.samples, "order[", i, "] is ", sample,
              ", expected the number of a sample, 0 to ", batches.x.samples, " - 1");
      batches.order.push_back(static_cast<std::size_t>(sample));
    }
    batches.batch_size = batch_size;
    batches.epoch = epoch;

    using clock = std::chrono::steady_clock;
    auto last = clock::now();
    std::function<void(std::size_t)> report;
    if (!progress.is_none()) {
      report = [&](std::size_t done) {
        if (clock::now() - last < std::chrono::milliseconds(100)) return;
        last = clock::now();
        const py::gil_scoped_acquire hold;
        progress(done);
      };
    }
    return without_gil([&](Interrupt& interrupt) {
      const auto lock = network->lock_to_change();
      return std::visit([&](auto& t) { return t->run_epoch(batches, interrupt, report); }, trainer);
    });
  }

  py::dict get_state() const {
    return std::visit(
        [](const auto& t) {
          py::dict moments, state;
          if (t->optimiser().first.size()) moments["first"] = export_all(t->network(), t->optimiser().first);
          if (t->optimiser().second.size()) moments["second"] = export_all(t->network(), t->optimiser().second);
          state["n_updates"] = t->optimiser().updates;
          state["moments"] = moments;
          return state;
        },
        trainer);
  }

  void set_state(const py::dict& state) {
    std::visit(
        [&]<class T>(std::unique_ptr<train::Trainer<T>>& t) {
          const std::size_t updates = state["n_updates"].cast<std::size_t>();
          const py::dict moments = state["moments"].cast<py::dict>();
          Buffer<T> first, second;
          if (t->optimiser().first.size())
            first = import_all(t->network(), moments["first"].template cast<py::dict>(), "first");
          if (t->optimiser().second.size()) {
            second = import_all(t->network(), moments["second"].template cast<py::dict>(), "second");
          }
          const std::unique_lock lock(network->mutex);
          t->optimiser().first = std::move(first);
          t->optimiser().second = std::move(second);
          t->optimiser().updates = updates;
        },
        trainer);
  }

  double learning_rate() const {
    return std::visit([](const auto& t) { return t->optimiser().config.learning_rate; }, trainer);
  }
  void set_learning_rate(double value) {
    require(value > 0, "learning_rate is ", value, ", expected a positive number");
    std::visit([&](auto& t) { t->optimiser().config.learning_rate = value; }, trainer);
  }

  std::shared_ptr<AnyNetwork> network;

 private:
  static py::array_t<std::int64_t> contiguous_indices(const py::object& order) {
    const py::array array = py::module_::import("numpy").attr("asarray")(order);
    if (array.dtype().kind() != 'i' && array.dtype().kind() != 'u') {
      throw py::type_error("order has dtype " + py::str(static_cast<py::object>(array.dtype())).cast<std::string>() +
                           ", expected integers");
    }
    return contiguous<std::int64_t>(array);
  }

  std::variant<std::unique_ptr<train::Trainer<float>>, std::unique_ptr<train::Trainer<double>>> trainer;
};

}  // namespace

void register_network(py::module_& module) {
  py::class_<AnyNetwork, std::shared_ptr<AnyNetwork>>(module, "Network")
      .def(py::init([](const std::string& dtype, std::size_t n_features, std::vector<std::size_t> hidden_sizes,
                       std::size_t n_outputs, double dropout, const std::string& cell, bool bidirectional,
                       const std::string& merge, bool residual, const std::string& pooling, std::size_t proj_size) {
             return std::make_shared<AnyNetwork>(
                 dtype, network::Config{.cell = kernels::cell_from_name(cell),
                                        .inputs = n_features,
                                        .hidden_sizes = std::move(hidden_sizes),
                                        .projection = proj_size,
                                        .outputs = n_outputs,
                                        .dropout = dropout,
                                        .bidirectional = bidirectional,
                                        .merge = from_name("merge", network::merge_names, merge),
                                        .residual = residual,
                                        .pooling = from_name("pooling", network::pooling_names, pooling)});
           }),
           py::kw_only(), py::arg("dtype"), py::arg("n_features"), py::arg("hidden_sizes"), py::arg("n_outputs"),
           py::arg("dropout") = 0.0, py::arg("cell") = "lstm", py::arg("bidirectional") = false,
           py::arg("merge") = "concat", py::arg("residual") = false, py::arg("pooling") = "last",
           py::arg("proj_size") = 0)
      .def_property_readonly("cell", [](const AnyNetwork& n) { return kernels::cell_name(n.config().cell); })
      .def_property_readonly("dtype", [](const AnyNetwork& n) { return n.net.index() == 0 ? "float32" : "float64"; })
      .def_property_readonly("n_features", [](const AnyNetwork& n) { return n.config().inputs; })
      .def_property_readonly("hidden_sizes", [](const AnyNetwork& n) { return n.config().hidden_sizes; })
      .def_property_readonly("n_outputs", [](const AnyNetwork& n) { return n.config().outputs; })
      .def_property_readonly("dropout", [](const AnyNetwork& n) { return n.config().dropout; })
      .def_property_readonly("bidirectional", [](const AnyNetwork& n) { return n.config().bidirectional; })
      .def_property_readonly("merge",
                             [](const AnyNetwork& n) { return name_of(network::merge_names, n.config().merge); })
      .def_property_readonly("residual", [](const AnyNetwork& n) { return n.config().residual; })
      .def_property_readonly("pooling",
                             [](const AnyNetwork& n) { return name_of(network::pooling_names, n.config().pooling); })
      .def_property_readonly("n_parameters",
                             [](const AnyNetwork& n) {
                               std::size_t count = 0;
                               for (const auto& info : n.infos()) count += info.size();
                               return count;
                             })
      .def_property_readonly("parameter_shapes",
                             [](const AnyNetwork& n) {
                               py::dict shapes;
                               for (const auto& info : n.infos()) {
                                 shapes[info.name.c_str()] = info.columns == 0
                                                                 ? py::tuple(py::make_tuple(info.rows))
                                                                 : py::tuple(py::make_tuple(info.rows, info.columns));
                               }
                               return shapes;
                             })
      .def(
          "initialize",
          [](AnyNetwork& n, std::uint64_t seed) {
            const py::gil_scoped_release release;
            const auto lock = n.lock_to_change();
            std::visit([&](auto& net) { net->initialize(seed); }, n.net);
          },
          py::arg("seed"))
      .def("get_parameters",
           [](const AnyNetwork& n) {
             return std::visit([](const auto& net) { return export_all(*net, net->parameters()); }, n.net);
           })
      .def(
          "set_parameters",
          [](AnyNetwork& n, const py::dict& parameters) {
            std::visit(
                [&](auto& net) {
                  auto flat = import_all(*net, parameters, "parameters");
                  const py::gil_scoped_release release;  // who trains it holds the lock, and may want the GIL
                  const auto lock = n.lock_to_change();
                  net->parameters() = std::move(flat);
                },
                n.net);
          },
          py::arg("parameters"))
      .def("predict", &predict, py::arg("X"))
      .def("loss", &loss, py::arg("X"), py::arg("y"), py::arg("sample_weight") = py::none());

  py::class_<AnyTrainer>(module, "Trainer")
      .def(py::init([](std::shared_ptr<AnyNetwork> network, const std::string& solver, double learning_rate,
                       double momentum, bool nesterov, double beta_1, double beta_2, double epsilon, double rho,
                       double alpha, std::optional<double> max_grad_norm, std::uint64_t seed) {
             train::TrainerConfig config;
             config.optimiser = {.solver = train::solver_from_name(solver),
                                 .learning_rate = learning_rate,
                                 .momentum = momentum,
                                 .nesterov = nesterov,
                                 .beta_1 = beta_1,
                                 .beta_2 = beta_2,
                                 .epsilon = epsilon,
                                 .rho = rho,
                                 .alpha = alpha};
             if (max_grad_norm) config.max_grad_norm = *max_grad_norm;
             config.seed = seed;
             return std::make_unique<AnyTrainer>(std::move(network), config);
           }),
           py::arg("network"), py::kw_only(), py::arg("solver"), py::arg("learning_rate"), py::arg("momentum") = 0.9,
           py::arg("nesterov") = true, py::arg("beta_1") = 0.9, py::arg("beta_2") = 0.999, py::arg("epsilon") = 1e-8,
           py::arg("rho") = 0.9, py::arg("alpha") = 0.0, py::arg("max_grad_norm") = py::none(), py::arg("seed") = 0)
      .def("run_epoch", &AnyTrainer::run_epoch, py::arg("X"), py::arg("y"), py::arg("sample_weight"), py::arg("order"),
           py::arg("batch_size"), py::arg("epoch"), py::arg("progress") = py::none())
      .def("get_state", &AnyTrainer::get_state)
      .def("set_state", &AnyTrainer::set_state, py::arg("state"))
      .def_property("learning_rate", &AnyTrainer::learning_rate, &AnyTrainer::set_learning_rate)
      .def_property_readonly("network", [](const AnyTrainer& t) { return t.network; });
}

}  // namespace pylstm::bindings
