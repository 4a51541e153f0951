// A function of the end-to-end matrix that the caller brings, value and gradient, and its second
// derivative where the caller knows it.
#pragma once

#include "../types.hpp"
#include "loss.hpp"

namespace dlnet {

template <class Scalar>
class FunctionLoss final : public Loss<Scalar> {
 public:
  // `hessian` may be empty.
  FunctionLoss(EndToEndFunction<Scalar> function, EndToEndHessian<Scalar> hessian, Index n_outputs,
               Index n_inputs)
      : function_(std::move(function)),
        hessian_(std::move(hessian)),
        n_outputs_(n_outputs),
        n_inputs_(n_inputs) {}

  Index n_outputs() const override { return n_outputs_; }
  Index n_inputs() const override { return n_inputs_; }

  double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) override {
    return function_(end_to_end, gradient);
  }

  void hessian_product(const Matrix<Scalar>& end_to_end, const Matrix<Scalar>& direction,
                       Matrix<Scalar>& product) override {
    if (!hessian_) return Loss<Scalar>::hessian_product(end_to_end, direction, product);
    hessian_(end_to_end, direction, product);
  }

 private:
  EndToEndFunction<Scalar> function_;
  EndToEndHessian<Scalar> hessian_;
  Index n_outputs_;
  Index n_inputs_;
};

}  // namespace dlnet
