// What every loss of the end-to-end matrix offers to the pass.
#pragma once

#include <functional>
#include <span>
#include <stdexcept>

#include "../view.hpp"

namespace dlnet {

template <class Scalar>
class Matrix;
template <class Scalar>
class SparseMatrix;

template <class Scalar>
class Loss {
 public:
  Loss() = default;
  Loss(const Loss&) = delete;
  Loss& operator=(const Loss&) = delete;
  virtual ~Loss() = default;

  virtual Index n_outputs() const = 0;
  virtual Index n_inputs() const = 0;

  // The loss of the end-to-end matrix, (d_N, d_0); its gradient is written to `gradient`.
  virtual double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) = 0;

  // The second derivative in a direction, (d_N, d_0): that of the gradient along it.
  virtual void hessian_product(const Matrix<Scalar>&, const Matrix<Scalar>&, Matrix<Scalar>&) {
    throw std::invalid_argument("this loss does not know its second derivative");
  }

  // How many samples, entries or measurements mini-batches are drawn from; 0 when there are none.
  virtual Index n_samples() const { return 0; }

  // The same over some of the samples.
  virtual double batch_value_and_gradient(const Matrix<Scalar>&, Matrix<Scalar>&,
                                          std::span<const Index>) {
    throw std::invalid_argument("this loss has no samples to draw mini-batches from");
  }

  // The entries of W that the loss is a function of, one a sample; none where it is one of them
  // all.
  virtual Entries entries() const { return {}; }

  // The loss over the samples whose entries of W are handed in, and which their gradient replaces.
  virtual double value_and_gradient_at(SparseMatrix<Scalar>&) const {
    throw std::logic_error("this loss is a function of all entries of W");
  }
};

// A loss that the caller brings: gives the value and writes the gradient.
template <class Scalar>
using EndToEndFunction = std::function<double(ConstView<Scalar>, View<Scalar>)>;

// Its second derivative at a matrix in a direction, written to the last.
template <class Scalar>
using EndToEndHessian = std::function<void(ConstView<Scalar>, ConstView<Scalar>, View<Scalar>)>;

// The factor in front of a sum over `count` samples.
inline double reduction_factor(bool mean, Index count) {
  return mean ? 1.0 / static_cast<double>(count) : 1.0;
}

}  // namespace dlnet
