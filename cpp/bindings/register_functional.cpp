/// One recurrent layer of any cell, forward, backward and a single step: arrays in, arrays out.
#include <pybind11/stl.h>

#include <cmath>
#include <limits>
#include <memory>
#include <ostream>
#include <variant>

#include "arrays.hpp"
#include "pylstm/pylstm.hpp"
#include "register.hpp"

namespace pylstm::bindings {
namespace {

using layers::RecurrentLayer;

/// Memory that outlives calls, so that steady state maps no fresh pages.  A call takes its thread's away and puts it
/// back: a call in the middle of another one, from a signal handler, finds none and begins its own.
template <class T>
class Scratch {
 public:
  Scratch() : memory_(std::move(kept_)) {
    if (memory_ == nullptr) memory_ = std::make_unique<Memory>();
  }
  ~Scratch() { kept_ = std::move(memory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  layers::Workspace<T>& workspace() { return memory_->workspace; }
  /// Room for the weights, or their gradients, in panels.
  T* panels(std::size_t size) {
    memory_->panels.reserve(size);
    return memory_->panels.data();
  }

 private:
  struct Memory {
    layers::Workspace<T> workspace;
    Buffer<T> panels;
  };
  inline static thread_local std::unique_ptr<Memory> kept_;
  std::unique_ptr<Memory> memory_;
};

/// A forward pass that can be differentiated.  Holds its own copies of x and the weights: the caller may change theirs.
template <class T>
struct LayerTape {
  RecurrentLayer<T> layer;
  std::size_t N, T_, I, H;
  layers::BatchOrder order;
  Buffer<T> panels;
  Buffer<T> x;  ///< [T][N][I] in the caller's order
  layers::Tape<T> states;
};

struct Tape {
  std::string family;  ///< whose forward made it
  std::variant<std::shared_ptr<const LayerTape<float>>, std::shared_ptr<const LayerTape<double>>> tape;
};

/// A cell, and the family of functions that Python calls it by.
struct CellRequest {
  kernels::CellKind kind;
  std::size_t gates;  ///< of both weight matrices

  explicit CellRequest(const std::string& name)
      : kind(kernels::cell_from_name(name).kind), gates(active_kernels<float>().cell({kind}).input_slots) {}

  const char* family() const {
    switch (kind) {
      case kernels::CellKind::lstm:
      case kernels::CellKind::coupled_lstm:
      case kernels::CellKind::layer_norm_lstm:
        return "lstm";
      case kernels::CellKind::gru:
      case kernels::CellKind::gru_reset_before:
      case kernels::CellKind::layer_norm_gru:
        return "gru";
      default:
        return "rnn";
    }
  }
};

/// The arguments of a layer beside x and the states.
struct WeightArguments {
  py::object weight_ih, weight_hh, bias, bias_hn;
  py::object peephole;    ///< array or None
  py::object layer_norm;  ///< tuple of arrays or None, of a cell with layer normalisation
  py::object cell_clip;
  py::object weight_hr;    ///< array or None: no projection
  py::object activations;  ///< list of (name, alpha or None, beta or None), or None: the cell's own
};

/// Rows of the units' own weights that one argument gives.
struct UnitWeightsArgument {
  std::optional<py::array> array;
  std::size_t rows;
  double missing;  ///< what they are where the argument is None
};

std::size_t extent(const py::array& array, py::ssize_t axis) { return static_cast<std::size_t>(array.shape(axis)); }

py::ssize_t signed_size(std::size_t size) { return static_cast<py::ssize_t>(size); }

/// The arrays of a call, checked against each other but not yet converted.
struct Arguments {
  CellRequest cell;
  py::array x, weight_ih, weight_hh;
  std::optional<py::array> bias, bias_hn, weight_hr, h0, c0;
  std::vector<UnitWeightsArgument> unit_weights;
  double clip;
  std::optional<cells::Activations> activations;
  std::size_t N, T, I, H;
  std::size_t P;  ///< 0: no projection

  kernels::CellChoice choice() const {
    const bool peepholes = unit_weights.size() == 1 && unit_weights[0].array.has_value();
    return {cell.kind, {.peepholes = peepholes, .clips = std::isfinite(clip)}};
  }
  template <class T>
  RecurrentLayer<T> layer() const {
    constexpr T least = std::numeric_limits<T>::min();  // less would be flushed to zero
    require(clip >= static_cast<double>(least), "cell_clip is ", clip, ", expected at least ", least,
            " for this dtype");
    return {active_kernels<T>().fitting(H).cell(choice()),
            I,
            H,
            {.clip = static_cast<T>(clip), .activations = activations},
            P};
  }
};

template <class... Why>
std::optional<py::array> optional_array(const py::object& argument, const char* name, Shape shape, const Why&... why) {
  if (argument.is_none()) return std::nullopt;
  py::array array = real_array(argument, name);
  require_shape(array, name, shape, why...);
  return array;
}

/// In messages "4*hidden_size" or "hidden_size".
struct Units {
  std::size_t gates;

  friend std::ostream& operator<<(std::ostream& text, Units units) {
    if (units.gates != 1) text << units.gates << '*';
    return text << "hidden_size";
  }
};

double checked_clip(const py::object& argument) {
  if (argument.is_none()) return std::numeric_limits<double>::infinity();
  double clip = 0;
  try {
    if (is_flag(argument)) throw py::cast_error();
    clip = argument.cast<double>();
  } catch (const py::cast_error&) {
    throw py::type_error("cell_clip is " + py::repr(argument).cast<std::string>() + ", expected a positive number");
  }
  require(clip > 0, "cell_clip is ", clip, ", expected a positive number");
  return clip;
}

/// One function stands for g of the simple cell; f and g, or f, g and h.
std::optional<cells::Activations> checked_activations(const py::object& argument) {
  if (argument.is_none()) return std::nullopt;
  cells::Activations activations;
  std::vector<cells::Function*> roles{&activations.f, &activations.g, &activations.h};
  const auto given =
      argument.cast<std::vector<std::tuple<std::string, std::optional<double>, std::optional<double>>>>();
  if (given.size() == 1) roles = {&activations.g};
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto& [name, alpha, beta] = given[i];
    cells::Function& function = *roles.at(i);
    function = from_name("activation", cells::function_names, name);
    const std::size_t numbers = beta ? 2 : alpha ? 1 : 0, most = cells::parameters_of(function.kind);
    require(numbers <= most, "activation ", name, " is given ", numbers, numbers == 1 ? " number" : " numbers",
            ", expected ", most == 0 ? "none" : "at most alpha");
    if (alpha) function.alpha = *alpha;
    if (beta) function.beta = *beta;
  }
  return activations;
}

std::vector<UnitWeightsArgument> checked_unit_weights(const CellRequest& cell, const WeightArguments& weights,
                                                      std::size_t H) {
  std::vector<UnitWeightsArgument> list;
  const auto add = [&](const py::object& argument, const char* name, std::size_t rows, double missing,
                       const char* gates) {
    list.push_back(
        {optional_array(argument, name, {signed_size(checked_product(rows, H))}, Units{rows}, " elements", gates), rows,
         missing});
  };
  if (weights.layer_norm.is_none()) {
    const bool coupled = cell.kind == kernels::CellKind::coupled_lstm;
    add(weights.peephole, "peephole", coupled ? 2 : 3, 0, coupled ? ": gates i, o" : ": gates i, f, o");
    return list;
  }
  const auto fields = weights.layer_norm.cast<py::tuple>();
  add(fields[0], "layer_norm.gain_ih", cell.gates, 1, "");
  add(fields[1], "layer_norm.gain_hh", cell.gates, 1, "");
  if (cell.kind == kernels::CellKind::layer_norm_lstm) {
    add(fields[2], "layer_norm.gain_c", 1, 1, "");
    add(fields[3], "layer_norm.bias_c", 1, 0, "");
  }
  return list;
}

/// [rows][H] of all of them.
template <class T>
std::vector<T> unit_weights(const std::vector<UnitWeightsArgument>& arguments, std::size_t H) {
  std::vector<T> values;
  for (const auto& [array, rows, missing] : arguments) {
    const std::size_t begin = values.size();
    values.resize(begin + rows * H, static_cast<T>(missing));
    if (array) std::copy_n(contiguous<T>(*array).data(), rows * H, values.data() + begin);
  }
  return values;
}

Arguments check(const CellRequest& cell, const py::object& x, bool one_step, const WeightArguments& weights,
                const py::object& h0, const py::object& c0, const char* h_name, const char* c_name) {
  const char* const x_name = one_step ? "x_t" : "x";
  Arguments a{.cell = cell,
              .x = real_array(x, x_name),
              .weight_ih = real_array(weights.weight_ih, "weight_ih"),
              .weight_hh = real_array(weights.weight_hh, "weight_hh"),
              .bias = {},
              .bias_hn = {},
              .weight_hr = {},
              .h0 = {},
              .c0 = {},
              .unit_weights = {},
              .clip = checked_clip(weights.cell_clip),
              .activations = checked_activations(weights.activations),
              .N = 0,
              .T = 0,
              .I = 0,
              .H = 0,
              .P = 0};
  const py::ssize_t dimensions = one_step ? 2 : 3;
  require(a.x.ndim() == dimensions, x_name, " has shape ", Shape(a.x), ", expected ",
          one_step ? "(N, I)" : "(N, T, I)");
  a.N = extent(a.x, 0);
  a.T = one_step ? 1 : extent(a.x, 1);
  a.I = extent(a.x, dimensions - 1);
  require(a.I >= 1, x_name, " has shape ", Shape(a.x), ", expected at least one input");
  // weight_ih says how many units there are, unless it is no such matrix itself.
  const std::size_t G = cell.gates;
  const Units units{G};
  const bool from_ih = a.weight_ih.ndim() == 2 && extent(a.weight_ih, 0) >= G && extent(a.weight_ih, 0) % G == 0 &&
                       extent(a.weight_ih, 1) == a.I;
  if (weights.weight_hr.is_none()) {
    const bool from_hh = a.weight_hh.ndim() == 2 && extent(a.weight_hh, 0) >= G &&
                         extent(a.weight_hh, 0) == checked_product(G, extent(a.weight_hh, 1));
    require(from_ih || from_hh, "weight_ih has shape ", Shape(a.weight_ih), ", expected (", units, ", ", a.I,
            "): ", units, " rows, one column for each input");
    a.H = from_hh ? extent(a.weight_hh, 1) : extent(a.weight_ih, 0) / G;
    if (from_hh && from_ih && a.weight_ih.shape(0) != a.weight_hh.shape(0)) a.H = extent(a.weight_ih, 0) / G;
  } else {
    a.weight_hr = real_array(weights.weight_hr, "weight_hr");
    require(a.weight_hr->ndim() == 2 && extent(*a.weight_hr, 0) >= 1 && extent(*a.weight_hr, 1) >= 1,
            "weight_hr has shape ", Shape(*a.weight_hr), ", expected (proj_size, hidden_size)");
    a.P = extent(*a.weight_hr, 0);
    a.H = extent(*a.weight_hr, 1);
    const bool fits_hh = has_shape(a.weight_hh, {signed_size(checked_product(G, a.H)), signed_size(a.P)});
    const std::size_t of_ih = from_ih ? extent(a.weight_ih, 0) / G : a.H;
    require(fits_hh || of_ih == a.H, "weight_hr has shape ", Shape(*a.weight_hr), ", expected (proj_size, ", of_ih,
            "): one column for each unit that weight_ih has");
  }
  const py::ssize_t I = signed_size(a.I), H = signed_size(a.H), N = signed_size(a.N);
  const py::ssize_t rows = signed_size(checked_product(G, a.H)), W = a.P > 0 ? signed_size(a.P) : H;
  const char* const columns = a.P > 0 ? "proj_size" : "hidden_size";
  require_shape(a.weight_hh, "weight_hh", {rows, W}, units, " rows, ", columns, " columns");
  require_shape(a.weight_ih, "weight_ih", {rows, I}, units, " rows, one column for each input");
  a.bias = optional_array(weights.bias, "bias", {rows}, units, " elements");
  a.bias_hn = optional_array(weights.bias_hn, "bias_hn", {H}, "hidden_size elements");
  a.unit_weights = checked_unit_weights(cell, weights, a.H);
  a.h0 = optional_array(h0, h_name, {N, W}, "one row of ", columns, " elements for each row of x");
  a.c0 = optional_array(c0, c_name, {N, H}, "one row of hidden_size elements for each row of x");
  return a;
}

template <class T>
std::optional<py::array_t<T>> state(const std::optional<py::array>& array) {
  if (!array) return std::nullopt;
  return contiguous<T>(*array);
}

template <class T>
const T* data_or_null(const std::optional<py::array_t<T>>& array) {
  return array ? array->data() : nullptr;
}

/// The weights of a call in the engine's type and order.
template <class T>
struct Weights {
  py::array_t<T> weight_ih, weight_hh;
  std::optional<py::array_t<T>> bias, bias_hn, weight_hr;
  std::vector<T> units;

  Weights(const RecurrentLayer<T>& layer, const Arguments& a)
      : weight_ih(contiguous<T>(a.weight_ih)),
        weight_hh(contiguous<T>(a.weight_hh)),
        bias(state<T>(a.bias)),
        bias_hn(state<T>(a.bias_hn)),
        weight_hr(state<T>(a.weight_hr)) {
    if (layer.shape().unit_weights > 0) units = unit_weights<T>(a.unit_weights, a.H);
  }

  layers::LayerWeights<const T> view() const {
    return {.weight_ih = weight_ih.data(),
            .weight_hh = weight_hh.data(),
            .bias = data_or_null(bias),
            .bias_recurrent = data_or_null(bias_hn),
            .unit_weights = units.data(),
            .weight_hr = data_or_null(weight_hr)};
  }
};

/// Multiply-adds of so many steps, and as many weights to pack as one of them has.
template <class T>
double products(const RecurrentLayer<T>& layer, std::size_t rows, std::size_t steps) {
  const auto size = [](std::size_t n) { return static_cast<double>(n); };
  return size(layer.size()) * (size(rows) * size(steps) + 1);
}

/// [N][H], or [0][H] of a cell without memory.
template <class T>
py::array_t<T> memory_result(const RecurrentLayer<T>& layer, py::ssize_t N, py::ssize_t H) {
  return result<T>({layer.has_memory() ? N : 0, H});
}

/// Zeroes the rows of a batch-first result past each length.
template <class T>
void zero_padding(T* data, const Schedule& schedule, std::size_t width) {
  if (schedule.lengths == nullptr) return;
  for (std::size_t n = 0; n < schedule.rows; ++n) {
    T* const row = data + schedule.caller_row(n) * schedule.steps * width;
    std::fill(row + schedule.length(n) * width, row + schedule.steps * width, T(0));
  }
}

/// To an array [steps][rows][width], by threads that share the rows.
template <class T>
void copy_in_step_order(Sequence<const T> x, std::size_t steps, std::size_t rows, std::size_t width, T* to) {
  constexpr std::size_t least_bytes = 128 << 10;  // some 10 us of one core
  x.schedule = nullptr;
  ThreadPool::instance().run(steps * rows * width * sizeof(T) / least_bytes, [&](const Share& share) {
    for (std::size_t t = 0; t < steps; ++t) {
      for (std::size_t n = share.begin(rows); n < share.end(rows); ++n) {
        std::copy_n(x.row(t, n), width, to + (t * rows + n) * width);
      }
    }
  });
}

template <class T>
py::tuple forward(const Arguments& a, const py::object& lengths_argument, bool reverse, bool training) {
  const std::size_t steps = a.N == 0 ? 0 : a.T;
  layers::BatchOrder order(steps, a.N, reverse);
  if (!lengths_argument.is_none()) order = layers::BatchOrder(steps, lengths(lengths_argument, a.N, a.T), reverse);
  const py::ssize_t N = signed_size(a.N), T_ = signed_size(a.T), H = signed_size(a.H);
  const RecurrentLayer<T> layer = a.layer<T>();
  const py::ssize_t W = signed_size(layer.outputs());
  py::array_t<T> y = result<T>({N, T_, W}), h_n = result<T>({N, W}), c_n = memory_result<T>(layer, N, H);
  const py::array_t<T> x = operand<T>(a.x);
  const auto h0 = state<T>(a.h0), c0 = state<T>(a.c0);
  const layers::States<T> states{
      .h0 = data_or_null(h0), .c0 = data_or_null(c0), .h_n = h_n.mutable_data(), .c_n = c_n.mutable_data()};

  std::shared_ptr<LayerTape<T>> tape;
  if (training) {
    tape = std::make_shared<LayerTape<T>>(LayerTape<T>{layer, a.N, a.T, a.I, a.H, std::move(order), {}, {}, {}});
  }
  const Weights<T> weights(layer, a);
  const Schedule schedule = training ? tape->order.schedule() : order.schedule();
  Sequence<const T> input = sequence(x.data(), x, schedule);
  const Sequence<T> output = sequence(y.mutable_data(), y, schedule);
  T* const y_data = y.mutable_data();
  const layers::LayerWeights<const T> weights_view = weights.view();
  with_or_without_gil(products(layer, a.N, a.T), [&](Interrupt& interrupt) {
    Scratch<T> scratch;
    if (training) tape->panels = Buffer<T>(layer.size());
    T* const panels = training ? tape->panels.data() : scratch.panels(layer.size());
    if (training) {
      tape->x = Buffer<T>(checked_product(a.N, a.T, a.I));
      copy_in_step_order(input, schedule.steps, a.N, a.I, tape->x.data());
      input = {tape->x.data(), signed_size(a.N * a.I), signed_size(a.I), &schedule};
    }
    zero_padding(y_data, schedule, layer.outputs());
    layer.pack_and_forward(weights_view, panels, schedule, input, output, states, training ? &tape->states : nullptr,
                           scratch.workspace(), interrupt);
  });
  py::object handle = py::none();
  if (training) handle = py::cast(Tape{a.cell.family(), std::shared_ptr<const LayerTape<T>>(std::move(tape))});
  return py::make_tuple(y, h_n, c_n, handle);
}

template <class T>
py::tuple backward(const LayerTape<T>& tape, const py::object& dy, const py::object& dh_n, const py::object& dc_n) {
  const py::ssize_t N = signed_size(tape.N), T_ = signed_size(tape.T_), I = signed_size(tape.I),
                    H = signed_size(tape.H);
  const py::ssize_t W = signed_size(tape.layer.outputs());
  const auto dy_array = optional_array(dy, "dy", {N, T_, W}, "the shape of y");
  const auto dh_n_array = optional_array(dh_n, "dh_n", {N, W}, "the shape of h_n");
  const auto dc_n_array = optional_array(dc_n, "dc_n", {N, H}, "the shape of c_n");
  std::optional<py::array_t<T>> dy_operand;
  if (dy_array) dy_operand = operand<T>(*dy_array);
  const auto dh = state<T>(dh_n_array), dc = state<T>(dc_n_array);

  const kernels::PanelShape& shape = tape.layer.shape();
  const py::ssize_t G = signed_size(shape.input_slots), recurrent_biases = signed_size(shape.bias_slots) - G;
  py::array_t<T> dx = result<T>({N, T_, I}), dh0 = result<T>({N, W}), dc0 = memory_result<T>(tape.layer, N, H);
  py::array_t<T> dweight_ih = result<T>({G * H, I}), dbias = result<T>({G * H}),
                 dweight_hh = result<T>({signed_size(shape.recurrent_slots + shape.reset_slots) * H, W}),
                 dweight_hr = result<T>({tape.layer.projected() ? W : 0, H}),
                 dbias_hn = result<T>({recurrent_biases * H}),
                 dunit_weights = result<T>({signed_size(shape.unit_weights) * H});
  const Schedule schedule = tape.order.schedule();
  layers::SequenceGradients<T> g;
  if (dy_operand) g.dy = sequence(dy_operand->data(), *dy_operand, schedule);
  g.dh_n = data_or_null(dh);
  g.dc_n = data_or_null(dc);
  g.dx = sequence(dx.mutable_data(), dx, schedule);
  g.dh0 = dh0.mutable_data();
  g.dc0 = dc0.mutable_data();
  const layers::LayerWeights<T> gradients{.weight_ih = dweight_ih.mutable_data(),
                                          .weight_hh = dweight_hh.mutable_data(),
                                          .bias = dbias.mutable_data(),
                                          .bias_recurrent = dbias_hn.mutable_data(),
                                          .unit_weights = dunit_weights.mutable_data(),
                                          .weight_hr = dweight_hr.mutable_data()};
  without_gil([&](Interrupt& interrupt) {
    Scratch<T> scratch;
    g.dpanels = scratch.panels(tape.layer.size());
    zero_padding(g.dx.data, schedule, tape.I);
    const Sequence<const T> x{tape.x.data(), signed_size(tape.N * tape.I), signed_size(tape.I), &schedule};
    tape.layer.backward(tape.panels.data(), schedule, x, tape.states, g, scratch.workspace(), interrupt);
    tape.layer.unpack(g.dpanels, gradients);
  });
  return py::make_tuple(dx, dweight_ih, dweight_hh, dbias, dbias_hn, dunit_weights, dweight_hr, dh0, dc0);
}

template <class T>
py::tuple step(const Arguments& a) {
  const py::ssize_t N = signed_size(a.N), H = signed_size(a.H);
  const RecurrentLayer<T> layer = a.layer<T>();
  py::array_t<T> h = result<T>({N, signed_size(layer.outputs())}), c = memory_result<T>(layer, N, H);
  const py::array_t<T> x = operand<T>(a.x);
  const auto h0 = state<T>(a.h0), c0 = state<T>(a.c0);
  const Weights<T> weights(layer, a);
  const layers::LayerWeights<const T> weights_view = weights.view();
  const Sequence<const T> input{x.data(), 0, x.strides(0) / signed_size(sizeof(T)), nullptr};
  const layers::States<T> states{
      .h0 = data_or_null(h0), .c0 = data_or_null(c0), .h_n = h.mutable_data(), .c_n = c.mutable_data()};
  const bool unpacked = a.N == 1 && layer.has_step() && h0 && (c0 || !layer.has_memory());
  with_or_without_gil(products(layer, a.N, 1), [&](Interrupt& interrupt) {
    if (unpacked) return layer.step(weights_view, input.data, states.h0, states.c0, states.h_n, states.c_n);
    Scratch<T> scratch;
    const Schedule schedule{.steps = 1, .rows = a.N};
    layer.pack_and_forward(weights_view, scratch.panels(layer.size()), schedule, input, {}, states, nullptr,
                           scratch.workspace(), interrupt);
  });
  return py::make_tuple(h, c);
}

}  // namespace

void register_functional(py::module_& module) {
  const py::class_<Tape> tape_type(module, "Tape", "What the way back needs of a forward pass.");
  // Not even Tape.__new__ makes one: pybind11 would hand out uninitialised memory.
  reinterpret_cast<PyTypeObject*>(tape_type.ptr())->tp_new = nullptr;
  module.def("layer_forward", [](const std::string& cell, const py::object& x, const py::object& weight_ih,
                                 const py::object& weight_hh, const py::object& bias, const py::object& bias_hn,
                                 const py::object& peephole, const py::object& layer_norm, const py::object& weight_hr,
                                 const py::object& cell_clip, const py::object& activations, const py::object& h0,
                                 const py::object& c0, const py::object& lengths, bool reverse, bool training) {
    const Arguments a =
        check(CellRequest(cell), x, false,
              {weight_ih, weight_hh, bias, bias_hn, peephole, layer_norm, cell_clip, weight_hr, activations}, h0, c0,
              "h0", "c0");
    return is_double(a.x) ? forward<double>(a, lengths, reverse, training)
                          : forward<float>(a, lengths, reverse, training);
  });
  module.def("layer_backward", [](const std::string& family, const py::object& tape, const py::object& dy,
                                  const py::object& dh_n, const py::object& dc_n) {
    const std::string expected = ", expected the tape of " + family + "_forward(..., training=True)";
    if (!py::isinstance<Tape>(tape))
      throw py::type_error(std::string("tape is ") + Py_TYPE(tape.ptr())->tp_name + expected);
    const Tape& held = tape.cast<const Tape&>();
    if (held.family != family) throw py::type_error("tape is that of " + held.family + "_forward" + expected);
    return std::visit([&](const auto& layer) { return backward(*layer, dy, dh_n, dc_n); }, held.tape);
  });
  module.def("layer_step", [](const std::string& cell, const py::object& x_t, const py::object& h, const py::object& c,
                              const py::object& weight_ih, const py::object& weight_hh, const py::object& bias,
                              const py::object& bias_hn, const py::object& peephole, const py::object& layer_norm,
                              const py::object& weight_hr, const py::object& cell_clip, const py::object& activations) {
    const Arguments a = check(
        CellRequest(cell), x_t, true,
        {weight_ih, weight_hh, bias, bias_hn, peephole, layer_norm, cell_clip, weight_hr, activations}, h, c, "h", "c");
    return is_double(a.x) ? step<double>(a) : step<float>(a);
  });
}

}  // namespace pylstm::bindings
