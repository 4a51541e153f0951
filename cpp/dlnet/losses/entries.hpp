// Matrix completion: 1/2 (W_ij - v)^2 over observed entries, summed or averaged.
#pragma once

#include <vector>

#include "loss.hpp"

namespace dlnet {

template <class Scalar>
class EntriesLoss final : public Loss<Scalar> {
 public:
  EntriesLoss(Index n_outputs, Index n_inputs, std::vector<Index> rows, std::vector<Index> cols,
              std::span<const double> values, bool mean)
      : n_outputs_(n_outputs),
        n_inputs_(n_inputs),
        rows_(std::move(rows)),
        cols_(std::move(cols)),
        values_(values.begin(), values.end()),
        mean_(mean) {}

  Index n_outputs() const override { return n_outputs_; }
  Index n_inputs() const override { return n_inputs_; }
  Index n_samples() const override { return static_cast<Index>(values_.size()); }

  double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) override {
    return sum(end_to_end, gradient, n_samples(), [](Index i) { return i; });
  }

  double batch_value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient,
                                  std::span<const Index> samples) override {
    return sum(end_to_end, gradient, static_cast<Index>(samples.size()),
               [&](Index i) { return samples[static_cast<std::size_t>(i)]; });
  }

 private:
  template <class Sample>
  double sum(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient, Index count,
             const Sample& sample) const {
    const double factor = reduction_factor(mean_, count);
    const Scalar scale = static_cast<Scalar>(factor);
    std::fill(gradient.data(), gradient.column(gradient.cols()), Scalar(0));
    double total = 0.0;
    for (Index i = 0; i < count; ++i) {
      const auto s = static_cast<std::size_t>(sample(i));
      const Scalar residual = end_to_end(rows_[s], cols_[s]) - values_[s];
      total += static_cast<double>(residual) * static_cast<double>(residual);
      gradient(rows_[s], cols_[s]) = scale * residual;
    }
    return 0.5 * factor * total;
  }

  Index n_outputs_;
  Index n_inputs_;
  std::vector<Index> rows_;
  std::vector<Index> cols_;
  std::vector<Scalar> values_;
  bool mean_;
};

}  // namespace dlnet
