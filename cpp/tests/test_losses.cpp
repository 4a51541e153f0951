// Gradients and second derivatives of the losses against central differences, and a batch of
// everything against the whole.
#include <memory>
#include <numeric>

#include "check.hpp"
#include "dlnet/losses/diagonal.hpp"
#include "dlnet/losses/entries.hpp"
#include "dlnet/losses/samples.hpp"
#include "dlnet/losses/sensing.hpp"
#include "dlnet/losses/target.hpp"

namespace dlnet::tests {

void check_hessian(Loss<double>& loss, const Matrix<double>& at) {
  const auto direction = random_matrix<double>(at.rows(), at.cols());
  Matrix<double> product(at.rows(), at.cols());
  loss.hessian_product(at, direction, product);
  check_padding(product);
  const double step = 1e-5;
  const auto moved = [&](double by) {
    Matrix<double> w(at.rows(), at.cols());
    for (Index j = 0; j < w.cols(); ++j) {
      for (Index i = 0; i < w.rows(); ++i) w(i, j) = at(i, j) + by * direction(i, j);
    }
    Matrix<double> gradient(at.rows(), at.cols());
    loss.value_and_gradient(w, gradient);
    return gradient;
  };
  const Matrix<double> above = moved(step);
  const Matrix<double> below = moved(-step);
  for (Index j = 0; j < at.cols(); ++j) {
    for (Index i = 0; i < at.rows(); ++i) {
      const double difference = (above(i, j) - below(i, j)) / (2.0 * step);
      const double tolerance = 1e-7 * (1.0 + std::abs(difference));
      check(std::abs(difference - product(i, j)) <= tolerance, "second derivative");
    }
  }
}

void check_gradient(Loss<double>& loss, bool has_curvature = true) {
  auto w = random_matrix<double>(loss.n_outputs(), loss.n_inputs());
  Matrix<double> gradient(w.rows(), w.cols());
  Matrix<double> ignored(w.rows(), w.cols());
  const double value = loss.value_and_gradient(w, gradient);
  check_padding(gradient);
  // Truncation of order step^2 and rounding of order epsilon / step balance near this step.
  const double step = 1e-5;
  const double tolerance = 1e-8 * (1.0 + std::abs(value));
  for (Index j = 0; j < w.cols(); ++j) {
    for (Index i = 0; i < w.rows(); ++i) {
      const double center = w(i, j);
      w(i, j) = center + step;
      const double above = loss.value_and_gradient(w, ignored);
      w(i, j) = center - step;
      const double below = loss.value_and_gradient(w, ignored);
      w(i, j) = center;
      check(std::abs((above - below) / (2.0 * step) - gradient(i, j)) <= tolerance, "gradient");
    }
  }
  if (has_curvature) check_hessian(loss, w);
  if (loss.n_samples() == 0) return;
  std::vector<Index> all(static_cast<std::size_t>(loss.n_samples()));
  std::iota(all.rbegin(), all.rend(), Index(0));
  const double batch = loss.batch_value_and_gradient(w, ignored, all);
  check(std::abs(batch - value) <= 1e-13 * (1.0 + std::abs(value)), "batch of all samples");
  check(largest_difference(ignored, gradient) <= 1e-13 * (1.0 + std::abs(value)),
        "gradient of a batch of all samples");
}

void test_losses() {
  const Index n_inputs = 5;
  for (Index n_samples : {1, 7, 300}) {
    const auto inputs = random_matrix<double>(n_inputs, n_samples);
    const auto outputs = random_matrix<double>(3, n_samples);
    for (double power : {1.5, 2.0, 3.0, 4.0, 7.25}) {
      for (bool mean : {true, false}) {
        PowerLoss<double> loss(inputs, outputs, power, mean, n_samples, 0.0);
        check_gradient(loss, power >= 2.0);
      }
    }
    std::vector<Index> labels(static_cast<std::size_t>(n_samples));
    for (Index i = 0; i < n_samples; ++i) labels[static_cast<std::size_t>(i)] = i % 2;
    for (Index n_outputs : {1, 2, 4}) {
      ClassificationLoss<double> loss(inputs, labels, n_outputs, true);
      check_gradient(loss);
    }
  }
  TargetLoss<double> target(random_matrix<double>(9, 4));
  check_gradient(target);
  const std::vector<double> scales = {3.0, 0.5, 1e-3, 0.0};
  for (Index n_outputs : {1, 9, 70}) {
    DiagonalLoss<double> diagonal(random_matrix<double>(n_outputs, 4), scales, 0.25, 2.0);
    check_gradient(diagonal);
  }
  const std::vector<double> values = {1.0, -2.0, 0.5};
  EntriesLoss<double> entries(3, 4, {0, 2, 1}, {3, 0, 3}, values, true);
  check_gradient(entries);
  const auto measurements = random_matrix<double>(6, 15);
  SensingLoss<double> sensing(5, 3, measurements.data(), values, false);
  check_gradient(sensing);
}

}  // namespace dlnet::tests
