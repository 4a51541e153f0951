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
#include "session.hpp"

namespace dlnet {

template <class Scalar>
class Descent final : public Session<Scalar> {
 public:
  [[gnu::cold]] explicit Descent(const Setup<Scalar>& setup)
      : sparse_(is_sparse_cheaper<Scalar>(entries_a_step(setup), setup.widths)),
        records_product_(setup.wanted.product),
        network_(setup.widths),
        pass_(setup.widths, sparse_, setup.wanted.product),
        objective_(setup.loss, sparse_, 0, setup.wanted.product_gradient),
        optimizer_(setup.method, setup.widths),
        stop_(setup.stop),
        observer_(setup.widths, setup.wanted, setup.knowledge) {
    if (setup.batch_loss) {
      batches_.emplace(setup.batch_loss->n_samples(), setup.batch_size, setup.seed);
      batch_objective_.emplace(setup.batch_loss, sparse_, batches_->batch_size(), false);
    }
    if (!accumulates_in_pass() || setup.wanted.gradients) {
      gradients_ = zero_layers<Scalar>(setup.widths);
    }
  }

  const Widths& widths() const override { return network_.widths(); }
  std::vector<View<Scalar>> layers() override { return views_of(network_); }
  std::vector<std::vector<View<Scalar>>> buffers() override {
    std::vector<std::vector<View<Scalar>>> views;
    for (auto& buffer : optimizer_.buffers()) views.emplace_back(buffer.begin(), buffer.end());
    return views;
  }
  RunState state() const override {
    return {clock_.sum, clock_.lost, optimizer_.mean_square(), optimizer_.n_updates()};
  }

  bool is_sparse() const override { return sparse_; }
  std::size_t meeting_layer() const override { return pass_.meeting(); }
  Network<Scalar>& network() { return network_; }

  // Equal losses in other memory: for a thread that others must not share workspaces with.
  void use(std::shared_ptr<Loss<Scalar>> loss, std::shared_ptr<Loss<Scalar>> batch_loss) {
    objective_.use(std::move(loss));
    if (batch_objective_) batch_objective_->use(std::move(batch_loss));
  }

  std::int64_t step() const override { return step_; }

  void use_threads(int n_threads) override {
    if (n_threads < 2) return;
    team_ = std::make_unique<Team>(n_threads);
    pass_.share_with(*team_);
  }

  // Nothing is evaluated yet.
  void start_at(std::int64_t step, const RunState& state) override {
    step_ = step;
    clock_ = {state.time, state.time_lost};
    optimizer_.carry_on(state.mean_square, state.n_updates);
    for (std::size_t j = 0; j < network_.depth(); ++j) network_.refresh_transposed(j);
    enter_step();
  }

  Outcome advance(const Plan<Scalar>& plan) override {
    try {
      const Outcome outcome = descend(plan);
      observer_.flush();
      return outcome;
    } catch (...) {  // from the user's loss
      observer_.flush();
      throw;
    }
  }

  void record(const Sink<Scalar>& sink, Index at, double rate) override {
    write_record(sink, at, rate);
    observer_.flush();
  }

  bool is_recorded() const override { return recorded_; }
  double loss() const override { return loss_value_; }
  bool is_finite() const override { return !full_ || std::isfinite(loss_value_); }

 private:
  Outcome descend(const Plan<Scalar>& plan) {
    Watch watch(plan.seconds);
    const auto upcoming =
        std::lower_bound(plan.record_steps.begin(), plan.record_steps.end(), step_);
    auto next = static_cast<std::size_t>(upcoming - plan.record_steps.begin());
    while (true) {
      const bool scheduled = next < plan.record_steps.size() && plan.record_steps[next] == step_;
      evaluate(scheduled || checks_gradient_norm());
      const bool diverged = !is_finite();
      if (scheduled && !recorded_) {
        write_record(plan.sink, static_cast<Index>(next), rate_at(plan, step_));
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

  void write_record(const Sink<Scalar>& sink, Index at, double rate) {
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

  bool accumulates_in_pass() const {
    return optimizer_.settings().method == Method::gradient_descent;
  }

  // Entries of the end-to-end matrix that a step looks at; 0 if one of the losses looks at all.
  static Index entries_a_step(const Setup<Scalar>& setup) {
    const Index n_entries = setup.loss->entries().size();
    if (!setup.batch_loss) return n_entries;
    return std::min({n_entries, setup.batch_loss->entries().size(), setup.batch_size});
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
