#include "spectrum.hpp"

#include <Eigen/QR>
#include <Eigen/SVD>
#include <optional>
#include <stdexcept>

namespace dlnet {

namespace {

using Eigen::MatrixXd;
using Eigen::Unaligned;
using Input = Eigen::Map<const MatrixXd, Unaligned, Eigen::OuterStride<>>;

// Up to here the one-sided Jacobi method is faster, and it allocates nothing.
constexpr std::ptrdiff_t largest_jacobi = 16;

constexpr unsigned thin_vectors = Eigen::ComputeThinU | Eigen::ComputeThinV;

}  // namespace

struct Spectrum::Implementation {
  Implementation(std::ptrdiff_t rows, std::ptrdiff_t cols, bool vectors)
      : matrix(rows, cols), options(vectors ? thin_vectors : 0u) {
    if (std::min(rows, cols) <= largest_jacobi) {
      jacobi.emplace(rows, cols, options);
    } else {
      divide.emplace(rows, cols, options);
    }
  }

  // Divide and conquer reports when it lost its way; Jacobi does not lose it, but takes longer.
  void compute() {
    divided = false;
    if (divide) {
      divide->compute(matrix);
      divided = divide->info() == Eigen::Success && divide->singularValues().allFinite();
    }
    if (divided) return;
    if (!jacobi) jacobi.emplace(matrix.rows(), matrix.cols(), options);
    jacobi->compute(matrix);
  }

  const Eigen::VectorXd& values() const {
    return divided ? divide->singularValues() : jacobi->singularValues();
  }
  const MatrixXd& left() const { return divided ? divide->matrixU() : jacobi->matrixU(); }
  const MatrixXd& right() const { return divided ? divide->matrixV() : jacobi->matrixV(); }

  MatrixXd matrix;
  unsigned options;
  std::optional<Eigen::JacobiSVD<MatrixXd, Eigen::ColPivHouseholderQRPreconditioner>> jacobi;
  std::optional<Eigen::BDCSVD<MatrixXd>> divide;
  bool divided = false;  // which of the two has the result
};

Spectrum::Spectrum(std::ptrdiff_t rows, std::ptrdiff_t cols, bool vectors)
    : implementation_(std::make_unique<Implementation>(rows, cols, vectors)) {}
Spectrum::~Spectrum() = default;
Spectrum::Spectrum(Spectrum&&) noexcept = default;
Spectrum& Spectrum::operator=(Spectrum&&) noexcept = default;

void Spectrum::compute(const double* a, std::ptrdiff_t stride) {
  MatrixXd& matrix = implementation_->matrix;
  matrix = Input(a, matrix.rows(), matrix.cols(), Eigen::OuterStride<>(stride));
  implementation_->compute();
}

const double* Spectrum::singular_values() const { return implementation_->values().data(); }
const double* Spectrum::left() const { return implementation_->left().data(); }
const double* Spectrum::right() const { return implementation_->right().data(); }

void thin_qr(std::ptrdiff_t rows, std::ptrdiff_t cols, const double* a, double* q, double* r) {
  const std::ptrdiff_t k = std::min(rows, cols);
  const Eigen::HouseholderQR<MatrixXd> qr(Eigen::Map<const MatrixXd>(a, rows, cols));
  Eigen::Map<MatrixXd>(q, rows, k) = qr.householderQ() * MatrixXd::Identity(rows, k);
  Eigen::Map<MatrixXd>(r, k, cols) =
      qr.matrixQR().topRows(k).template triangularView<Eigen::Upper>();
}

double reduce_least_squares(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t p, const double* x,
                            const double* y, double* r, double* qty) {
  if (m < n) throw std::invalid_argument("fewer samples than inputs: nothing to reduce");
  const Eigen::HouseholderQR<MatrixXd> qr(Eigen::Map<const MatrixXd>(x, m, n));
  MatrixXd rotated = Eigen::Map<const MatrixXd>(y, m, p);
  rotated.applyOnTheLeft(qr.householderQ().adjoint());
  Eigen::Map<MatrixXd>(r, n, n) = qr.matrixQR().topRows(n).template triangularView<Eigen::Upper>();
  Eigen::Map<MatrixXd>(qty, n, p) = rotated.topRows(n);
  return rotated.bottomRows(m - n).squaredNorm();
}

}  // namespace dlnet
