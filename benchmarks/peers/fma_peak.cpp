// Measures the fused-multiply-add peak: `fma_peak THREADS float32|float64` prints GFLOP/s, all threads together.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#if defined(__AVX512F__)
constexpr std::size_t vector_bytes = 64;
constexpr std::size_t accumulators = 24;  // of 32 registers; 2 units x 4 cycles of latency need 8
#elif defined(__AVX__)
constexpr std::size_t vector_bytes = 32;
constexpr std::size_t accumulators = 12;  // of 16 registers
#else
constexpr std::size_t vector_bytes = 16;
constexpr std::size_t accumulators = 24;
#endif

template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(vector_bytes)));
};

/// One pass of acc = acc*scale + shift over all accumulators, unrolled.
template <class V, std::size_t... K>
inline void multiply_add(V (&acc)[accumulators], V scale, V shift, std::index_sequence<K...>) {
  ((acc[K] = acc[K] * scale + shift), ...);
}

/// GFLOP/s of the calling thread: the best of five slices of about 4 ms.
template <class T>
double thread_peak() {
  using V = typename Vector<T>::type;
  constexpr std::size_t lanes = vector_bytes / sizeof(T);
  constexpr std::size_t passes = 20'000;
  const volatile T seed = T(0.999);
  const V scale = V{} + seed;
  const V shift = V{} + (T(1) - seed);
  V acc[accumulators];
  for (std::size_t k = 0; k < accumulators; ++k) acc[k] = V{} + static_cast<T>(k);

  double best = 0;
  for (int slice = 0; slice < 5; ++slice) {
    std::size_t done = 0;
    double seconds = 0;
    const auto began = std::chrono::steady_clock::now();
    do {
      for (std::size_t p = 0; p < passes; ++p)
        multiply_add(acc, scale, shift, std::make_index_sequence<accumulators>{});
      done += passes;
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    } while (seconds < 4e-3);
    best = std::max(best, 2e-9 * static_cast<double>(done * accumulators * lanes) / seconds);
  }
  volatile T sink = 0;
  for (const V& value : acc) sink = sink + value[0];
  return best;
}

int main(int argc, char** argv) {
  const long n_threads = argc == 3 ? std::strtol(argv[1], nullptr, 10) : 0;
  if (n_threads < 1) {
    std::fputs("usage: fma_peak THREADS float32|float64\n", stderr);
    return 2;
  }
  const bool single = std::strcmp(argv[2], "float32") == 0;

  std::vector<double> gflops(static_cast<std::size_t>(n_threads));
  std::vector<std::thread> threads;
  std::atomic<long> waiting{n_threads};
  for (double& result : gflops) {
    threads.emplace_back([&result, &waiting, single] {
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      result = single ? thread_peak<float>() : thread_peak<double>();
    });
  }
  double total = 0;
  for (std::size_t k = 0; k < threads.size(); ++k) {
    threads[k].join();
    total += gflops[k];
  }
  std::printf("%.6g\n", total);
}
