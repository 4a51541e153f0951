// The loop: evaluate, record, decide whether to stop, update. Runs in slices, so that the caller
// can look around between them; where a slice ends never changes a number.
#pragma once

#include <cmath>
#include <memory>

#include "batches.hpp"
#include "clock.hpp"
#include "objective.hpp"
#include "observables.hpp"
#include "optimizers.hpp"

namespace dlnet {

// Why advance() came back.
enum class Outcome {
  reached,    // at the step it was asked to reach
  recorded,   // a scheduled step was recorded and the caller wants to add to it
  check,      // at a step where the caller wants to check its own condition
  converged,  // a bound on the loss or on the gradient norm was met
  diverged,   // the loss is not finite
  paused,     // the slice of time is over
};

// In the order of Outcome.
inline constexpr std::array<const char*, 6> outcome_names = {"reached",   "recorded", "check",
                                                             "converged", "diverged", "paused"};

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

template <class Scalar>
class Descent {
 public:
  // `batch_loss` is null for full-batch runs.
  Descent(const Widths& widths, std::shared_ptr<Loss<Scalar>> loss,
          std::shared_ptr<Loss<Scalar>> batch_loss, std::optional<Batches> batches,
          const MethodSettings& settings, const StopRule& stop, const Wanted& wanted,
          std::shared_ptr<const Knowledge> knowledge)
      : sparse_(
            is_sparse_cheaper<Scalar>(entries_a_step(*loss, batch_loss.get(), batches), widths)),
        records_product_(wanted.product),
        network_(widths),
        pass_(widths, sparse_, wanted.product),
        objective_(std::move(loss), sparse_, 0, wanted.product_gradient),
        batches_(std::move(batches)),
        optimizer_(settings, widths),
        stop_(stop),
        observer_(widths, wanted, std::move(knowledge)) {
    if (batch_loss) {
      batch_objective_.emplace(std::move(batch_loss), sparse_, batches_->batch_size(), false);
    }
    if (!accumulates_in_pass() || wanted.gradients) gradients_ = zero_layers<Scalar>(widths);
  }

  // Whether the residual is evaluated at the entries that the loss looks at, and nowhere else.
  bool is_sparse() const { return sparse_; }
  // Products of the layers up to this one come from the input, the others from the output.
  std::size_t meeting_layer() const { return pass_.meeting(); }

  // Equal losses in other memory: for a thread that others must not share workspaces with.
  void use(std::shared_ptr<Loss<Scalar>> loss, std::shared_ptr<Loss<Scalar>> batch_loss) {
    objective_.use(std::move(loss));
    if (batch_objective_) batch_objective_->use(std::move(batch_loss));
  }

  Network<Scalar>& network() { return network_; }
  Optimizer<Scalar>& optimizer() { return optimizer_; }
  Clock& clock() { return clock_; }
  std::int64_t step() const { return step_; }

  // Changes how long a step takes, and no bit of what it gives.
  void use_threads(int n_threads) {
    if (n_threads < 2) return;
    team_ = std::make_unique<Team>(n_threads);
    pass_.share_with(*team_);
  }

  // The caller has filled the layers (and whatever else continues); nothing is evaluated yet.
  void start_at(std::int64_t step) {
    step_ = step;
    for (std::size_t j = 0; j < network_.depth(); ++j) network_.refresh_transposed(j);
    enter_step();
  }

  Outcome advance(const Plan<Scalar>& plan) {
    Watch watch(plan.seconds);
    const auto upcoming =
        std::lower_bound(plan.record_steps.begin(), plan.record_steps.end(), step_);
    auto next = static_cast<std::size_t>(upcoming - plan.record_steps.begin());
    while (true) {
      const bool scheduled = next < plan.record_steps.size() && plan.record_steps[next] == step_;
      evaluate(scheduled || checks_gradient_norm());
      const bool diverged = !is_finite();
      if (scheduled && !recorded_) {
        record(plan.sink, static_cast<Index>(next), rate_at(plan, step_));
        if (plan.pause_after_record && !diverged) return Outcome::recorded;
      }
      if (diverged) return Outcome::diverged;
      if (!checked_) {
        checked_ = true;
        if (converged(scheduled)) return Outcome::converged;
        if (stop_.has_condition && step_ % stop_.check_every == 0) return Outcome::check;
      }
      if (step_ == plan.until) return Outcome::reached;
      if (!update(rate_at(plan, step_))) return Outcome::diverged;
      if (scheduled) ++next;
      if (watch.is_over(scheduled)) return Outcome::paused;
    }
  }

  // Writes row `at` for the current step, scheduled or not.
  void record(const Sink<Scalar>& sink, Index at, double rate) {
    evaluate(true);
    const auto put = [&](Quantity q, double value) {
      if (double* out = sink[q]) out[at] = value;
    };
    put(Quantity::time, clock_.now());
    put(Quantity::loss, loss_value_);
    if (sink.wants(Quantity::gradient_norm)) put(Quantity::gradient_norm, gradient_norm());
    if (sink.wants(Quantity::learning_rate)) put(Quantity::learning_rate, rate_in_force(rate));
    if (sparse_ && records_product_) pass_.multiply_where_met(network_);
    observer_.record(network_, pass_, objective_.whole_gradient(), !is_finite(), sink, at);
    recorded_ = true;
  }

  bool is_recorded() const { return recorded_; }
  // The full loss at the current step, if it is recorded.
  double loss() const { return loss_value_; }
  // Whether the loss at the current step, as far as it is known, is finite.
  bool is_finite() const { return !full_ || std::isfinite(loss_value_); }

 private:
  bool accumulates_in_pass() const {
    return optimizer_.settings().method == Method::gradient_descent;
  }

  // Entries of the end-to-end matrix that a step looks at; 0 if one of the losses looks at all.
  static Index entries_a_step(const Loss<Scalar>& loss, const Loss<Scalar>* batch_loss,
                              const std::optional<Batches>& batches) {
    const Index n_entries = loss.entries().size();
    if (batch_loss == nullptr) return n_entries;
    return std::min({n_entries, batch_loss->entries().size(), batches->batch_size()});
  }

  static double rate_at(const Plan<Scalar>& plan, std::int64_t step) {
    if (plan.rates.empty()) return 0.0;
    const auto at = static_cast<std::size_t>(step - plan.first_rate);
    return plan.rates[std::min(at, plan.rates.size() - 1)];
  }

  void enter_step() { forwarded_ = full_ = batched_ = recorded_ = checked_ = false; }

  // The full loss and its gradient in W; in a mini-batch run only where somebody looks at them.
  void evaluate(bool somebody_looks) {
    if (!forwarded_) objective_.forward(pass_, network_);
    forwarded_ = true;
    if (full_ || (batch_objective_ && !somebody_looks)) return;
    loss_value_ = objective_.evaluate(pass_, network_);
    full_ = true;
  }

  bool checks_gradient_norm() const {
    return stop_.gradient_norm >= 0.0 && step_ % stop_.check_every == 0;
  }

  // In a mini-batch run the loss is looked at where it is recorded, as it costs a pass of its own.
  bool converged(bool scheduled) {
    if ((scheduled || !batch_objective_) && loss_value_ <= stop_.loss) return true;
    return checks_gradient_norm() && gradient_norm() <= stop_.gradient_norm;
  }

  // Of the full loss, without weight decay.
  double gradient_norm() {
    objective_.gradients(pass_, network_, gradients_);
    double norm = 0.0;
    for (const Matrix<Scalar>& gradient : gradients_) {
      norm = std::hypot(norm, frobenius_norm(gradient));
    }
    return norm;
  }

  double rate_in_force(double rate) {
    if (optimizer_.settings().method != Method::group_rmsprop) return rate;
    write_gradients(step_objective());
    return optimizer_.group_rate(gradients_, rate);
  }

  // With the gradient that this step descends along: of the batch, or of the full loss.
  Objective<Scalar>& step_objective() {
    if (!batch_objective_) return objective_;
    if (!batched_) {
      batch_value_ = batch_objective_->evaluate(pass_, network_, batches_->at(step_));
      batched_ = true;
    }
    return *batch_objective_;
  }

  void write_gradients(const Objective<Scalar>& objective) {
    objective.gradients(pass_, network_, gradients_);
    optimizer_.add_weight_decay(network_, gradients_);
  }

  // From this step to the next; false if the loss of the batch is not finite.
  bool update(double rate) {
    const Objective<Scalar>& objective = step_objective();
    if (batch_objective_ && !std::isfinite(batch_value_)) return false;
    double in_force = rate;
    if (accumulates_in_pass()) {
      const double keep = 1.0 - rate * optimizer_.settings().weight_decay;
      objective.descend(pass_, network_, static_cast<Scalar>(rate), static_cast<Scalar>(keep));
    } else {
      write_gradients(objective);
      in_force = optimizer_.update(network_, gradients_, rate);
      for (std::size_t j = 0; j < network_.depth(); ++j) network_.refresh_transposed(j);
    }
    clock_.advance(in_force);
    ++step_;
    enter_step();
    return true;
  }

  bool sparse_;
  bool records_product_;
  Network<Scalar> network_;
  std::unique_ptr<Team> team_;
  Pass<Scalar> pass_;
  Objective<Scalar> objective_;  // the full loss
  std::optional<Objective<Scalar>> batch_objective_;
  std::optional<Batches> batches_;
  Optimizer<Scalar> optimizer_;
  StopRule stop_;
  Observer<Scalar> observer_;
  Layers<Scalar> gradients_;
  Clock clock_;
  std::int64_t step_ = 0;
  double loss_value_ = 0.0;
  double batch_value_ = 0.0;
  // What has been done at this step.
  bool forwarded_ = false;
  bool full_ = false;
  bool batched_ = false;
  bool recorded_ = false;
  bool checked_ = false;
};

}  // namespace dlnet
