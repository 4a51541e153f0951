// The members of an ensemble: what each one is, how far it has come, and the groups in which they
// are advanced. A group of one is an ordinary descent. Knows nothing of threads.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "descent.hpp"

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
  std::vector<Losses<Scalar>> losses;  // one a thread if several members share the problem
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

// Members that advance together.
template <class Scalar>
class Group {
 public:
  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  virtual ~Group() = default;

  // After the layers of all members were filled.
  virtual void start() = 0;
  virtual bool has_work(std::int64_t until) const = 0;
  // For about `seconds`, with the losses of this thread.
  virtual void advance(const EnsemblePlan<Scalar>& plan, std::size_t thread, double seconds) = 0;
  // Ends a member where it is; its last step is recorded if it is not yet.
  virtual void end(std::size_t member, End why) = 0;
  // The layers: before start(), while the member waits for the caller, and after its end.
  virtual Network<Scalar>& network(std::size_t member) = 0;
};

// A record at the last step tells more than was known when the member was ended.
inline End end_at_record(End why, bool is_finite, bool is_batched, double loss, double stop_loss) {
  if (!is_finite) return End::diverged;
  return why == End::finished && is_batched && loss <= stop_loss ? End::converged : why;
}

template <class Scalar>
class SingleGroup final : public Group<Scalar> {
 public:
  SingleGroup(Members<Scalar>& members, std::size_t member)
      : members_(members), member_(member), descent_(open(members, member)) {}

  void start() override { descent_.start_at(0); }

  bool has_work(std::int64_t until) const override {
    return self().end == End::none && !self().waits && reached_ < until;
  }

  void advance(const EnsemblePlan<Scalar>& plan, std::size_t thread, double seconds) override {
    take_losses(thread);
    const MemberMethod& method = members_.method_of(member_);
    Plan<Scalar> own;
    own.until = plan.until;
    own.rates = method.rates;
    own.first_rate = method.first_rate;
    own.record_steps = plan.record_steps;
    own.sink = members_.rows_of(member_, plan.sink, plan.record_steps.size());
    own.pause_after_record = plan.pause_after_record;
    own.seconds = seconds;
    try {
      follow(descent_.advance(own), plan.until);
    } catch (...) {  // from the user's loss
      self().step = descent_.step();
      throw;
    }
    self().step = descent_.step();
  }

  void end(std::size_t, End why) override {
    if (!descent_.is_recorded()) {
      descent_.record(members_.rows_of(member_, members_.last, 1), 0,
                      members_.method_of(member_).rate_at(descent_.step()));
      self().ended_off_schedule = true;
      why = end_at_record(why, descent_.is_finite(), losses().front().batch != nullptr,
                          descent_.loss(), self().stop.loss);
    }
    self().end = why;
  }

  Network<Scalar>& network(std::size_t) override { return descent_.network(); }

 private:
  static Descent<Scalar> open(const Members<Scalar>& members, std::size_t k) {
    const Member& member = members.list[k];
    const MemberProblem<Scalar>& problem = members.problem_of(k);
    const Losses<Scalar>& losses = problem.losses.front();
    std::optional<Batches> batches;
    if (losses.batch) {
      batches.emplace(losses.batch->n_samples(), member.batch_size, member.seed);
    }
    return Descent<Scalar>(members.widths, losses.full, losses.batch, std::move(batches),
                           members.method_of(k).settings, member.stop, members.wanted,
                           problem.knowledge);
  }

  Member& self() { return members_.list[member_]; }
  const Member& self() const { return members_.list[member_]; }

  const std::vector<Losses<Scalar>>& losses() const { return members_.problem_of(member_).losses; }

  void take_losses(std::size_t thread) {
    const Losses<Scalar>& mine = losses()[std::min(thread, losses().size() - 1)];
    descent_.use(mine.full, mine.batch);
  }

  void follow(Outcome outcome, std::int64_t until) {
    switch (outcome) {
      case Outcome::reached:
        reached_ = until;
        if (until == members_.last_step) end(member_, End::finished);
        break;
      case Outcome::recorded:
      case Outcome::check:
        self().waits = outcome;
        break;
      case Outcome::converged:
        end(member_, End::converged);
        break;
      case Outcome::diverged:
        end(member_, End::diverged);
        break;
      case Outcome::paused:
        break;
    }
  }

  Members<Scalar>& members_;
  std::size_t member_;
  Descent<Scalar> descent_;
  std::int64_t reached_ = -1;
};

}  // namespace dlnet
