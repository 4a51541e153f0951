// An ensemble: many networks of one shape that descend independently of one another, each group of
// them advanced a turn at a time by a few threads. Which thread takes which turn changes no number.
#pragma once

#include <chrono>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <tuple>

#include "lane_group.hpp"

namespace dlnet {

// How long a group advances before another one has its turn: long enough to make its matrices'
// way into the cache worthwhile.
inline constexpr double seconds_a_turn = 0.004;

// The groups that still have work, first come, first served, until time is over or one has failed.
template <class Scalar>
class Turns {
 public:
  Turns(std::deque<Group<Scalar>*> groups, double seconds)
      : groups_(std::move(groups)),
        deadline_(Time::now() + std::chrono::duration_cast<Time::duration>(
                                    std::chrono::duration<double>(seconds))) {}

  // Null when there is nothing to do any more. The first turn of all is always given.
  Group<Scalar>* take() {
    const std::lock_guard lock(mutex_);
    const bool over = has_begun_ && Time::now() >= deadline_;
    if (over || error_ || groups_.empty()) return nullptr;
    has_begun_ = true;
    Group<Scalar>* group = groups_.front();
    groups_.pop_front();
    return group;
  }

  void put_back(Group<Scalar>* group) {
    const std::lock_guard lock(mutex_);
    groups_.push_back(group);
  }

  // The first failure counts; the group has no more turns.
  void fail(std::exception_ptr error, const Group<Scalar>* group) {
    const std::lock_guard lock(mutex_);
    if (error_) return;
    error_ = std::move(error);
    failed_ = group;
  }

  // Once no thread is at work.
  const std::deque<Group<Scalar>*>& waiting() const { return groups_; }
  std::exception_ptr error() const { return error_; }
  const Group<Scalar>* failed() const { return failed_; }

 private:
  using Time = std::chrono::steady_clock;

  std::mutex mutex_;
  std::deque<Group<Scalar>*> groups_;
  Time::time_point deadline_;
  std::exception_ptr error_;
  const Group<Scalar>* failed_ = nullptr;
  bool has_begun_ = false;
};

// Hands out the losses of the problems, so that no two threads ever work with the same ones, whose
// workspaces are theirs alone.
template <class Scalar>
class LossShares {
 public:
  [[gnu::cold]] explicit LossShares(const Members<Scalar>& members)
      : members_(members), n_users_(members.problems.size()), n_given_(members.problems.size()) {
    for (const Member& member : members.list) ++n_users_[member.problem];
  }

  // Those of a member alone; null where members outnumber them, and every thread has its own. To be
  // called once for each member.
  std::optional<std::size_t> take(std::size_t member) {
    const std::size_t problem = members_.list[member].problem;
    if (are_fewer(problem)) return std::nullopt;
    return n_given_[problem]++;
  }

  std::size_t most_threads() const {
    std::size_t most = std::numeric_limits<std::size_t>::max();
    for (std::size_t problem = 0; problem < n_users_.size(); ++problem) {
      if (are_fewer(problem)) most = std::min(most, n_losses(problem));
    }
    return most;
  }

 private:
  std::size_t n_losses(std::size_t problem) const {
    return members_.problems[problem].losses.size();
  }
  bool are_fewer(std::size_t problem) const { return n_losses(problem) < n_users_[problem]; }

  const Members<Scalar>& members_;
  std::vector<std::size_t> n_users_;  // by problem
  std::vector<std::size_t> n_given_;
};

// Members can share the lanes of a register if these are equal.
using LaneKey = std::tuple<Method, bool, bool>;

inline LaneKey lane_key(const MethodSettings& settings) {
  return {settings.method, settings.nesterov, settings.centered};
}

template <class Scalar>
class Ensemble final : public EnsembleSession<Scalar> {
 public:
  [[gnu::cold]] Ensemble(Members<Scalar> members, Path path)
      : members_(std::move(members)), group_of_(members_.list.size()) {
    const bool in_lanes =
        has_small_kernels &&
        (path == Path::lanes || (path == Path::by_shape && lanes_pay<Scalar>(members_.widths)));
    LossShares<Scalar> shares(members_);
    most_threads_ = shares.most_threads();
    std::map<LaneKey, std::vector<std::size_t>> open;  // groups with lanes to fill
    for (std::size_t k = 0; k < members_.list.size(); ++k) {
      if (!in_lanes || !LaneGroup<Scalar>::takes(members_, k)) {
        add(std::make_unique<SingleGroup<Scalar>>(members_, k, shares.take(k)), {k});
        continue;
      }
      std::vector<std::size_t>& group = open[lane_key(members_.method_of(k).settings)];
      group.push_back(k);
      if (group.size() == LaneGroup<Scalar>::n_lanes) add_lanes(std::exchange(group, {}));
    }
    for (const auto& [key, group] : open) {
      if (!group.empty()) add_lanes(group);
    }
  }

  Members<Scalar>& members() override { return members_; }
  Network<Scalar>& network(std::size_t member) { return group_of_[member]->network(member); }
  std::vector<View<Scalar>> layers(std::size_t member) override {
    return views_of(network(member));
  }

  void start() override {
    for (auto& group : groups_) {
      group->start();
      order_.push_back(group.get());
    }
  }

  bool advance(const EnsemblePlan<Scalar>& plan, double seconds, std::size_t n_threads) override {
    for (Member& member : members_.list) member.waits.reset();
    Turns<Scalar> turns(with_work(plan.until), seconds);
    take_turns(turns, plan, std::min({n_threads, most_threads_, turns.waiting().size()}));
    if (turns.error()) {
      failed_ = turns.failed();
      std::rethrow_exception(turns.error());
    }
    queue_up(turns.waiting(), plan.until);
    return turns.waiting().empty() && !any_waits();
  }

  std::size_t failed() const override {
    const auto found = std::find(group_of_.begin(), group_of_.end(), failed_);
    return static_cast<std::size_t>(found - group_of_.begin());
  }

  void end(std::size_t member, End why) override {
    if (members_.list[member].end == End::none) group_of_[member]->end(member, why);
  }

 private:
  using Queue = std::deque<Group<Scalar>*>;

  void add(std::unique_ptr<Group<Scalar>> group, const std::vector<std::size_t>& of) {
    for (std::size_t k : of) group_of_[k] = group.get();
    groups_.push_back(std::move(group));
  }

  void add_lanes(const std::vector<std::size_t>& of) {
    if constexpr (has_small_kernels) add(std::make_unique<LaneGroup<Scalar>>(members_, of), of);
  }

  Queue with_work(std::int64_t until) const {
    Queue queue;
    for (Group<Scalar>* group : order_) {
      if (group->has_work(until)) queue.push_back(group);
    }
    return queue;
  }

  // Those whose turn comes next go to the front, so that no member falls far behind.
  void queue_up(Queue next, std::int64_t until) {
    for (Group<Scalar>* group : order_) {
      if (!group->has_work(until)) next.push_back(group);
    }
    order_ = std::move(next);
  }

  void take_turns(Turns<Scalar>& turns, const EnsemblePlan<Scalar>& plan, std::size_t n_threads) {
    const auto work = [&](std::size_t thread) {
      Group<Scalar>* group = nullptr;
      try {
        while ((group = turns.take()) != nullptr) {
          group->advance(plan, thread, seconds_a_turn);
          if (group->has_work(plan.until)) turns.put_back(group);
        }
      } catch (...) {
        turns.fail(std::current_exception(), group);
      }
    };
    std::vector<std::thread> helpers;
    helpers.reserve(n_threads);
    try {
      for (std::size_t thread = 1; thread < n_threads; ++thread) helpers.emplace_back(work, thread);
    } catch (const std::system_error&) {  // the system has no more threads: fewer do it as well
    }
    work(0);
    for (std::thread& helper : helpers) helper.join();
  }

  bool any_waits() const {
    return std::any_of(members_.list.begin(), members_.list.end(),
                       [](const Member& member) { return member.waits.has_value(); });
  }

  Members<Scalar> members_;  // groups refer to them
  std::vector<std::unique_ptr<Group<Scalar>>> groups_;
  std::vector<Group<Scalar>*> group_of_;  // by member
  Queue order_;
  std::size_t most_threads_;
  const Group<Scalar>* failed_ = nullptr;
};

}  // namespace dlnet
