// Time, of two kinds: the time of the flow that a run has covered, and the clock on the wall.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace dlnet {

// Adds to a sum and keeps the digits that a plain sum would lose (Neumaier).
inline void add_compensated(double& sum, double& lost, double term) {
  const double next = sum + term;
  lost += std::abs(sum) >= std::abs(term) ? (sum - next) + term : (term - next) + sum;
  sum = next;
}

// The sum of the rates so far.
struct Clock {
  double sum = 0.0;
  double lost = 0.0;
  double now() const { return sum + lost; }
  void advance(double dt) { add_compensated(sum, lost, dt); }
};

// Tells when a slice is over. Looking at the wall costs as much as a step of the smallest networks,
// so the watch learns how many steps it can let pass: about a millisecond's worth.
class Watch {
 public:
  explicit Watch(double seconds)
      : last_look_(Time::now()),
        deadline_(last_look_ + std::chrono::duration_cast<Time::duration>(
                                   std::chrono::duration<double>(seconds))) {}

  // After every step; `look` asks for a look in any case.
  bool is_over(bool look) {
    const bool is_due = ++steps_ >= stride_;
    if (!is_due && !look) return false;
    const Time::time_point now = Time::now();
    const auto elapsed = now - last_look_;
    if (elapsed > std::chrono::milliseconds(2)) {
      stride_ = std::max<std::int64_t>(1, stride_ / 4);
    } else if (is_due && elapsed < std::chrono::microseconds(500)) {
      // Bounded, in case a step suddenly takes long.
      stride_ = std::min<std::int64_t>(2 * stride_, 4096);
    }
    last_look_ = now;
    steps_ = 0;
    return now >= deadline_;
  }

 private:
  using Time = std::chrono::steady_clock;

  Time::time_point last_look_;
  Time::time_point deadline_;
  std::int64_t steps_ = 0;
  std::int64_t stride_ = 1;
};

}  // namespace dlnet
