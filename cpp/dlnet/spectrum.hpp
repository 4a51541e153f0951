// Singular value decompositions A = U diag(s) V^T of finite matrices of one shape and any size of
// entries, k = min(rows, cols). Workspace is sized once. The values of small matrices are those
// that LaneSpectrum finds, with and without vectors.
#pragma once

#include <optional>

#include "bidiagonal.hpp"
#include "lane_spectrum.hpp"

namespace dlnet {

class Spectrum {
 public:
  [[gnu::cold]] Spectrum(Index rows, Index cols, bool vectors, bool values = true)
      : is_wide_(rows < cols), values_(static_cast<std::size_t>(std::min(rows, cols))) {
    const bool in_lanes = LaneSpectrum::takes(rows, cols);
    if (values && in_lanes) lane_.emplace(rows, cols);
    if (vectors || !in_lanes) {
      tall_.emplace(std::max(rows, cols), std::min(rows, cols), values && !in_lanes, vectors);
    }
  }

  // Column-major; a stride is the distance of two columns. Singular values come out in descending
  // order, right to a few units in the last place of the largest one.
  void compute(const double* a, Index stride) {
    if (lane_) {
      lane_->put(0, a, stride);
      lane_->compute(1);
      lane_->write_values(0, values_.data());
    }
    if (!tall_) return;
    const int exponent = take(a, stride);
    tall_->compute();
    if (lane_) return;
    const PowerOfTwo back(exponent);
    std::transform(tall_->values().begin(), tall_->values().end(), values_.begin(), back);
  }

  const double* singular_values() const { return values_.data(); }  // (k,), where asked for
  // U, (rows, k), and V, (cols, k), where vectors were asked for, and their columns.
  const Matrix<double>& left() const { return is_wide_ ? tall_->right() : tall_->left(); }
  const Matrix<double>& right() const { return is_wide_ ? tall_->left() : tall_->right(); }
  const double* left(Index r) const { return left().column(r); }
  const double* right(Index r) const { return right().column(r); }

 private:
  // Copies the matrix, the long side down, with entries scaled to about one by a power of two.
  int take(const double* a, Index stride) {
    Matrix<double>& to = tall_->matrix();
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
    const PowerOfTwo to_one(-exponent);
    for (Index j = 0; j < to.cols(); ++j) {
      for (Index i = 0; i < to.rows(); ++i) to(i, j) = to_one(to(i, j));
    }
    return exponent;
  }

  bool is_wide_;
  std::optional<LaneSpectrum> lane_;
  std::optional<GolubKahan> tall_;
  std::vector<double> values_;
};

}  // namespace dlnet
