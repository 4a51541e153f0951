// How often Ctrl-C was pressed, for runs in every thread: Python tells its main thread only. The
// handler counts and hands on to the one that was there, so nothing else changes.
#include <atomic>
#include <csignal>

#include "arrays.hpp"

namespace dlnet::bindings {

namespace {

std::atomic<long> n_interruptions{0};
static_assert(std::atomic<long>::is_always_lock_free, "a signal handler may touch nothing else");

void (*next_handler)(int) = SIG_DFL;

void count(int signal) {
  n_interruptions.fetch_add(1, std::memory_order_relaxed);
  next_handler(signal);
}

// Counts from now on. Where interruptions are ignored or end the process there is nothing to count.
void count_interruptions() {
  struct sigaction current = {};
  if (sigaction(SIGINT, nullptr, &current) != 0) return;
  const bool plain = (current.sa_flags & SA_SIGINFO) == 0;
  if (!plain || current.sa_handler == SIG_DFL || current.sa_handler == SIG_IGN ||
      current.sa_handler == &count) {
    return;
  }
  next_handler = current.sa_handler;
  current.sa_handler = &count;
  sigaction(SIGINT, &current, nullptr);
}

}  // namespace

void register_interruptions(py::module_& module) {
  module.def("count_interruptions", &count_interruptions);
  module.def("n_interruptions", [] { return n_interruptions.load(); });
}

}  // namespace dlnet::bindings
