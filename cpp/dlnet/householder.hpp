// Householder reflections, and the sweeps over columns in which one pair of them is applied while
// the next is found (Golub & Van Loan, Matrix Computations, 5.1). Double only.
#pragma once

#include <algorithm>
#include <cmath>

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

}  // namespace dlnet
