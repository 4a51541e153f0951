// Matrix completion: 1/2 (W_ij - v)^2 over observed entries, summed or averaged.
#pragma once

#include "residual.hpp"

namespace dlnet {

template <class Scalar>
class EntriesLoss final : public ResidualLoss<Scalar> {
 public:
  EntriesLoss(Index n_outputs, Index n_inputs, std::vector<Index> rows, std::vector<Index> cols,
              std::span<const double> values, bool mean)
      : ResidualLoss<Scalar>(n_outputs, n_inputs, values, mean),
        rows_(std::move(rows)),
        cols_(std::move(cols)) {}

  Entries entries() const override { return {rows_, cols_}; }

  double value_and_gradient_at(SparseMatrix<Scalar>& w) const override {
    constexpr std::size_t n_partial = 8;
    double partial[n_partial] = {};
    const std::span<const Index> samples = w.samples();
    const std::span<Scalar> values = w.values();
    const double factor = reduction_factor(this->is_mean(), static_cast<Index>(samples.size()));
    for (std::size_t k = 0; k < samples.size(); ++k) {
      const Scalar residual = values[k] - this->value(samples[k]);
      partial[k % n_partial] += static_cast<double>(residual) * static_cast<double>(residual);
      values[k] = static_cast<Scalar>(factor) * residual;
    }
    return 0.5 * factor * std::accumulate(partial, partial + n_partial, 0.0);
  }

 private:
  Scalar add_sample(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient, Index sample,
                    Scalar value, Scalar factor) const override {
    const auto s = static_cast<std::size_t>(sample);
    const Scalar residual = end_to_end(rows_[s], cols_[s]) - value;
    gradient(rows_[s], cols_[s]) = factor * residual;  // no entry is observed twice
    return residual;
  }

  std::vector<Index> rows_;
  std::vector<Index> cols_;
};

}  // namespace dlnet
