// Matrix sensing: 1/2 (<A_i, W> - y_i)^2 over measurements, summed or averaged.
#pragma once

#include <vector>

#include "loss.hpp"

namespace dlnet {

template <class Scalar>
class SensingLoss final : public Loss<Scalar> {
 public:
  // Measurement i is measurements[i * n_outputs * n_inputs + row * n_inputs + column].
  SensingLoss(Index n_outputs, Index n_inputs, const double* measurements,
              std::span<const double> values, bool mean)
      : n_outputs_(n_outputs),
        n_inputs_(n_inputs),
        values_(values.begin(), values.end()),
        mean_(mean) {
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
  // A measurement is used for its residual and its share of the gradient while it is in cache.
  template <class Sample>
  double sum(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient, Index count,
             const Sample& sample) const {
    const double factor = reduction_factor(mean_, count);
    const Index size = end_to_end.stride() * end_to_end.cols();
    std::fill(gradient.data(), gradient.data() + size, Scalar(0));
    double total = 0.0;
    for (Index i = 0; i < count; ++i) {
      const auto s = static_cast<std::size_t>(sample(i));
      const Scalar* a = measurements_[s].data();
      const Scalar residual = inner_product(a, end_to_end.data(), size) - values_[s];
      total += static_cast<double>(residual) * static_cast<double>(residual);
      const Scalar share = static_cast<Scalar>(factor) * residual;
      for (Index k = 0; k < size; k += lanes<Scalar>) {
        store(gradient.data() + k, load(gradient.data() + k) + share * load(a + k));
      }
    }
    return 0.5 * factor * total;
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

  Index n_outputs_;
  Index n_inputs_;
  std::vector<Matrix<Scalar>> measurements_;
  std::vector<Scalar> values_;
  bool mean_;
};

}  // namespace dlnet
