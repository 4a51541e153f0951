#include "spectrum.hpp"

#include <Eigen/QR>
#include <Eigen/SVD>
#include <cmath>
#include <optional>
#include <stdexcept>

namespace dlnet {

namespace {

using Eigen::MatrixXd;
using Eigen::Unaligned;
using Input = Eigen::Map<const MatrixXd, Unaligned, Eigen::OuterStride<>>;

// Eigen cuts its products by the caches of the machine it runs on unless it is told: the order of
// sums, and with it the last bits, would be another one on another machine.
const bool blocks_are_fixed = (Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 4 << 20), true);

// Up to here the one-sided Jacobi method is faster, and it allocates nothing.
constexpr std::ptrdiff_t largest_jacobi = 16;

constexpr unsigned thin_vectors = Eigen::ComputeThinU | Eigen::ComputeThinV;

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

struct Spectrum::Implementation {
  Implementation(std::ptrdiff_t rows, std::ptrdiff_t cols)
      : matrix(rows, cols), image(rows, std::min(rows, cols)), values(std::min(rows, cols)) {
    if (std::min(rows, cols) <= largest_jacobi) {
      jacobi.emplace(rows, cols, thin_vectors);
    } else {
      divide.emplace(rows, cols, thin_vectors);
    }
  }

  void compute() {
    decompose();
    refine();
    sort();
  }

  // Divide and conquer reports when it lost its way; Jacobi does not lose it, but takes longer.
  void decompose() {
    if (divide) {
      divide->compute(matrix);
      if (divide->info() == Eigen::Success && divide->singularValues().allFinite()) {
        left = divide->matrixU();
        right = divide->matrixV();
        return;
      }
    }
    if (!jacobi) jacobi.emplace(matrix.rows(), matrix.cols(), thin_vectors);
    jacobi->compute(matrix);
    left = jacobi->matrixU();
    right = jacobi->matrixV();
  }

  // Both methods leave singular values tens of units in the last place of the largest one off.
  // Their vectors are that good too, and ||A v|| / ||v|| has an error of second order in that of v.
  void refine() {
    const double scale = matrix.cwiseAbs().maxCoeff();
    if (!(scale > 0.0)) {
      values.setZero();
      return;
    }
    matrix /= scale;  // so that no square leaves the range
    image.noalias() = matrix * right;
    for (Eigen::Index r = 0; r < values.size(); ++r) {
      values[r] = scale * (image.col(r).norm() / right.col(r).norm());
    }
  }

  // Refinement may exchange neighbours that are equal to rounding.
  void sort() {
    for (Eigen::Index r = 1; r < values.size(); ++r) {
      for (Eigen::Index q = r; q > 0 && values[q - 1] < values[q]; --q) {
        std::swap(values[q - 1], values[q]);
        left.col(q - 1).swap(left.col(q));
        right.col(q - 1).swap(right.col(q));
      }
    }
  }

  MatrixXd matrix;
  MatrixXd image;  // A V
  MatrixXd left;
  MatrixXd right;
  Eigen::VectorXd values;
  std::optional<Eigen::JacobiSVD<MatrixXd, Eigen::ColPivHouseholderQRPreconditioner>> jacobi;
  std::optional<Eigen::BDCSVD<MatrixXd>> divide;
};

Spectrum::Spectrum(std::ptrdiff_t rows, std::ptrdiff_t cols)
    : implementation_(std::make_unique<Implementation>(rows, cols)) {}
Spectrum::~Spectrum() = default;
Spectrum::Spectrum(Spectrum&&) noexcept = default;
Spectrum& Spectrum::operator=(Spectrum&&) noexcept = default;

void Spectrum::compute(const double* a, std::ptrdiff_t stride) {
  MatrixXd& matrix = implementation_->matrix;
  matrix = Input(a, matrix.rows(), matrix.cols(), Eigen::OuterStride<>(stride));
  implementation_->compute();
}

const double* Spectrum::singular_values() const { return implementation_->values.data(); }
const double* Spectrum::left() const { return implementation_->left.data(); }
const double* Spectrum::right() const { return implementation_->right.data(); }

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
