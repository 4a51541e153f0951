// No heap allocation inside the loop, whatever the method: every operator new is counted.
#include <atomic>
#include <cstdlib>
#include <new>

#include "network_of.hpp"

namespace {

std::atomic<long> n_allocations{0};

void* allocate(std::size_t size, std::size_t alignment) {
  ++n_allocations;
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace dlnet::tests {

// A sparse run where `sparse`, otherwise one of a target.
template <class Scalar>
void check_loop(const Widths& widths, Method method, bool sparse) {
  MethodSettings settings;
  settings.method = method;
  settings.weight_decay = 1e-4;
  settings.momentum = settings.decay = settings.beta1 = settings.beta2 = 0.9;
  settings.epsilon = 1e-6;
  StopRule stop;
  stop.gradient_norm = 0.0;
  Wanted wanted;
  wanted.imbalance = wanted.gradients = true;
  auto descent = sparse ? completion_of<Scalar>(widths, settings, stop, wanted)
                        : descent_of<Scalar>(widths, settings, stop, wanted);
  check(descent.is_sparse() == sparse, "the path asked for");

  const double rate = 1e-3;
  const std::vector<std::int64_t> steps = {0, 1, 2, 10, 50};
  std::vector<double> loss(5);
  std::vector<double> norm(5);
  std::vector<double> imbalance(5 * (widths.size() - 2));
  Plan<Scalar> plan;
  plan.until = 50;
  plan.rates = {&rate, 1};
  plan.record_steps = steps;
  plan.seconds = 1e9;
  plan.sink[Quantity::loss] = loss.data();
  plan.sink[Quantity::gradient_norm] = norm.data();
  plan.sink[Quantity::imbalance] = imbalance.data();

  const long before = n_allocations;
  const Outcome outcome = descent.advance(plan);
  const long after = n_allocations;
  check(outcome == Outcome::reached, "the loop ran");
  check(loss[4] < loss[0], "and descended");
  check(after == before, std::to_string(after - before) + " allocations inside the loop");
}

void test_allocation() {
  for (Method method : {Method::gradient_descent, Method::momentum, Method::group_rmsprop,
                        Method::rmsprop, Method::adam, Method::adagrad, Method::adadelta}) {
    for (const Widths& widths : {Widths{4, 4, 4}, Widths{10, 3, 12, 5}, Widths{100, 100, 100}}) {
      for (bool sparse : {false, true}) {
        check_loop<double>(widths, method, sparse);
        check_loop<float>(widths, method, sparse);
      }
    }
  }
}

}  // namespace dlnet::tests
