/// exp, sigmoid and tanh of one ISA (PYLSTM_TEST_ISA) against the mathematical library in a wider type.
///
/// float: every 251st bit pattern, or with PYLSTM_TEST_EXHAUSTIVE=1 all 2^32 of them; double: random ones.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "combinations.hpp"
#include "pylstm/simd/denormals.hpp"
#include "pylstm/simd/math.hpp"
#include "pylstm/simd/simd.hpp"
#include "support.hpp"

#if !defined(PYLSTM_TEST_ISA)
#define PYLSTM_TEST_ISA native
#endif

namespace {

using namespace pylstm::testing;
using Isa = pylstm::simd::PYLSTM_TEST_ISA;

template <class T>
using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;

struct Exp {
  static constexpr char name[] = "exp";
  template <class V>
  static V fast(V x) {
    return exp_clamped(x);
  }
  template <class W>
  static W exact(W x) {
    return std::exp(x);
  }
  /// Beyond, the result counts as that of the limit.
  template <class T>
  static bool in_domain(T x) {
    using C = pylstm::simd::ExpConstants<T>;
    return x <= C::largest && x >= 1 - C::largest;
  }
};

struct Sigmoid {
  static constexpr char name[] = "sigmoid";
  template <class V>
  static V fast(V x) {
    return sigmoid(x);
  }
  template <class W>
  static W exact(W x) {
    return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
  }
  template <class T>
  static bool in_domain(T) {
    return true;
  }
};

struct Tanh {
  static constexpr char name[] = "tanh";
  template <class V>
  static V fast(V x) {
    return tanh(x);
  }
  template <class W>
  static W exact(W x) {
    return std::tanh(x);
  }
  template <class T>
  static bool in_domain(T) {
    return true;
  }
};

/// The bound of every function, type and ISA, in units in the last place, where the result is a normal number;
/// below that, results are off by less than the smallest normal number.
constexpr double bound = 3;

template <class T>
struct Worst {
  double ulp = 0;
  T at = 0;
  bool tiny_is_tiny = true;

  void take(T x, T got, Wide<T> exact) {
    constexpr T smallest = std::numeric_limits<T>::min();
    if (std::abs(exact) < smallest) {
      tiny_is_tiny &= std::abs(static_cast<Wide<T>>(got) - exact) < smallest;
    } else if (const double distance = ulp_distance(got, exact); !(distance <= ulp)) {
      ulp = distance;
      at = x;
    }
  }
  void take(const Worst& other) {
    tiny_is_tiny &= other.tiny_is_tiny;
    if (!(other.ulp <= ulp)) {
      ulp = other.ulp;
      at = other.at;
    }
  }
};

/// Function::fast of `x`, through whole vectors.
template <class Function, class T>
void apply(const T* x, T* y, std::size_t size) {
  using V = Isa::vec<T>;
  std::size_t k = 0;
  for (; k + V::lanes <= size; k += V::lanes) Function::fast(V::load(x + k)).store(y + k);
  if (k < size) Function::fast(V::load_first(x + k, size - k)).store_first(y + k, size - k);
}

template <class Function, class T>
T apply(T x) {
  T y;
  apply<Function>(&x, &y, 1);
  return y;
}

/// Sweeps `next(k)` for k in [first, last) by `step`.
template <class Function, class T, class Next>
Worst<T> sweep(std::uint64_t first, std::uint64_t last, std::uint64_t step, Next next) {
  Worst<T> worst;
  std::array<T, 256> x, y;
  while (first < last) {
    std::size_t size = 0;
    for (; size < x.size() && first < last; first += step)
      if (const T candidate = next(first); Function::in_domain(candidate)) x[size++] = candidate;
    apply<Function>(x.data(), y.data(), size);
    for (std::size_t k = 0; k < size; ++k)
      if (!std::isnan(x[k])) worst.take(x[k], y[k], Function::exact(static_cast<Wide<T>>(x[k])));
  }
  return worst;
}

template <class Function, class T>
void report(const Worst<T>& worst) {
  const std::string what = std::string(Function::name) + ", " + Isa::name + (sizeof(T) == 4 ? ", float" : ", double");
  std::ostringstream at;
  at << std::hexfloat << worst.at;
  MESSAGE(what, ": at most ", worst.ulp, " ULP, at ", at.str());
  CHECK(worst.ulp <= bound);
  CHECK(worst.tiny_is_tiny);
}

template <class Function>
void sweep_float() {
  constexpr std::uint64_t all = std::uint64_t{1} << 32, parts = 16;
  const std::uint64_t step = std::getenv("PYLSTM_TEST_EXHAUSTIVE") != nullptr ? 1 : quick() ? 99991 : 251;
  const auto from_bits = [](std::uint64_t k) { return std::bit_cast<float>(static_cast<std::uint32_t>(k)); };

  std::vector<Worst<float>> of_part(parts);
  std::vector<std::thread> threads;
  for (std::uint64_t part = 0; part < parts; ++part)
    threads.emplace_back([&, part] {
      of_part[part] =
          sweep<Function, float>(all / parts * part + part % step, all / parts * (part + 1), step, from_bits);
    });
  Worst<float> worst;
  for (std::uint64_t part = 0; part < parts; ++part) {
    threads[part].join();
    worst.take(of_part[part]);
  }
  report<Function>(worst);
}

/// Half of the samples spread over all exponents, half over the interval where something happens.
template <class Function>
void sweep_double() {
  Random random(7);
  const auto draw = [&random](std::uint64_t k) {
    if (k % 2 == 0) return random.uniform(32) + random.uniform(0x1p-23);
    const std::uint64_t sign_and_mantissa = random.bits() & 0x800fffffffffffffu;
    return std::bit_cast<double>(sign_and_mantissa | (std::uint64_t{random.below(1023 + 11)} << 52));
  };
  report<Function>(sweep<Function, double>(0, quick() ? 20000 : 1000000, 1, draw));
}

template <class T>
std::vector<T> interesting() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values{0,
                        Limits::denorm_min(),
                        Limits::min(),
                        Limits::epsilon(),
                        T(0.1),
                        T(0.34657359),  // ln(2) / 2: where exp changes its power of two
                        T(0.5),
                        1,
                        T(2.5),
                        9,
                        10,
                        20,
                        T(87.5),
                        100,
                        T(709.5),
                        1000,
                        Limits::max(),
                        Limits::infinity()};
  for (T x = T(0x1p-60); x < 1000; x *= T(1.09375)) values.push_back(x);
  return values;
}

}  // namespace

TEST_CASE_TEMPLATE("exp, sigmoid and tanh of float are within their bound", Function, Exp, Sigmoid, Tanh) {
  sweep_float<Function>();
}

TEST_CASE_TEMPLATE("exp, sigmoid and tanh of double are within their bound", Function, Exp, Sigmoid, Tanh) {
  sweep_double<Function>();
}

TEST_CASE_TEMPLATE("tanh is odd bit for bit, and within [-1, 1]", T, float, double) {
  for (const T x : interesting<T>()) {
    CAPTURE(x);
    const T y = apply<Tanh>(x);
    CHECK(same_bits(apply<Tanh>(-x), -y));
    CHECK(y >= 0);
    CHECK(y <= 1);
  }
}

TEST_CASE_TEMPLATE("sigmoid is within [0, 1]", T, float, double) {
  for (const T magnitude : interesting<T>())
    for (const T x : {magnitude, -magnitude}) {
      CAPTURE(x);
      CHECK(apply<Sigmoid>(x) >= 0);
      CHECK(apply<Sigmoid>(x) <= 1);
    }
}

TEST_CASE_TEMPLATE("limits are exact", T, float, double) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  CHECK(apply<Tanh>(infinity) == 1);
  CHECK(apply<Tanh>(-infinity) == -1);
  CHECK(apply<Sigmoid>(infinity) == 1);
  CHECK(apply<Sigmoid>(-infinity) < std::numeric_limits<T>::min());
  CHECK(same_bits(apply<Tanh>(T(0)), T(0)));
  CHECK(same_bits(apply<Tanh>(-T(0)), -T(0)));
  CHECK(apply<Sigmoid>(T(0)) == T(0.5));
  CHECK(apply<Exp>(T(0)) == 1);
}

TEST_CASE_TEMPLATE("a NaN stays one", T, float, double) {
  constexpr T nan = std::numeric_limits<T>::quiet_NaN();
  for (const T x : {nan, -nan}) {
    CHECK(std::isnan(apply<Exp>(x)));
    CHECK(std::isnan(apply<Sigmoid>(x)));
    CHECK(std::isnan(apply<Tanh>(x)));
  }
}

TEST_CASE_TEMPLATE("a value does not depend on its lane or its neighbours", T, float, double) {
  using V = typename Isa::template vec<T>;
  for (std::size_t lane = 0; lane < V::lanes; ++lane) {
    T x[V::lanes], y[V::lanes];
    std::fill(x, x + V::lanes, std::numeric_limits<T>::quiet_NaN());
    x[lane] = T(0.7);
    apply<Tanh>(x, y, V::lanes);
    CHECK(same_bits(y[lane], apply<Tanh>(T(0.7))));
    apply<Sigmoid>(x, y, V::lanes);
    CHECK(same_bits(y[lane], apply<Sigmoid>(T(0.7))));
  }
}

TEST_CASE_TEMPLATE("flushing denormals changes no normal result", T, float, double) {
  for (const T x : interesting<T>()) {
    const T tanh_before = apply<Tanh>(x), sigmoid_before = apply<Sigmoid>(-x);
    T tanh_flushed, sigmoid_flushed;
    {
      const pylstm::simd::FlushDenormals flush;
      tanh_flushed = apply<Tanh>(x);
      sigmoid_flushed = apply<Sigmoid>(-x);
    }
    CAPTURE(x);
    if (tanh_before >= std::numeric_limits<T>::min()) CHECK(tanh_flushed == tanh_before);
    if (sigmoid_before >= std::numeric_limits<T>::min()) CHECK(sigmoid_flushed == sigmoid_before);
  }
}

TEST_CASE_TEMPLATE("the first lanes are stored, and nothing past them", T, float, double) {
  using V = typename Isa::template vec<T>;
  T from[V::lanes];
  for (std::size_t l = 0; l < V::lanes; ++l) from[l] = static_cast<T>(l + 1);
  for (std::size_t n = 0; n < V::lanes; ++n) {
    CAPTURE(n);
    T to[V::lanes] = {};
    V::load(from).store_first(to, n);
    for (std::size_t l = 0; l < V::lanes; ++l) CHECK(to[l] == (l < n ? from[l] : T(0)));
  }
}

TEST_CASE_TEMPLATE("add_product has the bits of fma, and leaves its arguments alone", T, float, double) {
  using V = typename Isa::template vec<T>;
  T a[V::lanes], b[V::lanes], sum[V::lanes], expected[V::lanes], got[V::lanes];
  for (std::size_t l = 0; l < V::lanes; ++l) {
    a[l] = T(1) / static_cast<T>(l + 3);
    b[l] = static_cast<T>(l + 7) / T(11);
    sum[l] = -a[l] * b[l];  // what is left is the rounding of the product
  }
  const V x = V::load(a), y = V::load(b), z = V::load(sum);
  fma(x, y, z).store(expected);
  add_product(x, y, z).store(got);
  for (std::size_t l = 0; l < V::lanes; ++l) CHECK(got[l] == expected[l]);
  z.store(got);
  for (std::size_t l = 0; l < V::lanes; ++l) CHECK(got[l] == sum[l]);
}

TEST_CASE_TEMPLATE("sum adds upper halves to lower ones", T, float, double) {
  using V = typename Isa::template vec<T>;
  T numbers[V::lanes];
  for (std::size_t round = 0; round < 100; ++round) {
    for (std::size_t l = 0; l < V::lanes; ++l) {
      numbers[l] = std::sin(static_cast<T>(100 * round + 7 * l)) * static_cast<T>(l % 3 + 1);
    }
    const T got = sum(V::load(numbers));
    for (std::size_t half = V::lanes / 2; half > 0; half /= 2) {
      for (std::size_t l = 0; l < half; ++l) numbers[l] = numbers[l] + numbers[l + half];
    }
    CHECK(same_bits(got, numbers[0]));
  }
}

TEST_CASE("the caller's treatment of denormals comes back") {
  volatile float smallest = std::numeric_limits<float>::min();
  float flushed = 0;
  {
    const pylstm::simd::FlushDenormals flush;
    flushed = smallest / 2;
  }
  CHECK((flushed == 0 || std::string(Isa::name) == "generic"));
  CHECK(smallest / 2 > 0);
  {
    const pylstm::simd::FlushDenormals outer;
    {
      const pylstm::simd::FlushDenormals inner;
    }  // finds the mode set, and leaves it so
    CHECK(smallest / 2 == flushed);
  }
  CHECK(smallest / 2 > 0);
}

TEST_CASE("half a mode is not the mode") {
  using pylstm::simd::FloatControl;
  const FloatControl::Word before = FloatControl::read();
  volatile float smallest = std::numeric_limits<float>::min(), denormal = std::numeric_limits<float>::denorm_min();
  for (FloatControl::Word bit = 1; bit != 0 && bit <= FloatControl::flush; bit *= 2) {
    if ((FloatControl::flush & bit) == 0) continue;
    CAPTURE(bit);
    const FloatControl::Word half = before | bit;
    FloatControl::write(half);
    float result = 1, input = 1;
    {
      const pylstm::simd::FlushDenormals flush;
      result = smallest / 2;
      input = denormal * 0x1p100F;
    }
    const FloatControl::Word after = FloatControl::read();
    FloatControl::write(before);
    CHECK(result == 0);
    CHECK(input == 0);
    CHECK((after & FloatControl::flush) == (half & FloatControl::flush));
  }
}
