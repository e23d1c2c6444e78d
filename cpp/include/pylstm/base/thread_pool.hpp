/// Threads that outlive a call, and calls cut into shares.
///
/// A share whose thread has not begun it when the caller is through with its own runs on the caller: on a machine that
/// has other things to do, no call waits for a thread that is not running.  Which thread runs a share changes no bit.
/// Own threads rather than OpenMP's: libgomp does not survive fork().  A call from inside a share, or while another
/// caller has the pool, is one share; a forked child starts afresh.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
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

/// The positive number in an environment variable, the first of a list ("4,2"); else 0.
inline std::size_t threads_from_environment(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr) return 0;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  while (*end == ' ') ++end;
  return value > 0 && (*end == '\0' || *end == ',') ? static_cast<std::size_t>(value) : 0;
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

/// Where a thread wakes up: not on the core of its caller.  Linux likes to wake a thread where the waking one runs, and
/// there one of the two waits for the other, however idle the other cores are.
#if defined(__linux__) && !defined(__ANDROID__)
class Placement {
 public:
  /// By the caller, before it wakes the thread.
  void avoid_own_core(std::thread& thread) {
    const int own = sched_getcpu();
    restricted_ = false;
    if (own < 0 || pthread_getaffinity_np(thread.native_handle(), sizeof allowed_, &allowed_) != 0) return;
    cpu_set_t others = allowed_;
    CPU_CLR(static_cast<unsigned>(own), &others);
    if (CPU_EQUAL(&others, &allowed_) || CPU_COUNT(&others) == 0) return;
    restricted_ = pthread_setaffinity_np(thread.native_handle(), sizeof others, &others) == 0;
  }
  /// By the thread, once it is awake: from here on it may run where it might before.
  void restore() {
    if (restricted_) sched_setaffinity(0, sizeof allowed_, &allowed_);
  }

 private:
  bool restricted_ = false;
  cpu_set_t allowed_{};
};
#else
struct Placement {
  void avoid_own_core(std::thread&) {}
  void restore() {}
};
#endif

}  // namespace detail

/// One of the shares of a call.
struct Share {
  std::size_t index = 0, size = 1;

  /// This share of [0, n), even.
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
  /// Between 1 and `most`: the next number that is.
  void set_threads(std::size_t count) {
    threads_.store(std::clamp<std::size_t>(count, 1, most), std::memory_order_relaxed);
  }

  /// Calls `body(Share)` for each of at most `wanted` shares, and returns when all have returned; `body` learns from
  /// its share how many there are.  What one of them throws is thrown here, after all have ended.
  template <class Body>
  void run(std::size_t wanted, const Body& body) {
    wanted = std::min(wanted, threads());
    if (wanted <= 1 || inside_ || !busy_.try_lock()) {
      body(Share{});
      return;
    }
    const std::lock_guard<std::mutex> own(busy_, std::adopt_lock);
    State& state = *state_;
    const std::size_t size = state.prepare(wanted);
    state.call = [](const void* what, Share share) { (*static_cast<const Body*>(what))(share); };
    state.what = &body;
    state.size = size;
    inside_ = true;
    state.publish();
    state.run_share({0, size});
    for (std::size_t index = size; --index > 0;) {
      if (state.workers[index - 1]->take()) {
        state.run_share({index, size});
        state.running.fetch_sub(1, std::memory_order_relaxed);
      }
    }
    state.wait();
    inside_ = false;
    if (state.error) std::rethrow_exception(std::exchange(state.error, nullptr));
  }

  static constexpr std::size_t most = 1024;
  static constexpr std::chrono::microseconds least_patience{50}, most_patience{1000};  ///< of threads without work

 private:
  using Clock = std::chrono::steady_clock;

  /// One thread.  Its ticket is the number of the call whose share it may begin, 0 when there is none: whoever sets it
  /// back has the share.
  struct alignas(64) Worker {
    std::atomic<std::uint64_t> ticket{0};
    std::atomic<bool> asleep{false};  ///< set with the mutex
    std::mutex mutex;
    std::condition_variable wake;
    std::thread thread;
    detail::Placement placement;

    bool take() {
      std::uint64_t open = ticket.load(std::memory_order_relaxed);
      return open != 0 && ticket.compare_exchange_strong(open, 0, std::memory_order_acquire);
    }

    void offer(std::uint64_t call) {
      ticket.store(call);  // before `asleep` is read, as the worker sets that before it reads the ticket
      if (!asleep.load()) return;
      const std::lock_guard<std::mutex> lock(mutex);
      if (!asleep.load()) return;
      placement.avoid_own_core(thread);
      asleep.store(false);
      wake.notify_one();
    }

    /// Spins until an offer; after `patience` sleeps until one: that one may be gone by the time it is awake, the next
    /// is not.  Returns whether it slept.
    bool wait_for_ticket(Clock::duration patience) {
      const auto give_up = Clock::now() + patience;
      do {
        for (int i = 0; i < 32; ++i) {
          if (ticket.load(std::memory_order_relaxed) != 0) return false;
          detail::spin_pause();
        }
      } while (Clock::now() < give_up);
      std::unique_lock<std::mutex> lock(mutex);
      asleep.store(true);
      if (ticket.load() != 0) {
        asleep.store(false);
      } else {
        wake.wait(lock, [&] { return !asleep.load(); });
        placement.restore();
      }
      return true;
    }
  };

  /// What the threads share.  A forked child abandons its parent's: the threads are not there.
  struct State {
    void (*call)(const void*, Share) = nullptr;
    const void* what = nullptr;
    std::size_t size = 1;
    std::uint64_t calls = 0;
    std::vector<std::unique_ptr<Worker>> workers;
    std::mutex error_mutex;
    std::exception_ptr error;                         ///< the first one of a call's shares
    alignas(64) std::atomic<std::size_t> running{0};  ///< shares that have not returned, the caller's aside

    std::size_t prepare(std::size_t wanted) {
      try {
        workers.reserve(most);
        while (workers.size() + 1 < wanted) {
          auto worker = std::make_unique<Worker>();
          worker->thread = std::thread([this, own = worker.get(), index = workers.size() + 1] { work(*own, index); });
          workers.push_back(std::move(worker));
        }
      } catch (const std::exception&) {  // the system gives no more threads
      }
      return std::min(wanted, workers.size() + 1);
    }

    void publish() {
      ++calls;
      running.store(size - 1, std::memory_order_relaxed);
      for (std::size_t i = 0; i + 1 < size; ++i) workers[i]->offer(calls);
    }

    void run_share(Share share) noexcept {
      try {
        call(what, share);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }

    void wait() const {
      for (std::size_t spins = 0; running.load(std::memory_order_acquire) != 0; ++spins) {
        detail::spin_pause();
        if (spins > 4096) std::this_thread::yield();  // more threads than cores
      }
    }

    /// A thread spins as long as it has worked since it was woken, within bounds: to wake it takes some 70 us, and
    /// between two calls of a training step there may be hundreds.
    void work(Worker& own, std::size_t index) {
      inside_ = true;
      Clock::duration patience = least_patience;
      for (;;) {
        if (own.wait_for_ticket(patience)) patience = least_patience;
        if (!own.take()) continue;
        const auto begin = Clock::now();
        run_share({index, size});
        running.fetch_sub(1, std::memory_order_release);
        patience = std::min<Clock::duration>(patience + (Clock::now() - begin), most_patience);
      }
    }
  };

  ThreadPool() {
    std::size_t count = detail::threads_from_environment("PYLSTM_NUM_THREADS");
    if (const char* const text = std::getenv("PYLSTM_NUM_THREADS"); count == 0 && text != nullptr && *text != '\0') {
      throw std::invalid_argument(std::string("PYLSTM_NUM_THREADS is \"") + text + "\", expected a positive integer");
    }
    if (count == 0) count = detail::threads_from_environment("OMP_NUM_THREADS");
    set_threads(count != 0 ? count : detail::usable_cores());
  }

  static ThreadPool* create() {
    ThreadPool* const pool = new ThreadPool;
#if !defined(_WIN32)
    // The child has none of the threads: it leaves the parent's state alone, in whatever moment it was, and starts
    // afresh. Waiting for the call to end here could deadlock: its caller may want a lock that the forking thread
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

  State* state_ = new State;
  std::mutex busy_;
  std::atomic<std::size_t> threads_{1};
};

}  // namespace pylstm
