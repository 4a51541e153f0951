// A deep linear network: the layers, each also kept transposed, and the prefix products of the
// chain. Knows nothing of losses or updates.
#pragma once

#include <vector>

#include "transpose.hpp"

namespace dlnet {

template <class Scalar>
using Layers = std::vector<Matrix<Scalar>>;  // entry j is layer j + 1, (d_{j+1}, d_j)

template <class Scalar>
Layers<Scalar> zero_layers(const Widths& widths) {
  Layers<Scalar> layers;
  layers.reserve(widths.size() - 1);
  for (std::size_t j = 0; j + 1 < widths.size(); ++j) layers.emplace_back(widths[j + 1], widths[j]);
  return layers;
}

inline Index largest(const Widths& widths) {
  return *std::max_element(widths.begin(), widths.end());
}

template <class Scalar>
class Network {
 public:
  [[gnu::cold]] explicit Network(const Widths& widths)
      : widths_(widths), weights_(zero_layers<Scalar>(widths)) {
    transposed_.reserve(weights_.size());
    for (std::size_t j = 0; j < weights_.size(); ++j) {
      // Nothing multiplies by the transpose of the first layer.
      transposed_.push_back(j == 0 ? Matrix<Scalar>() : Matrix<Scalar>(widths[j], widths[j + 1]));
    }
  }

  const Widths& widths() const { return widths_; }
  std::size_t depth() const { return weights_.size(); }
  Matrix<Scalar>& weight(std::size_t j) { return weights_[j]; }
  const Matrix<Scalar>& weight(std::size_t j) const { return weights_[j]; }
  Matrix<Scalar>& transposed(std::size_t j) { return transposed_[j]; }
  const Matrix<Scalar>& transposed(std::size_t j) const { return transposed_[j]; }

  // To be called whenever weight(j) has changed.
  void refresh_transposed(std::size_t j) {
    if (j > 0) transpose(weights_[j], transposed_[j]);
  }

  // To be called whenever transposed(j) has changed, j > 0.
  void refresh_from_transposed(std::size_t j) { transpose(transposed_[j], weights_[j]); }

 private:
  Widths widths_;
  Layers<Scalar> weights_;
  Layers<Scalar> transposed_;
};

// Of the layers in place.
template <class Scalar>
std::vector<View<Scalar>> views_of(Network<Scalar>& network) {
  std::vector<View<Scalar>> views;
  for (std::size_t j = 0; j < network.depth(); ++j) views.push_back(network.weight(j));
  return views;
}

}  // namespace dlnet
