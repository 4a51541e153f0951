// Decompositions: the factors multiply to the matrix and are orthogonal; values come without them.
#include "check.hpp"
#include "dlnet/spectrum.hpp"

namespace dlnet::tests {

double largest_from_identity(const Matrix<double>& vectors) {
  const auto gram = plain_product(plain_transpose(vectors), vectors);
  double largest = 0.0;
  for (Index i = 0; i < gram.rows(); ++i) {
    for (Index j = 0; j < gram.cols(); ++j) {
      largest = std::max(largest, std::abs(gram(i, j) - (i == j ? 1.0 : 0.0)));
    }
  }
  return largest;
}

void check_spectrum(const Matrix<double>& matrix) {
  const Index k = std::min(matrix.rows(), matrix.cols());
  Spectrum spectrum(matrix.rows(), matrix.cols(), true);
  Spectrum values_only(matrix.rows(), matrix.cols(), false);
  Matrix<double> left(matrix.rows(), k);
  Matrix<double> scaled(matrix.rows(), k);
  Matrix<double> right(matrix.cols(), k);
  for (int again = 0; again < 2; ++again) {  // the workspace is used more than once
    spectrum.compute(matrix.data(), matrix.stride());
    values_only.compute(matrix.data(), matrix.stride());
  }
  const double* s = spectrum.singular_values();
  for (Index r = 0; r < k; ++r) {
    check(s[r] == values_only.singular_values()[r], "values with and without vectors");
    check(r == 0 || s[r] <= s[r - 1], "descending");
    for (Index i = 0; i < matrix.rows(); ++i) left(i, r) = spectrum.left(r)[i];
    for (Index i = 0; i < matrix.rows(); ++i) scaled(i, r) = s[r] * left(i, r);
    for (Index i = 0; i < matrix.cols(); ++i) right(i, r) = spectrum.right(r)[i];
  }
  // Rounding of orthogonal transformations, one for each column.
  const double units = 8.0 * std::numeric_limits<double>::epsilon() * static_cast<double>(k + 3);
  check(largest_from_identity(left) <= units, "left vectors");
  check(largest_from_identity(right) <= units, "right vectors");
  check(largest_difference(plain_product(scaled, plain_transpose(right)), matrix) <= units * s[0],
        "product of the factors");
}

void test_spectrum() {
  for (Index rows : {1, 2, 3, 5, 8, 9, 17, 33, 70}) {
    for (Index cols : {1, 2, 4, 7, 8, 16, 31}) {
      auto matrix = random_matrix<double>(rows, cols);
      check_spectrum(matrix);
      for (Index j = 0; j < cols; ++j) {
        for (Index i = 0; i < rows; ++i) matrix(i, j) *= std::ldexp(1.0, static_cast<int>(-5 * i));
      }
      check_spectrum(matrix);                      // graded
      check_spectrum(Matrix<double>(rows, cols));  // zero
      for (Index i = 0; i < rows; ++i) matrix(i, cols - 1) = matrix(i, 0);
      check_spectrum(matrix);  // singular
    }
  }
}

}  // namespace dlnet::tests
