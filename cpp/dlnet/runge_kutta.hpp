// The integrator of gradient flow, dW_j/dt = -dphi/dW_j: steps of DOP853, as long as the error of
// every layer stays within its tolerance, and the layers at any time between the ends of a step.
// Nothing depends on which of these times are asked for.
//
// They are found by a shorter step of their own from where the step begins. The interpolant of
// order 7 that belongs to DOP853 takes fewer evaluations, but its error is not controlled: towards
// a minimum, where steps are as long as stability allows, it was found at a hundred times the
// tolerance where the ends of steps were well below it.
#pragma once

#include <array>
#include <cmath>
#include <limits>

#include "dop853.hpp"
#include "objective.hpp"
#include "optimizers.hpp"
#include "session.hpp"

namespace dlnet {

// phi = l + weight_decay / 2 sum_j ||W_j||_F^2 at one network.
class FlowField {
 public:
  FlowField(const FlowSetup& setup, bool sparse)
      : network_(setup.widths),
        pass_(setup.widths, sparse, setup.wanted.product),
        objective_(setup.loss, sparse, 0, setup.wanted.product_gradient),
        weight_decay_(setup.weight_decay) {}

  Network<double>& network() { return network_; }
  Pass<double>& pass() { return pass_; }
  const Pass<double>& pass() const { return pass_; }
  Objective<double>& objective() { return objective_; }

  // The loss at the network as it is.
  double evaluate() {
    for (std::size_t j = 0; j < network_.depth(); ++j) network_.refresh_transposed(j);
    objective_.forward(pass_, network_);
    return objective_.evaluate(pass_, network_);
  }

  // After evaluate(): of the loss alone.
  void loss_gradients(Layers<double>& gradients) {
    objective_.gradients(pass_, network_, gradients);
  }

  // Evaluates the loss and the gradients of phi.
  double gradients(Layers<double>& gradients) {
    const double loss = evaluate();
    loss_gradients(gradients);
    add_weight_decay(network_, weight_decay_, gradients);
    return loss;
  }

 private:
  Network<double> network_;
  Pass<double> pass_;
  Objective<double> objective_;
  double weight_decay_;
};

// A sum of layers, each with a factor: first the terms in their order, then what they are added to.
class LayerSum {
 public:
  void clear() { size_ = 0; }
  void add(double factor, const Layers<double>& layers) {
    if (factor == 0.0) return;
    factors_[size_] = factor;
    terms_[size_++] = &layers;
  }

  void write(std::size_t j, const Matrix<double>* base, Matrix<double>& sum) const {
    const Index end = sum.stride() * sum.cols();
    for (Index k = 0; k < end; k += lanes<double>) {
      Vector<double> total = {};
      for (std::size_t i = 0; i < size_; ++i) {
        total += factors_[i] * load((*terms_[i])[j].data() + k);
      }
      if (base != nullptr) total += load(base->data() + k);
      store(sum.data() + k, total);
    }
  }

 private:
  std::array<double, dop853::n_stages> factors_;
  std::array<const Layers<double>*, dop853::n_stages> terms_;
  std::size_t size_ = 0;
};

class Integrator {
 public:
  Integrator(const FlowSetup& setup, bool sparse)
      : field_(setup, sparse),
        rtol_(setup.rtol),
        atol_(setup.atol),
        start_(zero_layers<double>(setup.widths)),
        end_(zero_layers<double>(setup.widths)),
        start_norms_(setup.widths.size() - 1) {
    for (Layers<double>& slope : slopes_) slope = zero_layers<double>(setup.widths);
  }

  FlowField& field() { return field_; }
  const FlowField& field() const { return field_; }
  Layers<double>& start_layers() { return start_; }

  // Where the step in progress begins, and the same with the numbers until its end.
  const FlowState& begin() const { return begin_; }
  const FlowState& now() const { return now_; }
  double time() const { return now_.time; }
  // At the end of the step.
  double loss() const { return loss_; }

  // From the start layers.
  void start(const FlowState& state) {
    now_ = begin_ = state;
    for (std::size_t j = 0; j < start_.size(); ++j) copy(start_[j], end_[j]);
    load_network(end_);
    loss_ = field_.gradients(slopes_[end_slope]);
    if (now_.n_gradients == 0) now_.n_gradients = 1;  // otherwise it was counted before
  }

  // Takes a step; false if it would be too small for the time to go on.
  bool step() {
    std::swap(start_, end_);
    std::swap(slopes_[0], slopes_[end_slope]);
    begin_ = now_;
    for (std::size_t j = 0; j < start_.size(); ++j) start_norms_[j] = frobenius_norm(start_[j]);
    if (now_.step_size == 0.0) now_.step_size = first_step_size();
    bool was_rejected = false;
    while (is_large_enough(now_.step_size)) {
      const double error = attempt(now_.step_size);
      if (error <= 1.0 && arrive()) {
        accept(error, was_rejected);
        return true;
      }
      ++now_.n_rejected;
      was_rejected = true;
      now_.step_size *= shrinkage(error);
    }
    stay();
    return false;
  }

  // Brings the network to a time in the step.
  void look_at(double time) {
    if (time == now_.time) return load_network(end_);
    if (time == begin_.time) return load_network(start_);
    for (std::size_t row = 1; row < end_slope; ++row) {
      move_network(row, time - begin_.time);
      field_.gradients(slopes_[row]);  // not counted: it belongs to who looks
    }
    move_network(end_slope, time - begin_.time);
  }

 private:
  static constexpr std::size_t end_slope = dop853::n_stages;

  // The step size follows the errors of the last two steps (Hairer & Wanner, section IV.2), with
  // factors that keep it from jumping.
  static constexpr double safety = 0.9;
  static constexpr double memory = 0.04;
  static constexpr double most_shrinkage = 0.2;
  static constexpr double most_growth = 8.0;
  static constexpr double longest = 1e300;

  bool is_large_enough(double step_size) const {
    constexpr double least = 8.0 * std::numeric_limits<double>::epsilon();
    return step_size > least * now_.time && step_size > std::numeric_limits<double>::min();
  }

  static double shrinkage(double error) {
    if (!(error > 1.0)) return most_shrinkage;  // NaN, or no slope where the step ends
    return std::max(most_shrinkage, safety * std::pow(error, -1.0 / dop853::order));
  }

  void accept(double error, bool was_rejected) {
    const double taken = now_.step_size;
    now_.time += taken;
    ++now_.n_accepted;
    const double present = std::max(error, 1e-4);
    double growth = safety * std::pow(present, -(1.0 / dop853::order - 0.75 * memory)) *
                    std::pow(now_.last_error, memory);
    growth = std::clamp(growth, most_shrinkage, was_rejected ? 1.0 : most_growth);
    now_.step_size = std::min(growth * taken, longest);
    now_.last_error = present;
  }

  // No step was taken: the end is where it would have begun.
  void stay() {
    for (std::size_t j = 0; j < start_.size(); ++j) {
      copy(start_[j], end_[j]);
      copy(slopes_[0][j], slopes_[end_slope][j]);
    }
  }

  void load_network(const Layers<double>& layers) {
    for (std::size_t j = 0; j < layers.size(); ++j) copy(layers[j], field_.network().weight(j));
  }

  double slope_at_network(std::size_t slope) {
    ++now_.n_gradients;
    return field_.gradients(slopes_[slope]);
  }

  // The network at the start and a step along the slopes of a row.
  void move_network(std::size_t row, double step_size) {
    sum_.clear();
    for (std::size_t i = 0; i < row; ++i) sum_.add(-step_size * dop853::a[row][i], slopes_[i]);
    for (std::size_t j = 0; j < start_.size(); ++j) {
      sum_.write(j, &start_[j], field_.network().weight(j));
    }
  }

  // Finds the layers at the end of a step; returns their error as a share of what is tolerated.
  double attempt(double step_size) {
    for (std::size_t row = 1; row < end_slope; ++row) {
      move_network(row, step_size);
      if (std::isnan(slope_at_network(row))) return std::numeric_limits<double>::quiet_NaN();
    }
    move_network(end_slope, step_size);
    for (std::size_t j = 0; j < end_.size(); ++j) copy(field_.network().weight(j), end_[j]);
    return error(step_size);
  }

  // The slope at the end, where the network is; whether it is finite.
  bool arrive() {
    loss_ = slope_at_network(end_slope);
    double norm = 0.0;
    for (const Matrix<double>& slope : slopes_[end_slope]) norm += frobenius_norm(slope);
    return std::isfinite(norm);
  }

  // Both estimates joined as Hairer's code does, for the layer that is worst off. Not finite where
  // a layer is not.
  double error(double step_size) {
    double worst = 0.0;
    for (std::size_t j = 0; j < end_.size(); ++j) {
      const double fifth = estimate(dop853::error_5, j);
      const double third = estimate(dop853::error_3, j);
      const double end_norm = frobenius_norm(end_[j]);
      const double joined = fifth == 0.0 ? 0.0 : fifth / std::hypot(1.0, 0.1 * third / fifth);
      const double tolerated = atol_ + rtol_ * std::max(start_norms_[j], end_norm);
      const double share = joined == 0.0 ? 0.0 : step_size * joined / tolerated;
      if (!std::isfinite(share) || !std::isfinite(end_norm)) {
        return std::numeric_limits<double>::quiet_NaN();
      }
      worst = std::max(worst, share);
    }
    return worst;
  }

  double estimate(const double (&weights)[dop853::n_stages], std::size_t j) {
    sum_.clear();
    for (std::size_t i = 0; i < dop853::n_stages; ++i) sum_.add(weights[i], slopes_[i]);
    Matrix<double>& scratch = slopes_[end_slope][j];  // free until the step arrives
    sum_.write(j, nullptr, scratch);
    return frobenius_norm(scratch);
  }

  // As in section II.4 of Hairer, Norsett & Wanner: where an explicit Euler step would change the
  // layers by a hundredth, and the error of a step by as much.
  double first_step_size() {
    double size = 0.0;
    double slope = 0.0;
    for (std::size_t j = 0; j < start_.size(); ++j) {
      size = std::max(size, share_of_tolerance(j, start_norms_[j]));
      slope = std::max(slope, share_of_tolerance(j, frobenius_norm(slopes_[0][j])));
    }
    double euler = size < 1e-5 || slope < 1e-5 ? 1e-6 : 0.01 * size / slope;
    if (!(euler > 0.0 && euler < longest)) euler = 1e-6;
    move_network(1, euler / dop853::a[1][0]);
    slope_at_network(1);
    sum_.clear();
    sum_.add(1.0, slopes_[1]);
    sum_.add(-1.0, slopes_[0]);
    double change = 0.0;
    for (std::size_t j = 0; j < start_.size(); ++j) {
      sum_.write(j, nullptr, slopes_[end_slope][j]);
      change =
          std::max(change, share_of_tolerance(j, frobenius_norm(slopes_[end_slope][j])) / euler);
    }
    const double largest = std::max(slope, change);
    const double allowed = largest <= 1e-15 ? std::max(1e-6, 1e-3 * euler)
                                            : std::pow(0.01 / largest, 1.0 / dop853::order);
    return allowed > 0.0 ? std::min(100.0 * euler, allowed) : euler;
  }

  double share_of_tolerance(std::size_t j, double norm) const {
    return norm == 0.0 ? 0.0 : norm / (atol_ + rtol_ * start_norms_[j]);
  }

  FlowField field_;
  double rtol_;
  double atol_;
  Layers<double> start_;
  Layers<double> end_;
  std::array<Layers<double>, dop853::n_stages + 1> slopes_;  // gradients of phi at the stages
  LayerSum sum_;
  std::vector<double> start_norms_;
  FlowState begin_;
  FlowState now_;
  double loss_ = 0.0;
};

}  // namespace dlnet
