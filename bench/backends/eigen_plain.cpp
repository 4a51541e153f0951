// Gradient descent as one writes it with Eigen: matrices of dynamic size, products without
// temporaries.

#include <Eigen/Core>
#include <cstdint>
#include <vector>

namespace {

template <typename Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
template <typename Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <typename Scalar>
void step(std::vector<Matrix<Scalar>>& w, const Matrix<Scalar>& target, Scalar rate,
          std::vector<Matrix<Scalar>>& prefix, std::vector<Matrix<Scalar>>& delta) {
  const std::size_t depth = w.size();
  prefix[0] = w[0];
  for (std::size_t j = 1; j < depth; ++j) prefix[j].noalias() = w[j] * prefix[j - 1];
  delta[depth - 1] = prefix[depth - 1] - target;
  for (std::size_t j = depth - 1; j > 0; --j) {
    delta[j - 1].noalias() = w[j].transpose() * delta[j];
    w[j].noalias() -= rate * delta[j] * prefix[j - 1].transpose();
  }
  w[0] -= rate * delta[0];
}

template <typename Scalar>
void descend(Scalar* layers,        // (depth, width, width), row by row; start and result
             const Scalar* target,  // (width, width), row by row
             std::int64_t width, std::int64_t depth, Scalar rate, std::int64_t n_steps) {
  std::vector<Matrix<Scalar>> w, prefix, delta;
  for (std::int64_t j = 0; j < depth; ++j) {
    w.push_back(Eigen::Map<RowMajor<Scalar>>(layers + j * width * width, width, width));
    prefix.emplace_back(width, width);
    delta.emplace_back(width, width);
  }
  const Matrix<Scalar> phi = Eigen::Map<const RowMajor<Scalar>>(target, width, width);
  for (std::int64_t i = 0; i < n_steps; ++i) step(w, phi, rate, prefix, delta);
  for (std::int64_t j = 0; j < depth; ++j) {
    Eigen::Map<RowMajor<Scalar>>(layers + j * width * width, width, width) = w[std::size_t(j)];
  }
}

}  // namespace

extern "C" {

void descend_float64(double* layers, const double* target, std::int64_t width, std::int64_t depth,
                     double rate, std::int64_t n_steps) {
  descend(layers, target, width, depth, rate, n_steps);
}

void descend_float32(float* layers, const float* target, std::int64_t width, std::int64_t depth,
                     double rate, std::int64_t n_steps) {
  descend(layers, target, width, depth, static_cast<float>(rate), n_steps);
}
}
