#include <algorithm>
#include <cmath>

#include "arrays.hpp"
#include "dlnet/least_squares.hpp"
#include "dlnet/rank_revealing.hpp"

namespace dlnet::bindings {

namespace {

// The iterations for singular values need not end where there is none.
void require_finite(const Array<double>& matrix) {
  const bool finite = std::all_of(matrix.data(), matrix.data() + matrix.size(),
                                  [](double entry) { return std::isfinite(entry); });
  require(finite, "matrix: expected finite numbers");
}

Array<double> from_columns(const double* columns, Index rows, Index cols) {
  Array<double> array({rows, cols});
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) array.mutable_data()[i * cols + j] = columns[j * rows + i];
  }
  return array;
}

Array<double> singular_values(const Array<double>& matrix) {
  require(matrix.ndim() == 2 && matrix.size() > 0, "matrix: expected a non-empty matrix");
  require_finite(matrix);
  Array<double> values(std::min(matrix.shape(0), matrix.shape(1)));
  const std::vector<double> columns = to_columns(matrix);
  double* out = values.mutable_data();
  const py::gil_scoped_release release;
  decompose(matrix.shape(0), matrix.shape(1), columns.data(), out, nullptr, nullptr);
  return values;
}

py::tuple svd(const Array<double>& matrix) {
  require(matrix.ndim() == 2 && matrix.size() > 0, "matrix: expected a non-empty matrix");
  require_finite(matrix);
  const Index rows = matrix.shape(0);
  const Index cols = matrix.shape(1);
  const Index k = std::min(rows, cols);
  const std::vector<double> columns = to_columns(matrix);
  Array<double> values(k);
  std::vector<double> left(static_cast<std::size_t>(rows * k));
  std::vector<double> right(static_cast<std::size_t>(cols * k));
  double* out = values.mutable_data();
  {
    const py::gil_scoped_release release;
    decompose(rows, cols, columns.data(), out, left.data(), right.data());
  }
  return py::make_tuple(from_columns(left.data(), rows, k), values,
                        from_columns(right.data(), cols, k));
}

py::tuple qr(const Array<double>& matrix) {
  require(matrix.ndim() == 2 && matrix.size() > 0, "matrix: expected a non-empty matrix");
  const Index rows = matrix.shape(0);
  const Index cols = matrix.shape(1);
  const Index k = std::min(rows, cols);
  const std::vector<double> columns = to_columns(matrix);
  std::vector<double> q(static_cast<std::size_t>(rows * k));
  std::vector<double> r(static_cast<std::size_t>(k * cols));
  {
    const py::gil_scoped_release release;
    thin_qr(rows, cols, columns.data(), q.data(), r.data());
  }
  return py::make_tuple(from_columns(q.data(), rows, k), from_columns(r.data(), k, cols));
}

// The rows of a C-contiguous array are the columns of its transpose: nothing is rearranged.
py::tuple row_space(const Array<double>& matrix, double tolerance, Index largest) {
  require(matrix.ndim() == 2 && matrix.size() > 0, "matrix: expected a non-empty matrix");
  require_finite(matrix);
  require(largest >= 0, "largest: expected a non-negative number");
  const Index rows = matrix.shape(0);
  const Index cols = matrix.shape(1);
  RankRevealed found;
  {
    const py::gil_scoped_release release;
    found = rank_revealing_qr(cols, rows, matrix.data(), tolerance, largest);
  }
  return py::make_tuple(from_columns(found.q.data(), cols, found.rank),
                        from_columns(found.coefficients.data(), rows, found.rank));
}

py::tuple reduce(const Array<double>& inputs, const Array<double>& outputs) {
  require(inputs.ndim() == 2 && outputs.ndim() == 2 && inputs.shape(0) == outputs.shape(0),
          "inputs, outputs: expected matrices with the same number of rows");
  const Index m = inputs.shape(0);
  const Index n = inputs.shape(1);
  const Index p = outputs.shape(1);
  const std::vector<double> x = to_columns(inputs);
  const std::vector<double> y = to_columns(outputs);
  std::vector<double> r(static_cast<std::size_t>(n * n));
  std::vector<double> qty(static_cast<std::size_t>(n * p));
  double residual = 0.0;
  {
    const py::gil_scoped_release release;
    residual = reduce_least_squares(m, n, p, x.data(), y.data(), r.data(), qty.data());
  }
  return py::make_tuple(from_columns(r.data(), n, n), from_columns(qty.data(), n, p), residual);
}

}  // namespace

void register_decompositions(py::module_& module) {
  using py::arg;
  module.def("svd", &svd, arg("matrix").noconvert());
  module.def("singular_values", &singular_values, arg("matrix").noconvert());
  module.def("qr", &qr, arg("matrix").noconvert());
  module.def("row_space", &row_space, arg("matrix").noconvert(), arg("tolerance"), arg("largest"));
  module.def("reduce_least_squares", &reduce, arg("inputs").noconvert(),
             arg("outputs").noconvert());
}

}  // namespace dlnet::bindings
