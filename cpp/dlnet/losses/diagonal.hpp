// 1/2 factor ||W S - B||_F^2 + constant with a diagonal S: squared regression in coordinates where
// the inputs of its samples are orthogonal to each other.
#pragma once

#include <span>
#include <vector>

#include "../types.hpp"
#include "loss.hpp"

namespace dlnet {

template <class Scalar>
class DiagonalLoss final : public Loss<Scalar> {
 public:
  // outputs: B, (d_N, d_0); scales: the diagonal of S, (d_0,).
  DiagonalLoss(const Matrix<double>& outputs, std::span<const double> scales, double factor,
               double constant)
      : outputs_(outputs.rows(), outputs.cols()),
        scales_(scales.begin(), scales.end()),
        factor_(factor),
        constant_(constant) {
    copy(outputs, outputs_);
    for (double scale : scales) gradient_scales_.push_back(static_cast<Scalar>(factor * scale));
  }

  Index n_outputs() const override { return outputs_.rows(); }
  Index n_inputs() const override { return outputs_.cols(); }

  double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) override {
    Sums even{};
    Sums odd{};
    for (Index j = 0; j < outputs_.cols(); ++j) {
      const Scalar* w = end_to_end.column(j);
      const Scalar* b = outputs_.column(j);
      Scalar* g = gradient.column(j);
      const Scalar scale = scales_[static_cast<std::size_t>(j)];
      const Scalar gradient_scale = gradient_scales_[static_cast<std::size_t>(j)];
      const auto take = [&](Index i, Sums& sums) {
        const Vector<Scalar> residual = load(w + i) * scale - load(b + i);
        store(g + i, residual * gradient_scale);
        add_squares(residual, sums);
      };
      Index i = 0;
      for (; i + 2 * L <= outputs_.stride(); i += 2 * L) {
        take(i, even);
        take(i + L, odd);
      }
      if (i < outputs_.stride()) take(i, even);
    }
    return constant_ + 0.5 * factor_ * total(even, odd);
  }

  void hessian_product(const Matrix<Scalar>&, const Matrix<Scalar>& direction,
                       Matrix<Scalar>& product) override {
    for (Index j = 0; j < outputs_.cols(); ++j) {
      const auto column = static_cast<std::size_t>(j);
      const Scalar factor = gradient_scales_[column] * scales_[column];
      for (Index i = 0; i < outputs_.rows(); ++i) product(i, j) = factor * direction(i, j);
    }
  }

 private:
  static constexpr Index L = lanes<Scalar>;
  static constexpr Index halves = L / lanes<double>;

  // Squares are summed in double whatever the scalar, in an order fixed by the shape.
  struct Sums {
    Vector<double> of[halves];
  };

  static void add_squares(Vector<Scalar> residual, Sums& sums) {
    alignas(vector_bytes) Scalar entries[L];
    store(entries, residual);
    for (Index h = 0; h < halves; ++h) {
      const Vector<double> x = load_doubles(entries + h * lanes<double>);
      sums.of[h] += x * x;
    }
  }

  static double total(const Sums& even, const Sums& odd) {
    double sum = 0.0;
    for (Index h = 0; h < halves; ++h) {
      const Vector<double> both = even.of[h] + odd.of[h];
      for (Index l = 0; l < lanes<double>; ++l) sum += both[l];
    }
    return sum;
  }

  Matrix<Scalar> outputs_;
  std::vector<Scalar> scales_;
  std::vector<Scalar> gradient_scales_;  // factor times those
  double factor_;
  double constant_;
};

}  // namespace dlnet
