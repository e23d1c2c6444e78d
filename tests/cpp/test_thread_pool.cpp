/// The thread pool: who runs, who waits, and what is left of it after fork().
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#if defined(__linux__) && !defined(__ANDROID__)
#include <pthread.h>
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "fast_layer.hpp"
#include "pylstm/base/thread_pool.hpp"
#include "pylstm/layers/block_queue.hpp"
#include "support.hpp"

namespace {

using namespace pylstm::testing;
using pylstm::Share;
using pylstm::ThreadPool;
using pylstm::layers::BlockQueue;

/// How often each index of [0, n) was in a thread's share.
std::vector<int> visits(std::size_t wanted, std::size_t n) {
  std::vector<std::atomic<int>> counts(n);
  ThreadPool::instance().run(wanted, [&](const Share& share) {
    for (std::size_t k = share.begin(n); k < share.end(n); ++k) ++counts[k];
  });
  return {counts.begin(), counts.end()};
}

std::size_t shares(std::size_t wanted) {
  std::atomic<std::size_t> size{0};
  ThreadPool::instance().run(wanted, [&](const Share& share) {
    if (share.index == 0) size = share.size;
  });
  return size;
}

#if !defined(_WIN32)
/// What `body` returns in a forked child; -1 where the child dies or has not answered within 20 s.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(body());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}
#endif

// ThreadSanitizer and qemu-user (7.2) die of new threads in the child of a process that had several.
#if defined(PYLSTM_TEST_EMULATED) || defined(__SANITIZE_THREAD__)
constexpr bool child_may_have_threads = false;
#elif defined(__has_feature)
constexpr bool child_may_have_threads = !__has_feature(thread_sanitizer);
#else
constexpr bool child_may_have_threads = true;
#endif

}  // namespace

TEST_CASE("a thread alone takes every block of a step once, its own share first") {
  for (const std::size_t threads : {1U, 2U, 3U, 7U}) {
    for (const std::size_t blocks : {0U, 1U, 2U, 5U, 41U, 1000U}) {
      for (std::size_t own = 0; own < threads; ++own) {
        CAPTURE(threads);
        CAPTURE(blocks);
        CAPTURE(own);
        BlockQueue queue(threads);
        queue.fill(blocks);
        std::vector<int> taken(blocks);
        std::size_t begin = 0, end = 0;
        bool first = true;
        while (queue.take(own, begin, end)) {
          REQUIRE(begin < end);
          REQUIRE(end <= blocks);
          const Share share{own, threads};
          if (first && share.begin(blocks) < share.end(blocks)) CHECK(begin == share.begin(blocks));
          first = false;
          for (std::size_t block = begin; block < end; ++block) ++taken[block];
        }
        CHECK(taken == std::vector<int>(blocks, 1));
      }
    }
  }
}

TEST_CASE("threads that take blocks at the same time take each once, at every step") {
  constexpr std::size_t threads = 4, blocks = 97, steps = 500;
  BlockQueue queue(threads);
  const Threads scope(threads);
  for (std::size_t step = 0; step < steps; ++step) {
    queue.fill(blocks);
    std::vector<std::atomic<int>> taken(blocks);
    ThreadPool::instance().run(threads, [&](const Share& share) {
      std::size_t begin = 0, end = 0;
      while (queue.take(share.index, begin, end)) {
        for (std::size_t block = begin; block < end; ++block) ++taken[block];
      }
    });
    REQUIRE(std::vector<int>(taken.begin(), taken.end()) == std::vector<int>(blocks, 1));
  }
}

TEST_CASE("every index is visited exactly once") {
  for (const std::size_t threads : {1U, 2U, 3U, 5U, 8U}) {
    const Threads scope(threads);
    for (const std::size_t n : {0U, 1U, 2U, 7U, 64U, 1000U}) {
      CAPTURE(threads);
      CAPTURE(n);
      CHECK(visits(threads, n) == std::vector<int>(n, 1));
    }
  }
}

TEST_CASE("a call has at most the shares that are wanted and allowed, the first on the caller") {
  for (const std::size_t threads : {1U, 2U, 5U})
    for (const std::size_t wanted : {0U, 1U, 2U, 3U, 9U}) {
      const Threads scope(threads);
      CAPTURE(threads);
      CAPTURE(wanted);
      std::vector<std::atomic<int>> seen(16);
      std::atomic<bool> caller_is_first{false};
      const auto caller = std::this_thread::get_id();
      ThreadPool::instance().run(wanted, [&](const Share& share) {
        ++seen[share.index];
        if (share.index == 0) caller_is_first = std::this_thread::get_id() == caller;
      });
      const std::size_t size = std::max<std::size_t>(1, std::min(threads, wanted));
      CHECK(shares(wanted) == size);
      for (std::size_t k = 0; k < seen.size(); ++k) CHECK(seen[k] == (k < size ? 1 : 0));
      CHECK(caller_is_first);
    }
}

TEST_CASE("a call within a share is one share, on its caller") {
  const Threads scope(3);
  std::atomic<int> inner{0}, alone{0};
  ThreadPool::instance().run(3, [&](const Share&) {
    const auto self = std::this_thread::get_id();
    ThreadPool::instance().run(3, [&](const Share& share) {
      ++inner;
      alone += share.size == 1 && std::this_thread::get_id() == self;
    });
  });
  CHECK(inner == 3);
  CHECK(alone == 3);
  CHECK(shares(3) == 3);
}

TEST_CASE("what a share throws reaches the caller once all have ended, and the pool goes on") {
  const Threads scope(3);
  for (const std::size_t thrower : {0U, 1U, 2U}) {
    CAPTURE(thrower);
    std::atomic<int> ended{0};
    const auto run = [&] {
      ThreadPool::instance().run(3, [&](const Share& share) {
        if (share.index == thrower) throw std::runtime_error("share");
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        ++ended;
      });
    };
    CHECK_THROWS_WITH_AS(run(), "share", std::runtime_error);
    CHECK(ended == 2);
    CHECK(visits(3, 10) == std::vector<int>(10, 1));
    CHECK(shares(3) == 3);
  }
  CHECK_THROWS_AS(ThreadPool::instance().run(3, [](const Share& share) { throw share.index; }), std::size_t);
  CHECK(shares(3) == 3);
}

TEST_CASE("callers at the same time all get their work done") {
  const Threads scope(2);
  const int rounds = quick() ? 50 : 500;
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < rounds; ++round) wrong += visits(2, 10) != std::vector<int>(10, 1);
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("the number of threads goes up and down between calls, within its limits") {
  const Threads scope(1);
  ThreadPool& pool = ThreadPool::instance();
  for (const std::size_t threads : {4U, 1U, 3U, 2U, 6U, 1U, 6U}) {
    pool.set_threads(threads);
    CHECK(pool.threads() == threads);
    CHECK(shares(100) == threads);
  }
  pool.set_threads(0);
  CHECK(pool.threads() == 1);
  pool.set_threads(100000);
  CHECK(pool.threads() == ThreadPool::most);
}

TEST_CASE("shares whose threads are late run on the caller") {
  // Waking 63 threads takes far longer than their shares do.
  const Threads scope(64);
  const int calls = 20;
  int on_caller = 0;
  const auto caller = std::this_thread::get_id();
  for (int call = 0; call < calls; ++call) {
    std::vector<std::thread::id> ran(64);
    ThreadPool::instance().run(64, [&](const Share& share) { ran[share.index] = std::this_thread::get_id(); });
    CHECK(std::count(ran.begin(), ran.end(), std::thread::id()) == 0);
    on_caller += static_cast<int>(std::count(ran.begin(), ran.end(), caller));
  }
  CHECK(on_caller > calls);
}

#if defined(__linux__) && !defined(__ANDROID__)

TEST_CASE("a thread is kept off its caller's core until it is awake") {
  const auto cores_of = [](std::thread& thread) {
    cpu_set_t cores;
    REQUIRE(pthread_getaffinity_np(thread.native_handle(), sizeof cores, &cores) == 0);
    return cores;
  };
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  std::atomic<std::size_t> restored{0}, wanted{0};
  std::atomic<bool> done{false};
  pylstm::detail::Placement placement;
  std::thread thread([&] {
    while (!done) {
      std::this_thread::yield();
      if (restored == wanted) continue;
      placement.restore();
      ++restored;
    }
  });
  std::vector<std::size_t> cores;
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &before)) cores.push_back(core);
  }
  for (const std::size_t call : {1U, 2U, 3U}) {
    CAPTURE(call);
    const std::size_t core = cores[call % cores.size()];
    cpu_set_t own, others = before;
    CPU_ZERO(&own);
    CPU_SET(core, &own);
    REQUIRE(sched_setaffinity(0, sizeof own, &own) == 0);
    placement.avoid_own_core(thread);
    CPU_CLR(core, &others);
    const cpu_set_t asleep = cores_of(thread), expected = CPU_COUNT(&others) > 0 ? others : before;
    CHECK(CPU_EQUAL(&asleep, &expected));
    wanted = call;
    while (restored < call) std::this_thread::yield();
    const cpu_set_t awake = cores_of(thread);
    CHECK(CPU_EQUAL(&awake, &before));
  }
  done = true;
  thread.join();
  REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
}

#endif

TEST_CASE("thousands of tiny calls, with workers awake and asleep") {
  const int calls = quick() ? 200 : 5000;
  const Threads scope(3);
  std::atomic<std::size_t> sum{0};
  for (int call = 0; call < calls; ++call) {
    ThreadPool::instance().run(3, [&](const Share& share) { sum += share.index + 1; });
    if (call % 100 == 0) std::this_thread::sleep_for(2 * ThreadPool::most_patience);
  }
  CHECK(sum == static_cast<std::size_t>(calls) * (1 + 2 + 3));
}

TEST_CASE("what the shares wrote is there when the call returns") {
  const Threads scope(4);
  const int calls = quick() ? 100 : 2000;
  std::vector<std::size_t> written(4);  // not atomic: the end of the call orders it
  for (int call = 1; call <= calls; ++call) {
    ThreadPool::instance().run(4, [&](const Share& share) { written[share.index] += share.index; });
    std::size_t sum = 0;
    for (const std::size_t w : written) sum += w;
    REQUIRE(sum == static_cast<std::size_t>(call) * (1 + 2 + 3));
  }
}

TEST_CASE("numbers of threads are read from the environment") {
  struct Example {
    const char* text;
    std::size_t threads;
  };
  const Example examples[] = {{"3", 3},  {"4,2", 4},  {" 3 ", 3}, {"", 0},    {" ", 0},      {"0", 0},
                              {"-2", 0}, {"many", 0}, {"1e3", 0}, {"3.7", 0}, {"3 cores", 0}};
#if !defined(_WIN32)
  for (const Example& example : examples) {
    CAPTURE(example.text);
    setenv("PYLSTM_TEST_THREADS", example.text, 1);
    CHECK(pylstm::detail::threads_from_environment("PYLSTM_TEST_THREADS") == example.threads);
  }
  unsetenv("PYLSTM_TEST_THREADS");
#endif
  CHECK(pylstm::detail::threads_from_environment("PYLSTM_TEST_THREADS") == 0);
  CHECK(pylstm::detail::usable_cores() >= 1);
}

#if !defined(_WIN32)

TEST_CASE("a forked child has a pool of its own" * doctest::skip(!child_may_have_threads)) {
  const Threads scope(3);
  CHECK(shares(3) == 3);
  for (int k = 0; k < 3; ++k)
    CHECK(in_child([] {
            if (shares(3) != 3 || visits(3, 100) != std::vector<int>(100, 1)) return 1;
            return in_child([] { return shares(2) == 2 ? 7 : 2; });
          }) == 7);
  CHECK(visits(3, 100) == std::vector<int>(100, 1));
}

TEST_CASE("a child forked within a call, or while another thread is in one, has its pool at once" *
          doctest::skip(!child_may_have_threads)) {
  const Threads scope(3);
  int from_within = 0;
  ThreadPool::instance().run(3, [&](const Share& share) {
    if (share.index == 0) from_within = in_child([] { return shares(3) == 3 ? 7 : 1; });
  });
  CHECK(from_within == 7);

  std::atomic<bool> inside{false}, done{false};
  std::thread caller([&] {
    ThreadPool::instance().run(3, [&](const Share& share) {
      if (share.index == 0) inside = true;
      while (!done) std::this_thread::yield();
    });
  });
  while (!inside) std::this_thread::yield();
  CHECK(shares(3) == 1);
  CHECK(in_child([] { return shares(3) == 3 ? 7 : 1; }) == 7);
  done = true;
  caller.join();
  CHECK(shares(3) == 3);
}

#endif
