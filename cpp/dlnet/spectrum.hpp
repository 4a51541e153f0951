// Singular value decompositions A = U diag(s) V^T of finite matrices of one shape and any size of
// entries, k = min(rows, cols). Workspace is sized once.
#pragma once

#include "bidiagonal.hpp"

namespace dlnet {

class Spectrum {
 public:
  Spectrum(Index rows, Index cols, bool vectors)
      : is_wide_(rows < cols), tall_(std::max(rows, cols), std::min(rows, cols), vectors) {
    values_.resize(static_cast<std::size_t>(std::min(rows, cols)));
  }

  // Column-major; a stride is the distance of two columns. Singular values come out in descending
  // order, right to a few units in the last place of the largest one.
  void compute(const double* a, Index stride) {
    const int exponent = take(a, stride);
    tall_.compute();
    for (std::size_t r = 0; r < values_.size(); ++r) {
      values_[r] = std::ldexp(tall_.values()[r], exponent);
    }
  }

  const double* singular_values() const { return values_.data(); }  // (k,)
  // Column r of U, (rows,), and of V, (cols,), where vectors were asked for.
  const double* left(Index r) const { return (is_wide_ ? tall_.right() : tall_.left()).column(r); }
  const double* right(Index r) const { return (is_wide_ ? tall_.left() : tall_.right()).column(r); }

 private:
  // Copies the matrix, the long side down, with entries scaled to about one by a power of two.
  int take(const double* a, Index stride) {
    Matrix<double>& to = tall_.matrix();
    double largest = 0.0;
    for (Index j = 0; j < to.cols(); ++j) {
      for (Index i = 0; i < to.rows(); ++i) {
        const double x = is_wide_ ? a[i * stride + j] : a[j * stride + i];
        to(i, j) = x;
        largest = std::max(largest, std::abs(x));
      }
      std::fill(to.column(j) + to.rows(), to.column(j) + to.stride(), 0.0);
    }
    const int exponent = largest > 0.0 ? std::ilogb(largest) : 0;
    for (Index j = 0; j < to.cols(); ++j) {
      for (Index i = 0; i < to.rows(); ++i) to(i, j) = std::ldexp(to(i, j), -exponent);
    }
    return exponent;
  }

  bool is_wide_;
  GolubKahan tall_;
  std::vector<double> values_;
};

}  // namespace dlnet
