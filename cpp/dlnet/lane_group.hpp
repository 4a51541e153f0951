// Members of an ensemble in the lanes of one register: small networks on whitened regression, where
// this beats one network after another. All lanes are at the same step; a lane whose member has
// ended stands still.
#pragma once

#include <algorithm>

#include "groups.hpp"
#include "lane_optimizer.hpp"
#include "losses/target.hpp"

namespace dlnet {

// Whether the products of a square network have their width at compile time and waste little of a
// register: these beat lanes.
template <class Scalar>
bool fills_fixed_products(const Widths& widths) {
  const Index width = widths.front();
  const bool is_square =
      std::all_of(widths.begin(), widths.end(), [&](Index other) { return other == width; });
  if (!is_square || fixed_width_number(width) == n_fixed_widths) return false;
  const Index filled = (width + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
  return width == filled || (width > 10 && 5 * width >= 4 * filled);
}

// Whether networks of these widths are faster in lanes than one after another. Decided by shape,
// scalar and instruction set alone, as measured at depth 3: with 32 registers of 64 bytes lanes win
// at widths 10, 20 and 50 and lose at 16, 32 and 64, which fill whole registers; with 16 registers
// of 32 bytes they win as long as the matrices of a group stay in the first caches.
template <class Scalar>
bool lanes_pay(const Widths& widths) {
  const Index widest = largest(widths);
  if constexpr (vector_registers == 32) {
    const bool is_full = std::all_of(widths.begin(), widths.end(),
                                     [](Index width) { return width % lanes<Scalar> == 0; });
    return widest <= 10 || (widest <= 50 && !is_full);
  }
  if (fills_fixed_products<Scalar>(widths)) return false;
  return widest <= (sizeof(Scalar) == sizeof(float) ? 50 : 28);
}

template <class Scalar>
class LaneGroup final : public Group<Scalar> {
 public:
  static constexpr std::size_t n_lanes = static_cast<std::size_t>(lanes<Scalar>);

  // Up to n_lanes members with equal method and flags, each with a target.
  [[gnu::cold]] LaneGroup(Members<Scalar>& members, std::vector<std::size_t> of)
      : members_(members),
        of_(std::move(of)),
        network_(members.widths),
        optimizer_(settings_of(members, of_), members.widths),
        pass_(members.widths),
        observer_(members.widths, members.wanted, nullptr),
        gradient_(members.widths.back(), members.widths.front()) {
    if (members.wanted.gradients) gradients_ = zero_layers<Scalar>(members.widths);
    for (std::size_t l = 0; l < of_.size(); ++l) layers_.emplace_back(members.widths);
  }

  void start() override {
    for (std::size_t l = 0; l < of_.size(); ++l) {
      const auto lane = static_cast<Index>(l);
      for (std::size_t j = 0; j < network_.depth(); ++j) {
        network_.weight(j).put(lane, layers_[l].weight(j));
      }
      const auto& loss = members_.problem_of(of_[l]).losses.front().full;
      network_.target().put(lane, dynamic_cast<const TargetLoss<Scalar>&>(*loss).target());
      is_alive_[l] = true;
      stop_losses_[l] = member(l).stop.loss;
    }
    enter_step();
  }

  bool has_work(std::int64_t until) const override {
    const auto waits = [&](std::size_t k) { return members_.list[k].waits.has_value(); };
    return any_alive() && reached_ < until && std::none_of(of_.begin(), of_.end(), waits);
  }

  void advance(const EnsemblePlan<Scalar>& plan, std::size_t, double seconds) override {
    descend(plan, seconds);
    observer_.flush();
    for (std::size_t l = 0; l < of_.size(); ++l) {
      if (is_alive_[l]) member(l).step = step_;
    }
  }

  void end(std::size_t member, End why) override {
    end_lane(lane_of(member), why);
    observer_.flush();
  }

  Network<Scalar>& network(std::size_t member) override { return layers_[lane_of(member)]; }

  // Whether the member can be in a lane.
  static bool takes(const Members<Scalar>& members, std::size_t k) {
    const Losses<Scalar>& losses = members.problem_of(k).losses.front();
    return members.method_of(k).settings.method != Method::end_to_end && !losses.batch &&
           dynamic_cast<const TargetLoss<Scalar>*>(losses.full.get()) != nullptr;
  }

 private:
  using Settings = typename LaneOptimizer<Scalar>::Settings;

  static constexpr double never = -std::numeric_limits<double>::infinity();

  static LaneSums<Scalar> filled(double value) {
    LaneSums<Scalar> numbers;
    numbers.fill(value);
    return numbers;
  }

  void descend(const EnsemblePlan<Scalar>& plan, double seconds) {
    Watch watch(seconds);
    are_rates_known_ = false;
    const auto upcoming =
        std::lower_bound(plan.record_steps.begin(), plan.record_steps.end(), step_);
    auto row = static_cast<std::size_t>(upcoming - plan.record_steps.begin());
    while (true) {
      const bool scheduled = row < plan.record_steps.size() && plan.record_steps[row] == step_;
      evaluate();
      if (scheduled || step_ == next_check_ || any_bound_met()) {
        look(plan, row, scheduled);
        if (!has_work(plan.until)) return;
      }
      if (step_ == plan.until) return reach(plan.until);
      update();
      if (scheduled) ++row;
      if (watch.is_over(scheduled)) return;
    }
  }

  // Lanes without a member take the settings of the first one.
  static Settings settings_of(const Members<Scalar>& members, const std::vector<std::size_t>& of) {
    Settings settings;
    for (std::size_t l = 0; l < n_lanes; ++l) {
      settings[l] = members.method_of(l < of.size() ? of[l] : of.front()).settings;
    }
    return settings;
  }

  std::size_t lane_of(std::size_t member) const {
    return static_cast<std::size_t>(std::find(of_.begin(), of_.end(), member) - of_.begin());
  }

  Member& member(std::size_t l) { return members_.list[of_[l]]; }
  const Member& member(std::size_t l) const { return members_.list[of_[l]]; }

  bool any_alive() const {
    return std::any_of(is_alive_.begin(), is_alive_.end(), [](bool alive) { return alive; });
  }

  void enter_step() {
    is_evaluated_ = false;
    is_recorded_ = is_checked_ = is_taken_out_ = {};
    in_force_.reset();
    if (step_ > next_check_) find_next_check();
  }

  void find_next_check() {
    next_check_ = std::numeric_limits<std::int64_t>::max();
    for (std::size_t l = 0; l < of_.size(); ++l) {
      const StopRule& stop = member(l).stop;
      if (stop.gradient_norm < 0.0 && !stop.has_condition) continue;
      const std::int64_t behind = step_ % stop.check_every;
      next_check_ = std::min(next_check_, behind == 0 ? step_ : step_ - behind + stop.check_every);
    }
  }

  void evaluate() {
    if (is_evaluated_) return;
    losses_ = network_.evaluate();
    is_evaluated_ = true;
  }

  // The loss of a lane is not finite, or low enough to stop.
  bool any_bound_met() const {
    bool any = false;
    for (std::size_t l = 0; l < n_lanes; ++l) {
      any |= !(losses_[l] > stop_losses_[l]) | !(losses_[l] <= std::numeric_limits<double>::max());
    }
    return any;
  }

  // Records, ends members, and lets members wait for the caller, as Descent does.
  void look(const EnsemblePlan<Scalar>& plan, std::size_t row, bool scheduled) {
    for (std::size_t l = 0; l < of_.size(); ++l) {
      if (!is_alive_[l]) continue;
      const bool is_finite = std::isfinite(losses_[l]);
      if (scheduled && !is_recorded_[l]) {
        record(l, members_.rows_of(of_[l], plan.sink, plan.record_steps.size()),
               static_cast<Index>(row));
        if (plan.pause_after_record && is_finite) {
          wait(l, Outcome::recorded);
          continue;
        }
      }
      if (!is_finite) {
        end_lane(l, End::diverged);
      } else if (!is_checked_[l]) {
        is_checked_[l] = true;
        check(l);
      }
    }
  }

  void check(std::size_t l) {
    const StopRule& stop = member(l).stop;
    const bool is_due = step_ % stop.check_every == 0;
    if (losses_[l] <= stop.loss ||
        (is_due && stop.gradient_norm >= 0.0 && gradient_norm(l) <= stop.gradient_norm)) {
      end_lane(l, End::converged);
    } else if (is_due && stop.has_condition) {
      wait(l, Outcome::check);
    }
  }

  void wait(std::size_t l, Outcome what) {
    take_out(l);
    member(l).waits = what;
  }

  void reach(std::int64_t until) {
    reached_ = until;
    if (until != members_.last_step) return;
    for (std::size_t l = 0; l < of_.size(); ++l) {
      if (is_alive_[l]) end_lane(l, End::finished);
    }
  }

  void end_lane(std::size_t l, End why) {
    if (!is_recorded_[l]) {
      evaluate();
      record(l, members_.rows_of(of_[l], members_.last, 1), 0);
      member(l).ended_off_schedule = true;
      why = end_at_record(why, std::isfinite(losses_[l]), false, losses_[l], member(l).stop.loss);
    }
    take_out(l);
    member(l).step = step_;
    member(l).end = why;
    is_alive_[l] = false;
    has_ended_lane_ = true;
  }

  // Numbers of a lane that has ended may be infinite or tiny, which costs time: zeros stay zeros.
  // The forward products of this step are not those of the zeros, so they are done again.
  void clear_ended_lanes() {
    has_ended_lane_ = false;
    are_rates_known_ = false;
    for (std::size_t l = 0; l < of_.size(); ++l) {
      if (is_alive_[l]) continue;
      stop_losses_[l] = never;
      const auto lane = static_cast<Index>(l);
      for (std::size_t j = 0; j < network_.depth(); ++j) network_.weight(j).fill(lane, Scalar(0));
      network_.target().fill(lane, Scalar(0));
      optimizer_.clear(l);
    }
    is_evaluated_ = false;
    evaluate();
  }

  // Of this step; a lane without a living member stands still.
  const LaneSums<Scalar>& rates() {
    if (are_rates_known_) return rates_;
    are_rates_known_ = true;
    for (std::size_t l = 0; l < of_.size(); ++l) {
      const MemberMethod& method = members_.method_of(of_[l]);
      rates_[l] = is_alive_[l] ? method.rate_at(step_) : 0.0;
      are_rates_known_ &= method.rates.size() <= 1;
    }
    return rates_;
  }

  void update() {
    if (has_ended_lane_) clear_ended_lanes();
    const LaneSums<Scalar> in_force = optimizer_.update(network_, step_, rates());
    for (std::size_t l = 0; l < n_lanes; ++l) add_compensated(times_[l], lost_[l], in_force[l]);
    ++step_;
    enter_step();
  }

  // Copies the member's layers to where its caller and the observer look at them.
  void take_out(std::size_t l) {
    if (is_taken_out_[l]) return;
    is_taken_out_[l] = true;
    for (std::size_t j = 0; j < network_.depth(); ++j) {
      network_.weight(j).take(static_cast<Index>(l), layers_[l].weight(j));
      layers_[l].refresh_transposed(j);
    }
  }

  double gradient_norm(std::size_t l) {
    take_out(l);
    pass_.forward(layers_[l]);
    network_.residual().take(static_cast<Index>(l), gradient_);
    pass_.gradients(layers_[l], gradient_, gradients_);
    double norm = 0.0;
    for (const Matrix<Scalar>& gradient : gradients_) {
      norm = std::hypot(norm, frobenius_norm(gradient));
    }
    return norm;
  }

  void record(std::size_t l, const Sink<Scalar>& sink, Index at) {
    const auto put = [&](Quantity q, double value) {
      if (double* out = sink[q]) out[at] = value;
    };
    put(Quantity::time, times_[l] + lost_[l]);
    put(Quantity::loss, losses_[l]);
    if (sink.wants(Quantity::gradient_norm)) put(Quantity::gradient_norm, gradient_norm(l));
    if (sink.wants(Quantity::learning_rate)) {
      if (!in_force_) in_force_ = optimizer_.rates_in_force(network_, step_, rates());
      put(Quantity::learning_rate, (*in_force_)[l]);
    }
    observe(l, sink, at);
    is_recorded_[l] = true;
  }

  void observe(std::size_t l, const Sink<Scalar>& sink, Index at) {
    if (!Observer<Scalar>::looks_at_network(sink)) return;
    take_out(l);
    pass_.forward(layers_[l]);
    network_.residual().take(static_cast<Index>(l), gradient_);
    observer_.look_with(members_.problem_of(of_[l]).knowledge);
    observer_.record(layers_[l], pass_, gradient_, !std::isfinite(losses_[l]), sink, at);
  }

  Members<Scalar>& members_;
  std::vector<std::size_t> of_;  // the member of each lane; the lanes beyond have none
  LaneNetwork<Scalar> network_;
  LaneOptimizer<Scalar> optimizer_;
  // One lane at a time.
  std::vector<Network<Scalar>> layers_;
  Pass<Scalar> pass_;
  Observer<Scalar> observer_;
  Matrix<Scalar> gradient_;
  Layers<Scalar> gradients_;
  std::int64_t step_ = 0;
  std::int64_t reached_ = -1;
  std::int64_t next_check_ = -1;
  LaneSums<Scalar> losses_{};
  LaneSums<Scalar> stop_losses_ = filled(never);
  LaneSums<Scalar> rates_{};
  bool are_rates_known_ = false;  // for this step, and for all steps of the slice where constant
  // The clocks, see clock.hpp.
  LaneSums<Scalar> times_{};
  LaneSums<Scalar> lost_{};
  std::array<bool, n_lanes> is_alive_{};
  bool has_ended_lane_ = false;
  // What has been done at this step.
  bool is_evaluated_ = false;
  std::optional<LaneSums<Scalar>> in_force_;
  std::array<bool, n_lanes> is_recorded_{};
  std::array<bool, n_lanes> is_checked_{};
  std::array<bool, n_lanes> is_taken_out_{};
};

}  // namespace dlnet
