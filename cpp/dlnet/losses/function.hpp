// A function of the end-to-end matrix that the caller brings, value and gradient.
#pragma once

#include "../types.hpp"
#include "loss.hpp"

namespace dlnet {

template <class Scalar>
class FunctionLoss final : public Loss<Scalar> {
 public:
  FunctionLoss(EndToEndFunction<Scalar> function, Index n_outputs, Index n_inputs)
      : function_(std::move(function)), n_outputs_(n_outputs), n_inputs_(n_inputs) {}

  Index n_outputs() const override { return n_outputs_; }
  Index n_inputs() const override { return n_inputs_; }

  double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) override {
    return function_(end_to_end, gradient);
  }

 private:
  EndToEndFunction<Scalar> function_;
  Index n_outputs_;
  Index n_inputs_;
};

}  // namespace dlnet
