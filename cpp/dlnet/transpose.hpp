// Transposed copies of matrices.
#pragma once

#include "types.hpp"

namespace dlnet {

// Transposes a block of as many rows as columns in registers: in every round the entries on either
// side of the diagonal of blocks of `size` change places.
template <class Scalar, int size = 1>
[[gnu::always_inline]] inline void transpose_block(Vector<Scalar>* rows) {
  constexpr int L = static_cast<int>(lanes<Scalar>);
  if constexpr (size < L) {
    using Integer = std::conditional_t<sizeof(Scalar) == 8, std::int64_t, std::int32_t>;
    typedef Integer Choice __attribute__((vector_size(vector_bytes)));
    Choice lower{};
    Choice upper{};
    for (int l = 0; l < L; ++l) {
      lower[l] = (l & size) == 0 ? l : L + l - size;
      upper[l] = (l & size) == 0 ? l + size : L + l;
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      if ((i & size) != 0) continue;
      const Vector<Scalar> top = rows[i];
      const Vector<Scalar> bottom = rows[i + size];
      rows[i] = __builtin_shuffle(top, bottom, lower);
      rows[i + size] = __builtin_shuffle(top, bottom, upper);
    }
    transpose_block<Scalar, 2 * size>(rows);
  }
}

// to = from^T
template <class Scalar>
void transpose(const Matrix<Scalar>& from, Matrix<Scalar>& to) {
  constexpr Index L = lanes<Scalar>;
  for (Index j = 0; j < from.cols(); j += L) {
    const Index n_cols = std::min(L, from.cols() - j);
    for (Index i = 0; i < from.rows(); i += L) {
      const Index n_rows = std::min(L, from.rows() - i);
      Vector<Scalar> block[L];
#pragma GCC unroll 16
      for (Index c = 0; c < L; ++c) {
        block[c] = c < n_cols ? load(from.column(j + c) + i) : Vector<Scalar>{};
      }
      transpose_block<Scalar>(block);
#pragma GCC unroll 16
      for (Index r = 0; r < L; ++r) {
        if (r < n_rows) store(to.column(i + r) + j, block[r]);
      }
    }
  }
}

}  // namespace dlnet
