// How one entry of a layer moves, method by method. Formulas and defaults are those of torch.optim
// where it has the method. Written once for a number and for a vector of numbers that belong to
// different networks: Number::Type is either. A rule is made for one update, of scalars that are
// computed in double and rounded once; it has no members but those of that type.
#pragma once

#include <cmath>
#include <cstdint>

#include "method.hpp"
#include "simd.hpp"

namespace dlnet {

// Number `count` since the method took over, counted from 1, at this rate.
struct Update {
  std::int64_t count;
  double rate;
};

template <class Scalar>
struct OneNetwork {
  using Type = Scalar;
};

template <class Scalar>
struct NetworkInEachLane {
  using Type = Vector<Scalar>;
};

template <class Number>
struct PlainRule {
  using T = typename Number::Type;
  static constexpr int n_buffers = 0;
  T rate;

  static PlainRule make(const MethodSettings&, const Update& update) {
    return {static_cast<T>(update.rate)};
  }
  void operator()(T& w, const T& g) const { w -= rate * g; }
};

template <class Number>
struct MomentumRule {
  using T = typename Number::Type;
  static constexpr int n_buffers = 1;
  T rate, momentum;

  static MomentumRule make(const MethodSettings& settings, const Update& update) {
    return {static_cast<T>(update.rate), static_cast<T>(settings.momentum)};
  }
  void operator()(T& w, const T& g, T& velocity) const {
    velocity = momentum * velocity + g;
    w -= rate * velocity;
  }
};

template <class Number>
struct NesterovRule {
  using T = typename Number::Type;
  static constexpr int n_buffers = 1;
  T rate, momentum;

  static NesterovRule make(const MethodSettings& settings, const Update& update) {
    return {static_cast<T>(update.rate), static_cast<T>(settings.momentum)};
  }
  void operator()(T& w, const T& g, T& velocity) const {
    velocity = momentum * velocity + g;
    w -= rate * (g + momentum * velocity);
  }
};

template <class Number>
struct AdamRule {
  using T = typename Number::Type;
  static constexpr int n_buffers = 2;
  T step, mean_rest, square_keep, square_rest, scale, epsilon;

  static AdamRule make(const MethodSettings& settings, const Update& update) {
    const auto t = static_cast<double>(update.count);
    const double mean_correction = 1.0 - std::pow(settings.beta1, t);
    const double square_correction = 1.0 - std::pow(settings.beta2, t);
    return {static_cast<T>(update.rate / mean_correction),
            static_cast<T>(1.0 - settings.beta1),
            static_cast<T>(settings.beta2),
            static_cast<T>(1.0 - settings.beta2),
            static_cast<T>(std::sqrt(square_correction)),
            static_cast<T>(settings.epsilon)};
  }
  void operator()(T& w, const T& g, T& mean, T& square) const {
    mean += mean_rest * (g - mean);
    square = square_keep * square + square_rest * g * g;
    w -= step * mean / (root(square) / scale + epsilon);
  }
};

template <class Number>
struct AdaGradRule {
  using T = typename Number::Type;
  static constexpr int n_buffers = 1;
  T rate, epsilon;

  static AdaGradRule make(const MethodSettings& settings, const Update& update) {
    return {static_cast<T>(update.rate), static_cast<T>(settings.epsilon)};
  }
  void operator()(T& w, const T& g, T& sum) const {
    sum += g * g;
    w -= rate * g / (root(sum) + epsilon);
  }
};

template <class Number>
struct AdaDeltaRule {
  using T = typename Number::Type;
  static constexpr int n_buffers = 2;
  T rate, keep, rest, epsilon;

  static AdaDeltaRule make(const MethodSettings& settings, const Update& update) {
    return {static_cast<T>(update.rate), static_cast<T>(settings.decay),
            static_cast<T>(1.0 - settings.decay), static_cast<T>(settings.epsilon)};
  }
  void operator()(T& w, const T& g, T& square, T& moved) const {
    square = keep * square + rest * g * g;
    const T move = root(moved + epsilon) / root(square + epsilon) * g;
    moved = keep * moved + rest * move * move;
    w -= rate * move;
  }
};

template <class Number>
struct RMSpropRule {
  using T = typename Number::Type;
  static constexpr int n_buffers = 3;  // the second is for the centred rule
  T rate, keep, rest, momentum, epsilon;

  static RMSpropRule make(const MethodSettings& settings, const Update& update) {
    return {static_cast<T>(update.rate), static_cast<T>(settings.decay),
            static_cast<T>(1.0 - settings.decay), static_cast<T>(settings.momentum),
            static_cast<T>(settings.epsilon)};
  }
  void operator()(T& w, const T& g, T& square, T&, T& velocity) const {
    square = keep * square + rest * g * g;
    velocity = momentum * velocity + g / (root(square) + epsilon);
    w -= rate * velocity;
  }
};

template <class Number>
struct CenteredRMSpropRule {
  using T = typename Number::Type;
  static constexpr int n_buffers = 3;
  T rate, keep, rest, momentum, epsilon;

  static CenteredRMSpropRule make(const MethodSettings& settings, const Update& update) {
    return {static_cast<T>(update.rate), static_cast<T>(settings.decay),
            static_cast<T>(1.0 - settings.decay), static_cast<T>(settings.momentum),
            static_cast<T>(settings.epsilon)};
  }
  void operator()(T& w, const T& g, T& square, T& mean, T& velocity) const {
    square = keep * square + rest * g * g;
    mean += rest * (g - mean);
    // A variance: below zero only by rounding, where torch would take the root of it.
    const T difference = square - mean * mean;
    const T variance = difference < T{} ? T{} : difference;
    velocity = momentum * velocity + g / (root(variance) + epsilon);
    w -= rate * velocity;
  }
};

// Stands for a rule before it is made.
template <template <class> class Rule>
struct RuleKind {
  template <class Number>
  using For = Rule<Number>;
};

// Calls visit(RuleKind<...>) for the method. The update of gradient descent is accumulated in the
// pass, that of the end-to-end rule is none of single entries, and that of GroupRMSprop is plain
// descent at its own rate.
template <class Visit>
void visit_rule(const MethodSettings& settings, const Visit& visit) {
  switch (settings.method) {
    case Method::gradient_descent:
    case Method::group_rmsprop:
    case Method::end_to_end:
      return visit(RuleKind<PlainRule>{});
    case Method::momentum:
      return settings.nesterov ? visit(RuleKind<NesterovRule>{}) : visit(RuleKind<MomentumRule>{});
    case Method::adam:
      return visit(RuleKind<AdamRule>{});
    case Method::adagrad:
      return visit(RuleKind<AdaGradRule>{});
    case Method::adadelta:
      return visit(RuleKind<AdaDeltaRule>{});
    case Method::rmsprop:
      return settings.centered ? visit(RuleKind<CenteredRMSpropRule>{})
                               : visit(RuleKind<RMSpropRule>{});
  }
}

// How many layer-shaped buffers the method keeps.
inline std::size_t n_buffers(const MethodSettings& settings) {
  std::size_t count = 0;
  visit_rule(settings, [&]<class Kind>(Kind) {
    count = static_cast<std::size_t>(Kind::template For<OneNetwork<double>>::n_buffers);
  });
  return count;
}

// GroupRMSprop's running mean of the squared norm of all gradients.
inline double next_mean_square(const MethodSettings& settings, double mean_square, double squares) {
  return settings.decay * mean_square + (1.0 - settings.decay) * squares;
}

// GroupRMSprop's one rate for all layers.
inline double group_rate(const MethodSettings& settings, double mean_square, const Update& update) {
  const double correction = 1.0 - std::pow(settings.decay, static_cast<double>(update.count));
  return update.rate / (std::sqrt(mean_square / correction) + settings.epsilon);
}

}  // namespace dlnet
