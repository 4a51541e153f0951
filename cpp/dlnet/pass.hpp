// The fused pass through the chain: prefix products forward, one backward sweep that ends either in
// the update of gradient descent accumulated into the layers or in the gradients written out.
//
// With G the gradient of the loss in the end-to-end matrix, Delta_j = (W_N ... W_{j+1})^T G, (d_j,
// d_0), is swept down from Delta_N = G, and the gradient of layer j is Delta_j (W_{j-1} ... W_1)^T.
#pragma once

#include "network.hpp"

namespace dlnet {

template <class Scalar>
class Pass {
 public:
  explicit Pass(const Widths& widths)
      : depth_(widths.size() - 1), packing_(largest(widths), largest(widths)) {
    prefix_.reserve(depth_);
    delta_.reserve(depth_);
    for (std::size_t j = 0; j < depth_; ++j) {
      // The first prefix is the first layer itself, the last Delta the gradient handed in.
      prefix_.push_back(j == 0 ? Matrix<Scalar>() : Matrix<Scalar>(widths[j + 1], widths[0]));
      delta_.push_back(j + 1 == depth_ ? Matrix<Scalar>()
                                       : Matrix<Scalar>(widths[j + 1], widths[0]));
    }
  }

  // From now on large products are shared among the team, which must outlive this.
  void share_with(Team& team) { packing_.share_with(team); }

  void forward(const Network<Scalar>& network) {
    for (std::size_t j = 1; j < depth_; ++j) {
      multiply<Scalar>(network.weight(j), prefix(network, j - 1), prefix_[j], Assign<Scalar>{},
                       packing_);
    }
  }

  // Valid after forward(), until the network changes.
  const Matrix<Scalar>& end_to_end(const Network<Scalar>& network) const {
    return prefix(network, depth_ - 1);
  }

  // W_j <- keep W_j - rate Delta_j (W_{j-1} ... W_1)^T for all layers at once.
  void descend(Network<Scalar>& network, const Matrix<Scalar>& end_to_end_gradient, Scalar rate,
               Scalar keep) {
    sweep_down(network, end_to_end_gradient);
    const Accumulate<Scalar> update{-rate, keep};
    for (std::size_t j = depth_ - 1; j > 0; --j) {
      multiply_transposed<Scalar>(delta(end_to_end_gradient, j), prefix(network, j - 1),
                                  network.weight(j), update, packing_);
    }
    // The first layer is also the first prefix, and the transposed copy of the second is still the
    // old one: its update comes after every other and before the copies are refreshed.
    descend_first(network, end_to_end_gradient, update);
    for (std::size_t j = 1; j < depth_; ++j) network.refresh_transposed(j);
  }

  // gradients[j] = Delta_j (W_{j-1} ... W_1)^T
  void gradients(const Network<Scalar>& network, const Matrix<Scalar>& end_to_end_gradient,
                 Layers<Scalar>& gradients) {
    sweep_down(network, end_to_end_gradient);
    for (std::size_t j = depth_ - 1; j > 0; --j) {
      multiply_transposed<Scalar>(delta(end_to_end_gradient, j), prefix(network, j - 1),
                                  gradients[j], Assign<Scalar>{}, packing_);
    }
    if (depth_ == 1) {
      copy(end_to_end_gradient, gradients[0]);
    } else {
      multiply<Scalar>(network.transposed(1), delta(end_to_end_gradient, 1), gradients[0],
                       Assign<Scalar>{}, packing_);
    }
  }

 private:
  const Matrix<Scalar>& prefix(const Network<Scalar>& network, std::size_t j) const {
    return j == 0 ? network.weight(0) : prefix_[j];
  }

  const Matrix<Scalar>& delta(const Matrix<Scalar>& end_to_end_gradient, std::size_t j) const {
    return j + 1 == depth_ ? end_to_end_gradient : delta_[j];
  }

  // Delta of the second layer up; that of the first goes straight into its update or gradient.
  void sweep_down(const Network<Scalar>& network, const Matrix<Scalar>& end_to_end_gradient) {
    for (std::size_t j = depth_ - 1; j > 1; --j) {
      multiply<Scalar>(network.transposed(j), delta(end_to_end_gradient, j), delta_[j - 1],
                       Assign<Scalar>{}, packing_);
    }
  }

  void descend_first(Network<Scalar>& network, const Matrix<Scalar>& end_to_end_gradient,
                     const Accumulate<Scalar>& update) {
    Matrix<Scalar>& first = network.weight(0);
    if (depth_ > 1) {
      multiply<Scalar>(network.transposed(1), delta(end_to_end_gradient, 1), first, update,
                       packing_);
      return;
    }
    for (Index i = 0; i < first.stride() * first.cols(); i += lanes<Scalar>) {
      store(first.data() + i, update(load(end_to_end_gradient.data() + i), load(first.data() + i)));
    }
  }

  std::size_t depth_;
  Layers<Scalar> prefix_;
  Layers<Scalar> delta_;
  Packing<Scalar> packing_;
};

}  // namespace dlnet
