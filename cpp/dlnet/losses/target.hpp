// 1/2 ||W - target||_F^2
#pragma once

#include "../types.hpp"
#include "loss.hpp"

namespace dlnet {

template <class Scalar>
class TargetLoss final : public Loss<Scalar> {
 public:
  explicit TargetLoss(const Matrix<double>& target) : target_(target.rows(), target.cols()) {
    copy(target, target_);
  }

  const Matrix<Scalar>& target() const { return target_; }

  Index n_outputs() const override { return target_.rows(); }
  Index n_inputs() const override { return target_.cols(); }

  double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) override {
    const Scalar* w = end_to_end.data();
    const Scalar* t = target_.data();
    Scalar* g = gradient.data();
    for (Index i = 0; i < target_.stride() * target_.cols(); i += lanes<Scalar>) {
      store(g + i, load(w + i) - load(t + i));
    }
    return 0.5 * sum_of_squares(gradient);
  }

  void hessian_product(const Matrix<Scalar>&, const Matrix<Scalar>& direction,
                       Matrix<Scalar>& product) override {
    copy(direction, product);
  }

 private:
  Matrix<Scalar> target_;
};

}  // namespace dlnet
