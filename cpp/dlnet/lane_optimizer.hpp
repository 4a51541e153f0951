// The methods for as many networks as a register has lanes, each with settings and a rate of its
// own: see optimizers.hpp. All lanes are at the same step.
#pragma once

#include "lane_network.hpp"
#include "update_rules.hpp"

namespace dlnet {

template <class Scalar>
class LaneOptimizer {
 public:
  using Settings = std::array<MethodSettings, static_cast<std::size_t>(lanes<Scalar>)>;

  // Method and flags are the same in all lanes.
  [[gnu::cold]] LaneOptimizer(const Settings& settings, const Widths& widths)
      : settings_(settings) {
    for (std::size_t l = 0; l < settings.size(); ++l) decays_[l] = settings[l].weight_decay;
    if (accumulates_in_pass()) return;
    gradients_ = zero_lane_layers<Scalar>(widths);
    for (std::size_t b = 0; b < n_buffers(settings[0]); ++b) {
      buffers_.push_back(zero_lane_layers<Scalar>(widths));
    }
    if (settings[0].method != Method::adagrad) return;
    for (std::size_t l = 0; l < settings.size(); ++l) {
      fill(l, static_cast<Scalar>(settings[l].initial_accumulator));
    }
  }

  // The rate in force in each lane at the step after `n_updates` updates.
  LaneSums<Scalar> rates_in_force(LaneNetwork<Scalar>& network, std::int64_t n_updates,
                                  const LaneSums<Scalar>& rates) {
    if (settings_[0].method != Method::group_rmsprop) return rates;
    const LaneSums<Scalar> squares = network.gradients(gradients_, rounded(decays_));
    LaneSums<Scalar> in_force;
    for (std::size_t l = 0; l < rates.size(); ++l) {
      next_mean_squares_[l] = next_mean_square(settings_[l], mean_squares_[l], squares[l]);
      in_force[l] = group_rate(settings_[l], next_mean_squares_[l], {n_updates + 1, rates[l]});
    }
    return in_force;
  }

  // From one step to the next; returns the rates in force.
  LaneSums<Scalar> update(LaneNetwork<Scalar>& network, std::int64_t n_updates,
                          const LaneSums<Scalar>& rates) {
    if (accumulates_in_pass()) {
      descend(network, rates);
      return rates;
    }
    const LaneSums<Scalar> in_force = rates_in_force(network, n_updates, rates);
    if (settings_[0].method == Method::group_rmsprop) {
      mean_squares_ = next_mean_squares_;
    } else {
      network.gradients(gradients_, rounded(decays_));
    }
    visit_rule(settings_[0], [&]<class Kind>(Kind) { apply<Kind>(network, n_updates, in_force); });
    return in_force;
  }

  // The lane has ended: what it remembers is not to slow down the others.
  void clear(std::size_t lane) {
    fill(lane, Scalar(0));
    mean_squares_[lane] = 0.0;
  }

 private:
  bool accumulates_in_pass() const { return settings_[0].method == Method::gradient_descent; }

  void fill(std::size_t lane, Scalar value) {
    for (LaneLayers<Scalar>& layers : buffers_) {
      for (LaneMatrix<Scalar>& layer : layers) layer.fill(static_cast<Index>(lane), value);
    }
  }

  static Vector<Scalar> rounded(const LaneSums<Scalar>& numbers) {
    alignas(vector_bytes) std::array<Scalar, static_cast<std::size_t>(lanes<Scalar>)> result;
    for (std::size_t l = 0; l < result.size(); ++l) result[l] = static_cast<Scalar>(numbers[l]);
    return load(result.data());
  }

  void descend(LaneNetwork<Scalar>& network, const LaneSums<Scalar>& rates) const {
    LaneSums<Scalar> keep;
    for (std::size_t l = 0; l < keep.size(); ++l) keep[l] = 1.0 - rates[l] * decays_[l];
    network.descend(rounded(rates), rounded(keep));
  }

  // The rules of all lanes as one rule of vectors.
  template <class Kind>
  auto rule_of(std::int64_t n_updates, const LaneSums<Scalar>& rates) const {
    using One = typename Kind::template For<OneNetwork<Scalar>>;
    using All = typename Kind::template For<NetworkInEachLane<Scalar>>;
    constexpr std::size_t n_numbers = sizeof(One) / sizeof(Scalar);
    struct {
      Vector<Scalar> of_rule[n_numbers];
    } numbers;
    for (std::size_t l = 0; l < rates.size(); ++l) {
      const One one = One::make(settings_[l], {n_updates + 1, rates[l]});
      const auto mine = std::bit_cast<std::array<Scalar, n_numbers>>(one);
      for (std::size_t i = 0; i < n_numbers; ++i) numbers.of_rule[i][l] = mine[i];
    }
    return std::bit_cast<All>(numbers);
  }

  template <class Kind>
  void apply(LaneNetwork<Scalar>& network, std::int64_t n_updates, const LaneSums<Scalar>& rates) {
    const auto rule = rule_of<Kind>(n_updates, rates);
    for (std::size_t j = 0; j < network.depth(); ++j) {
      apply_to_layer(rule, network.weight(j), j, std::make_index_sequence<rule.n_buffers>{});
    }
  }

  template <class Rule, std::size_t... buffer>
  void apply_to_layer(const Rule& rule, LaneMatrix<Scalar>& weight, std::size_t j,
                      std::index_sequence<buffer...>) {
    const auto entry = [](LaneMatrix<Scalar>& matrix, Index at) -> Vector<Scalar>& {
      return *reinterpret_cast<Vector<Scalar>*>(matrix.data() + at);
    };
    for_each_vector(weight, [&](Index at, auto) {
      rule(entry(weight, at), entry(gradients_[j], at), entry(buffers_[buffer][j], at)...);
    });
  }

  Settings settings_;
  LaneSums<Scalar> decays_;
  LaneLayers<Scalar> gradients_;
  std::vector<LaneLayers<Scalar>> buffers_;
  LaneSums<Scalar> mean_squares_{};
  LaneSums<Scalar> next_mean_squares_{};
};

}  // namespace dlnet
