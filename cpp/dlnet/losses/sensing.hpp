// Matrix sensing: 1/2 (<A_i, W> - y_i)^2 over measurements, summed or averaged.
#pragma once

#include "residual.hpp"

namespace dlnet {

template <class Scalar>
class SensingLoss final : public ResidualLoss<Scalar> {
 public:
  // Measurement i is measurements[i * n_outputs * n_inputs + row * n_inputs + column].
  SensingLoss(Index n_outputs, Index n_inputs, const double* measurements,
              std::span<const double> values, bool mean)
      : ResidualLoss<Scalar>(n_outputs, n_inputs, values, mean) {
    measurements_.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      Matrix<Scalar>& a = measurements_.emplace_back(n_outputs, n_inputs);
      for (Index row = 0; row < n_outputs; ++row) {
        for (Index col = 0; col < n_inputs; ++col) {
          a(row, col) = static_cast<Scalar>(*measurements++);
        }
      }
    }
  }

 private:
  // A measurement is used for its residual and its share of the gradient while it is in cache.
  Scalar add_sample(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient, Index sample,
                    Scalar value, Scalar factor) const override {
    const Index size = end_to_end.stride() * end_to_end.cols();
    const Scalar* a = measurements_[static_cast<std::size_t>(sample)].data();
    const Scalar residual = inner_product(a, end_to_end.data(), size) - value;
    const Scalar share = factor * residual;
    for (Index k = 0; k < size; k += lanes<Scalar>) {
      store(gradient.data() + k, load(gradient.data() + k) + share * load(a + k));
    }
    return residual;
  }

  static Scalar inner_product(const Scalar* a, const Scalar* b, Index size) {
    Vector<Scalar> even{};
    Vector<Scalar> odd{};
    Index k = 0;
    for (; k + 2 * lanes<Scalar> <= size; k += 2 * lanes<Scalar>) {
      even += load(a + k) * load(b + k);
      odd += load(a + k + lanes<Scalar>) * load(b + k + lanes<Scalar>);
    }
    if (k < size) even += load(a + k) * load(b + k);
    even += odd;
    Scalar total = 0;
    for (Index lane = 0; lane < lanes<Scalar>; ++lane) total += even[lane];
    return total;
  }

  std::vector<Matrix<Scalar>> measurements_;
};

}  // namespace dlnet
