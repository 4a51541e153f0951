// Decompositions: float64 only, by backward-stable methods of Eigen. Declared here, compiled once
// in spectrum.cpp for the oldest processor supported and linked into every kernel module, so this
// header shows nothing of Eigen and spectrum.cpp nothing of the kernels.
#pragma once

#include <cstddef>
#include <memory>

namespace dlnet {

// Singular value decompositions A = U diag(s) V^T of matrices of one shape, k = min(rows, cols).
// Workspace is sized once. All matrices are column-major; a stride is the distance of two columns.
class Spectrum {
 public:
  Spectrum(std::ptrdiff_t rows, std::ptrdiff_t cols);
  ~Spectrum();
  Spectrum(Spectrum&&) noexcept;
  Spectrum& operator=(Spectrum&&) noexcept;

  // A must be finite. Singular values in descending order, right to a few units in the last place
  // of the largest one.
  void compute(const double* a, std::ptrdiff_t stride);
  const double* singular_values() const;  // (k,)
  const double* left() const;             // (rows, k), stride rows
  const double* right() const;            // (cols, k), stride cols

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

// Thin Householder QR of a column-major (rows, cols) matrix with k = min(rows, cols): q (rows, k),
// r (k, cols), both column-major without gaps.
void thin_qr(std::ptrdiff_t rows, std::ptrdiff_t cols, const double* a, double* q, double* r);

// min_W ||X W^T - Y||: with X = Q R, (m, n) and m >= n, and Y (m, p), writes R (n, n) and Q^T Y
// (n, p) and returns ||Y - Q Q^T Y||_F^2.
double reduce_least_squares(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t p, const double* x,
                            const double* y, double* r, double* qty);

}  // namespace dlnet
