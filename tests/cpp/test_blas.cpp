/// The large products by somebody else: the engine's results but for rounding, of every cell.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <vector>

#include "combinations.hpp"
#include "fast_layer.hpp"
#include "pylstm/blas.hpp"
#include "pylstm/dispatch.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;
namespace reference = pylstm::reference;

/// Rounding of sums of at most 350 terms near 1 in another order, through 70 steps: some hundreds of units.
constexpr double tolerance = 1024;

struct Loops {
  inline static std::atomic<std::size_t> calls = 0;

  template <class T>
  static void gemm(bool transposed, std::size_t m, std::size_t n, std::size_t k, const T* a, const T* b, T* c) {
    ++calls;
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        T sum = 0;
        for (std::size_t p = k; p-- > 0;) sum += a[transposed ? p * m + i : i * k + p] * b[p * n + j];
        c[i * n + j] = sum;
      }
  }
};

template <class T>
void check_close(const char* what, const std::vector<T>& one, const std::vector<T>& other) {
  CAPTURE(what);
  REQUIRE(one.size() == other.size());
  double largest = 1, error = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(other[i])));
    error = std::max(error, std::fabs(static_cast<double>(one[i]) - static_cast<double>(other[i])));
  }
  CHECK(error <= tolerance * static_cast<double>(std::numeric_limits<T>::epsilon()) * largest);
}

/// Fails once, in whichever thread.
struct Failing {
  inline static std::atomic<bool> fails = false;

  template <class T>
  static void gemm(bool transposed, std::size_t m, std::size_t n, std::size_t k, const T* a, const T* b, T* c) {
    if (fails.exchange(false)) throw std::runtime_error("no product");
    Loops::gemm(transposed, m, n, k, a, b, c);
  }
};

}  // namespace

TEST_CASE("what a BLAS throws reaches the caller, and the next call is whole") {
  const Sizes sizes{.T = 70, .N = 5, .I = 60, .H = 37};
  const pylstm::kernels::KernelTable<double> table =
      pylstm::blas::kernel_table<Failing>(pylstm::active_kernels<double>());
  const Threads two(2);
  const Case<double> a = random_case<double>(sizes, {Lengths::absent, false, Initial::h0, true, Incoming::all}, 1);
  FastLayer<double> layer(table, a.problem);
  const LayerOutputs<double> y = layer.forward(a.problem, Mode::training);
  const LayerGradients<double> g = layer.backward(a);
  for (int round = 0; round < 5; ++round) {
    Failing::fails = true;
    CHECK_THROWS_WITH_AS(layer.forward(a.problem, Mode::training), "no product", std::runtime_error);
    CHECK(same_bits(layer.forward(a.problem, Mode::training).y, y.y));
    Failing::fails = true;
    CHECK_THROWS_WITH_AS(layer.backward(a), "no product", std::runtime_error);
    CHECK(same_bits(layer.backward(a).d.weight_ih, g.d.weight_ih));
  }
}

TEST_CASE_TEMPLATE("products of a BLAS give what the engine's do", T, float, double) {
  // From 48 inputs on their product goes ahead of the steps; 350 rows are two chunks, and enough for two threads.
  const Sizes sizes{.T = 70, .N = 5, .I = 60, .H = 37};
  const pylstm::kernels::KernelTable<T> ours = pylstm::active_kernels<T>();
  const pylstm::kernels::KernelTable<T> theirs = pylstm::blas::kernel_table<Loops>(ours);
  const Threads two(2);
  std::uint64_t seed = 0;
  for (const Combination& combination : legal_combinations()) {
    if (++seed % 23 != 0) continue;
    CAPTURE(name(combination));
    const Case<T> a = convert<T>(random_case<double>(sizes, combination, seed));
    FastLayer<T> one(ours, a.problem), other(theirs, a.problem);
    Loops::calls = 0;
    const LayerOutputs<T> y = one.forward(a.problem, Mode::training), z = other.forward(a.problem, Mode::training);
    check_close("y", z.y, y.y);
    check_close("h_n", z.h_n, y.h_n);
    check_close("c_n", z.c_n, y.c_n);
    CHECK(!z.written_past_end);
    const LayerGradients<T> f = one.backward(a), g = other.backward(a);
    check_close("dx", g.d.x, f.d.x);
    check_close("dweight_ih", g.d.weight_ih, f.d.weight_ih);
    check_close("dweight_hh", g.d.weight_hh, f.d.weight_hh);
    check_close("dweight_hr", g.d.weight_hr, f.d.weight_hr);
    check_close("dbias", g.d.bias, f.d.bias);
    check_close("dbias_recurrent", g.d.bias_recurrent, f.d.bias_recurrent);
    check_close("dunit_weights", g.d.unit_weights, f.d.unit_weights);
    check_close("dh0", g.d.h0, f.d.h0);
    CHECK(!g.written_past_end);
    CHECK(g.padding_is_zero);
    const bool routed = !ours.cell(choice_of(a.problem)).whole_rows && combination.lengths != Lengths::all_empty;
    CHECK((Loops::calls > 0) == routed);
  }
}
