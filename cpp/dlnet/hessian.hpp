// The Hessian of phi(W_1, ..., W_N) = loss(W_N ... W_1) times a direction, float64: the pass
// together with its derivative along the direction, which has one layer V_j for each W_j.
//
// With P the products, T their derivatives, D the gradients in the products and E those of D,
//   T_p = A_p T_{p-1} + V_p P_{p-1},   E_{p-1} = A_p^T E_p + V_p^T D_p,
// and the product's layer is E_p P_{p-1}^T + D_p T_{p-1}^T. P and D do not depend on the direction
// and are kept from one to the next. Products start from both ends and meet where those of the pass
// do; where the loss looks at few entries of W, they are dense all the same.
#pragma once

#include <memory>

#include "lanczos.hpp"
#include "losses/loss.hpp"
#include "pass.hpp"

namespace dlnet {

// The layers between one end of the chain and the width where products meet, numbered and mirrored
// as in Side.
template <ChainEnd end>
class CurvatureSide {
 public:
  using Net = Network<double>;
  using Mat = Matrix<double>;

  CurvatureSide(const Widths& widths, std::size_t n_layers)
      : depth_(widths.size() - 1), n_layers_(n_layers) {
    for (std::size_t p = 0; p < n_layers; ++p) {
      const Index rows = widths[is_mirrored ? depth_ - 1 - p : p + 1];
      const Index factor_cols = widths[is_mirrored ? depth_ - p : p];
      const Index cols = is_mirrored ? widths.back() : widths.front();
      // The first product is the first factor itself.
      products_.push_back(p > 0 ? Mat(rows, cols) : Mat());
      product_tangents_.push_back(p > 0 ? Mat(rows, cols) : Mat());
      deltas_.emplace_back(rows, cols);
      delta_tangents_.emplace_back(rows, cols);
      // What belongs to the first factor is its Delta.
      layers_.push_back(p > 0 ? Mat(rows, factor_cols) : Mat());
    }
  }

  bool is_single() const { return n_layers_ == 1; }

  const Mat& product(const Net& network) const { return product(network, n_layers_ - 1); }
  const Mat& product_tangent(const Net& direction) const {
    return product_tangent(direction, n_layers_ - 1);
  }
  // To be written by the caller before the sweeps.
  Mat& delta() { return deltas_.back(); }
  Mat& delta_tangent() { return delta_tangents_.back(); }

  void forward(const Net& network, Packing<double>& packing) {
    for (std::size_t p = 1; p < n_layers_; ++p) {
      multiply_layer(factor(network, p), product(network, p - 1), products_[p], Assign<double>{},
                     packing);
    }
  }

  void sweep(const Net& network, Packing<double>& packing) {
    for (std::size_t p = n_layers_ - 1; p > 0; --p) {
      multiply_layer(opposite(network, p), deltas_[p], deltas_[p - 1], Assign<double>{}, packing);
    }
  }

  void forward_tangent(const Net& network, const Net& direction, Packing<double>& packing) {
    for (std::size_t p = 1; p < n_layers_; ++p) {
      Mat& tangent = product_tangents_[p];
      multiply_layer(factor(network, p), product_tangent(direction, p - 1), tangent,
                     Assign<double>{}, packing);
      multiply_layer(factor(direction, p), product(network, p - 1), tangent, add, packing);
    }
  }

  void sweep_tangent(const Net& network, const Net& direction, Packing<double>& packing) {
    for (std::size_t p = n_layers_ - 1; p > 0; --p) {
      Mat& tangent = delta_tangents_[p - 1];
      multiply_layer(opposite(network, p), delta_tangents_[p], tangent, Assign<double>{}, packing);
      multiply_layer(opposite(direction, p), deltas_[p], tangent, add, packing);
      multiply_layer_transposed(delta_tangents_[p], product(network, p - 1), layers_[p],
                                Assign<double>{}, packing);
      multiply_layer_transposed(deltas_[p], product_tangent(direction, p - 1), layers_[p], add,
                                packing);
    }
  }

  // Copies layer `p` of the product, row by row, to where it begins in a vector of all layers.
  void copy_layer(std::size_t p, double* out) const {
    const Mat& layer = p == 0 ? delta_tangents_[0] : layers_[p];
    if constexpr (is_mirrored) {
      for (Index j = 0; j < layer.cols(); ++j) {
        out = std::copy(layer.column(j), layer.column(j) + layer.rows(), out);
      }
    } else {
      for (Index i = 0; i < layer.rows(); ++i) {
        for (Index j = 0; j < layer.cols(); ++j) *out++ = layer(i, j);
      }
    }
  }

 private:
  static constexpr bool is_mirrored = end == ChainEnd::output;
  static constexpr Accumulate<double> add{1.0, 1.0};

  std::size_t layer(std::size_t p) const { return is_mirrored ? depth_ - 1 - p : p; }

  const Mat& factor(const Net& network, std::size_t p) const {
    return is_mirrored ? network.transposed(layer(p)) : network.weight(layer(p));
  }
  const Mat& opposite(const Net& network, std::size_t p) const {
    return is_mirrored ? network.weight(layer(p)) : network.transposed(layer(p));
  }
  const Mat& product(const Net& network, std::size_t p) const {
    return p == 0 ? factor(network, 0) : products_[p];
  }
  const Mat& product_tangent(const Net& direction, std::size_t p) const {
    return p == 0 ? factor(direction, 0) : product_tangents_[p];
  }

  std::size_t depth_;
  std::size_t n_layers_;
  Layers<double> products_;
  Layers<double> product_tangents_;
  Layers<double> deltas_;
  Layers<double> delta_tangents_;
  Layers<double> layers_;
};

// Vectors hold the layers one after the other, each row by row; or only one layer, whose block of
// the Hessian this is then.
class ChainHessian final : public SymmetricOperator {
 public:
  // `layer`: counted from 0, or the depth for all of them.
  ChainHessian(Network<double> network, std::shared_ptr<Loss<double>> loss, std::size_t layer)
      : network_(std::move(network)),
        direction_(network_.widths()),
        loss_(std::move(loss)),
        first_(layer < network_.depth() ? layer : 0),
        end_(layer < network_.depth() ? layer + 1 : network_.depth()),
        meeting_(meeting_layer(network_.widths())),
        input_(network_.widths(), meeting_),
        output_(network_.widths(), network_.depth() - meeting_),
        packing_(largest(network_.widths())),
        end_to_end_(zeros()),
        end_to_end_tangent_(zeros()),
        gradient_(zeros()),
        gradient_tangent_(zeros()) {
    if (network_.depth() == 1) return;
    if (!output_.is_single()) suffix_ = Matrix<double>(end_to_end_.rows(), output().rows());
    visit_point();
  }

  Index size() const override {
    Index total = 0;
    for (std::size_t j = first_; j < end_; ++j) total += layer_size(j);
    return total;
  }

  void multiply(const double* vector, double* product) override {
    read(vector);
    if (network_.depth() == 1) {
      loss_->hessian_product(network_.weight(0), direction_.weight(0), input_.delta_tangent());
      return input_.copy_layer(0, product);
    }
    differentiate_gradient();
    differentiate_deltas();
    for (std::size_t j = first_; j < end_; product += layer_size(j++)) {
      if (j < meeting_) {
        input_.copy_layer(j, product);
      } else {
        output_.copy_layer(network_.depth() - 1 - j, product);
      }
    }
  }

 private:
  static constexpr Assign<double> set{};
  static constexpr Accumulate<double> add{1.0, 1.0};

  Matrix<double> zeros() const {
    return Matrix<double>(network_.widths().back(), network_.widths().front());
  }

  Index layer_size(std::size_t j) const {
    return network_.weight(j).rows() * network_.weight(j).cols();
  }

  const Matrix<double>& input() const { return input_.product(network_); }    // P, (d_m, d_0)
  const Matrix<double>& output() const { return output_.product(network_); }  // S^T, (d_m, d_N)

  // S, or its derivative, as it lies
  const Matrix<double>& suffix(const Network<double>& network, const Matrix<double>& mirrored) {
    if (output_.is_single()) return network.weight(network.depth() - 1);
    transpose(mirrored, suffix_);
    return suffix_;
  }

  // All that does not depend on the direction.
  void visit_point() {
    input_.forward(network_, packing_);
    output_.forward(network_, packing_);
    multiply_layer(suffix(network_, output()), input(), end_to_end_, set, packing_);
    loss_->value_and_gradient(end_to_end_, gradient_);
    multiply_layer(output(), gradient_, input_.delta(), set, packing_);
    multiply_layer_transposed(input(), gradient_, output_.delta(), set, packing_);
    input_.sweep(network_, packing_);
    output_.sweep(network_, packing_);
  }

  void read(const double* vector) {
    for (std::size_t j = first_; j < end_; ++j) {
      Matrix<double>& layer = direction_.weight(j);
      for (Index i = 0; i < layer.rows(); ++i) {
        for (Index k = 0; k < layer.cols(); ++k) layer(i, k) = *vector++;
      }
      direction_.refresh_transposed(j);
    }
  }

  // The change of the gradient in W along the direction.
  void differentiate_gradient() {
    input_.forward_tangent(network_, direction_, packing_);
    output_.forward_tangent(network_, direction_, packing_);
    const Matrix<double>& output_tangent = output_.product_tangent(direction_);
    multiply_layer(suffix(network_, output()), input_.product_tangent(direction_),
                   end_to_end_tangent_, set, packing_);
    multiply_layer(suffix(direction_, output_tangent), input(), end_to_end_tangent_, add, packing_);
    loss_->hessian_product(end_to_end_, end_to_end_tangent_, gradient_tangent_);
  }

  void differentiate_deltas() {
    multiply_layer(output(), gradient_tangent_, input_.delta_tangent(), set, packing_);
    multiply_layer(output_.product_tangent(direction_), gradient_, input_.delta_tangent(), add,
                   packing_);
    multiply_layer_transposed(input(), gradient_tangent_, output_.delta_tangent(), set, packing_);
    multiply_layer_transposed(input_.product_tangent(direction_), gradient_,
                              output_.delta_tangent(), add, packing_);
    input_.sweep_tangent(network_, direction_, packing_);
    output_.sweep_tangent(network_, direction_, packing_);
  }

  Network<double> network_;
  Network<double> direction_;
  std::shared_ptr<Loss<double>> loss_;
  std::size_t first_;  // the layers that vectors hold, from this one up to `end_`
  std::size_t end_;
  std::size_t meeting_;
  CurvatureSide<ChainEnd::input> input_;
  CurvatureSide<ChainEnd::output> output_;
  Packing<double> packing_;
  Matrix<double> suffix_;
  Matrix<double> end_to_end_;
  Matrix<double> end_to_end_tangent_;
  Matrix<double> gradient_;
  Matrix<double> gradient_tangent_;
};

}  // namespace dlnet
