// QR decompositions, float64 only, by Eigen. Declared here and compiled once in least_squares.cpp
// for the oldest processor supported: this header shows nothing of Eigen, and that file includes
// nothing of the kernels.
#pragma once

#include <cstddef>

namespace dlnet {

// Thin Householder QR of a column-major (rows, cols) matrix with k = min(rows, cols): q (rows, k),
// r (k, cols), both column-major without gaps.
void thin_qr(std::ptrdiff_t rows, std::ptrdiff_t cols, const double* a, double* q, double* r);

// min_W ||X W^T - Y||: with X = Q R, (m, n) and m >= n, and Y (m, p), writes R (n, n) and Q^T Y
// (n, p) and returns ||Y - Q Q^T Y||_F^2.
double reduce_least_squares(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t p, const double* x,
                            const double* y, double* r, double* qty);

}  // namespace dlnet
