// The end-to-end rule: how the product W of N balanced layers moves, as a method of one matrix,
//   W <- (1 - rate decay N) W - rate sum_j [W W^T]^((j-1)/N) G [W^T W]^((N-j)/N)
// (Arora, Cohen & Hazan 2018, Theorem 1). The powers go through the singular value decomposition
// of W: those of Gram matrices would lose half of the digits. Double only. Knows nothing of losses.
#pragma once

#include <cmath>

#include "side.hpp"
#include "spectrum.hpp"

namespace dlnet {

// The sum over j = 1, ..., N of a^(2(j-1)/N) b^(2(N-j)/N) for a >= b >= 0, N >= 2: a geometric
// series in (b / a)^(2/N) = exp(-gap / N), of which no two terms cancel. `power` is a^(2-2/N).
inline double preconditioner_eigenvalue(double a, double b, double power, double depth) {
  if (b == 0.0) return power;
  const double gap = -2.0 * std::log(b / a);
  if (!(gap > 0.0)) return depth * power;
  return power * (std::expm1(-gap) / std::expm1(-gap / depth));
}

class EndToEndRule {
 public:
  // Depth at least 2: with one layer it is gradient descent.
  EndToEndRule(Index rows, Index cols, double depth)
      : is_wide_(rows < cols),
        depth_(depth),
        weight_(std::max(rows, cols), std::min(rows, cols)),
        gradient_(weight_.rows(), weight_.cols()),
        along_right_(weight_.rows(), weight_.cols()),
        inside_(weight_.cols(), weight_.cols()),
        scaled_(weight_.cols(), weight_.cols()),
        left_transposed_(weight_.cols(), weight_.rows()),
        values_(static_cast<std::size_t>(weight_.cols())),
        powers_(static_cast<std::size_t>(weight_.cols())),
        spectrum_(weight_.rows(), weight_.cols(), true),
        packing_(std::max(weight_.rows(), weight_.cols())) {}

  // `decay` is the weight decay of each layer.
  template <class Scalar>
  void update(Matrix<Scalar>& weight, const Matrix<Scalar>& gradient, double rate, double decay) {
    load_tall(weight, weight_);
    load_tall(gradient, gradient_);
    if (!std::isfinite(frobenius_norm(weight_))) {
      // Infinite where the loss does not look: nothing can be decomposed any more.
      fill(weight, std::numeric_limits<Scalar>::quiet_NaN());
      return;
    }
    find_direction();
    const double keep = 1.0 - rate * decay * depth_;
    for (Index j = 0; j < weight.cols(); ++j) {
      for (Index i = 0; i < weight.rows(); ++i) {
        const double direction = is_wide_ ? gradient_(j, i) : gradient_(i, j);
        weight(i, j) =
            static_cast<Scalar>(keep * static_cast<double>(weight(i, j)) - rate * direction);
      }
    }
  }

 private:
  // The long side down: the sum is the same read from the other end.
  template <class Scalar>
  void load_tall(const Matrix<Scalar>& from, Matrix<double>& to) const {
    for (Index j = 0; j < from.cols(); ++j) {
      for (Index i = 0; i < from.rows(); ++i) {
        (is_wide_ ? to(j, i) : to(i, j)) = static_cast<double>(from(i, j));
      }
    }
  }

  template <class Scalar>
  static void fill(Matrix<Scalar>& matrix, Scalar value) {
    for (Index j = 0; j < matrix.cols(); ++j) {
      std::fill(matrix.column(j), matrix.column(j) + matrix.rows(), value);
    }
  }

  // Puts it where the gradient was. With W = U S V^T, V square, C = U^T G V, M the eigenvalues of
  // pairs of singular values and B = diag(s^(2-2/N)) it is
  //   (U (M o C - C B) + G V B) V^T,
  // in which (G V - U C) B has what is beside the columns of U: of the sum only the term without a
  // power of W W^T is left there.
  void find_direction() {
    decompose();
    const Matrix<double>& u = spectrum_.left();
    const Matrix<double>& v = spectrum_.right();
    multiply_layer(gradient_, v, along_right_, Assign<double>{}, packing_);
    transpose(u, left_transposed_);
    multiply_layer(left_transposed_, along_right_, inside_, Assign<double>{}, packing_);
    precondition();
    multiply_layer(u, scaled_, along_right_, Accumulate<double>{1.0, 1.0}, packing_);
    multiply_layer_transposed(along_right_, v, gradient_, Assign<double>{}, packing_);
  }

  // What a decomposition leaves of a zero counts as one: its powers would not be small.
  void decompose() {
    spectrum_.compute(weight_.data(), weight_.stride());
    const double* values = spectrum_.singular_values();
    const double zero =
        static_cast<double>(weight_.rows()) * std::numeric_limits<double>::epsilon() * values[0];
    for (std::size_t r = 0; r < values_.size(); ++r) {
      values_[r] = values[r] > zero ? values[r] : 0.0;
      powers_[r] = std::pow(values_[r], 2.0 - 2.0 / depth_);
    }
  }

  void precondition() {
    for (Index q = 0; q < scaled_.cols(); ++q) {
      const auto of_q = static_cast<std::size_t>(q);
      for (Index r = 0; r <= q; ++r) {  // values descend
        const auto of_r = static_cast<std::size_t>(r);
        const double eigenvalue =
            preconditioner_eigenvalue(values_[of_r], values_[of_q], powers_[of_r], depth_);
        scaled_(r, q) = (eigenvalue - powers_[of_q]) * inside_(r, q);
        scaled_(q, r) = (eigenvalue - powers_[of_r]) * inside_(q, r);
      }
      double* column = along_right_.column(q);
      for (Index i = 0; i < along_right_.rows(); ++i) column[i] *= powers_[of_q];
    }
  }

  bool is_wide_;
  double depth_;
  Matrix<double> weight_;
  Matrix<double> gradient_;
  Matrix<double> along_right_;  // G V, then B of its columns, then what V^T is applied to
  Matrix<double> inside_;       // C
  Matrix<double> scaled_;       // M o C - C B
  Matrix<double> left_transposed_;
  std::vector<double> values_;
  std::vector<double> powers_;  // s^(2-2/N)
  Spectrum spectrum_;
  Packing<double> packing_;
};

}  // namespace dlnet
