/// The activation functions of the ONNX operators LSTM, GRU and RNN, chosen at run time.  A general path and a slower
/// one: what is not a sigmoid or a tanh goes lane by lane.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string_view>
#include <utility>

#include "pylstm/base/errors.hpp"
#include "pylstm/base/inline.hpp"
#include "pylstm/base/names.hpp"
#include "pylstm/simd/math.hpp"
#include "pylstm/simd/several.hpp"

namespace pylstm::cells {

enum class FunctionKind {
  sigmoid,
  tanh,
  relu,
  affine,
  leaky_relu,
  thresholded_relu,
  scaled_tanh,
  hard_sigmoid,
  elu,
  softsign,
  softplus
};

/// One of them with its parameters.  As with every activation, the derivative takes the value y, not the argument x.
struct Function {
  FunctionKind kind = FunctionKind::sigmoid;
  double alpha = 0, beta = 0;

  template <class T>
  T value(T x) const {
    const T a = static_cast<T>(alpha), b = static_cast<T>(beta);
    switch (kind) {
      case FunctionKind::relu:
        return x < 0 ? T(0) : x;
      case FunctionKind::affine:
        return a * x + b;
      case FunctionKind::leaky_relu:
        return x < 0 ? a * x : x;
      case FunctionKind::thresholded_relu:
        return x <= a ? T(0) : x;
      case FunctionKind::scaled_tanh:
        return a * std::tanh(b * x);
      case FunctionKind::hard_sigmoid:
        return clamped(a * x + b);
      case FunctionKind::elu:
        return x < 0 ? a * std::expm1(x) : x;
      case FunctionKind::softsign:
        return x / (1 + std::abs(x));
      case FunctionKind::softplus:
        return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
      case FunctionKind::tanh:
        return std::tanh(x);
      default:
        return 1 / (1 + std::exp(-x));
    }
  }

  template <class T>
  T derivative(T y) const {
    const T a = static_cast<T>(alpha), b = static_cast<T>(beta);
    switch (kind) {
      case FunctionKind::relu:
        return T(y > 0 ? 1 : 0);
      case FunctionKind::affine:
        return a;
      case FunctionKind::leaky_relu:
        return y > 0 ? T(1) : a;
      case FunctionKind::thresholded_relu:
        return T(y != 0 ? 1 : 0);
      case FunctionKind::scaled_tanh:
        return b * (a - y * y / a);
      case FunctionKind::hard_sigmoid:
        return y > 0 && y < 1 ? a : T(0);
      case FunctionKind::elu:
        return y > 0 ? T(1) : y + a;
      case FunctionKind::softsign:
        return (1 - std::abs(y)) * (1 - std::abs(y));
      case FunctionKind::softplus:
        return -std::expm1(-y);
      case FunctionKind::tanh:
        return 1 - y * y;
      default:
        return y * (1 - y);
    }
  }

 private:
  /// y within [0, 1]; NaN stays.
  template <class T>
  static T clamped(T y) {
    return y < 0 ? T(0) : y > 1 ? T(1) : y;
  }
};

/// How many of alpha and beta a function has.
constexpr std::size_t parameters_of(FunctionKind kind) {
  switch (kind) {
    case FunctionKind::affine:
    case FunctionKind::scaled_tanh:
    case FunctionKind::hard_sigmoid:
      return 2;
    case FunctionKind::leaky_relu:
    case FunctionKind::thresholded_relu:
    case FunctionKind::elu:
      return 1;
    default:
      return 0;
  }
}

/// Names, each with the standard's default parameters.
inline constexpr std::array<std::pair<std::string_view, Function>, 11> function_names{{
    {"sigmoid", {FunctionKind::sigmoid}},
    {"tanh", {FunctionKind::tanh}},
    {"relu", {FunctionKind::relu}},
    {"affine", {FunctionKind::affine, 1, 0}},
    {"leaky_relu", {FunctionKind::leaky_relu, 0.01}},
    {"thresholded_relu", {FunctionKind::thresholded_relu, 1}},
    {"scaled_tanh", {FunctionKind::scaled_tanh, 1, 1}},
    {"hard_sigmoid", {FunctionKind::hard_sigmoid, 0.2, 0.5}},
    {"elu", {FunctionKind::elu, 1}},
    {"softsign", {FunctionKind::softsign}},
    {"softplus", {FunctionKind::softplus}},
}};

/// Fails where a parameter is no number of type T, or where the value does not tell the derivative.
template <class T>
void check(const Function& function) {
  using Limits = std::numeric_limits<T>;
  const auto [kind, alpha, beta] = function;
  const auto* const named = std::find_if(function_names.begin(), function_names.end(),
                                         [of = kind](const auto& entry) { return entry.second.kind == of; });
  const auto fits = [](double parameter) { return std::abs(parameter) <= double{Limits::max()}; };
  require(fits(alpha) && fits(beta), "activation ", named->first, " has alpha = ", alpha, ", beta = ", beta,
          ", expected finite numbers of float", 8 * sizeof(T));
  require(kind != FunctionKind::scaled_tanh || std::abs(alpha) >= double{Limits::min()}, "activation ", named->first,
          " has alpha = ", alpha, ", expected at least ", Limits::min(), " in magnitude");
  const bool kinked =
      kind == FunctionKind::leaky_relu || kind == FunctionKind::thresholded_relu || kind == FunctionKind::elu;
  require(!kinked || alpha >= 0, "activation ", named->first, " has alpha = ", alpha, ", expected at least 0");
}

/// f of the gates, g of the candidate, h of the cell state on its way out.
struct Activations {
  Function f{FunctionKind::sigmoid}, g{FunctionKind::tanh}, h{FunctionKind::tanh};
};

namespace detail {

template <class V, class Scalar>
PYLSTM_INLINE V lane_by_lane(V x, Scalar function) {
  typename V::scalar lanes[V::lanes];
  x.store(lanes);
  for (auto& lane : lanes) lane = function(lane);
  return V::load(lanes);
}

/// Out of line: the cells call these five times, and they are not for speed.
template <class V>
[[gnu::noinline]] V value(const Function& f, V x) {
  if (f.kind == FunctionKind::sigmoid) return simd::sigmoid(x);
  if (f.kind == FunctionKind::tanh) return simd::tanh(x);
  return lane_by_lane(x, [&](auto lane) { return f.value(lane); });
}
template <class V>
[[gnu::noinline]] V derivative(const Function& f, V y) {
  if (f.kind == FunctionKind::sigmoid) return fnma(y, y, y);
  if (f.kind == FunctionKind::tanh) return fnma(y, y, V::set1(1));
  return lane_by_lane(y, [&](auto lane) { return f.derivative(lane); });
}
template <class V, std::size_t N>
PYLSTM_INLINE simd::Several<V, N> value(const Function& f, simd::Several<V, N> x) {
  return simd::Several<V, N>::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return value(f, x.v[i]); });
}
template <class V, std::size_t N>
PYLSTM_INLINE simd::Several<V, N> derivative(const Function& f, simd::Several<V, N> y) {
  return simd::Several<V, N>::each([&](std::size_t i) PYLSTM_INLINE_LAMBDA { return derivative(f, y.v[i]); });
}

}  // namespace detail

/// The policy that looks them up.
struct Chosen {
  const Activations* functions = nullptr;

  PYLSTM_INLINE static Chosen of(const Activations* functions) { return {functions}; }
  template <class V>
  PYLSTM_INLINE V gate(V x) const {
    return detail::value(functions->f, x);
  }
  template <class V>
  PYLSTM_INLINE V gate_derivative(V y) const {
    return detail::derivative(functions->f, y);
  }
  template <class V>
  PYLSTM_INLINE V squash(V x) const {
    return detail::value(functions->g, x);
  }
  template <class V>
  PYLSTM_INLINE V squash_derivative(V y) const {
    return detail::derivative(functions->g, y);
  }
  template <class V>
  PYLSTM_INLINE V output(V x) const {
    return detail::value(functions->h, x);
  }
  template <class V>
  PYLSTM_INLINE V output_derivative(V y) const {
    return detail::derivative(functions->h, y);
  }
};

}  // namespace pylstm::cells
