// The members of an ensemble: what each one is and how far it has come.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "losses/loss.hpp"
#include "method.hpp"
#include "plan.hpp"

namespace dlnet {

// Why a member ended; `none` as long as it goes on.
enum class End { none, converged, finished, diverged, time_limit, interrupted };

// In the order of End.
inline constexpr std::array<const char*, 6> end_names = {"running",  "converged",  "finished",
                                                         "diverged", "time_limit", "interrupted"};

template <class Scalar>
struct Losses {
  std::shared_ptr<Loss<Scalar>> full;
  std::shared_ptr<Loss<Scalar>> batch;  // null without mini-batches
};

template <class Scalar>
struct MemberProblem {
  std::vector<Losses<Scalar>> losses;  // equal ones, for members or threads that share the problem
  std::shared_ptr<const Knowledge> knowledge;
};

struct MemberMethod {
  MethodSettings settings;
  std::vector<double> rates;  // of steps first_rate, first_rate + 1, ...; the last one repeats
  std::int64_t first_rate = 0;

  double rate_at(std::int64_t step) const {
    if (rates.empty()) return 0.0;
    return rates[std::min(static_cast<std::size_t>(step - first_rate), rates.size() - 1)];
  }
};

struct Member {
  std::size_t problem = 0;
  std::size_t method = 0;
  StopRule stop;
  Index batch_size = 0;
  std::uint64_t seed = 0;
  // How far it has come.
  std::int64_t step = 0;
  End end = End::none;
  std::optional<Outcome> waits;  // for the caller: recorded or check
  bool ended_off_schedule = false;
};

// What one slice is to do. Members take their own rows of `sink`, which has record_steps.size() of
// them for each member, member after member.
template <class Scalar>
struct EnsemblePlan {
  std::int64_t until = 0;
  std::span<const std::int64_t> record_steps;
  Sink<Scalar> sink;
  bool pause_after_record = false;
};

template <class Scalar>
struct Members {
  Widths widths;
  std::vector<MemberProblem<Scalar>> problems;
  std::vector<MemberMethod> methods;
  std::vector<Member> list;
  Wanted wanted;
  std::int64_t last_step = 0;
  Sink<Scalar> last;  // a row a member, for last steps off the schedule

  const MemberProblem<Scalar>& problem_of(std::size_t k) const { return problems[list[k].problem]; }
  const MemberMethod& method_of(std::size_t k) const { return methods[list[k].method]; }

  // The part of arrays with n_records rows a member that belongs to member k.
  Sink<Scalar> rows_of(std::size_t k, const Sink<Scalar>& sink, std::size_t n_records) const {
    Sink<Scalar> rows = sink;
    const Index before = static_cast<Index>(k * n_records);
    for (std::size_t q = 0; q < n_quantities; ++q) {
      if (rows.quantities[q] == nullptr) continue;
      rows.quantities[q] += before * record_size(static_cast<Quantity>(q), widths);
    }
    if (rows.end_to_end != nullptr) rows.end_to_end += before * widths.back() * widths.front();
    for (std::size_t j = 0; j < rows.weights.size(); ++j) {
      rows.weights[j] += before * widths[j + 1] * widths[j];
    }
    return rows;
  }
};

}  // namespace dlnet
