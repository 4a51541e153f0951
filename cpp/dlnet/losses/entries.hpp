// Matrix completion: 1/2 (W_ij - v)^2 over observed entries, summed or averaged.
#pragma once

#include "loss.hpp"

namespace dlnet {

template <class Scalar>
class EntriesLoss final : public ResidualLoss<Scalar> {
 public:
  EntriesLoss(Index n_outputs, Index n_inputs, std::vector<Index> rows, std::vector<Index> cols,
              std::span<const double> values, bool mean)
      : ResidualLoss<Scalar>(n_outputs, n_inputs, values, mean),
        rows_(std::move(rows)),
        cols_(std::move(cols)) {}

 private:
  Scalar add_sample(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient, Index sample,
                    Scalar factor) const override {
    const auto s = static_cast<std::size_t>(sample);
    const Scalar residual = end_to_end(rows_[s], cols_[s]) - this->value(sample);
    gradient(rows_[s], cols_[s]) = factor * residual;  // no entry is observed twice
    return residual;
  }

  std::vector<Index> rows_;
  std::vector<Index> cols_;
};

}  // namespace dlnet
