// The methods: how gradients become an update of the layers, and what each method remembers.
// Gradient descent accumulates its update in the pass itself and remembers nothing; every other
// method takes gradients written out. Formulas and defaults are those of torch.optim where it has
// the method; scalars are computed in double and rounded once.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "network.hpp"

namespace dlnet {

enum class Method { gradient_descent, momentum, group_rmsprop, rmsprop, adam, adagrad, adadelta };

// In the order of Method.
inline constexpr std::array<const char*, 7> method_names = {
    "gradient_descent", "momentum", "group_rmsprop", "rmsprop", "adam", "adagrad", "adadelta"};

struct MethodSettings {
  Method method = Method::gradient_descent;
  double weight_decay = 0.0;
  double momentum = 0.0;
  bool nesterov = false;
  double decay = 0.0;  // of the running mean of squares
  double epsilon = 0.0;
  double beta1 = 0.0;
  double beta2 = 0.0;
  bool centered = false;
  double initial_accumulator = 0.0;
};

// How many layer-shaped buffers the method keeps.
inline std::size_t n_buffers(const MethodSettings& settings) {
  switch (settings.method) {
    case Method::gradient_descent:
    case Method::group_rmsprop:
      return 0;
    case Method::momentum:
    case Method::adagrad:
      return 1;
    case Method::adam:
    case Method::adadelta:
      return 2;
    case Method::rmsprop:
      return 3;
  }
  return 0;
}

template <class Scalar>
class Optimizer {
 public:
  Optimizer(const MethodSettings& settings, const Widths& widths) : settings_(settings) {
    for (std::size_t b = 0; b < n_buffers(settings); ++b) {
      buffers_.push_back(zero_layers<Scalar>(widths));
    }
    if (settings.method == Method::adagrad) fill(buffers_[0], settings.initial_accumulator);
  }

  const MethodSettings& settings() const { return settings_; }

  // What continues with the run, besides the layers themselves.
  std::vector<Layers<Scalar>>& buffers() { return buffers_; }
  double& mean_square() { return mean_square_; }
  std::int64_t& n_updates() { return n_updates_; }

  void add_weight_decay(const Network<Scalar>& network, Layers<Scalar>& gradients) const {
    if (settings_.weight_decay == 0.0) return;
    const Scalar decay = static_cast<Scalar>(settings_.weight_decay);
    for (std::size_t j = 0; j < gradients.size(); ++j) {
      const Matrix<Scalar>& weight = network.weight(j);
      Matrix<Scalar>& gradient = gradients[j];
      for (Index k = 0; k < gradient.stride() * gradient.cols(); k += lanes<Scalar>) {
        store(gradient.data() + k, load(gradient.data() + k) + decay * load(weight.data() + k));
      }
    }
  }

  // The one rate that GroupRMSprop would apply to these gradients (weight decay included).
  double group_rate(const Layers<Scalar>& gradients, double rate) const {
    return group_rate(next_mean_square(gradients), n_updates_ + 1, rate);
  }

  // Updates the layers (not their transposed copies) from gradients that include weight decay, and
  // returns the rate in force.
  double update(Network<Scalar>& network, const Layers<Scalar>& gradients, double rate) {
    ++n_updates_;
    const auto t = static_cast<double>(n_updates_);
    mean_correction_ = 1.0 - std::pow(settings_.beta1, t);
    square_correction_ = 1.0 - std::pow(settings_.beta2, t);
    double in_force = rate;
    if (settings_.method == Method::group_rmsprop) {
      mean_square_ = next_mean_square(gradients);
      in_force = group_rate(mean_square_, n_updates_, rate);
    }
    for (std::size_t j = 0; j < gradients.size(); ++j) {
      for (Index col = 0; col < gradients[j].cols(); ++col) {
        update_column(network.weight(j), gradients[j], j, col, in_force);
      }
    }
    return in_force;
  }

 private:
  static void fill(Layers<Scalar>& layers, double value) {
    for (Matrix<Scalar>& layer : layers) {
      for (Index col = 0; col < layer.cols(); ++col) {
        std::fill(layer.column(col), layer.column(col) + layer.rows(), static_cast<Scalar>(value));
      }
    }
  }

  double next_mean_square(const Layers<Scalar>& gradients) const {
    double total = 0.0;
    for (const Matrix<Scalar>& gradient : gradients) total += sum_of_squares(gradient);
    return settings_.decay * mean_square_ + (1.0 - settings_.decay) * total;
  }

  double group_rate(double mean_square, std::int64_t n_updates, double rate) const {
    const double correction = 1.0 - std::pow(settings_.decay, static_cast<double>(n_updates));
    return rate / (std::sqrt(mean_square / correction) + settings_.epsilon);
  }

  void update_column(Matrix<Scalar>& weight, const Matrix<Scalar>& gradient, std::size_t j,
                     Index col, double rate) {
    Scalar* w = weight.column(col);
    const Scalar* g = gradient.column(col);
    const Index n = weight.rows();
    const auto buffer = [&](std::size_t b) { return buffers_[b][j].column(col); };
    const auto r = static_cast<Scalar>(rate);
    switch (settings_.method) {
      case Method::gradient_descent:  // its update is accumulated in the pass
        break;
      case Method::group_rmsprop:
        for (Index i = 0; i < n; ++i) w[i] -= r * g[i];
        break;
      case Method::momentum:
        momentum(n, w, g, buffer(0), r);
        break;
      case Method::adam:
        adam(n, w, g, buffer(0), buffer(1), rate);
        break;
      case Method::adagrad:
        adagrad(n, w, g, buffer(0), r);
        break;
      case Method::adadelta:
        adadelta(n, w, g, buffer(0), buffer(1), r);
        break;
      case Method::rmsprop:
        rmsprop(n, w, g, buffer(0), buffer(1), buffer(2), r);
        break;
    }
  }

  void momentum(Index n, Scalar* w, const Scalar* g, Scalar* velocity, Scalar rate) const {
    const auto mu = static_cast<Scalar>(settings_.momentum);
    for (Index i = 0; i < n; ++i) {
      velocity[i] = mu * velocity[i] + g[i];
      w[i] -= rate * (settings_.nesterov ? g[i] + mu * velocity[i] : velocity[i]);
    }
  }

  void adam(Index n, Scalar* w, const Scalar* g, Scalar* mean, Scalar* square, double rate) const {
    const auto b1 = static_cast<Scalar>(1.0 - settings_.beta1);
    const auto b2 = static_cast<Scalar>(settings_.beta2);
    const auto c2 = static_cast<Scalar>(1.0 - settings_.beta2);
    const auto step = static_cast<Scalar>(rate / mean_correction_);
    const auto scale = static_cast<Scalar>(std::sqrt(square_correction_));
    const auto epsilon = static_cast<Scalar>(settings_.epsilon);
    for (Index i = 0; i < n; ++i) {
      mean[i] += b1 * (g[i] - mean[i]);
      square[i] = b2 * square[i] + c2 * g[i] * g[i];
      w[i] -= step * mean[i] / (std::sqrt(square[i]) / scale + epsilon);
    }
  }

  void adagrad(Index n, Scalar* w, const Scalar* g, Scalar* sum, Scalar rate) const {
    const auto epsilon = static_cast<Scalar>(settings_.epsilon);
    for (Index i = 0; i < n; ++i) {
      sum[i] += g[i] * g[i];
      w[i] -= rate * g[i] / (std::sqrt(sum[i]) + epsilon);
    }
  }

  void adadelta(Index n, Scalar* w, const Scalar* g, Scalar* square, Scalar* moved,
                Scalar rate) const {
    const auto rho = static_cast<Scalar>(settings_.decay);
    const auto rest = static_cast<Scalar>(1.0 - settings_.decay);
    const auto epsilon = static_cast<Scalar>(settings_.epsilon);
    for (Index i = 0; i < n; ++i) {
      square[i] = rho * square[i] + rest * g[i] * g[i];
      const Scalar move = std::sqrt(moved[i] + epsilon) / std::sqrt(square[i] + epsilon) * g[i];
      moved[i] = rho * moved[i] + rest * move * move;
      w[i] -= rate * move;
    }
  }

  void rmsprop(Index n, Scalar* w, const Scalar* g, Scalar* square, Scalar* mean, Scalar* velocity,
               Scalar rate) const {
    const auto alpha = static_cast<Scalar>(settings_.decay);
    const auto rest = static_cast<Scalar>(1.0 - settings_.decay);
    const auto mu = static_cast<Scalar>(settings_.momentum);
    const auto epsilon = static_cast<Scalar>(settings_.epsilon);
    for (Index i = 0; i < n; ++i) {
      square[i] = alpha * square[i] + rest * g[i] * g[i];
      Scalar variance = square[i];
      if (settings_.centered) {
        mean[i] += rest * (g[i] - mean[i]);
        // A variance: below zero only by rounding, where torch would take the root of it.
        variance = std::max(variance - mean[i] * mean[i], Scalar(0));
      }
      velocity[i] = mu * velocity[i] + g[i] / (std::sqrt(variance) + epsilon);
      w[i] -= rate * velocity[i];
    }
  }

  MethodSettings settings_;
  std::vector<Layers<Scalar>> buffers_;
  double mean_square_ = 0.0;    // GroupRMSprop's running mean of the squared gradient norm
  std::int64_t n_updates_ = 0;  // since this method took over; for the bias corrections
  double mean_correction_ = 1.0;
  double square_correction_ = 1.0;
};

}  // namespace dlnet
