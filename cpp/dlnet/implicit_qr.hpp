// The singular value decomposition of an upper bidiagonal matrix by implicit QR with Demmel and
// Kahan's zero shift (Golub & Van Loan, Matrix Computations, 8.6; Demmel & Kahan 1990), with its
// vectors. Double only.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "types.hpp"

namespace dlnet {

// (c, s) with c f + s g = r and c g - s f = 0.
struct Rotation {
  double c;
  double s;
  double r;

  Rotation(double f, double g) {
    const double squares = f * f + g * g;
    // Outside, a square that counts may have been lost.
    r = squares > 1e-280 ? std::sqrt(squares) : std::hypot(f, g);
    if (r == 0.0) {
      c = 1.0;
      s = 0.0;
      return;
    }
    c = f / r;
    s = g / r;
  }
};

// Columns x, y <- c x + s y, c y - s x.
inline void rotate_columns(double* x, double* y, double c, double s, Index end) {
  for (Index i = 0; i < end; i += lanes<double>) {
    const Vector<double> a = load(x + i);
    const Vector<double> b = load(y + i);
    store(x + i, c * a + s * b);
    store(y + i, c * b - s * a);
  }
}

class ImplicitQr {
 public:
  // Of the matrix with n entries on the diagonal and n - 1 beside it, for which there is room for
  // n. compute() leaves the values, of any sign and in any order, on the diagonal, and multiplies
  // n columns of `left` and `right` by the vectors.
  ImplicitQr(Index n, double* diagonal, double* off, Matrix<double>& left, Matrix<double>& right)
      : n_(n), diagonal_(diagonal), off_(off), left_(&left), right_(&right) {}

  // Splits the bidiagonal matrix where an off-diagonal entry is negligible until all are. Rounding
  // in a sweep moves entries by units in the last place of the largest: where equal values let
  // nothing else happen, what is negligible grows.
  void compute() {
    e(n_ - 1) = 0.0;
    double norm = 0.0;
    for (Index i = 0; i < n_; ++i) norm = std::max(norm, std::abs(d(i)) + std::abs(e(i)));
    double negligible = 2.0 * epsilon * norm;
    Index n_sweeps = 0;
    for (Index last = n_ - 1; last > 0;) {
      Index first = last;
      while (first > 0 && !is_negligible(first - 1, negligible)) --first;
      if (first > 0) e(first - 1) = 0.0;
      if (first == last) {
        --last;
        continue;
      }
      chase(first, last);
      if (++n_sweeps % (10 * n_) == 0) negligible *= 2.0;
    }
  }

 private:
  static constexpr double epsilon = std::numeric_limits<double>::epsilon();

  double& d(Index i) { return diagonal_[i]; }
  double& e(Index i) { return off_[i]; }

  bool is_negligible(Index i, double negligible) {
    const double size = std::abs(e(i));
    return size <= negligible || size <= 0.5 * epsilon * (std::abs(d(i)) + std::abs(d(i + 1)));
  }

  // One sweep of implicit QR over the block first, ..., last, from its larger end to its smaller
  // one: with J the exchange matrix, J B^T J is bidiagonal again, and left and right change places.
  void chase(Index first, Index last) {
    const bool down = std::abs(d(first)) >= std::abs(d(last));
    const Block block{diagonal_ + (down ? first : last),
                      off_ + (down ? first : last - 1),
                      down ? 1 : -1,
                      last - first,
                      down ? first : last,
                      down ? left_ : right_,
                      down ? right_ : left_};
    const double shift = shift_of(block);
    if (shift == 0.0) {
      sweep_without_shift(block);
    } else {
      sweep(block, shift);
    }
  }

  struct Block {
    double* diagonal;
    double* off;
    Index step;  // 1 or -1
    Index size;  // of off
    Index origin;
    Matrix<double>* left;
    Matrix<double>* right;
    double& d(Index i) const { return diagonal[i * step]; }
    double& e(Index i) const { return off[i * step]; }
  };

  // The singular value of the last 2 x 2 block nearest to its last entry; zero where a shift would
  // cost accuracy or there is a zero on the diagonal, which only a sweep without shift brings out.
  double shift_of(const Block& block) {
    double smallest = std::numeric_limits<double>::infinity();
    double largest = 0.0;
    for (Index i = 0; i <= block.size; ++i) {
      smallest = std::min(smallest, std::abs(block.d(i)));
      largest = std::max(largest, std::abs(block.d(i)));
    }
    if (smallest <= epsilon * largest) return 0.0;
    const Index i = block.size - 1;
    const double f = std::abs(block.d(i));
    const double g = std::abs(block.e(i));
    const double h = std::abs(block.d(i + 1));
    // The smaller singular value of [f g; 0 h] is f h / larger.
    const double larger = 0.5 * (std::hypot(f + h, g) + std::hypot(f - h, g));
    const double shift = f * h / larger;
    const double relative = shift / std::abs(block.d(0));
    return relative * relative < epsilon ? 0.0 : shift;
  }

  void sweep_without_shift(const Block& block) {
    double c = 1.0;
    double old_c = 1.0;
    double old_s = 0.0;
    for (Index i = 0; i < block.size; ++i) {
      const Rotation right(block.d(i) * c, block.e(i));
      if (i > 0) block.e(i - 1) = old_s * right.r;
      const Rotation left(old_c * right.r, block.d(i + 1) * right.s);
      block.d(i) = left.r;
      c = right.c;
      old_c = left.c;
      old_s = left.s;
      rotate(block, i, left, right);
    }
    const double h = block.d(block.size) * c;
    block.d(block.size) = h * old_c;
    block.e(block.size - 1) = h * old_s;
  }

  void sweep(const Block& block, double shift) {
    const double d0 = block.d(0);
    double f = (std::abs(d0) - shift) * (std::copysign(1.0, d0) + shift / d0);
    double g = block.e(0);
    for (Index i = 0; i < block.size; ++i) {
      const Rotation right(f, g);
      if (i > 0) block.e(i - 1) = right.r;
      f = right.c * block.d(i) + right.s * block.e(i);
      const double e = right.c * block.e(i) - right.s * block.d(i);
      g = right.s * block.d(i + 1);
      const double d = right.c * block.d(i + 1);
      const Rotation left(f, g);
      block.d(i) = left.r;
      f = left.c * e + left.s * d;
      block.d(i + 1) = left.c * d - left.s * e;
      if (i + 1 < block.size) {
        g = left.s * block.e(i + 1);
        block.e(i + 1) *= left.c;
      }
      rotate(block, i, left, right);
    }
    block.e(block.size - 1) = f;
  }

  void rotate(const Block& block, Index i, const Rotation& left, const Rotation& right) {
    const Index x = block.origin + i * block.step;
    const Index y = x + block.step;
    rotate_columns(block.left->column(x), block.left->column(y), left.c, left.s,
                   block.left->stride());
    rotate_columns(block.right->column(x), block.right->column(y), right.c, right.s,
                   block.right->stride());
  }

  Index n_;
  double* diagonal_;
  double* off_;
  Matrix<double>* left_;
  Matrix<double>* right_;
};

}  // namespace dlnet
