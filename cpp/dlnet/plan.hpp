// What a run is asked to do and why it comes back.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>

#include "quantities.hpp"

namespace dlnet {

// Why advance() came back.
enum class Outcome {
  reached,    // at the step it was asked to reach
  recorded,   // a scheduled step was recorded and the caller wants to add to it
  check,      // at a step where the caller wants to check its own condition
  converged,  // a bound on the loss or on the gradient norm was met
  diverged,   // the loss is not finite
  paused,     // the slice of time is over
  too_small,  // the step of a flow became too small for its time to go on
};

// In the order of Outcome.
inline constexpr std::array<const char*, 7> outcome_names = {
    "reached", "recorded", "check", "converged", "diverged", "paused", "step_too_small"};

struct StopRule {
  double loss = -std::numeric_limits<double>::infinity();
  double gradient_norm = -1.0;
  std::int64_t check_every = 1;
  bool has_condition = false;  // of the caller's, checked every check_every steps
};

// What one slice is to do.
template <class Scalar>
struct Plan {
  std::int64_t until = 0;         // stop before the update that leaves this step
  std::span<const double> rates;  // of steps first_rate, first_rate + 1, ...
  std::int64_t first_rate = 0;
  std::span<const std::int64_t> record_steps;  // ascending; those behind the current step are past
  Sink<Scalar> sink;                           // row r is for record_steps[r]
  bool pause_after_record = false;
  double seconds = 0.05;
};

// The same for a flow. It ends at the last of the times.
struct FlowPlan {
  std::span<const double> times;  // ascending
  std::int64_t first_number = 0;  // of the record at the first of them
  Sink<double> sink;              // row r is for times[r]
  bool pause_after_record = false;
  double seconds = 0.05;
};

}  // namespace dlnet
