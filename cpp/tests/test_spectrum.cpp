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

// Matrices that go different ways: through every branch that a lane has to itself.
std::vector<Matrix<double>> mixed_matrices(Index rows, Index cols) {
  std::vector<Matrix<double>> all;
  const auto add = [&](const auto& entry) {
    const auto random = random_matrix<double>(rows, cols);
    all.emplace_back(rows, cols);
    for (Index j = 0; j < cols; ++j) {
      for (Index i = 0; i < rows; ++i) all.back()(i, j) = entry(i, j, random(i, j));
    }
  };
  for (int again = 0; again < 5; ++again) {
    add([](Index, Index, double x) { return x; });
    add([](Index, Index, double) { return 0.0; });
    add([](Index i, Index j, double) { return i == j ? 1.0 : 0.0; });
    add([](Index, Index, double) { return 0.3; });
    add([](Index, Index, double x) { return 1e308 * x; });
    add([](Index, Index, double x) { return std::numeric_limits<double>::denorm_min() * 9 * x; });
    add([](Index i, Index, double x) { return std::ldexp(x, static_cast<int>(-60 * i)); });
    add([](Index, Index j, double x) { return std::ldexp(x, static_cast<int>(9 * j - 300)); });
    add([](Index i, Index j, double x) { return j == i + 1 || j == i ? 1e-160 * x : 0.0; });
    add([](Index i, Index j, double x) { return i + j < 3 ? x : 1e-17 * x; });
  }
  return all;
}

// In any lane, in any company, alone, and transposed: the same bits.
void check_lanes(Index rows, Index cols) {
  const Index k = std::min(rows, cols);
  const auto matrices = mixed_matrices(rows, cols);
  const auto n = static_cast<Index>(matrices.size());
  LaneSpectrum lanes(rows, cols);
  Spectrum one(rows, cols, false);
  Spectrum transposed(cols, rows, false);
  std::vector<double> values(static_cast<std::size_t>(k));
  for (Index first = 0; first < n; ++first) {
    const Index count = 1 + first % LaneSpectrum::width;
    const auto matrix = [&](Index l) -> const Matrix<double>& {
      return matrices[static_cast<std::size_t>((first + 3 * l) % n)];
    };
    for (Index l = 0; l < count; ++l) lanes.put(l, matrix(l).data(), matrix(l).stride());
    lanes.compute(count);
    for (Index l = 0; l < count; ++l) {
      one.compute(matrix(l).data(), matrix(l).stride());
      const auto other = plain_transpose(matrix(l));
      transposed.compute(other.data(), other.stride());
      lanes.write_values(l, values.data());
      for (Index r = 0; r < k; ++r) {
        const double value = values[static_cast<std::size_t>(r)];
        check(value == one.singular_values()[r], "the values of a lane and of a matrix alone");
        check(rows == cols || value == transposed.singular_values()[r], "and of its transpose");
      }
    }
  }
}

void test_spectrum() {
  for (const auto& [rows, cols] :
       {std::pair<Index, Index>{1, 1}, {1, 5}, {2, 2}, {3, 2}, {4, 9}, {10, 10}, {32, 31}}) {
    check(LaneSpectrum::takes(rows, cols), "a small matrix");
    check_lanes(rows, cols);
  }
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
