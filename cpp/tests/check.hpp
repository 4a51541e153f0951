// What the tests share: checks that say where they failed, and random matrices with plain products.
#pragma once

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <random>
#include <source_location>
#include <string>

#include "dlnet/network.hpp"

namespace dlnet::tests {

inline void check(bool condition, const std::string& what,
                  std::source_location where = std::source_location::current()) {
  if (condition) return;
  std::cerr << where.file_name() << ':' << where.line() << ": " << what << '\n';
  std::exit(1);
}

// The rounding of a sum of n products of numbers of order one.
template <class Scalar>
double rounding(Index n) {
  return 8.0 * static_cast<double>(n + 1) *
         static_cast<double>(std::numeric_limits<Scalar>::epsilon());
}

inline std::mt19937& engine() {
  static std::mt19937 generator(12345);
  return generator;
}

template <class Scalar>
Matrix<Scalar> random_matrix(Index rows, Index cols, double scale = 1.0) {
  std::uniform_real_distribution<double> uniform(-scale, scale);
  Matrix<Scalar> matrix(rows, cols);
  for (Index j = 0; j < cols; ++j) {
    for (Index i = 0; i < rows; ++i) matrix(i, j) = static_cast<Scalar>(uniform(engine()));
  }
  return matrix;
}

template <class Scalar>
void randomize(Network<Scalar>& network) {
  for (std::size_t j = 0; j < network.depth(); ++j) {
    const Matrix<Scalar>& old = network.weight(j);
    const double scale = std::sqrt(3.0 / static_cast<double>(old.cols()));
    network.weight(j) = random_matrix<Scalar>(old.rows(), old.cols(), scale);
    network.refresh_transposed(j);
  }
}

template <class Scalar>
Matrix<Scalar> plain_product(const Matrix<Scalar>& a, const Matrix<Scalar>& b) {
  Matrix<Scalar> c(a.rows(), b.cols());
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index j = 0; j < b.cols(); ++j) {
      double total = 0.0;
      for (Index k = 0; k < a.cols(); ++k) {
        total += static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
      }
      c(i, j) = static_cast<Scalar>(total);
    }
  }
  return c;
}

template <class Scalar>
Matrix<Scalar> plain_transpose(const Matrix<Scalar>& a) {
  Matrix<Scalar> t(a.cols(), a.rows());
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index j = 0; j < a.cols(); ++j) t(j, i) = a(i, j);
  }
  return t;
}

template <class Scalar>
double largest_difference(const Matrix<Scalar>& a, const Matrix<Scalar>& b) {
  check(a.rows() == b.rows() && a.cols() == b.cols(), "shapes differ");
  double largest = 0.0;
  for (Index j = 0; j < a.cols(); ++j) {
    for (Index i = 0; i < a.rows(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(a(i, j) - b(i, j))));
    }
  }
  return largest;
}

// Rows that vectors reach.
template <class Scalar>
Index padded_vectors(const Matrix<Scalar>& matrix) {
  return (matrix.rows() + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
}

// Rows beyond the last one must stay zero: kernels read them.
template <class Scalar>
void check_padding(const Matrix<Scalar>& matrix) {
  for (Index j = 0; j < matrix.cols(); ++j) {
    for (Index i = matrix.rows(); i < padded_vectors(matrix); ++i) {
      check(matrix.column(j)[i] == Scalar(0), "padding is not zero");
    }
  }
}

}  // namespace dlnet::tests
