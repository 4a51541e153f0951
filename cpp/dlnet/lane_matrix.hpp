// Matrices of as many networks as a vector register has lanes, interleaved: entry (i, j) is one
// vector, whose lane l belongs to network l. Every operation is the same in all lanes, so nothing
// that happens in one of them reaches another.
#pragma once

#include <bit>

#include "tiles.hpp"

namespace dlnet {

// A number for each lane.
template <class Scalar>
using LaneSums = std::array<double, static_cast<std::size_t>(lanes<Scalar>)>;

template <class Scalar>
class LaneMatrix {
 public:
  LaneMatrix() = default;
  [[gnu::cold]] LaneMatrix(Index rows, Index cols)
      : rows_(rows), cols_(cols), stride_(padded(rows)), buffer_(padded(rows) * cols) {}

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  // In scalars, from one column to the next.
  Index stride() const { return stride_; }
  Index size() const { return buffer_.size(); }
  Scalar* data() { return buffer_.data(); }
  const Scalar* data() const { return buffer_.data(); }

  void put(Index lane, const Matrix<Scalar>& matrix) {
    for_each_entry([&](Index i, Index j, Index at) { buffer_[at + lane] = matrix(i, j); });
  }

  void take(Index lane, Matrix<Scalar>& matrix) const {
    for_each_entry([&](Index i, Index j, Index at) { matrix(i, j) = buffer_[at + lane]; });
  }

  void fill(Index lane, Scalar value) {
    for_each_entry([&](Index, Index, Index at) { buffer_[at + lane] = value; });
  }

 private:
  // An odd number of vectors, so that the columns do not fall into the same few cache sets.
  static Index padded(Index rows) { return (rows < 4 ? rows : rows | 1) * lanes<Scalar>; }

  template <class Visit>
  void for_each_entry(const Visit& visit) const {
    for (Index j = 0; j < cols_; ++j) {
      for (Index i = 0; i < rows_; ++i) visit(i, j, j * stride_ + i * lanes<Scalar>);
    }
  }

  Index rows_ = 0;
  Index cols_ = 0;
  Index stride_ = 0;
  Buffer<Scalar> buffer_;
};

// A factor of a product as the micro-kernel reads it: entry (m, k) of the left one, or (k, n) of
// the right one, is the vector at data[m * step + k * inner_step].
template <class Scalar>
struct LaneFactor {
  const Scalar* data;
  Index step;
  Index inner_step;
};

// C = keep C - rate P, with a rate for each lane.
template <class Scalar>
struct LaneDescend {
  Vector<Scalar> rate;
  Vector<Scalar> keep;
  Vector<Scalar> operator()(Vector<Scalar> product, Vector<Scalar> c) const {
    return keep * c - rate * product;
  }
};

// How a tile ends: like this, or with C = P.
template <class Scalar>
struct LaneFinish {
  LaneDescend<Scalar> descend{};
  bool reads_c = true;

  LaneFinish(const LaneDescend<Scalar>& finish) : descend(finish) {}
  LaneFinish(Assign<Scalar>) : reads_c(false) {}
};

// A tile of accumulators, with a register for each vector of the left factor and one for the right.
inline constexpr Index lane_tile_rows = vector_registers == 32 ? 5 : 2;
inline constexpr Index lane_tile_cols = vector_registers == 32 ? 5 : 6;

// Cuts what remains into tiles, none much smaller than the others.
inline Index next_lane_tile(Index remaining, Index widest) {
  if (remaining <= widest) return remaining;
  return remaining < 2 * widest ? (remaining + 1) / 2 : widest;
}

template <Index tile_rows, Index tile_cols, class Scalar>
[[gnu::always_inline]] inline void lane_tile(Index depth, const LaneFactor<Scalar>& a,
                                             const LaneFactor<Scalar>& b, Scalar* c, Index c_stride,
                                             const LaneFinish<Scalar>& finish) {
  Vector<Scalar> tile[tile_cols][tile_rows];
#pragma GCC unroll 6
  for (Index n = 0; n < tile_cols; ++n) {
#pragma GCC unroll 6
    for (Index m = 0; m < tile_rows; ++m) tile[n][m] = Vector<Scalar>{};
  }
  const Scalar* left_entry = a.data;
  const Scalar* right_entry = b.data;
  for (Index k = 0; k < depth; ++k) {
    Vector<Scalar> left[tile_rows];
#pragma GCC unroll 6
    for (Index m = 0; m < tile_rows; ++m) left[m] = load(left_entry + m * a.step);
#pragma GCC unroll 6
    for (Index n = 0; n < tile_cols; ++n) {
      const Vector<Scalar> right = load(right_entry + n * b.step);
#pragma GCC unroll 6
      for (Index m = 0; m < tile_rows; ++m) tile[n][m] += left[m] * right;
    }
    left_entry += a.inner_step;
    right_entry += b.inner_step;
  }
  if (finish.reads_c) {
#pragma GCC unroll 6
    for (Index n = 0; n < tile_cols; ++n) {
#pragma GCC unroll 6
      for (Index m = 0; m < tile_rows; ++m) {
        Scalar* out = c + n * c_stride + m * lanes<Scalar>;
        store(out, finish.descend(tile[n][m], load(out)));
      }
    }
  } else {
#pragma GCC unroll 6
    for (Index n = 0; n < tile_cols; ++n) {
#pragma GCC unroll 6
      for (Index m = 0; m < tile_rows; ++m) {
        store(c + n * c_stride + m * lanes<Scalar>, tile[n][m]);
      }
    }
  }
}

// Calls visit(std::integral_constant<Index, n>) for a number n from 1 to `largest`.
template <Index largest, class Visit>
[[gnu::always_inline]] inline void visit_size(Index n, const Visit& visit) {
  if constexpr (largest > 1) {
    if (n < largest) return visit_size<largest - 1>(n, visit);
  }
  visit(std::integral_constant<Index, largest>{});
}

// The tiles of all rows, one below the other.
template <Index tile_cols, class Scalar>
void lane_strip(Index depth, LaneFactor<Scalar> a, const LaneFactor<Scalar>& b, Scalar* c,
                Index c_stride, Index n_rows, const LaneFinish<Scalar>& finish) {
  while (n_rows > 0) {
    const Index tile_rows = next_lane_tile(n_rows, lane_tile_rows);
    visit_size<lane_tile_rows>(tile_rows, [&](auto rows) {
      lane_tile<decltype(rows)::value, tile_cols>(depth, a, b, c, c_stride, finish);
    });
    a.data += tile_rows * a.step;
    c += tile_rows * lanes<Scalar>;
    n_rows -= tile_rows;
  }
}

template <class Scalar>
void lane_multiply(const LaneFactor<Scalar>& a, LaneFactor<Scalar> b, Index depth,
                   LaneMatrix<Scalar>& c, const LaneFinish<Scalar>& finish) {
  Scalar* out = c.data();
  for (Index remaining = c.cols(); remaining > 0;) {
    const Index tile_cols = next_lane_tile(remaining, lane_tile_cols);
    visit_size<lane_tile_cols>(tile_cols, [&](auto cols) {
      lane_strip<decltype(cols)::value>(depth, a, b, out, c.stride(), c.rows(), finish);
    });
    b.data += tile_cols * b.step;
    out += tile_cols * c.stride();
    remaining -= tile_cols;
  }
}

// C = finish(A B)
template <class Scalar>
void multiply(const LaneMatrix<Scalar>& a,  // (m, k)
              const LaneMatrix<Scalar>& b,  // (k, n)
              LaneMatrix<Scalar>& c,        // (m, n)
              const std::type_identity_t<LaneFinish<Scalar>>& finish) {
  lane_multiply<Scalar>({a.data(), lanes<Scalar>, a.stride()},
                        {b.data(), b.stride(), lanes<Scalar>}, a.cols(), c, finish);
}

// C = finish(A B^T)
template <class Scalar>
void multiply_transposed(const LaneMatrix<Scalar>& a,  // (m, k)
                         const LaneMatrix<Scalar>& b,  // (n, k)
                         LaneMatrix<Scalar>& c,        // (m, n)
                         const std::type_identity_t<LaneFinish<Scalar>>& finish) {
  lane_multiply<Scalar>({a.data(), lanes<Scalar>, a.stride()},
                        {b.data(), lanes<Scalar>, b.stride()}, a.cols(), c, finish);
}

// C = finish(A^T B)
template <class Scalar>
void transposed_multiply(const LaneMatrix<Scalar>& a,  // (k, m)
                         const LaneMatrix<Scalar>& b,  // (k, n)
                         LaneMatrix<Scalar>& c,        // (m, n)
                         const std::type_identity_t<LaneFinish<Scalar>>& finish) {
  lane_multiply<Scalar>({a.data(), a.stride(), lanes<Scalar>},
                        {b.data(), b.stride(), lanes<Scalar>}, a.rows(), c, finish);
}

// Calls visit(offset, which) for every vector of entries, column by column; `which` is the constant
// 0 or 1 in turn, for two sums that do not wait for one another.
template <class Scalar, class Visit>
void for_each_vector(const LaneMatrix<Scalar>& matrix, const Visit& visit) {
  constexpr std::integral_constant<int, 0> even;
  constexpr std::integral_constant<int, 1> odd;
  for (Index j = 0; j < matrix.cols(); ++j) {
    Index at = j * matrix.stride();
    Index remaining = matrix.rows();
    for (; remaining > 1; remaining -= 2, at += 2 * lanes<Scalar>) {
      visit(at, even);
      visit(at + lanes<Scalar>, odd);
    }
    if (remaining > 0) visit(at, even);
  }
}

// A sum of squares in each lane, in double whatever the scalar.
template <class Scalar>
class LaneSquares {
 public:
  template <int which>
  void add(Vector<Scalar> x, std::integral_constant<int, which>) {
    if constexpr (n_parts == 1) {
      sums_[which][0] += x * x;
    } else {
      add_part(sums_[which][0], half(x, 0, indices{}));
      add_part(sums_[which][1], half(x, lanes<double>, indices{}));
    }
  }

  LaneSums<Scalar> total() const {
    LaneSums<Scalar> sums;
    for (std::size_t l = 0; l < sums.size(); ++l) {
      const std::size_t part = l / n_lanes;
      sums[l] = sums_[0][part][l % n_lanes] + sums_[1][part][l % n_lanes];
    }
    return sums;
  }

 private:
  static constexpr std::size_t n_lanes = static_cast<std::size_t>(lanes<double>);
  static constexpr std::size_t n_parts = sizeof(double) / sizeof(Scalar);
  using indices = std::make_integer_sequence<int, static_cast<int>(n_lanes)>;

  static void add_part(Vector<double>& sum, Vector<double> x) { sum += x * x; }

  template <int... lane>
  static Vector<double> half(Vector<Scalar> x, Index first, std::integer_sequence<int, lane...>) {
    constexpr int n = static_cast<int>(n_lanes);
    const auto part = first == 0 ? __builtin_shufflevector(x, x, lane...)
                                 : __builtin_shufflevector(x, x, (lane + n)...);
    return __builtin_convertvector(part, Vector<double>);
  }

  Vector<double> sums_[2][n_parts] = {};
};

}  // namespace dlnet
