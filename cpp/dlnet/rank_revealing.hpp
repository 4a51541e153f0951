// A column-pivoted factorisation that stops at the rank, float64 only. Compiled once in
// rank_revealing.cpp, like the decompositions of spectrum.hpp.
#pragma once

#include <cstddef>
#include <vector>

namespace dlnet {

// A = Q R to rounding, column-major without gaps.
struct RankRevealed {
  std::ptrdiff_t rank = 0;
  std::vector<double> q;             // (rows, rank), orthonormal columns
  std::vector<double> coefficients;  // R^T (cols, rank)
};

// Stops at the smallest rank k at which ||A - Q R||_F <= tolerance ||A||_F / sqrt(k), which cuts no
// singular value above tolerance * sigma_1, or at `largest` columns, whichever comes first:
// O(rows cols rank). A is finite, column-major without gaps.
RankRevealed rank_revealing_qr(std::ptrdiff_t rows, std::ptrdiff_t cols, const double* a,
                               double tolerance, std::ptrdiff_t largest);

}  // namespace dlnet
