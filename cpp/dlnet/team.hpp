// Threads that share the products of one run. Between two calls they wait, first spinning, as the
// next product of a step is microseconds away, then asleep.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "types.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dlnet {

class Team {
 public:
  // `size` members, of which the calling thread is the first.
  explicit Team(int size) {
    members_.reserve(static_cast<std::size_t>(size - 1));
    try {
      for (int m = 1; m < size; ++m) {
        members_.emplace_back([this, m] { serve(m); });
      }
    } catch (...) {
      dismiss();
      throw;
    }
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team() { dismiss(); }

  int size() const { return static_cast<int>(members_.size()) + 1; }

  // Calls work(member) once for every member, on all of them at once; work must not throw.
  template <class Work>
  void run(const Work& work) {
    task_ = [](const void* w, int member) { (*static_cast<const Work*>(w))(member); };
    work_ = &work;
    missing_.store(static_cast<int>(members_.size()), std::memory_order_relaxed);
    call();
    work(0);
    for (int spin = 0; missing_.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < spins_before_sleep) {
        relax();
      } else {
        std::this_thread::yield();  // more threads than processors: let the others finish
      }
    }
  }

 private:
  using Task = void (*)(const void*, int);
  static constexpr int spins_before_sleep = 20000;

  static void relax() {
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
  }

  void call() {
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  }

  void serve(int member) {
    for (unsigned seen = 0;;) {
      for (int spin = 0; round_.load(std::memory_order_acquire) == seen; ++spin) {
        if (spin < spins_before_sleep) {
          relax();
        } else {
          round_.wait(seen, std::memory_order_acquire);
        }
      }
      seen = round_.load(std::memory_order_acquire);
      if (task_ == nullptr) return;
      task_(work_, member);
      missing_.fetch_sub(1, std::memory_order_release);
    }
  }

  void dismiss() {
    task_ = nullptr;
    call();
    for (std::thread& member : members_) member.join();
  }

  std::vector<std::thread> members_;
  std::atomic<unsigned> round_ = 0;
  std::atomic<int> missing_ = 0;
  Task task_ = nullptr;
  const void* work_ = nullptr;
};

}  // namespace dlnet
