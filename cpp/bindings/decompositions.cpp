#include "arrays.hpp"
#include "dlnet/least_squares.hpp"
#include "dlnet/rank_revealing.hpp"
#include "dlnet/spectrum.hpp"

namespace dlnet::bindings {

namespace {

// Column-major without gaps, as the decompositions take and give their matrices.
std::vector<double> to_columns(const Array<double>& array) {
  const Index rows = array.shape(0);
  const Index cols = array.shape(1);
  std::vector<double> columns(static_cast<std::size_t>(array.size()));
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) {
      columns[static_cast<std::size_t>(j * rows + i)] = array.data()[i * cols + j];
    }
  }
  return columns;
}

Array<double> from_columns(const double* columns, Index rows, Index cols) {
  Array<double> array({rows, cols});
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) array.mutable_data()[i * cols + j] = columns[j * rows + i];
  }
  return array;
}

Spectrum decompose(const Array<double>& matrix, bool vectors) {
  require(matrix.ndim() == 2 && matrix.size() > 0, "matrix: expected a non-empty matrix");
  const std::vector<double> columns = to_columns(matrix);
  const py::gil_scoped_release release;
  Spectrum spectrum(matrix.shape(0), matrix.shape(1), vectors);
  spectrum.compute(columns.data(), matrix.shape(0));
  return spectrum;
}

Array<double> values_of(const Spectrum& spectrum, Index k) {
  Array<double> values(k);
  std::copy(spectrum.singular_values(), spectrum.singular_values() + k, values.mutable_data());
  return values;
}

// The columns that column(0), ..., column(k - 1) point to.
template <class Column>
Array<double> vectors_of(Index size, Index k, const Column& column) {
  Array<double> array({size, k});
  for (Index r = 0; r < k; ++r) {
    const double* entry = column(r);
    for (Index i = 0; i < size; ++i) array.mutable_data()[i * k + r] = entry[i];
  }
  return array;
}

Array<double> singular_values(const Array<double>& matrix) {
  return values_of(decompose(matrix, false), std::min(matrix.shape(0), matrix.shape(1)));
}

py::tuple svd(const Array<double>& matrix) {
  const Spectrum spectrum = decompose(matrix, true);
  const Index k = std::min(matrix.shape(0), matrix.shape(1));
  return py::make_tuple(vectors_of(matrix.shape(0), k, [&](Index r) { return spectrum.left(r); }),
                        values_of(spectrum, k),
                        vectors_of(matrix.shape(1), k, [&](Index r) { return spectrum.right(r); }));
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
