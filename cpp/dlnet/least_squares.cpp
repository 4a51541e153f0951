#include "least_squares.hpp"

#include <Eigen/QR>
#include <cmath>
#include <stdexcept>

namespace dlnet {

namespace {

using Eigen::MatrixXd;

// Eigen cuts its products by the caches of the machine it runs on unless it is told: the order of
// sums, and with it the last bits, would be another one on another machine.
const bool blocks_are_fixed = (Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 4 << 20), true);

// Householder QR of A with its columns scaled by powers of two, as Eigen takes a column whose
// squares underflow for zero: A = Q R with R = (that of the scaled matrix) times the scales.
struct ScaledQr {
  ScaledQr(std::ptrdiff_t rows, std::ptrdiff_t cols, const double* a)
      : scaled(Eigen::Map<const MatrixXd>(a, rows, cols)), scales(cols) {
    for (Eigen::Index j = 0; j < cols; ++j) {
      const double largest = scaled.col(j).cwiseAbs().maxCoeff();
      const int exponent = largest > 0.0 ? std::ilogb(largest) : 0;
      scales[j] = std::ldexp(1.0, exponent);
      for (Eigen::Index i = 0; i < rows; ++i) scaled(i, j) = std::ldexp(scaled(i, j), -exponent);
    }
    qr.compute(scaled);
  }

  MatrixXd r(std::ptrdiff_t k) const {
    return MatrixXd(qr.matrixQR().topRows(k).template triangularView<Eigen::Upper>()) *
           scales.asDiagonal();
  }

  MatrixXd scaled;
  Eigen::VectorXd scales;
  Eigen::HouseholderQR<MatrixXd> qr;
};

}  // namespace

void thin_qr(std::ptrdiff_t rows, std::ptrdiff_t cols, const double* a, double* q, double* r) {
  const std::ptrdiff_t k = std::min(rows, cols);
  const ScaledQr scaled(rows, cols, a);
  Eigen::Map<MatrixXd>(q, rows, k) = scaled.qr.householderQ() * MatrixXd::Identity(rows, k);
  Eigen::Map<MatrixXd>(r, k, cols) = scaled.r(k);
}

double reduce_least_squares(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t p, const double* x,
                            const double* y, double* r, double* qty) {
  if (m < n) throw std::invalid_argument("fewer samples than inputs: nothing to reduce");
  const ScaledQr scaled(m, n, x);
  MatrixXd rotated = Eigen::Map<const MatrixXd>(y, m, p);
  rotated.applyOnTheLeft(scaled.qr.householderQ().adjoint());
  Eigen::Map<MatrixXd>(r, n, n) = scaled.r(n);
  Eigen::Map<MatrixXd>(qty, n, p) = rotated.topRows(n);
  return rotated.bottomRows(m - n).squaredNorm();
}

}  // namespace dlnet
