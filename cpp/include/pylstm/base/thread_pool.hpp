/// Threads that outlive a call: one parallel region per call, a team that knows its size, a spin barrier.
///
/// Own threads rather than OpenMP's: libgomp does not survive fork().  A region inside a region, or while another
/// caller has the pool, runs on the calling thread alone; a forked child starts afresh.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace pylstm {

namespace detail {

inline void spin_pause() {
#if defined(__SSE2__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// A positive number at the start of an environment variable ("4,2" counts as 4), else 0.
inline std::size_t threads_from_environment(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr) return 0;
  const long value = std::strtol(text, nullptr, 10);
  return value > 0 ? static_cast<std::size_t>(value) : 0;
}

/// Cores this process may use: affinity, then the quota of its control group.
inline std::size_t usable_cores() {
  std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = static_cast<std::size_t>(CPU_COUNT(&set));
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    const double share = std::strtod(quota.c_str(), nullptr) / period;
    cores = std::min(cores, static_cast<std::size_t>(std::max(1.0, share + 0.5)));
  }
#endif
  return std::max<std::size_t>(cores, 1);
}

}  // namespace detail

/// Meets `size` threads again and again; spins, since a step of the recurrence is microseconds long.
class SpinBarrier {
 public:
  void reset(std::size_t size) {
    size_ = size;
    waiting_.store(0, std::memory_order_relaxed);
  }
  void wait() {
    const std::size_t round = round_.load(std::memory_order_acquire);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      waiting_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (std::size_t spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
      detail::spin_pause();
      if (spins > 4096) std::this_thread::yield();  // more threads than cores
    }
  }

 private:
  std::size_t size_ = 1;
  alignas(64) std::atomic<std::size_t> waiting_{0};
  alignas(64) std::atomic<std::size_t> round_{0};
};

/// One thread's place in a parallel region.
struct Team {
  std::size_t index = 0, size = 1;
  SpinBarrier* barrier = nullptr;

  void wait() const {
    if (size > 1) barrier->wait();
  }
  /// This thread's even share of [0, n).
  std::size_t begin(std::size_t n) const { return n * index / size; }
  std::size_t end(std::size_t n) const { return n * (index + 1) / size; }
};

class ThreadPool {
 public:
  /// The process's pool.  Never destroyed: its threads may not be joined while a program exits.
  static ThreadPool& instance() {
    static ThreadPool* const pool = create();
    return *pool;
  }

  /// Argument of `set_threads` > PYLSTM_NUM_THREADS > OMP_NUM_THREADS > affinity and control group.
  std::size_t threads() const { return threads_.load(std::memory_order_relaxed); }
  void set_threads(std::size_t count) {
    threads_.store(std::clamp<std::size_t>(count, 1, most), std::memory_order_relaxed);
  }

  /// Calls `body(Team)` on at most `wanted` threads, the calling one among them, and returns when all have.
  /// `body` must not throw; it learns from the team how many threads there are.
  template <class Body>
  void run(std::size_t wanted, const Body& body) {
    wanted = std::min(wanted, threads());
    if (wanted <= 1 || inside_ || !busy_.try_lock()) {
      body(Team{});
      return;
    }
    const std::lock_guard<std::mutex> own(busy_, std::adopt_lock);
    const std::size_t size = state_->prepare(wanted);
    state_->barrier.reset(size);
    state_->call = [](const void* what, Team team) { (*static_cast<const Body*>(what))(team); };
    state_->what = &body;
    inside_ = true;
    state_->start(size);
    body(Team{0, size, &state_->barrier});
    state_->finish();
    inside_ = false;
  }

  static constexpr std::size_t most = 256;

 private:
  /// What the workers share.  A forked child abandons its parent's: the threads are not there.
  struct State {
    SpinBarrier barrier;
    void (*call)(const void*, Team) = nullptr;
    const void* what = nullptr;
    std::vector<std::thread> workers;
    std::mutex mutex;
    std::condition_variable wake;
    std::size_t team_size = 1;
    alignas(64) std::atomic<std::uint64_t> round{0};
    alignas(64) std::atomic<std::size_t> running{0};

    std::size_t prepare(std::size_t wanted) {
      try {
        while (workers.size() + 1 < wanted) {
          const std::size_t index = workers.size() + 1;
          workers.emplace_back([this, index, seen = round.load()] { work(index, seen); });
        }
      } catch (const std::exception&) {  // the system gives no more threads
      }
      return std::min(wanted, workers.size() + 1);
    }

    void start(std::size_t size) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        team_size = size;
        running.store(workers.size(), std::memory_order_relaxed);
        round.fetch_add(1, std::memory_order_release);
      }
      wake.notify_all();
    }

    void finish() const {
      for (std::size_t spins = 0; running.load(std::memory_order_acquire) != 0; ++spins) {
        detail::spin_pause();
        if (spins > 4096) std::this_thread::yield();
      }
    }

    void work(std::size_t index, std::uint64_t seen) {
      inside_ = true;
      for (;;) {
        using clock = std::chrono::steady_clock;
        const auto give_up = clock::now() + std::chrono::microseconds(50);
        while (round.load(std::memory_order_acquire) == seen && clock::now() < give_up) {
          for (int i = 0; i < 32; ++i) detail::spin_pause();
        }
        if (round.load(std::memory_order_acquire) == seen) {
          std::unique_lock<std::mutex> lock(mutex);
          wake.wait(lock, [&] { return round.load(std::memory_order_relaxed) != seen; });
        }
        ++seen;
        if (index < team_size) call(what, Team{index, team_size, &barrier});
        running.fetch_sub(1, std::memory_order_release);
      }
    }
  };

  ThreadPool() : state_(new State) {
    std::size_t count = detail::threads_from_environment("PYLSTM_NUM_THREADS");
    if (count == 0) count = detail::threads_from_environment("OMP_NUM_THREADS");
    set_threads(count != 0 ? count : detail::usable_cores());
  }

  static ThreadPool* create() {
    ThreadPool* const pool = new ThreadPool;
#if !defined(_WIN32)
    // The child has none of the threads: it leaves the parent's state alone, in whatever moment it was, and starts
    // afresh. Waiting for the region to end here could deadlock: its caller may want a lock that the forking thread
    // holds.
    pthread_atfork(nullptr, nullptr, [] {
      ThreadPool& child = instance();
      child.state_ = new State;
      new (&child.busy_) std::mutex;
      inside_ = false;
    });
#endif
    return pool;
  }

  inline static thread_local bool inside_ = false;

  State* state_;
  std::mutex busy_;
  std::atomic<std::size_t> threads_{1};
};

}  // namespace pylstm
