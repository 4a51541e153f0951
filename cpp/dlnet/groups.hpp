// Groups in which the members of an ensemble are advanced. A group of one is an ordinary descent.
// Knows nothing of threads.
#pragma once

#include "descent.hpp"
#include "members.hpp"

namespace dlnet {

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
  // `own`: which losses of its problem are this member's; null where every thread has its own.
  SingleGroup(Members<Scalar>& members, std::size_t member, std::optional<std::size_t> own)
      : members_(members), member_(member), own_(own), descent_(open(members, member)) {}

  void start() override { descent_.start_at(0, {}); }

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
    return Descent<Scalar>({members.widths, losses.full, losses.batch, member.batch_size,
                            member.seed, members.method_of(k).settings, member.stop, members.wanted,
                            problem.knowledge});
  }

  Member& self() { return members_.list[member_]; }
  const Member& self() const { return members_.list[member_]; }

  const std::vector<Losses<Scalar>>& losses() const { return members_.problem_of(member_).losses; }

  void take_losses(std::size_t thread) {
    const Losses<Scalar>& mine = losses()[own_.value_or(thread)];
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
      case Outcome::too_small:  // of flows only
        break;
    }
  }

  Members<Scalar>& members_;
  std::size_t member_;
  std::optional<std::size_t> own_;
  Descent<Scalar> descent_;
  std::int64_t reached_ = -1;
};

}  // namespace dlnet
