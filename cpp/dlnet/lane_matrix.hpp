// Matrices of as many networks as a vector register has lanes, interleaved: entry (i, j) is one
// vector, whose lane l belongs to network l. Every operation is the same in all lanes, so nothing
// that happens in one of them reaches another.
#pragma once

#include <bit>

#include "gemm.hpp"

namespace dlnet {

// Sums of squares in double whatever the scalar, a lane each.
template <class Scalar>
struct WideLanes {
  typedef double Type __attribute__((vector_size(lanes<Scalar> * sizeof(double)), may_alias));
};

template <class Scalar>
using LaneSums = std::array<double, static_cast<std::size_t>(lanes<Scalar>)>;

template <class Scalar>
Vector<Scalar> broadcast(Scalar x) {
  return Vector<Scalar>{} + x;
}

template <class Scalar>
class LaneMatrix {
 public:
  LaneMatrix() = default;
  LaneMatrix(Index rows, Index cols)
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
  static constexpr bool reads_c = true;
  Vector<Scalar> operator()(Vector<Scalar> product, Vector<Scalar> c) const {
    return keep * c - rate * product;
  }
};

// A tile of accumulators, with a register for each vector of the left factor and one for the right.
inline constexpr int lane_tile_rows = vector_registers == 32 ? 5 : 3;
inline constexpr int lane_tile_cols = vector_registers == 32 ? 5 : 4;

template <class Scalar, int tile_rows, int tile_cols, class Finish>
void lane_kernel(Index depth, LaneFactor<Scalar> a, LaneFactor<Scalar> b, Scalar* c, Index c_stride,
                 const Finish& finish) {
  Vector<Scalar> tile[tile_cols][tile_rows];
#pragma GCC unroll 5
  for (int n = 0; n < tile_cols; ++n) {
#pragma GCC unroll 5
    for (int m = 0; m < tile_rows; ++m) tile[n][m] = Vector<Scalar>{};
  }
  for (Index k = 0; k < depth; ++k, a.data += a.inner_step, b.data += b.inner_step) {
    Vector<Scalar> left[tile_rows];
#pragma GCC unroll 5
    for (int m = 0; m < tile_rows; ++m) left[m] = load(a.data + m * a.step);
#pragma GCC unroll 5
    for (int n = 0; n < tile_cols; ++n) {
      const Vector<Scalar> right = load(b.data + n * b.step);
#pragma GCC unroll 5
      for (int m = 0; m < tile_rows; ++m) tile[n][m] += left[m] * right;
    }
  }
#pragma GCC unroll 5
  for (int n = 0; n < tile_cols; ++n) {
#pragma GCC unroll 5
    for (int m = 0; m < tile_rows; ++m) {
      Scalar* out = c + n * c_stride + m * lanes<Scalar>;
      if constexpr (Finish::reads_c) {
        store(out, finish(tile[n][m], load(out)));
      } else {
        store(out, finish(tile[n][m], Vector<Scalar>{}));
      }
    }
  }
}

// The kernels of every tile shape, looked up by [rows - 1][columns - 1].
template <class Scalar, class Finish>
class LaneKernelTable {
 public:
  using Kernel = void (*)(Index, LaneFactor<Scalar>, LaneFactor<Scalar>, Scalar*, Index,
                          const Finish&);

  static Kernel find(Index tile_rows, Index tile_cols) {
    static constexpr auto table = make(std::make_integer_sequence<int, lane_tile_rows>{});
    return table[static_cast<std::size_t>(tile_rows - 1)][static_cast<std::size_t>(tile_cols - 1)];
  }

 private:
  using Row = std::array<Kernel, lane_tile_cols>;

  template <int tile_rows, int... col>
  static constexpr Row make_row(std::integer_sequence<int, col...>) {
    return {&lane_kernel<Scalar, tile_rows, col + 1, Finish>...};
  }

  template <int... row>
  static constexpr std::array<Row, lane_tile_rows> make(std::integer_sequence<int, row...>) {
    return {make_row<row + 1>(std::make_integer_sequence<int, lane_tile_cols>{})...};
  }
};

template <class Scalar, class Finish>
void lane_multiply(LaneFactor<Scalar> a, LaneFactor<Scalar> b, Index depth, LaneMatrix<Scalar>& c,
                   const Finish& finish) {
  for_each_tile(c.cols(), lane_tile_cols, [&](Index col, Index n_cols) {
    const LaneFactor<Scalar> right{b.data + col * b.step, b.step, b.inner_step};
    for_each_tile(c.rows(), lane_tile_rows, [&](Index row, Index n_rows) {
      const LaneFactor<Scalar> left{a.data + row * a.step, a.step, a.inner_step};
      LaneKernelTable<Scalar, Finish>::find(n_rows, n_cols)(
          depth, left, right, c.data() + col * c.stride() + row * lanes<Scalar>, c.stride(),
          finish);
    });
  });
}

// C = finish(A B)
template <class Scalar, class Finish>
void multiply(const LaneMatrix<Scalar>& a,  // (m, k)
              const LaneMatrix<Scalar>& b,  // (k, n)
              LaneMatrix<Scalar>& c,        // (m, n)
              const Finish& finish) {
  lane_multiply<Scalar>({a.data(), lanes<Scalar>, a.stride()},
                        {b.data(), b.stride(), lanes<Scalar>}, a.cols(), c, finish);
}

// C = finish(A B^T)
template <class Scalar, class Finish>
void multiply_transposed(const LaneMatrix<Scalar>& a,  // (m, k)
                         const LaneMatrix<Scalar>& b,  // (n, k)
                         LaneMatrix<Scalar>& c,        // (m, n)
                         const Finish& finish) {
  lane_multiply<Scalar>({a.data(), lanes<Scalar>, a.stride()},
                        {b.data(), lanes<Scalar>, b.stride()}, a.cols(), c, finish);
}

// C = finish(A^T B)
template <class Scalar, class Finish>
void transposed_multiply(const LaneMatrix<Scalar>& a,  // (k, m)
                         const LaneMatrix<Scalar>& b,  // (k, n)
                         LaneMatrix<Scalar>& c,        // (m, n)
                         const Finish& finish) {
  lane_multiply<Scalar>({a.data(), a.stride(), lanes<Scalar>},
                        {b.data(), b.stride(), lanes<Scalar>}, a.rows(), c, finish);
}

// Calls visit(offset) for every vector of entries, column by column.
template <class Scalar, class Visit>
void for_each_vector(const LaneMatrix<Scalar>& matrix, const Visit& visit) {
  for (Index j = 0; j < matrix.cols(); ++j) {
    const Index first = j * matrix.stride();
    for (Index i = 0; i < matrix.rows(); ++i) visit(first + i * lanes<Scalar>);
  }
}

// Adds up squares, two sums at a time so that they do not wait for one another.
template <class Scalar>
class LaneSquares {
 public:
  void add(Vector<Scalar> x) {
    const Wide wide = __builtin_convertvector(x, Wide);
    const Wide sum = even_ + wide * wide;
    even_ = odd_;
    odd_ = sum;
  }

  LaneSums<Scalar> total() const {
    const Wide sum = even_ + odd_;
    LaneSums<Scalar> sums;
    for (std::size_t l = 0; l < sums.size(); ++l) sums[l] = sum[l];
    return sums;
  }

 private:
  using Wide = typename WideLanes<Scalar>::Type;

  Wide even_{};
  Wide odd_{};
};

}  // namespace dlnet
