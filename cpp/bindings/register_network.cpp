/// Network and Trainer: what the estimators are made of.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <variant>

#include "any_network.hpp"
#include "arrays.hpp"
#include "pylstm/network/description.hpp"
#include "pylstm/pylstm.hpp"
#include "register.hpp"

namespace pylstm::bindings {
namespace {

std::vector<py::ssize_t> shape_of(const network::ParameterInfo& info) {
  const std::vector<std::size_t> shape = info.shape();
  return {shape.begin(), shape.end()};
}

template <class T>
py::array_t<T> export_parameter(const network::Network<T>& net, std::size_t index, const network::ParameterInfo& info,
                                const Buffer<T>& flat) {
  py::array_t<T> values = result<T>(shape_of(info));
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
    require_shape(array, name, shape_of(infos[i]), "the network's");
    net.set(i, flat, contiguous<T>(array).data());
  }
  return flat;
}

/// `field` from a Python object of its kind: True is no number, 1.0 no size.
template <class Field>
void read_field(const char* name, const py::handle& value, Field& field) {
  const bool flag = is_flag(value);
  if (flag != std::is_same_v<Field, bool>) {
    throw py::type_error(std::string(name) + " is " + py::repr(value).cast<std::string>() + ", expected " +
                         (flag ? "no bool" : "True or False"));
  }
  try {
    field = value.cast<Field>();
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(name) + " is " + py::repr(value).cast<std::string>());
  }
}

/// From keyword arguments, named as in network/description.hpp.
network::Config config_from(const py::dict& architecture) {
  for (const auto& [name, value] : architecture) {
    const auto text = name.cast<std::string>();
    if (!network::is_field(text)) throw py::type_error("\"" + text + "\" is not a field of a network");
  }
  return network::config_from([&](const char* name, auto& field) {
    if (!architecture.contains(name)) return false;
    read_field(name, architecture[name], field);
    return true;
  });
}

py::dict architecture_of(const network::Config& config) {
  py::dict architecture;
  network::describe(config, [&](const char* name, const auto& value) { architecture[name] = value; });
  return architecture;
}

py::dict shapes(const std::vector<network::ParameterInfo>& infos) {
  py::dict shapes;
  for (const network::ParameterInfo& info : infos) {
    shapes[info.name.c_str()] = py::tuple(py::cast(info.shape()));
  }
  return shapes;
}

/// Checks sequences against the network, which is to see them in these units.
std::unique_ptr<Samples> checked_samples(const AnyNetwork& any, const py::object& x, const train::FeatureUnits* units) {
  std::unique_ptr<Samples> found = samples(x, "X");
  train::SampleView& view = found->view;
  view.units = units;
  require(found->ragged || py::reinterpret_borrow<py::array>(x).ndim() == 3, "X has 2 dimensions, expected 3");
  require(view.samples == 0 || view.features == any.config().features(), "X has ", view.features,
          " features, expected ", any.config().features());
  return found;
}

bool reads_every_step(const AnyNetwork& any) { return any.config().pooling == network::Pooling::none; }

/// Sequences with their targets and weights.
struct Learnt {
  std::unique_ptr<Samples> x, y, weights;  ///< weights may be null

  Learnt(const AnyNetwork& any, const train::Loss& loss, const train::FeatureUnits* units, const py::object& x_data,
         const py::object& y_data, const py::object& weight_data)
      : x(checked_samples(any, x_data, units)) {
    const bool every_step = reads_every_step(any);
    y = samples(y_data, "y");
    train::check_items("y", y->view, x->view, loss.targets(any.config().outputs), every_step);
    if (weight_data.is_none()) return;
    weights = samples(weight_data, "sample_weight");
    train::check_weights("sample_weight", weights->view, x->view, every_step);
  }

  std::optional<train::SampleView> weight_view() const { return weights ? std::optional(weights->view) : std::nullopt; }
};

/// Numbers of samples, from 0 to samples - 1.
std::vector<std::size_t> sample_numbers(const py::object& argument, const char* name, std::size_t samples) {
  const py::array array = py::module_::import("numpy").attr("asarray")(argument);
  if (array.dtype().kind() != 'i' && array.dtype().kind() != 'u') {
    throw py::type_error(std::string(name) + " has dtype " +
                         py::str(static_cast<py::object>(array.dtype())).cast<std::string>() + ", expected integers");
  }
  const py::array_t<std::int64_t> indices = contiguous<std::int64_t>(array);
  std::vector<std::size_t> numbers;
  numbers.reserve(static_cast<std::size_t>(indices.size()));
  for (py::ssize_t i = 0; i < indices.size(); ++i) {
    const std::int64_t sample = indices.data()[i];
    require(sample >= 0 && static_cast<std::size_t>(sample) < samples, name, "[", i, "] is ", sample,
            ", expected the number of a sample, 0 to ", samples, " - 1");
    numbers.push_back(static_cast<std::size_t>(sample));
  }
  return numbers;
}

/// All samples, or those of `rows` if it is not None.
class ChosenRows {
 public:
  ChosenRows(const py::object& rows, std::size_t samples) : count_(samples), all_(rows.is_none()) {
    if (!all_) numbers_ = sample_numbers(rows, "rows", samples);
  }
  train::Chosen get() const {
    if (all_) return {.samples = nullptr, .count = count_};
    return {.samples = numbers_.data(), .count = numbers_.size()};
  }

 private:
  std::size_t count_;
  bool all_;
  std::vector<std::size_t> numbers_;
};

/// [rows][O]; of a network that reads out every step [rows][steps][O], or of a list [steps of all rows][O].
py::array predict(const AnyNetwork& any, const py::object& x, const py::object& rows,
                  const train::FeatureUnits* units) {
  const std::unique_ptr<Samples> found = checked_samples(any, x, units);
  const train::SampleView& view = found->view;
  const ChosenRows chosen_rows(rows, view.samples);
  const train::Chosen chosen = chosen_rows.get();
  const bool every_step = reads_every_step(any), flat = found->ragged && every_step;
  std::vector<std::size_t> starts;
  std::size_t total = 0;
  for (std::size_t i = 0; flat && i < chosen.count; ++i) {
    starts.push_back(total);
    total += view.length(chosen[i]);
  }
  return std::visit(
      [&]<class T>(const std::unique_ptr<network::Network<T>>& net) -> py::array {
        std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(flat ? total : chosen.count)};
        if (every_step && !flat) shape.push_back(static_cast<py::ssize_t>(view.steps));
        shape.push_back(static_cast<py::ssize_t>(net->config().outputs));
        py::array_t<T> out = result<T>(shape);
        T* const data = out.mutable_data();
        without_gil([&](Interrupt& interrupt) {
          const auto lock = any.lock_to_read();
          train::predict(*net, view, chosen, data, interrupt, flat ? starts.data() : nullptr);
        });
        return out;
      },
      any.net);
}

/// What `lock()` gives, waited for without the GIL: who has the network may be waiting for that.
template <class Lock>
auto wait_for(const Lock& lock) {
  const py::gil_scoped_release release;
  return lock();
}

/// Trains one network; keeps it alive.
class AnyTrainer {
 public:
  AnyTrainer(std::shared_ptr<AnyNetwork> trained, const train::TrainerConfig& config, train::FeatureUnits units)
      : network(std::move(trained)), loss_(config.loss), units_(std::move(units)) {
    std::visit(
        [&]<class T>(std::unique_ptr<network::Network<T>>& net) {
          trainer = std::make_unique<train::Trainer<T>>(*net, config);
        },
        network->net);
  }

  double run_epoch(const py::object& x, const py::object& y, const py::object& sample_weight, const py::object& order,
                   std::size_t batch_size, std::uint64_t epoch, const py::object& progress) {
    require(batch_size >= 1, "batch_size is 0, expected at least 1");
    const Learnt learnt(*network, loss_, units(), x, y, sample_weight);
    train::Batches batches{.x = learnt.x->view, .y = learnt.y->view, .weights = learnt.weight_view(), .order = {}};
    batches.order = sample_numbers(order, "order", batches.x.samples);
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

  /// The mean loss of samples, or of `rows` of them, under the parameters as they are, without dropout.
  double loss(const py::object& x, const py::object& y, const py::object& sample_weight, const py::object& rows) const {
    const Learnt learnt(*network, loss_, units(), x, y, sample_weight);
    const ChosenRows chosen(rows, learnt.x->view.samples);
    return std::visit(
        [&]<class T>(const std::unique_ptr<network::Network<T>>& net) {
          return without_gil([&](Interrupt& interrupt) {
            const auto lock = network->lock_to_read();
            return train::mean_loss(*net, loss_, learnt.x->view, learnt.y->view, learnt.weight_view(), chosen.get(),
                                    interrupt);
          });
        },
        network->net);
  }

  /// What the network gives for samples in the trainer's units.
  py::array outputs(const py::object& x, const py::object& rows) const { return predict(*network, x, rows, units()); }

  py::dict get_state() const {
    const auto lock = wait_for([&] { return network->lock_to_read(); });
    return std::visit(
        [](const auto& t) {
          const auto& [first, second, updates] = t->optimiser().state();
          py::dict moments, state;
          if (first.size()) moments["first"] = export_all(t->network(), first);
          if (second.size()) moments["second"] = export_all(t->network(), second);
          state["n_updates"] = updates;
          if (t->latest().size()) state["latest"] = export_all(t->network(), t->latest());
          state["moments"] = moments;
          return state;
        },
        trainer);
  }

  void set_state(const py::dict& state) {
    std::visit(
        [&]<class T>(std::unique_ptr<train::Trainer<T>>& t) {
          train::OptimiserState<T> found{.first = {}, .second = {}, .updates = state["n_updates"].cast<std::size_t>()};
          const py::dict moments = state["moments"].cast<py::dict>();
          const auto read = [&](const py::dict& from, const char* name, Buffer<T>& to) {
            to = import_all(t->network(), from[name].template cast<py::dict>(), name);
          };
          if (t->optimiser().state().first.size()) read(moments, "first", found.first);
          if (t->optimiser().state().second.size()) read(moments, "second", found.second);
          Buffer<T> latest;
          if (state.contains("latest")) read(state, "latest", latest);
          const auto lock = wait_for([&] { return network->lock_to_change(); });
          t->optimiser().set_state(std::move(found));
          t->set_latest(std::move(latest));
        },
        trainer);
  }

  double learning_rate() const {
    return std::visit([](const auto& t) { return t->optimiser().config().learning_rate; }, trainer);
  }
  double alpha() const {
    return std::visit([](const auto& t) { return t->optimiser().config().alpha; }, trainer);
  }
  void set_learning_rate(double value) { set(&train::OptimiserConfig::learning_rate, value); }
  void set_alpha(double value) { set(&train::OptimiserConfig::alpha, value); }

  std::shared_ptr<AnyNetwork> network;

 private:
  void set(double train::OptimiserConfig::* field, double value) {
    const auto lock = wait_for([&] { return network->lock_to_change(); });
    std::visit(
        [&](auto& t) {
          train::OptimiserConfig config = t->optimiser().config();
          config.*field = value;
          t->optimiser().configure(config);
        },
        trainer);
  }

  const train::FeatureUnits* units() const { return units_.mean.empty() ? nullptr : &units_; }

  train::Loss loss_;
  train::FeatureUnits units_;
  std::variant<std::unique_ptr<train::Trainer<float>>, std::unique_ptr<train::Trainer<double>>> trainer;
};

}  // namespace

void register_network(py::module_& module) {
  module.def("let_go", &let_go, py::arg("array"));

  py::class_<AnyNetwork, std::shared_ptr<AnyNetwork>>(module, "Network")
      .def(py::init([](const std::string& dtype, py::kwargs architecture) {
             if (!architecture.contains("cell")) architecture["cell"] = "lstm";  // files have to name it
             return std::make_shared<AnyNetwork>(dtype, config_from(architecture));
           }),
           py::kw_only(), py::arg("dtype"))
      .def_property_readonly("architecture", [](const AnyNetwork& n) { return architecture_of(n.config()); })
      .def_static("fields",
                  [] {
                    std::vector<std::string> names;
                    network::Config config;
                    network::for_each_field(config,
                                            [&](const char* name, const auto&...) { names.emplace_back(name); });
                    return names;
                  })
      .def_static(
          "shapes_of",
          [](const std::string& dtype, const py::kwargs& architecture) {
            check_dtype(dtype);
            const network::Config config = config_from(architecture);
            return shapes(dtype == "float32" ? network::Network<float>::parameters_of(config)
                                             : network::Network<double>::parameters_of(config));
          },
          py::kw_only(), py::arg("dtype"))
      .def_property_readonly("pooling",
                             [](const AnyNetwork& n) { return name_of(network::pooling_names, n.config().pooling); })
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
             const auto lock = wait_for([&] { return n.lock_to_read(); });
             return std::visit([](const auto& net) { return export_all(*net, net->parameters()); }, n.net);
           })
      .def(
          "set_parameters",
          [](AnyNetwork& n, const py::dict& parameters) {
            std::visit(
                [&](auto& net) {
                  auto flat = import_all(*net, parameters, "parameters");
                  const auto lock = wait_for([&] { return n.lock_to_change(); });
                  net->parameters() = std::move(flat);
                },
                n.net);
          },
          py::arg("parameters"))
      .def(
          "predict", [](const AnyNetwork& n, const py::object& x) { return predict(n, x, py::none(), nullptr); },
          py::arg("X"));

  py::class_<AnyTrainer>(module, "Trainer")
      .def(py::init([](std::shared_ptr<AnyNetwork> network, const std::string& solver, double learning_rate,
                       double momentum, bool nesterov, double beta_1, double beta_2, double epsilon, double rho,
                       double alpha, std::optional<double> max_grad_norm, std::optional<double> max_grad_value,
                       std::uint64_t seed, const std::string& loss, double delta, std::vector<double> quantiles,
                       double label_smoothing, double averaging, std::variant<bool, std::size_t> checkpoint,
                       std::size_t tbptt_steps, std::vector<double> mean, std::vector<double> spread, bool masks) {
             train::TrainerConfig config;
             config.loss = {.kind = from_name("loss", train::loss_names, loss),
                            .delta = delta,
                            .quantiles = std::move(quantiles),
                            .label_smoothing = label_smoothing};
             config.optimiser = {.solver = from_name("solver", train::solver_names, solver),
                                 .learning_rate = learning_rate,
                                 .momentum = momentum,
                                 .nesterov = nesterov,
                                 .beta_1 = beta_1,
                                 .beta_2 = beta_2,
                                 .epsilon = epsilon,
                                 .rho = rho,
                                 .alpha = alpha};
             if (max_grad_norm) config.max_grad_norm = *max_grad_norm;
             if (max_grad_value) config.max_grad_value = *max_grad_value;
             config.seed = seed;
             config.averaging = averaging;
             if (const std::size_t* const steps = std::get_if<std::size_t>(&checkpoint)) {
               config.checkpoint = *steps;
             } else if (std::get<bool>(checkpoint)) {
               config.checkpoint = network::TrainingPass::about_root;
             }
             config.tbptt_steps = tbptt_steps;
             train::FeatureUnits units{.mean = std::move(mean), .factor = std::move(spread), .masks = masks};
             for (double& factor : units.factor) factor = 1 / factor;
             return std::make_unique<AnyTrainer>(std::move(network), config, std::move(units));
           }),
           py::arg("network"), py::kw_only(), py::arg("solver"), py::arg("learning_rate"), py::arg("momentum") = 0.9,
           py::arg("nesterov") = true, py::arg("beta_1") = 0.9, py::arg("beta_2") = 0.999, py::arg("epsilon") = 1e-8,
           py::arg("rho") = 0.9, py::arg("alpha") = 0.0, py::arg("max_grad_norm") = py::none(),
           py::arg("max_grad_value") = py::none(), py::arg("seed") = 0, py::arg("loss") = "squared_error",
           py::arg("delta") = 1.0, py::arg("quantiles") = std::vector<double>{0.5}, py::arg("label_smoothing") = 0.0,
           py::arg("averaging") = 0.0, py::arg("checkpoint") = false, py::arg("tbptt_steps") = 0,
           py::arg("mean") = std::vector<double>{}, py::arg("spread") = std::vector<double>{}, py::arg("masks") = false)
      .def("loss", &AnyTrainer::loss, py::arg("X"), py::arg("y"), py::arg("sample_weight") = py::none(),
           py::arg("rows") = py::none())
      .def("run_epoch", &AnyTrainer::run_epoch, py::arg("X"), py::arg("y"), py::arg("sample_weight"), py::arg("order"),
           py::arg("batch_size"), py::arg("epoch"), py::arg("progress") = py::none())
      .def("predict", &AnyTrainer::outputs, py::arg("X"), py::arg("rows") = py::none())
      .def("get_state", &AnyTrainer::get_state)
      .def("set_state", &AnyTrainer::set_state, py::arg("state"))
      .def_property("learning_rate", &AnyTrainer::learning_rate, &AnyTrainer::set_learning_rate)
      .def_property("alpha", &AnyTrainer::alpha, &AnyTrainer::set_alpha)
      .def_property_readonly("network", [](const AnyTrainer& t) { return t.network; });
}

}  // namespace pylstm::bindings
