// Gradient flow as a run: what is recorded where, and when it ends. Float64 only.
#pragma once

#include "clock.hpp"
#include "imbalance.hpp"
#include "observables.hpp"
#include "runge_kutta.hpp"

namespace dlnet {

class Flow final : public FlowSession {
 public:
  explicit Flow(const FlowSetup& setup)
      : widths_(setup.widths),
        sparse_(is_sparse_cheaper<double>(setup.loss->entries().size(), setup.widths)),
        records_product_(setup.wanted.product),
        weight_decay_(setup.weight_decay),
        integrator_(setup, sparse_),
        first_(zero_layers<double>(setup.widths)),
        stop_(setup.stop),
        observer_(setup.widths, setup.wanted, setup.knowledge) {
    if (setup.wanted.gradients) gradients_ = zero_layers<double>(setup.widths);
  }

  const Widths& widths() const override { return widths_; }
  std::vector<View<double>> layers() override { return views_of(network()); }
  std::vector<std::vector<View<double>>> buffers() override {
    Layers<double>& start = integrator_.start_layers();
    return {{start.begin(), start.end()}, {first_.begin(), first_.end()}};
  }
  FlowState state() const override { return integrator_.begin(); }
  FlowState progress() const override { return integrator_.now(); }
  double time() const override { return time_; }

  bool is_sparse() const override { return sparse_; }
  std::size_t meeting_layer() const override { return integrator_.field().pass().meeting(); }
  std::int64_t step() const override { return recorded_ ? next_ - 1 : next_; }
  bool is_recorded() const override { return recorded_; }
  double loss() const override { return loss_; }
  bool is_finite() const override { return std::isfinite(loss_); }

  void use_threads(int n_threads) override {
    if (n_threads < 2) return;
    team_ = std::make_unique<Team>(n_threads);
    integrator_.field().pass().share_with(*team_);
  }

  void start(std::int64_t number, double time, const FlowState* state) override {
    next_ = number;
    FlowState begin;
    if (state == nullptr) {
      begin.time = begin.first_time = time;
      for (std::size_t j = 0; j < first_.size(); ++j) {
        copy(network().weight(j), first_[j]);
        copy(network().weight(j), integrator_.start_layers()[j]);
      }
    } else {
      begin = *state;
    }
    integrator_.start(begin);
    // Up to this time everything was looked at before.
    checked_ = begin.time < time;
    if (begin.time < time && !step()) throw std::invalid_argument("state: not of this flow");
    look_at(time);
  }

  Outcome advance(const FlowPlan& plan) override {
    try {
      const Outcome outcome = follow(plan);
      observer_.flush();
      return outcome;
    } catch (...) {  // from the user's loss
      observer_.flush();
      throw;
    }
  }

  void record(const Sink<double>& sink, Index at) override {
    write_record(sink, at);
    observer_.flush();
  }

  double imbalance_drift() override {
    Network<double> first(widths_);
    for (std::size_t j = 0; j < first_.size(); ++j) {
      copy(first_[j], first.weight(j));
      first.refresh_transposed(j);
      network().refresh_transposed(j);
    }
    const double left = std::exp(-2.0 * weight_decay_ * (time_ - integrator_.begin().first_time));
    Packing<double> packing(largest(widths_));
    double drift = 0.0;
    for (std::size_t j = 0; j + 1 < first_.size(); ++j) {
      Matrix<double> before(widths_[j + 1], widths_[j + 1]);
      Matrix<double> now(widths_[j + 1], widths_[j + 1]);
      imbalance(first, j, before, packing);
      imbalance(network(), j, now, packing);
      accumulate(before, now, Accumulate<double>{-left, 1.0});
      const double scale = std::max(squares(first, j), squares(network(), j));
      if (scale > 0.0) drift = std::max(drift, frobenius_norm(now) / scale);
    }
    return drift;
  }

 private:
  Network<double>& network() { return integrator_.field().network(); }

  static double squares(const Network<double>& network, std::size_t j) {
    return sum_of_squares(network.weight(j)) + sum_of_squares(network.weight(j + 1));
  }

  bool step() {
    checked_ = is_here_ = false;
    return integrator_.step();
  }

  // Brings the network to a time that the integrator has reached, and evaluates it there.
  void look_at(double time) {
    if (is_here_ && time == time_) return;
    if (time != time_) recorded_ = false;
    integrator_.look_at(time);
    loss_ = integrator_.field().evaluate();
    time_ = time;
    is_here_ = true;
  }

  Outcome follow(const FlowPlan& plan) {
    Watch watch(plan.seconds);
    bool is_paused = false;
    while (true) {
      const auto row = static_cast<std::size_t>(next_ - plan.first_number);
      const bool is_over = row >= plan.times.size();
      if (!is_over && plan.times[row] <= integrator_.time()) {
        look_at(plan.times[row]);
        write_record(plan.sink, static_cast<Index>(row));
        if (!is_finite()) return Outcome::diverged;
        if (plan.pause_after_record) return Outcome::recorded;
        if (watch.is_over(true)) return Outcome::paused;
        continue;
      }
      // What is beyond the last time is nobody's business.
      if (!checked_ && (!is_over || time_ == integrator_.time())) {
        checked_ = true;
        if (const auto outcome = check()) return *outcome;
      }
      if (is_over) return Outcome::reached;
      if (is_paused || !step()) {
        look_at(integrator_.time());
        return is_paused ? Outcome::paused : Outcome::too_small;
      }
      is_paused = watch.is_over(false);
    }
  }

  // Where a step ends.
  std::optional<Outcome> check() {
    const double loss = integrator_.loss();
    const bool ends = !std::isfinite(loss) || loss <= stop_.loss;
    const bool is_due = integrator_.now().n_accepted % stop_.check_every == 0 &&
                        (stop_.gradient_norm >= 0.0 || stop_.has_condition);
    if (!ends && !is_due) return std::nullopt;
    look_at(integrator_.time());
    if (!std::isfinite(loss)) return Outcome::diverged;
    if (ends || (stop_.gradient_norm >= 0.0 && gradient_norm() <= stop_.gradient_norm)) {
      return Outcome::converged;
    }
    return stop_.has_condition ? std::optional(Outcome::check) : std::nullopt;
  }

  // Of the loss, without weight decay.
  double gradient_norm() {
    integrator_.field().loss_gradients(gradients_);
    double norm = 0.0;
    for (const Matrix<double>& gradient : gradients_) {
      norm = std::hypot(norm, frobenius_norm(gradient));
    }
    return norm;
  }

  void write_record(const Sink<double>& sink, Index at) {
    const auto put = [&](Quantity q, double value) {
      if (double* out = sink[q]) out[at] = value;
    };
    FlowField& field = integrator_.field();
    put(Quantity::time, time_);
    put(Quantity::loss, loss_);
    if (sink.wants(Quantity::gradient_norm)) put(Quantity::gradient_norm, gradient_norm());
    if (sparse_ && records_product_) field.pass().multiply_where_met(network());
    observer_.record(network(), field.pass(), field.objective().whole_gradient(), !is_finite(),
                     sink, at);
    recorded_ = true;
    ++next_;
  }

  Widths widths_;
  bool sparse_;
  bool records_product_;
  double weight_decay_;
  std::unique_ptr<Team> team_;
  Integrator integrator_;
  Layers<double> first_;  // where the flow has begun
  StopRule stop_;
  Observer<double> observer_;
  Layers<double> gradients_;
  std::int64_t next_ = 0;  // number of the next record
  // The time that is looked at, and whether the network is there.
  double time_ = 0.0;
  double loss_ = 0.0;
  bool is_here_ = false;
  bool recorded_ = false;
  bool checked_ = false;  // where the last step ends
};

}  // namespace dlnet
