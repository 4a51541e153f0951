// The layers between one end of a chain and the width where its products meet: multiplied from the
// end inwards, and a gradient swept back outwards.
//
// Layers are numbered from the end. A side at the input sees them as they are, W_1, W_2, ...; one
// at the output sees the mirror image of the chain, W_N^T, W_{N-1}^T, ..., and works on the
// transposed copies instead. Either way its factor A_p is (width p + 1, width p), its products are
// P_p = A_p ... A_0, and of Delta, the gradient of the loss in the last of them, the gradient of
// A_p is Delta_p P_{p-1}^T with Delta_p = A_{p+1}^T Delta_{p+1}.
#pragma once

#include "gemm.hpp"
#include "network.hpp"

namespace dlnet {

template <class Scalar>
void accumulate(const Matrix<Scalar>& gradient, Matrix<Scalar>& layer,
                const Accumulate<Scalar>& update) {
  for (Index i = 0; i < layer.stride() * layer.cols(); i += lanes<Scalar>) {
    store(layer.data() + i, update(load(gradient.data() + i), load(layer.data() + i)));
  }
}

// The products of the pass, whole matrices by reference: views handed on by value go through
// memory, which takes as long as a product of the smallest layers.

template <class Scalar>
[[gnu::noinline]] void multiply_layer(const Matrix<Scalar>& a, const Matrix<Scalar>& b,
                                      Matrix<Scalar>& c,
                                      const std::type_identity_t<Finish<Scalar>>& finish,
                                      Packing<Scalar>& packing) {
  multiply<Scalar>(a, b, c, finish, packing);
}

template <class Scalar>
[[gnu::noinline]] void multiply_layer_transposed(const Matrix<Scalar>& a, const Matrix<Scalar>& b,
                                                 Matrix<Scalar>& c,
                                                 const std::type_identity_t<Finish<Scalar>>& finish,
                                                 Packing<Scalar>& packing) {
  multiply_transposed<Scalar>(a, b, c, finish, packing);
}

enum class ChainEnd { input, output };

template <class Scalar, ChainEnd end>
class Side {
 public:
  // `keeps_delta`: also where the side is a single layer, somebody writes to delta().
  [[gnu::cold]] Side(const Widths& widths, std::size_t n_layers, bool keeps_delta)
      : depth_(widths.size() - 1), n_layers_(n_layers) {
    products_.reserve(n_layers);
    deltas_.reserve(n_layers);
    for (std::size_t p = 0; p < n_layers; ++p) {
      const Index rows = widths[is_mirrored ? depth_ - 1 - p : p + 1];
      const Index cols = is_mirrored ? widths.back() : widths.front();
      // The first product is the first factor itself. Its Delta is its gradient: in the update, or
      // for the layer as it is, it goes straight to its place.
      const bool has_delta = p > 0 || keeps_delta || (is_mirrored && n_layers > 1);
      products_.push_back(p > 0 ? Matrix<Scalar>(rows, cols) : Matrix<Scalar>());
      deltas_.push_back(has_delta ? Matrix<Scalar>(rows, cols) : Matrix<Scalar>());
    }
  }

  std::size_t n_layers() const { return n_layers_; }
  bool is_single() const { return n_layers_ == 1; }

  void forward(const Network<Scalar>& network, Packing<Scalar>& packing) {
    for (std::size_t p = 1; p < n_layers_; ++p) {
      multiply_layer(factor(network, p), product(network, p - 1), products_[p], Assign<Scalar>{},
                     packing);
    }
  }

  // Of all the layers: (width where the products meet, width of the end). Valid after forward(),
  // until the network changes.
  const Matrix<Scalar>& product(const Network<Scalar>& network) const {
    return product(network, n_layers_ - 1);
  }

  // The gradient in the product, to be written by the caller before sweep().
  Matrix<Scalar>& delta() { return deltas_.back(); }

  // All further Deltas but that of the first factor.
  void sweep(const Network<Scalar>& network, Packing<Scalar>& packing) {
    for (std::size_t p = n_layers_ - 1; p > 1; --p) {
      multiply_layer(opposite(network, p), deltas_[p], deltas_[p - 1], Assign<Scalar>{}, packing);
    }
  }

  // Accumulates the gradients into the layers, after sweep().
  void descend(Network<Scalar>& network, const Accumulate<Scalar>& update,
               Packing<Scalar>& packing) {
    for (std::size_t p = n_layers_ - 1; p > 0; --p) {
      multiply_layer_transposed(deltas_[p], product(network, p - 1), factor(network, p), update,
                                packing);
    }
    // The first factor is also the first product, and the opposite of the second is still the old
    // one: its update comes after every other and before the opposites are refreshed.
    if (is_single()) {
      accumulate(deltas_[0], factor(network, 0), update);
    } else {
      multiply_layer(opposite(network, 1), deltas_[1], factor(network, 0), update, packing);
    }
    for (std::size_t p = 0; p < n_layers_; ++p) refresh_opposite(network, p);
  }

  // Writes the gradients of the layers as they are, after sweep().
  void gradients(const Network<Scalar>& network, Layers<Scalar>& gradients,
                 Packing<Scalar>& packing) {
    for (std::size_t p = n_layers_ - 1; p > 0; --p) {
      const Matrix<Scalar>& left = is_mirrored ? product(network, p - 1) : deltas_[p];
      const Matrix<Scalar>& right = is_mirrored ? deltas_[p] : product(network, p - 1);
      multiply_layer_transposed(left, right, gradients[layer(p)], Assign<Scalar>{}, packing);
    }
    Matrix<Scalar>& first = is_mirrored ? deltas_[0] : gradients[0];
    if (!is_single()) {
      multiply_layer(opposite(network, 1), deltas_[1], first, Assign<Scalar>{}, packing);
    }
    if constexpr (is_mirrored) transpose(first, gradients[layer(0)]);
  }

 private:
  static constexpr bool is_mirrored = end == ChainEnd::output;

  std::size_t layer(std::size_t p) const { return is_mirrored ? depth_ - 1 - p : p; }

  template <class AnyNetwork>
  auto& factor(AnyNetwork& network, std::size_t p) const {
    return is_mirrored ? network.transposed(layer(p)) : network.weight(layer(p));
  }

  // The transpose of the factor.
  const Matrix<Scalar>& opposite(const Network<Scalar>& network, std::size_t p) const {
    return is_mirrored ? network.weight(layer(p)) : network.transposed(layer(p));
  }

  void refresh_opposite(Network<Scalar>& network, std::size_t p) const {
    if constexpr (is_mirrored) {
      network.refresh_from_transposed(layer(p));
    } else {
      network.refresh_transposed(layer(p));
    }
  }

  const Matrix<Scalar>& product(const Network<Scalar>& network, std::size_t p) const {
    return p == 0 ? factor(network, 0) : products_[p];
  }

  std::size_t depth_;
  std::size_t n_layers_;
  Layers<Scalar> products_;
  Layers<Scalar> deltas_;
};

}  // namespace dlnet
