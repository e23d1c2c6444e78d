/// lstm_forward, lstm_backward, lstm_step: arrays in, arrays out.
#include <pybind11/stl.h>

#include <memory>
#include <variant>

#include "arrays.hpp"
#include "pylstm/pylstm.hpp"
#include "register.hpp"

namespace pylstm::bindings {
namespace {

using layers::RecurrentLayer;

/// Workspaces outlive calls, so that steady state maps no fresh memory.
template <class T>
layers::Workspace<T>& workspace() {
  thread_local layers::Workspace<T> work;
  return work;
}

/// A forward pass that can be differentiated.  Holds its own copies of x and the weights: the caller may change theirs.
template <class T>
struct LstmTape {
  RecurrentLayer<T> layer;
  std::size_t N, T_, I, H;
  layers::BatchOrder order;
  Buffer<T> panels;
  Buffer<T> x;  ///< [T][N][I] in the caller's order
  layers::Tape<T> states;
};

struct Tape {
  std::variant<std::shared_ptr<const LstmTape<float>>, std::shared_ptr<const LstmTape<double>>> tape;
};

std::size_t extent(const py::array& array, py::ssize_t axis) { return static_cast<std::size_t>(array.shape(axis)); }

py::ssize_t signed_size(std::size_t size) { return static_cast<py::ssize_t>(size); }

/// The arrays of a call, checked against each other but not yet converted.
struct Arguments {
  py::array x, weight_ih, weight_hh;
  std::optional<py::array> bias, h0, c0;
  std::size_t N, T, I, H;
};

std::optional<py::array> optional_array(const py::object& argument, const char* name,
                                        const std::vector<py::ssize_t>& shape, const char* why) {
  if (argument.is_none()) return std::nullopt;
  py::array array = real_array(argument, name);
  require_shape(array, name, shape, why);
  return array;
}

Arguments check(const py::object& x, bool one_step, const py::object& weight_ih, const py::object& weight_hh,
                const py::object& bias, const py::object& h0, const py::object& c0, const char* h_name,
                const char* c_name) {
  const char* const x_name = one_step ? "x_t" : "x";
  Arguments a{real_array(x, x_name),
              real_array(weight_ih, "weight_ih"),
              real_array(weight_hh, "weight_hh"),
              {},
              {},
              {},
              0,
              0,
              0,
              0};
  const py::ssize_t dimensions = one_step ? 2 : 3;
  require(a.x.ndim() == dimensions, x_name, " has shape ", shape_text(a.x), ", expected ",
          one_step ? "(N, I)" : "(N, T, I)");
  a.N = extent(a.x, 0);
  a.T = one_step ? 1 : extent(a.x, 1);
  a.I = extent(a.x, dimensions - 1);
  require(a.I >= 1, x_name, " has shape ", shape_text(a.x), ", expected at least one input");
  // weight_ih says how many units there are, unless it is no such matrix itself.
  const bool from_ih = a.weight_ih.ndim() == 2 && a.weight_ih.shape(0) >= 4 && a.weight_ih.shape(0) % 4 == 0 &&
                       extent(a.weight_ih, 1) == a.I;
  const bool from_hh = a.weight_hh.ndim() == 2 && a.weight_hh.shape(0) >= 4 &&
                       extent(a.weight_hh, 0) == checked_product(4, extent(a.weight_hh, 1));
  require(from_ih || from_hh, "weight_ih has shape ", shape_text(a.weight_ih), ", expected (4*hidden_size, ", a.I,
          "): 4*hidden_size rows, one column for each input");
  a.H = from_hh ? extent(a.weight_hh, 1) : extent(a.weight_ih, 0) / 4;
  if (from_hh && from_ih && a.weight_ih.shape(0) != a.weight_hh.shape(0)) a.H = extent(a.weight_ih, 0) / 4;
  const py::ssize_t I = signed_size(a.I), H = signed_size(a.H), N = signed_size(a.N);
  const py::ssize_t rows = signed_size(checked_product(4, a.H));
  require_shape(a.weight_hh, "weight_hh", {rows, H}, "4*hidden_size rows, hidden_size columns");
  require_shape(a.weight_ih, "weight_ih", {rows, I}, "4*hidden_size rows, one column for each input");
  a.bias = optional_array(bias, "bias", {rows}, "4*hidden_size elements");
  a.h0 = optional_array(h0, h_name, {N, H}, "one row of hidden_size elements for each row of x");
  a.c0 = optional_array(c0, c_name, {N, H}, "one row of hidden_size elements for each row of x");
  return a;
}

/// Public weights to panels.
template <class T>
void pack_weights(const RecurrentLayer<T>& layer, const Arguments& a, Buffer<T>& panels) {
  const kernels::PanelShape& shape = layer.shape();
  panels.reserve(shape.size());
  const py::array_t<T> weight_ih = contiguous<T>(a.weight_ih), weight_hh = contiguous<T>(a.weight_hh);
  std::optional<py::array_t<T>> bias;
  if (a.bias) bias = contiguous<T>(*a.bias);
  const T* const bias_data = bias ? bias->data() : nullptr;
  const py::gil_scoped_release release;
  layer.pack(weight_ih.data(), weight_hh.data(), bias_data, panels.data());
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

/// Zeroes the rows of a batch-first result past each length.
template <class T>
void zero_padding(T* data, const Schedule& schedule, std::size_t width) {
  if (schedule.lengths == nullptr) return;
  for (std::size_t n = 0; n < schedule.rows; ++n) {
    T* const row = data + schedule.caller_row(n) * schedule.steps * width;
    std::fill(row + schedule.length(n) * width, row + schedule.steps * width, T(0));
  }
}

template <class T>
py::tuple forward(const Arguments& a, const py::object& lengths_argument, bool reverse, bool training) {
  const std::size_t steps = a.N == 0 ? 0 : a.T;
  layers::BatchOrder order(steps, a.N, reverse);
  if (!lengths_argument.is_none()) order = layers::BatchOrder(steps, lengths(lengths_argument, a.N, a.T), reverse);
  const py::ssize_t N = signed_size(a.N), T_ = signed_size(a.T), H = signed_size(a.H);
  const RecurrentLayer<T> layer(active_kernels<T>().lstm, a.I, a.H);
  py::array_t<T> y = result<T>({N, T_, H}), h_n = result<T>({N, H}), c_n = result<T>({N, H});
  const py::array_t<T> x = operand<T>(a.x);
  const auto h0 = state<T>(a.h0), c0 = state<T>(a.c0);
  const layers::States<T> states{
      .h0 = data_or_null(h0), .c0 = data_or_null(c0), .h_n = h_n.mutable_data(), .c_n = c_n.mutable_data()};

  std::shared_ptr<LstmTape<T>> tape;
  thread_local Buffer<T> kept_panels;
  if (training) {
    tape = std::make_shared<LstmTape<T>>(LstmTape<T>{layer, a.N, a.T, a.I, a.H, std::move(order), {}, {}, {}});
  }
  Buffer<T>& panels = training ? tape->panels : kept_panels;
  pack_weights(layer, a, panels);
  const Schedule schedule = training ? tape->order.schedule() : order.schedule();
  Sequence<const T> input = sequence(x.data(), x, schedule);
  const Sequence<T> output = sequence(y.mutable_data(), y, schedule);
  T* const y_data = y.mutable_data();
  without_gil([&](Interrupt& interrupt) {
    if (training) {
      tape->x = Buffer<T>(checked_product(a.N, a.T, a.I));
      const Sequence<const T> source{input.data, input.step_stride, input.row_stride, nullptr};
      for (std::size_t t = 0; t < schedule.steps; ++t) {
        for (std::size_t n = 0; n < a.N; ++n) std::copy_n(source.row(t, n), a.I, tape->x.data() + (t * a.N + n) * a.I);
      }
      input = {tape->x.data(), signed_size(a.N * a.I), signed_size(a.I), &schedule};
    }
    zero_padding(y_data, schedule, a.H);
    layer.forward(panels.data(), schedule, input, output, states, training ? &tape->states : nullptr, workspace<T>(),
                  interrupt);
  });
  py::object handle = py::none();
  if (training) handle = py::cast(Tape{std::shared_ptr<const LstmTape<T>>(std::move(tape))});
  return py::make_tuple(y, h_n, c_n, handle);
}

template <class T>
py::tuple backward(const LstmTape<T>& tape, const py::object& dy, const py::object& dh_n, const py::object& dc_n) {
  const py::ssize_t N = signed_size(tape.N), T_ = signed_size(tape.T_), I = signed_size(tape.I),
                    H = signed_size(tape.H);
  const auto dy_array = optional_array(dy, "dy", {N, T_, H}, "the shape of y");
  const auto dh_n_array = optional_array(dh_n, "dh_n", {N, H}, "the shape of h_n");
  const auto dc_n_array = optional_array(dc_n, "dc_n", {N, H}, "the shape of c_n");
  std::optional<py::array_t<T>> dy_operand;
  if (dy_array) dy_operand = operand<T>(*dy_array);
  const auto dh = state<T>(dh_n_array), dc = state<T>(dc_n_array);

  py::array_t<T> dx = result<T>({N, T_, I}), dh0 = result<T>({N, H}), dc0 = result<T>({N, H});
  py::array_t<T> dweight_ih = result<T>({4 * H, I}), dweight_hh = result<T>({4 * H, H}), dbias = result<T>({4 * H});
  const Schedule schedule = tape.order.schedule();
  layers::SequenceGradients<T> g;
  if (dy_operand) g.dy = sequence(dy_operand->data(), *dy_operand, schedule);
  g.dh_n = data_or_null(dh);
  g.dc_n = data_or_null(dc);
  g.dx = sequence(dx.mutable_data(), dx, schedule);
  g.dh0 = dh0.mutable_data();
  g.dc0 = dc0.mutable_data();
  T *const ih = dweight_ih.mutable_data(), *const hh = dweight_hh.mutable_data(), *const b = dbias.mutable_data();
  without_gil([&](Interrupt& interrupt) {
    thread_local Buffer<T> dpanels;
    const kernels::PanelShape& shape = tape.layer.shape();
    dpanels.reserve(shape.size());
    g.dpanels = dpanels.data();
    zero_padding(g.dx.data, schedule, tape.I);
    const Sequence<const T> x{tape.x.data(), signed_size(tape.N * tape.I), signed_size(tape.I), &schedule};
    tape.layer.backward(tape.panels.data(), schedule, x, tape.states, g, workspace<T>(), interrupt);
    tape.layer.unpack(dpanels.data(), ih, hh, b);
  });
  return py::make_tuple(dx, dweight_ih, dweight_hh, dbias, dh0, dc0);
}

template <class T>
py::tuple step(const Arguments& a) {
  const py::ssize_t N = signed_size(a.N), H = signed_size(a.H);
  const RecurrentLayer<T> layer(active_kernels<T>().lstm, a.I, a.H);
  py::array_t<T> h = result<T>({N, H}), c = result<T>({N, H});
  const py::array_t<T> x = operand<T>(a.x);
  const auto h0 = state<T>(a.h0), c0 = state<T>(a.c0);
  thread_local Buffer<T> panels;
  pack_weights(layer, a, panels);
  const Schedule schedule{.steps = 1, .rows = a.N};
  const Sequence<const T> input{x.data(), 0, x.strides(0) / signed_size(sizeof(T)), nullptr};
  const layers::States<T> states{
      .h0 = data_or_null(h0), .c0 = data_or_null(c0), .h_n = h.mutable_data(), .c_n = c.mutable_data()};
  without_gil([&](Interrupt& interrupt) {
    layer.forward(panels.data(), schedule, input, {}, states, nullptr, workspace<T>(), interrupt);
  });
  return py::make_tuple(h, c);
}

}  // namespace

void register_functional(py::module_& module) {
  const py::class_<Tape> tape_type(module, "Tape", "What lstm_backward needs of a forward pass.");
  // Not even Tape.__new__ makes one: pybind11 would hand out uninitialised memory.
  reinterpret_cast<PyTypeObject*>(tape_type.ptr())->tp_new = nullptr;
  module.def("lstm_forward",
             [](const py::object& x, const py::object& weight_ih, const py::object& weight_hh, const py::object& bias,
                const py::object& h0, const py::object& c0, const py::object& lengths, bool reverse, bool training) {
               const Arguments a = check(x, false, weight_ih, weight_hh, bias, h0, c0, "h0", "c0");
               return is_double(a.x) ? forward<double>(a, lengths, reverse, training)
                                     : forward<float>(a, lengths, reverse, training);
             });
  module.def("lstm_backward", [](const py::object& tape, const py::object& dy, const py::object& dh_n,
                                 const py::object& dc_n) {
    if (!py::isinstance<Tape>(tape)) {
      throw py::type_error(std::string("tape is ") + Py_TYPE(tape.ptr())->tp_name +
                           ", expected the tape of lstm_forward(..., training=True)");
    }
    return std::visit([&](const auto& held) { return backward(*held, dy, dh_n, dc_n); }, tape.cast<const Tape&>().tape);
  });
  module.def("lstm_step", [](const py::object& x_t, const py::object& h, const py::object& c,
                             const py::object& weight_ih, const py::object& weight_hh, const py::object& bias) {
    const Arguments a = check(x_t, true, weight_ih, weight_hh, bias, h, c, "h", "c");
    return is_double(a.x) ? step<double>(a) : step<float>(a);
  });
}

}  // namespace pylstm::bindings
