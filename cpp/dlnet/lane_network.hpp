// The fused pass for as many networks as a register has lanes, each descending on 1/2 ||W -
// target||^2 with a target of its own: see pass.hpp for the formulas.
#pragma once

#include "lane_matrix.hpp"
#include "network.hpp"

namespace dlnet {

template <class Scalar>
using LaneLayers = std::vector<LaneMatrix<Scalar>>;

template <class Scalar>
LaneLayers<Scalar> zero_lane_layers(const Widths& widths) {
  LaneLayers<Scalar> layers;
  layers.reserve(widths.size() - 1);
  for (std::size_t j = 0; j + 1 < widths.size(); ++j) layers.emplace_back(widths[j + 1], widths[j]);
  return layers;
}

template <class Scalar>
class LaneNetwork {
 public:
  [[gnu::cold]] explicit LaneNetwork(const Widths& widths)
      : depth_(widths.size() - 1),
        weights_(zero_lane_layers<Scalar>(widths)),
        target_(widths.back(), widths.front()),
        residual_(widths.back(), widths.front()) {
    for (std::size_t j = 0; j + 1 < depth_; ++j) {
      // The first prefix is the first layer itself, the last one becomes the residual; the last
      // Delta is the residual.
      prefix_.push_back(j == 0 ? LaneMatrix<Scalar>()
                               : LaneMatrix<Scalar>(widths[j + 1], widths[0]));
      delta_.emplace_back(widths[j + 1], widths[0]);
    }
  }

  std::size_t depth() const { return depth_; }
  LaneMatrix<Scalar>& weight(std::size_t j) { return weights_[j]; }
  const LaneMatrix<Scalar>& weight(std::size_t j) const { return weights_[j]; }
  LaneMatrix<Scalar>& target() { return target_; }
  // The gradient in W, valid after evaluate() until the layers change.
  const LaneMatrix<Scalar>& residual() const { return residual_; }

  // Returns the loss of each lane.
  LaneSums<Scalar> evaluate() {
    for (std::size_t j = 1; j + 1 < depth_; ++j) {
      multiply(weights_[j], prefix(j - 1), prefix_[j], Assign<Scalar>{});
    }
    if (depth_ > 1) {
      multiply(weights_[depth_ - 1], prefix(depth_ - 2), residual_, Assign<Scalar>{});
    }
    Scalar* residual = residual_.data();
    const Scalar* target = target_.data();
    const Scalar* end_to_end = depth_ > 1 ? residual_.data() : weights_[0].data();
    LaneSquares<Scalar> squares;
    for_each_vector(residual_, [&](Index at, auto which) {
      const Vector<Scalar> difference = load(end_to_end + at) - load(target + at);
      store(residual + at, difference);
      squares.add(difference, which);
    });
    LaneSums<Scalar> losses = squares.total();
    for (double& loss : losses) loss *= 0.5;
    return losses;
  }

  // W_j <- keep W_j - rate Delta_j (W_{j-1} ... W_1)^T for all layers at once.
  void descend(Vector<Scalar> rate, Vector<Scalar> keep) {
    const LaneDescend<Scalar> update{rate, keep};
    for (std::size_t j = depth_ - 1; j > 0; --j) {
      transposed_multiply(weights_[j], delta(j), delta_[j - 1], Assign<Scalar>{});
      // The prefix of the second layer is the first one, which is updated last.
      multiply_transposed(delta(j), prefix(j - 1), weights_[j], update);
    }
    Scalar* first = weights_[0].data();
    const Scalar* gradient = delta(0).data();
    for_each_vector(weights_[0], [&](Index at, auto) {
      store(first + at, update(load(gradient + at), load(first + at)));
    });
  }

  // gradients[j] = Delta_j (W_{j-1} ... W_1)^T + decay W_j; returns the sums of their squares.
  LaneSums<Scalar> gradients(LaneLayers<Scalar>& gradients, Vector<Scalar> decay) {
    for (std::size_t j = depth_ - 1; j > 0; --j) {
      transposed_multiply(weights_[j], delta(j), j > 1 ? delta_[j - 1] : gradients[0],
                          Assign<Scalar>{});
      multiply_transposed(delta(j), prefix(j - 1), gradients[j], Assign<Scalar>{});
    }
    LaneSquares<Scalar> squares;
    for (std::size_t j = 0; j < depth_; ++j) {
      const Scalar* gradient = depth_ > 1 ? gradients[j].data() : residual_.data();
      for_each_vector(gradients[j], [&](Index at, auto which) {
        const Vector<Scalar> sum = load(gradient + at) + decay * load(weights_[j].data() + at);
        store(gradients[j].data() + at, sum);
        squares.add(sum, which);
      });
    }
    return squares.total();
  }

 private:
  const LaneMatrix<Scalar>& prefix(std::size_t j) const {
    return j == 0 ? weights_[0] : prefix_[j];
  }
  const LaneMatrix<Scalar>& delta(std::size_t j) const {
    return j + 1 == depth_ ? residual_ : delta_[j];
  }

  std::size_t depth_;
  LaneLayers<Scalar> weights_;
  LaneLayers<Scalar> prefix_;
  LaneLayers<Scalar> delta_;
  LaneMatrix<Scalar> target_;
  LaneMatrix<Scalar> residual_;
};

}  // namespace dlnet
