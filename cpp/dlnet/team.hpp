// Threads that share the products of one run. Between two calls they wait, first spinning, as the
// next product of a step is microseconds away, then asleep. Work is taken part by part by whoever
// is free, so that a member that sleeps, or whose processor is busy with something else, holds up
// nobody.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "origin.hpp"
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

  // Calls work(member, part) once for every part, 0 <= part < n_parts, n_parts >= 1: in ascending
  // order, on every member that is free. Work must not throw.
  template <class Work>
  void run(int n_parts, const Work& work) {
    task_ = [](const void* w, int member, int part) {
      (*static_cast<const Work*>(w))(member, part);
    };
    work_ = &work;
    n_parts_ = n_parts;
    unfinished_.store(n_parts, std::memory_order_relaxed);
    offer(n_parts);
    take_parts(0);
    for (int spin = 0; unfinished_.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < spins_before_sleep) {
        relax();
      } else {
        std::this_thread::yield();  // more threads than processors: let the others finish
      }
    }
  }

 private:
  using Task = void (*)(const void*, int, int);
  static constexpr int spins_before_sleep = 20000;

  static void relax() {
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
  }

  void offer(int n_parts) {
    untaken_.store(n_parts, std::memory_order_release);
    untaken_.notify_all();
  }

  // Whoever lowers the count owns a part of the present call, which then cannot end before the part
  // is finished; what a member saw of earlier calls does not matter.
  void take_parts(int member) {
    int left = untaken_.load(std::memory_order_relaxed);
    while (left > 0) {
      if (!untaken_.compare_exchange_weak(left, left - 1, std::memory_order_acquire,
                                          std::memory_order_relaxed)) {
        continue;
      }
      task_(work_, member, n_parts_ - left);
      unfinished_.fetch_sub(1, std::memory_order_release);
      left = untaken_.load(std::memory_order_relaxed);
    }
  }

  void serve(int member) {
    while (true) {
      for (int spin = 0; untaken_.load(std::memory_order_relaxed) == 0; ++spin) {
        if (spin < spins_before_sleep) {
          relax();
        } else {
          untaken_.wait(0, std::memory_order_relaxed);
        }
      }
      if (untaken_.load(std::memory_order_relaxed) < 0) return;
      take_parts(member);
    }
  }

  void dismiss() {
    if (!origin_.is_here()) {
      // After a fork there is nobody to wake or to wait for, and a new thread may have the place of
      // one that was left behind: what refers to them is never looked at again.
      static_cast<void>(new std::vector<std::thread>(std::move(members_)));
      return;
    }
    offer(-1);
    for (std::thread& member : members_) member.join();
  }

  Origin origin_;
  std::vector<std::thread> members_;
  std::atomic<int> untaken_ = 0;  // parts that nobody works on yet; negative: dismissed
  std::atomic<int> unfinished_ = 0;
  Task task_ = nullptr;
  const void* work_ = nullptr;
  int n_parts_ = 0;
};

}  // namespace dlnet
