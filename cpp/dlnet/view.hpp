// Shapes, and matrices that somebody else owns: what the core and its callers speak in. Nothing
// here depends on the length of a register.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace dlnet {

using Index = std::ptrdiff_t;
using Widths = std::vector<Index>;  // (d_0, ..., d_N)

// Part of a column-major matrix, or all of it; the stride is the distance of two columns.
template <class Scalar>
struct View {
  Scalar* data;
  Index rows;
  Index cols;
  Index stride;

  Scalar& operator()(Index i, Index j) const { return data[j * stride + i]; }
};

template <class Scalar>
struct ConstView {
  const Scalar* data;
  Index rows;
  Index cols;
  Index stride;

  ConstView(const Scalar* d, Index r, Index c, Index s) : data(d), rows(r), cols(c), stride(s) {}
  ConstView(View<Scalar> v) : ConstView(v.data, v.rows, v.cols, v.stride) {}
  const Scalar& operator()(Index i, Index j) const { return data[j * stride + i]; }
};

// Places (rows[s], cols[s]) of samples s.
struct Entries {
  std::span<const Index> rows;
  std::span<const Index> cols;

  Index size() const { return static_cast<Index>(rows.size()); }
};

}  // namespace dlnet
