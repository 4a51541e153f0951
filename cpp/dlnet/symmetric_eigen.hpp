// All eigenvalues and eigenvectors of a small dense symmetric matrix, float64: Householder
// tridiagonalisation and implicit QR with Wilkinson's shift. Right to a few units in the last place
// of the largest eigenvalue. For what is compiled once; the matrices of Lanczos are too small to
// gain from kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace dlnet {

class SymmetricEigen {
 public:
  // a: (n, n), column-major without gaps, finite; only the upper triangle is looked at. Values
  // ascend. Of the vectors only the last `n_rows` entries are found, n or fewer.
  SymmetricEigen(std::ptrdiff_t n, const double* a, std::ptrdiff_t n_rows)
      : n_(n), n_rows_(n_rows), a_(a, a + n * n), z_(index(n * n_rows)) {
    double largest = 0.0;
    for (Index j = 0; j < n_; ++j) {
      for (Index i = 0; i <= j; ++i) largest = std::max(largest, std::abs(entry(i, j)));
    }
    // In units of the largest entry nothing leaves the range.
    if (largest > 0.0) exponent_ = std::ilogb(largest);
    for (Index j = 0; j < n_; ++j) {
      for (Index i = 0; i <= j; ++i) {
        entry(j, i) = entry(i, j) = std::ldexp(entry(i, j), -exponent_);
      }
    }
    for (Index i = 0; i < n_rows_; ++i) z_[index((n_ - n_rows_ + i) * n_rows_ + i)] = 1.0;
    reduce();
    iterate();
    sort();
  }

  double value(std::ptrdiff_t i) const {
    return std::ldexp(diagonal_[index(order_[index(i)])], exponent_);
  }
  // (n_rows,), the end of a vector of norm 1.
  const double* vector(std::ptrdiff_t i) const { return z_.data() + n_rows_ * order_[index(i)]; }

 private:
  using Index = std::ptrdiff_t;

  static std::size_t index(Index i) { return static_cast<std::size_t>(i); }
  double& entry(Index i, Index j) { return a_[index(j * n_ + i)]; }

  // A = Z T Z^T with a tridiagonal T, by reflections of the entries below each subdiagonal.
  void reduce() {
    std::vector<double> v(index(n_)), p(index(n_));
    for (Index k = 0; k + 2 < n_; ++k) {
      if (!find_reflection(k, v)) continue;
      // A <- H A H with H = 1 - 2 v v^T: A - v w^T - w v^T with w = 2 (A v - (v^T A v) v).
      multiply(a_, n_, k, v, p);
      const double along = std::inner_product(v.begin() + k, v.end(), p.begin() + k, 0.0);
      for (Index i = k; i < n_; ++i) p[index(i)] = 2.0 * (p[index(i)] - along * v[index(i)]);
      for (Index j = k; j < n_; ++j) {
        for (Index i = k; i < n_; ++i) {
          entry(i, j) -= v[index(i)] * p[index(j)] + p[index(i)] * v[index(j)];
        }
      }
      // Z <- Z H
      multiply(z_, n_rows_, 0, v, p);
      for (Index j = k + 1; j < n_; ++j) {
        double* column = z_.data() + j * n_rows_;
        for (Index i = 0; i < n_rows_; ++i) column[i] -= 2.0 * p[index(i)] * v[index(j)];
      }
    }
    for (Index k = 0; k < n_; ++k) {
      diagonal_.push_back(entry(k, k));
      if (k + 1 < n_) beside_.push_back(entry(k + 1, k));
    }
  }

  // Writes the unit vector v that reflects column k below its diagonal to its first entry.
  bool find_reflection(Index k, std::vector<double>& v) {
    std::fill(v.begin(), v.end(), 0.0);
    double largest = 0.0;
    for (Index i = k + 2; i < n_; ++i) largest = std::max(largest, std::abs(entry(i, k)));
    if (largest == 0.0) return false;
    largest = std::max(largest, std::abs(entry(k + 1, k)));
    double tail = 0.0;
    for (Index i = k + 1; i < n_; ++i) {
      v[index(i)] = entry(i, k) / largest;
      if (i > k + 1) tail += v[index(i)] * v[index(i)];
    }
    double& first = v[index(k + 1)];
    first += std::copysign(std::sqrt(tail + first * first), first);
    const double norm = std::sqrt(tail + first * first);
    for (Index i = k + 1; i < n_; ++i) v[index(i)] /= norm;
    return true;
  }

  // product = M v, of rows and columns from `first` on
  void multiply(const std::vector<double>& m, Index rows, Index first, const std::vector<double>& v,
                std::vector<double>& product) const {
    std::fill(product.begin(), product.end(), 0.0);
    for (Index j = first; j < n_; ++j) {
      const double* column = m.data() + j * rows;
      for (Index i = first; i < rows; ++i) product[index(i)] += column[i] * v[index(j)];
    }
  }

  void iterate() {
    double norm = 0.0;
    for (double d : diagonal_) norm = std::max(norm, std::abs(d));
    for (double e : beside_) norm = std::max(norm, std::abs(e));
    const double negligible = std::numeric_limits<double>::epsilon() * norm;
    // Two or three turns for each eigenvalue are usual. That many mean that something is not
    // finite.
    Index turns_left = 60 * n_;
    for (Index high = n_ - 1; high > 0 && turns_left > 0;) {
      Index low = high;
      while (low > 0 && std::abs(beside_[index(low - 1)]) > negligible) --low;
      if (low == high) {
        --high;
      } else {
        turn(low, high);
        --turns_left;
      }
    }
  }

  // One implicit QR step on rows low ... high.
  void turn(Index low, Index high) {
    const double e = beside_[index(high - 1)];
    const double half = 0.5 * (diagonal_[index(high - 1)] - diagonal_[index(high)]);
    const double shift =
        diagonal_[index(high)] - e / (half + std::copysign(std::hypot(half, e), half)) * e;
    double x = diagonal_[index(low)] - shift;
    double z = beside_[index(low)];
    for (Index k = low; k < high; ++k) {
      const double r = std::hypot(x, z);
      const double c = r > 0.0 ? x / r : 1.0;
      const double s = r > 0.0 ? z / r : 0.0;
      rotate(k, c, s);
      if (k > low) beside_[index(k - 1)] = r;
      if (k + 1 == high) return;
      x = beside_[index(k)];
      z = s * beside_[index(k + 1)];
      beside_[index(k + 1)] *= c;
    }
  }

  // Rows and columns k and k + 1 of T, and columns of Z.
  void rotate(Index k, double c, double s) {
    double& a = diagonal_[index(k)];
    double& b = beside_[index(k)];
    double& d = diagonal_[index(k + 1)];
    const double upper = c * a + s * b, upper_beside = c * b + s * d;
    const double lower = c * b - s * a, lower_beside = c * d - s * b;
    a = c * upper + s * upper_beside;
    b = c * upper_beside - s * upper;
    d = c * lower_beside - s * lower;
    double* left = z_.data() + n_rows_ * k;
    double* right = left + n_rows_;
    for (Index i = 0; i < n_rows_; ++i) {
      const double first = left[i];
      left[i] = c * first + s * right[i];
      right[i] = c * right[i] - s * first;
    }
  }

  void sort() {
    order_.resize(index(n_));
    std::iota(order_.begin(), order_.end(), Index(0));
    // Not the stable sort, which allocates.
    std::sort(order_.begin(), order_.end(), [&](Index i, Index j) {
      const double first = diagonal_[index(i)];
      const double second = diagonal_[index(j)];
      return first < second || (first == second && i < j);
    });
  }

  Index n_;
  Index n_rows_;
  int exponent_ = 0;  // entries are in units of 2^exponent
  std::vector<double> a_;
  std::vector<double> z_;  // (n_rows, n), columns are the ends of the eigenvectors
  std::vector<double> diagonal_;
  std::vector<double> beside_;
  std::vector<Index> order_;
};

}  // namespace dlnet
