// No heap allocation inside the loop, whatever the method: every operator new is counted.
#include <atomic>
#include <cstdlib>
#include <new>

#include "ensemble_of.hpp"
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
  const MethodSettings settings = settings_of(method);
  StopRule stop;
  stop.gradient_norm = 0.0;
  Wanted wanted;
  wanted.imbalance = wanted.gradients = wanted.layer_spectra = true;
  wanted.product = wanted.spectrum = true;
  auto descent = sparse ? completion_of<Scalar>(widths, settings, stop, wanted)
                        : descent_of<Scalar>(widths, settings, stop, wanted);
  check(descent.is_sparse() == sparse, "the path asked for");

  const double rate = 1e-3;
  const std::vector<std::int64_t> steps = {0, 1, 2, 10, 50};
  std::vector<double> loss(5);
  std::vector<double> norm(5);
  std::vector<double> imbalance(5 * (widths.size() - 2));
  const auto size_of = [&](Quantity q) { return static_cast<std::size_t>(record_size(q, widths)); };
  std::vector<double> values(5 * size_of(Quantity::singular_value));
  std::vector<double> layer_values(5 * size_of(Quantity::layer_singular_value));
  Plan<Scalar> plan;
  plan.until = 50;
  plan.rates = {&rate, 1};
  plan.record_steps = steps;
  plan.seconds = 1e9;
  plan.sink[Quantity::loss] = loss.data();
  plan.sink[Quantity::gradient_norm] = norm.data();
  plan.sink[Quantity::imbalance] = imbalance.data();
  plan.sink[Quantity::singular_value] = values.data();
  plan.sink[Quantity::layer_singular_value] = layer_values.data();

  const long before = n_allocations;
  const Outcome outcome = descent.advance(plan);
  const long after = n_allocations;
  check(outcome == Outcome::reached, "the loop ran");
  check(loss[4] < loss[0], "and descended");
  check(after == before, std::to_string(after - before) + " allocations inside the loop");
}

void check_flow(const Widths& widths, bool sparse) {
  Wanted wanted;
  wanted.imbalance = wanted.gradients = wanted.product = wanted.spectrum = true;
  Flow flow = flow_of(widths, sparse, wanted);
  check(flow.is_sparse() == sparse, "the path asked for");
  const std::vector<double> times = {0.0, 0.1, 0.2, 1.0, 3.0};
  std::vector<double> loss(times.size());
  std::vector<double> imbalance(times.size() * (widths.size() - 2));
  FlowPlan plan;
  plan.times = times;
  plan.seconds = 1e9;
  plan.sink[Quantity::loss] = loss.data();
  plan.sink[Quantity::imbalance] = imbalance.data();

  const long before = n_allocations;
  const Outcome outcome = flow.advance(plan);
  const long after = n_allocations;
  check(outcome == Outcome::reached && flow.progress().n_accepted > 0, "the flow ran");
  check(loss[4] < loss[0], "downwards");
  check(after == before, std::to_string(after - before) + " allocations inside the flow");
}

template <class Scalar>
void check_lanes(const Widths& widths, Method method) {
  auto members = members_of<Scalar>(widths, settings_of(method), lanes<Scalar>);
  members.last_step = 50;
  std::vector<std::size_t> all(members.list.size());
  std::iota(all.begin(), all.end(), std::size_t(0));
  LaneGroup<Scalar> group(members, all);
  for (std::size_t k : all) randomize(group.network(k));
  group.start();
  const std::vector<std::int64_t> steps = {0, 1, 2, 10, 50};
  std::vector<double> loss(all.size() * steps.size());
  EnsemblePlan<Scalar> plan;
  plan.until = 50;
  plan.record_steps = steps;
  plan.sink[Quantity::loss] = loss.data();

  const long before = n_allocations;
  group.advance(plan, 0, 1e9);
  const long after = n_allocations;
  check(members.list[0].end == End::finished && loss[4] < loss[0], "the lanes descended");
  check(after == before, std::to_string(after - before) + " allocations in the loop of lanes");
}

void test_allocation() {
  for (const Widths& widths : {Widths{4, 4, 4}, Widths{10, 3, 12, 5}, Widths{60, 20, 30, 4}}) {
    for (bool sparse : {false, true}) check_flow(widths, sparse);
  }
  for (Method method : {Method::gradient_descent, Method::momentum, Method::group_rmsprop,
                        Method::rmsprop, Method::adam, Method::adagrad, Method::adadelta}) {
    for (const Widths& widths : {Widths{4, 4, 4}, Widths{10, 3, 12, 5}, Widths{100, 100, 100},
                                 Widths{60, 20, 30, 4}, Widths{40, 30, 5, 30, 60}}) {
      for (bool sparse : {false, true}) {
        check_loop<double>(widths, method, sparse);
        check_loop<float>(widths, method, sparse);
      }
      if (largest(widths) > 50) continue;  // never in lanes
      check_lanes<double>(widths, method);
      check_lanes<float>(widths, method);
    }
  }
  for (const Widths& widths : {Widths{4, 4}, Widths{10, 30}, Widths{60, 50}}) {
    check_loop<double>(widths, Method::end_to_end, false);
    check_loop<float>(widths, Method::end_to_end, false);
  }
}

}  // namespace dlnet::tests
