// Half the squared residuals of numbers that are linear in the end-to-end matrix.
#pragma once

#include <numeric>
#include <vector>

#include "../sparse.hpp"
#include "loss.hpp"

namespace dlnet {

// Each number is a sample.
template <class Scalar>
class ResidualLoss : public Loss<Scalar> {
 public:
  Index n_outputs() const override { return n_outputs_; }
  Index n_inputs() const override { return n_inputs_; }
  Index n_samples() const override { return static_cast<Index>(values_.size()); }

  double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) override {
    return batch_value_and_gradient(end_to_end, gradient, everything_);
  }

  double batch_value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient,
                                  std::span<const Index> samples) override {
    const double factor = reduction_factor(mean_, static_cast<Index>(samples.size()));
    std::fill(gradient.data(), gradient.column(gradient.cols()), Scalar(0));
    double total = 0.0;
    for (Index sample : samples) {
      const double residual = static_cast<double>(
          add_sample(end_to_end, gradient, sample, value(sample), static_cast<Scalar>(factor)));
      total += residual * residual;
    }
    return 0.5 * factor * total;
  }

  // The gradient of the same loss with zeros for values.
  void hessian_product(const Matrix<Scalar>&, const Matrix<Scalar>& direction,
                       Matrix<Scalar>& product) override {
    const double factor = reduction_factor(mean_, n_samples());
    std::fill(product.data(), product.column(product.cols()), Scalar(0));
    for (Index sample : everything_) {
      add_sample(direction, product, sample, Scalar(0), static_cast<Scalar>(factor));
    }
  }

 protected:
  ResidualLoss(Index n_outputs, Index n_inputs, std::span<const double> values, bool mean)
      : n_outputs_(n_outputs),
        n_inputs_(n_inputs),
        values_(values.begin(), values.end()),
        everything_(values.size()),
        mean_(mean) {
    std::iota(everything_.begin(), everything_.end(), Index(0));
  }

  // Adds `factor` times what the sample contributes to the gradient and returns its residual, that
  // is by how much its number exceeds `value`.
  virtual Scalar add_sample(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient,
                            Index sample, Scalar value, Scalar factor) const = 0;

  Scalar value(Index sample) const { return values_[static_cast<std::size_t>(sample)]; }
  bool is_mean() const { return mean_; }

 private:
  Index n_outputs_;
  Index n_inputs_;
  std::vector<Scalar> values_;
  std::vector<Index> everything_;
  bool mean_;
};

}  // namespace dlnet
