// Singular value decomposition by Golub and Kahan: Householder reflections to an upper bidiagonal
// matrix; its values by dqds and, where they are wanted, its vectors by implicit QR with Demmel and
// Kahan's zero shift (Golub & Van Loan, Matrix Computations, 8.6; Demmel & Kahan 1990). Backward
// stable; values are the same bits with and without vectors. Double only.
#pragma once

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "dqds.hpp"
#include "types.hpp"

namespace dlnet {

// Kernels on whole vectors of columns. Entries in front of the first row that counts are zero in
// one of the factors, so that every access is aligned.
namespace columns_kernel {

using V = Vector<double>;
inline constexpr Index L = lanes<double>;

inline double sum(V v) {
  double total = v[0];
  for (Index l = 1; l < L; ++l) total += v[l];
  return total;
}

inline double dot(const double* a, const double* b, Index begin, Index end) {
  V even{};
  V odd{};
  Index i = begin;
  for (; i + 2 * L <= end; i += 2 * L) {
    even += load(a + i) * load(b + i);
    odd += load(a + i + L) * load(b + i + L);
  }
  if (i < end) even += load(a + i) * load(b + i);
  return sum(even + odd);
}

inline void add(double* to, double factor, const double* from, Index begin, Index end) {
  for (Index i = begin; i < end; i += L) store(to + i, load(to + i) + factor * load(from + i));
}

// Columns x, y <- c x + s y, c y - s x.
inline void rotate(double* x, double* y, double c, double s, Index end) {
  for (Index i = 0; i < end; i += L) {
    const V a = load(x + i);
    const V b = load(y + i);
    store(x + i, c * a + s * b);
    store(y + i, c * b - s * a);
  }
}

// The reflection before this one, still to be applied to the columns: A - u t^T - y w^T.
struct Pending {
  const double* u;
  const double* t;  // indexed by column
  const double* y;
  const double* w;  // indexed by column
};

// Brings `count` columns from j on up to date and multiplies them by v on the way.
template <int count>
void update_and_project(Matrix<double>& a, Index j, const Pending& last, const double* v,
                        Index begin, Index end, double* products) {
  V total[count] = {};
  double* column[count];
  double t[count];
  double w[count];
#pragma GCC unroll 4
  for (int c = 0; c < count; ++c) {
    column[c] = a.column(j + c);
    t[c] = last.t[j + c];
    w[c] = last.w[j + c];
  }
  for (Index i = begin; i < end; i += L) {
    const V u = load(last.u + i);
    const V y = load(last.y + i);
    const V left = load(v + i);
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) {
      const V entry = load(column[c] + i) - u * t[c] - y * w[c];
      store(column[c] + i, entry);
      total[c] += entry * left;
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < count; ++c) products[j + c] = sum(total[c]);
}

// z += columns j, ..., j + count - 1 times the entries of w.
template <int count>
void add_columns(const Matrix<double>& a, Index j, const double* w, Index begin, Index end,
                 double* z) {
  const double* column[count];
#pragma GCC unroll 4
  for (int c = 0; c < count; ++c) column[c] = a.column(j + c);
  for (Index i = begin; i < end; i += L) {
    V total = load(z + i);
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) total += load(column[c] + i) * w[j + c];
    store(z + i, total);
  }
}

}  // namespace columns_kernel

// (I - tau v v^T) x = (beta, 0, ..., 0)^T with v = (1, ...); x is overwritten by v.
struct Reflection {
  double tau;
  double beta;
};

inline double sum_of_squares(const double* x, Index begin, Index end) {
  double total = 0.0;
  for (Index i = begin; i < end; ++i) total += x[i] * x[i];
  return total;
}

// `x` holds entries begin, ..., end - 1, none much larger than one.
inline Reflection reflect(double* x, Index begin, Index end) {
  double tail = sum_of_squares(x, begin + 1, end);
  int exponent = 0;
  // Below, a square that counts may have been lost.
  if (x[begin] * x[begin] + tail < 1e-280) {
    double largest = 0.0;
    for (Index i = begin; i < end; ++i) largest = std::max(largest, std::abs(x[i]));
    exponent = largest > 0.0 ? std::ilogb(largest) : 0;
    for (Index i = begin; i < end; ++i) x[i] = std::ldexp(x[i], -exponent);
    tail = sum_of_squares(x, begin + 1, end);
  }
  const double alpha = x[begin];
  x[begin] = 1.0;
  if (tail == 0.0) {
    std::fill(x + begin + 1, x + end, 0.0);
    return {0.0, std::ldexp(alpha, exponent)};
  }
  const double beta = -std::copysign(std::sqrt(alpha * alpha + tail), alpha);
  const double scale = 1.0 / (alpha - beta);
  for (Index i = begin + 1; i < end; ++i) x[i] *= scale;
  return {(beta - alpha) / beta, std::ldexp(beta, exponent)};
}

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
    diagonalize();
    make_positive();
    sort();
  }

  const std::vector<double>& values() const { return values_; }  // descending
  const Matrix<double>& left() const { return left_; }           // (rows, cols)
  const Matrix<double>& right() const { return right_; }         // (cols, cols)

 private:
  static constexpr double epsilon = std::numeric_limits<double>::epsilon();

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

  // Splits the bidiagonal matrix where an off-diagonal entry is negligible until all are. Rounding
  // in a sweep moves entries by units in the last place of the largest: where equal values let
  // nothing else happen, what is negligible grows.
  void diagonalize() {
    e(n() - 1) = 0.0;
    double norm = 0.0;
    for (Index i = 0; i < n(); ++i) norm = std::max(norm, std::abs(d(i)) + std::abs(e(i)));
    double negligible = 2.0 * epsilon * norm;
    Index n_sweeps = 0;
    for (Index last = n() - 1; last > 0;) {
      Index first = last;
      while (first > 0 && !is_negligible(first - 1, negligible)) --first;
      if (first > 0) e(first - 1) = 0.0;
      if (first == last) {
        --last;
        continue;
      }
      chase(first, last);
      if (++n_sweeps % (10 * n()) == 0) negligible *= 2.0;
    }
  }

  bool is_negligible(Index i, double negligible) {
    const double size = std::abs(e(i));
    return size <= negligible || size <= 0.5 * epsilon * (std::abs(d(i)) + std::abs(d(i + 1)));
  }

  // One sweep of implicit QR over the block first, ..., last, from its larger end to its smaller
  // one: with J the exchange matrix, J B^T J is bidiagonal again, and left and right change places.
  void chase(Index first, Index last) {
    const bool down = std::abs(d(first)) >= std::abs(d(last));
    const Block block{diagonal_.data() + (down ? first : last),
                      off_.data() + (down ? first : last - 1),
                      down ? 1 : -1,
                      last - first,
                      down ? first : last,
                      down ? &left_ : &right_,
                      down ? &right_ : &left_};
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
    columns_kernel::rotate(block.left->column(x), block.left->column(y), left.c, left.s,
                           block.left->stride());
    columns_kernel::rotate(block.right->column(x), block.right->column(y), right.c, right.s,
                           block.right->stride());
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
