// Singular value decomposition by Golub and Kahan: Householder reflections to an upper bidiagonal
// matrix; its values by dqds and, where they are wanted, its vectors by implicit QR with Demmel and
// Kahan's zero shift (Golub & Van Loan, Matrix Computations, 8.6; Demmel & Kahan 1990). Backward
// stable; values are the same bits with and without vectors. Double only.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "dqds.hpp"
#include "householder.hpp"
#include "implicit_qr.hpp"
#include "types.hpp"

namespace dlnet {

class GolubKahan {
 public:
  // Singular values, vectors or both of (rows, cols) matrices, rows >= cols.
  [[gnu::cold]] GolubKahan(Index rows, Index cols, bool values, bool vectors)
      : a_(rows, cols),
        are_values_wanted_(values),
        vectors_(vectors),
        t_(cols),
        w_(cols),
        products_(cols),
        left_tau_(static_cast<std::size_t>(cols)),
        right_tau_(static_cast<std::size_t>(cols)),
        diagonal_(static_cast<std::size_t>(cols)),
        off_(static_cast<std::size_t>(cols)),
        values_(static_cast<std::size_t>(cols)),
        dqds_(cols) {
    for (Buffer<double>* work : {&u_, &v_, &y_}) *work = Buffer<double>(a_.stride());
    if (!vectors) return;
    right_reflections_ = Matrix<double>(cols, cols);
    left_ = Matrix<double>(rows, cols);
    right_ = Matrix<double>(cols, cols);
  }

  // To be filled before compute(), which destroys it. Entries must be finite and of a size whose
  // squares stay inside the range of a double.
  Matrix<double>& matrix() { return a_; }

  void compute() {
    bidiagonalize();
    if (are_values_wanted_) {
      dqds_.compute(n(), diagonal_.data(), off_.data(), values_.data());
    }
    if (!vectors_) return;
    form_vectors();
    ImplicitQr(n(), diagonal_.data(), off_.data(), left_, right_).compute();
    make_positive();
    sort();
  }

  const std::vector<double>& values() const { return values_; }  // descending
  const Matrix<double>& left() const { return left_; }           // (rows, cols)
  const Matrix<double>& right() const { return right_; }         // (cols, cols)

 private:
  Index n() const { return a_.cols(); }
  static Index whole(Index row) { return row / lanes<double> * lanes<double>; }
  double& d(Index i) { return diagonal_[static_cast<std::size_t>(i)]; }
  double& e(Index i) { return off_[static_cast<std::size_t>(i)]; }

  // One sweep over the columns brings them up to date with the last pair of reflections and finds
  // what the next one from the left needs; a second one what the one from the right needs.
  void bidiagonalize() {
    std::fill(u_.data(), u_.data() + u_.size(), 0.0);
    std::fill(y_.data(), y_.data() + y_.size(), 0.0);
    std::fill(t_.data(), t_.data() + t_.size(), 0.0);
    std::fill(w_.data(), w_.data() + w_.size(), 0.0);
    for (Index k = 0; k < n(); ++k) {
      reflect_column(k);
      if (k + 1 == n()) break;
      project_columns(k);
      reflect_row(k);
      multiply_by_row(k);
    }
  }

  void reflect_column(Index k) {
    double* column = a_.column(k);
    const Index begin = whole(k);
    columns_kernel::add(column, -t_[k], u_.data(), begin, a_.stride());
    columns_kernel::add(column, -w_[k], y_.data(), begin, a_.stride());
    std::copy(column + begin, column + a_.stride(), v_.data() + begin);
    std::fill(v_.data() + begin, v_.data() + k, 0.0);
    const Reflection reflection = reflect(v_.data(), k, a_.rows());
    d(k) = reflection.beta;
    left_tau_[static_cast<std::size_t>(k)] = reflection.tau;
    if (vectors_) std::copy(v_.data() + begin, v_.data() + a_.stride(), column + begin);
  }

  void project_columns(Index k) {
    const columns_kernel::Pending last{u_.data(), t_.data(), y_.data(), w_.data()};
    const Index begin = whole(k);
    Index j = k + 1;
    for (; j + 4 <= n(); j += 4) {
      columns_kernel::update_and_project<4>(a_, j, last, v_.data(), begin, a_.stride(),
                                            products_.data());
    }
    for (; j < n(); ++j) {
      columns_kernel::update_and_project<1>(a_, j, last, v_.data(), begin, a_.stride(),
                                            products_.data());
    }
    const double tau = left_tau_[static_cast<std::size_t>(k)];
    for (j = k + 1; j < n(); ++j) t_[j] = tau * products_[j];
    std::copy(v_.data() + begin, v_.data() + a_.stride(), u_.data() + begin);
  }

  // Of row k as the reflection from the left leaves it, without its first k + 1 entries.
  void reflect_row(Index k) {
    for (Index j = k + 1; j < n(); ++j) w_[j] = a_(k, j) - t_[j];
    const Reflection reflection = reflect(w_.data(), k + 1, n());
    e(k) = reflection.beta;
    right_tau_[static_cast<std::size_t>(k)] = reflection.tau;
    if (!vectors_) return;
    double* kept = right_reflections_.column(k);
    std::fill(kept, kept + k + 1, 0.0);
    std::copy(w_.data() + k + 1, w_.data() + n(), kept + k + 1);
  }

  // y = tau (A - u t^T) w
  void multiply_by_row(Index k) {
    const Index begin = whole(k);
    std::fill(y_.data() + begin, y_.data() + a_.stride(), 0.0);
    double along = 0.0;
    for (Index j = k + 1; j < n(); ++j) along += t_[j] * w_[j];
    columns_kernel::add(y_.data(), -along, u_.data(), begin, a_.stride());
    Index j = k + 1;
    for (; j + 4 <= n(); j += 4) {
      columns_kernel::add_columns<4>(a_, j, w_.data(), begin, a_.stride(), y_.data());
    }
    for (; j < n(); ++j) {
      columns_kernel::add_columns<1>(a_, j, w_.data(), begin, a_.stride(), y_.data());
    }
    const double tau = right_tau_[static_cast<std::size_t>(k)];
    for (Index i = begin; i < a_.stride(); ++i) y_[i] *= tau;
  }

  // The products of the reflections, applied to the identity from the last to the first.
  void form_vectors() {
    set_identity(left_);
    set_identity(right_);
    for (Index k = n() - 1; k >= 0; --k) {
      apply(a_.column(k), left_tau_[static_cast<std::size_t>(k)], left_, k, whole(k));
      if (k + 1 < n()) {
        apply(right_reflections_.column(k), right_tau_[static_cast<std::size_t>(k)], right_, k + 1,
              whole(k + 1));
      }
    }
  }

  static void set_identity(Matrix<double>& matrix) {
    std::fill(matrix.data(), matrix.data() + matrix.stride() * matrix.cols(), 0.0);
    for (Index i = 0; i < matrix.cols(); ++i) matrix(i, i) = 1.0;
  }

  static void apply(const double* v, double tau, Matrix<double>& matrix, Index first, Index begin) {
    for (Index j = first; j < matrix.cols(); ++j) {
      double* column = matrix.column(j);
      const double product = columns_kernel::dot(v, column, begin, matrix.stride());
      columns_kernel::add(column, -tau * product, v, begin, matrix.stride());
    }
  }

  void make_positive() {
    for (Index i = 0; i < n(); ++i) {
      if (!std::signbit(d(i))) continue;
      d(i) = -d(i);
      double* column = right_.column(i);
      for (Index r = 0; r < n(); ++r) column[r] = -column[r];
    }
  }

  // By selection, as every exchange moves two columns.
  void sort() {
    for (Index i = 0; i < n(); ++i) {
      const auto top = std::max_element(diagonal_.begin() + i, diagonal_.end());
      const Index j = top - diagonal_.begin();
      if (j == i) continue;
      std::swap(d(i), d(j));
      std::swap_ranges(left_.column(i), left_.column(i) + left_.stride(), left_.column(j));
      std::swap_ranges(right_.column(i), right_.column(i) + right_.stride(), right_.column(j));
    }
  }

  Matrix<double> a_;
  bool are_values_wanted_;
  bool vectors_;
  Buffer<double> u_;  // the last reflection from the left, and the next one
  Buffer<double> v_;
  Buffer<double> y_;
  Buffer<double> t_;
  Buffer<double> w_;
  Buffer<double> products_;
  std::vector<double> left_tau_;
  std::vector<double> right_tau_;
  std::vector<double> diagonal_;
  std::vector<double> off_;
  std::vector<double> values_;
  Dqds dqds_;
  Matrix<double> right_reflections_;
  Matrix<double> left_;
  Matrix<double> right_;
};

}  // namespace dlnet
