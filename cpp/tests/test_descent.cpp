// The loop: slices and records change no bit, batches cover an epoch, the clock keeps its digits.
#include <set>

#include "network_of.hpp"

namespace dlnet::tests {

constexpr double forever = 1e9;

template <class Scalar>
void run(Descent<Scalar>& descent, std::int64_t until, double seconds) {
  const double rate = 0.05;
  Plan<Scalar> plan;
  plan.until = until;
  plan.rates = {&rate, 1};
  plan.seconds = seconds;
  while (descent.advance(plan) == Outcome::paused) {
  }
  check(descent.step() == until, "reached the step asked for");
}

void check_slices() {
  auto whole = descent_of<double>({3, 4, 2}, {});
  auto sliced = descent_of<double>({3, 4, 2}, {});
  run(whole, 500, forever);
  for (std::int64_t until = 1; until <= 500; until += until % 7 + 1) run(sliced, until, 0.0);
  run(sliced, 500, 0.0);
  for (std::size_t j = 0; j < 2; ++j) {
    check(largest_difference(whole.network().weight(j), sliced.network().weight(j)) == 0.0,
          "slices change bits");
  }
}

void check_stop_and_divergence() {
  StopRule stop;
  stop.loss = 1e-3;
  auto converging = descent_of<double>({3, 3, 3}, {}, stop);
  const double rate = 0.05;
  Plan<double> plan;
  plan.until = 100000;
  plan.rates = {&rate, 1};
  plan.seconds = forever;
  check(converging.advance(plan) == Outcome::converged, "converged");

  auto diverging = descent_of<double>({3, 3, 3}, {});
  const double huge = 1e3;
  plan.rates = {&huge, 1};
  check(diverging.advance(plan) == Outcome::diverged, "diverged");
  check(!diverging.is_finite() && diverging.step() < 100, "at once");
}

void check_batches() {
  Batches batches(10, 4, 99);
  Batches again(10, 4, 99);
  std::vector<Index> first_epoch;
  for (std::int64_t step = 0; step < 3; ++step) {
    const auto batch = batches.at(step);
    check(batch.size() == (step == 2 ? 2u : 4u), "size of a batch");
    first_epoch.insert(first_epoch.end(), batch.begin(), batch.end());
  }
  check(std::set<Index>(first_epoch.begin(), first_epoch.end()).size() == 10, "an epoch is all");
  batches.at(12345);
  const auto revisited = batches.at(1);
  const auto expected = again.at(1);
  check(std::equal(revisited.begin(), revisited.end(), expected.begin()), "function of the step");
}

void check_clock() {
  Clock clock;
  for (int i = 0; i < 10'000'000; ++i) clock.advance(0.1);
  check(std::abs(clock.now() - 1e6) <= 1e-9, "the clock keeps its digits");
}

void test_descent() {
  check_slices();
  check_stop_and_divergence();
  check_batches();
  check_clock();
}

}  // namespace dlnet::tests
