// Products of the Hessian against central differences of the gradients, and the search for its
// extreme eigenvalues on matrices whose eigenvalues are known.
#include "check.hpp"
#include "dlnet/hessian.hpp"
#include "dlnet/losses/target.hpp"
#include "dlnet/symmetric_eigen.hpp"

namespace dlnet::tests {

namespace {

using Values = std::vector<double>;

Network<double> random_network(const Widths& widths) {
  Network<double> network(widths);
  randomize(network);
  return network;
}

// All layers plus `step` times the vector.
Network<double> moved(const Widths& widths, const Network<double>& from, const Values& vector,
                      double step) {
  Network<double> network(widths);
  const double* entry = vector.data();
  for (std::size_t j = 0; j < network.depth(); ++j) {
    for (Index i = 0; i < network.weight(j).rows(); ++i) {
      for (Index k = 0; k < network.weight(j).cols(); ++k) {
        network.weight(j)(i, k) = from.weight(j)(i, k) + step * *entry++;
      }
    }
    network.refresh_transposed(j);
  }
  return network;
}

Values gradient(const Network<double>& network, Loss<double>& loss) {
  Pass<double> pass(network.widths());
  auto layers = zero_layers<double>(network.widths());
  Matrix<double> end_to_end_gradient(loss.n_outputs(), loss.n_inputs());
  pass.forward(network);
  loss.value_and_gradient(pass.end_to_end(network), end_to_end_gradient);
  pass.gradients(network, end_to_end_gradient, layers);
  Values entries;
  for (const auto& layer : layers) {
    for (Index i = 0; i < layer.rows(); ++i) {
      for (Index k = 0; k < layer.cols(); ++k) entries.push_back(layer(i, k));
    }
  }
  return entries;
}

void test_product(const Widths& widths) {
  const auto loss =
      std::make_shared<TargetLoss<double>>(random_matrix<double>(widths.back(), widths.front()));
  const Network<double> at = random_network(widths);
  ChainHessian hessian(random_network(widths), loss, widths.size());
  Values vector(static_cast<std::size_t>(hessian.size()));
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  for (double& entry : vector) entry = uniform(engine());
  const Values none(vector.size());
  ChainHessian product_of(moved(widths, at, none, 0.0), loss, widths.size());
  Values product(vector.size());
  product_of.multiply(vector.data(), product.data());
  // The error of order step^2 and the rounding of order epsilon / step balance near this step.
  const double step = 1e-5;
  const Values above = gradient(moved(widths, at, vector, step), *loss);
  const Values below = gradient(moved(widths, at, vector, -step), *loss);
  double size = 1.0;
  for (double entry : product) size = std::max(size, std::abs(entry));
  for (std::size_t i = 0; i < product.size(); ++i) {
    check(std::abs((above[i] - below[i]) / (2.0 * step) - product[i]) <= 1e-7 * size, "product");
  }
}

// Eigenvalues `of`, in coordinates of a reflection.
class Reflected final : public SymmetricOperator {
 public:
  explicit Reflected(Values of) : values_(std::move(of)), axis_(values_.size()) {
    double square = 0.0;
    for (std::size_t i = 0; i < axis_.size(); ++i) {
      axis_[i] = 1.0 + static_cast<double>(i % 7);
      square += axis_[i] * axis_[i];
    }
    for (double& entry : axis_) entry /= std::sqrt(square);
  }

  std::ptrdiff_t size() const override { return static_cast<std::ptrdiff_t>(values_.size()); }
  void multiply(const double* vector, double* product) override {
    std::copy(vector, vector + size(), product);
    reflect(product);
    for (std::size_t i = 0; i < values_.size(); ++i) product[i] *= values_[i];
    reflect(product);
  }

 private:
  void reflect(double* vector) const {
    double along = 0.0;
    for (std::size_t i = 0; i < axis_.size(); ++i) along += axis_[i] * vector[i];
    for (std::size_t i = 0; i < axis_.size(); ++i) vector[i] -= 2.0 * along * axis_[i];
  }

  Values values_;
  Values axis_;
};

void test_search(Values values) {
  const auto [smallest, largest] = std::minmax_element(values.begin(), values.end());
  const double low = *smallest, high = *largest;
  const double size = std::max(std::abs(low), std::abs(high));
  const auto found = [&](bool is_largest, bool alone) {
    ExtremeSearch search(std::make_unique<Reflected>(values), 1e-8, 10000);
    // In slices of nothing: one product of the operator in each, at the least.
    while (!search.advance(is_largest || !alone, !is_largest || !alone, 1e-9)) continue;
    return is_largest ? search.largest() : search.smallest();
  };
  for (bool is_largest : {true, false}) {
    const Extreme together = found(is_largest, false);
    const Extreme alone = found(is_largest, true);
    check(std::abs(together.value - (is_largest ? high : low)) <= 1e-10 * size, "extreme");
    check(together.residual <= 1.1e-8 * size, "residual");
    check(together.value == alone.value && together.n_products == alone.n_products,
          "what else is wanted changes what is found");
  }
}

void test_eigen(Index n) {
  const Matrix<double> half = random_matrix<double>(n, n);
  Values a(static_cast<std::size_t>(n * n));
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < n; ++i) {
      a[static_cast<std::size_t>(j * n + i)] = half(i, j) + half(j, i);
    }
  }
  const SymmetricEigen eigen(n, a.data(), n);
  const SymmetricEigen ends(n, a.data(), 1);
  for (Index k = 0; k < n; ++k) {
    check(k == 0 || eigen.value(k - 1) <= eigen.value(k), "values ascend");
    check(std::abs(ends.value(k) - eigen.value(k)) <= rounding<double>(n), "values alone");
    check(std::abs(ends.vector(k)[0] - eigen.vector(k)[n - 1]) <= 1e-10, "ends of the vectors");
    for (Index i = 0; i < n; ++i) {
      double product = 0.0;
      for (Index j = 0; j < n; ++j) {
        product += a[static_cast<std::size_t>(j * n + i)] * eigen.vector(k)[j];
      }
      check(std::abs(product - eigen.value(k) * eigen.vector(k)[i]) <= rounding<double>(10 * n),
            "eigenvector");
    }
  }
}

}  // namespace

void test_hessian() {
  for (const Widths& widths : {Widths{3, 4},
                               {1, 1, 1},
                               {5, 1, 4},
                               {4, 6, 3, 5},
                               {30, 5, 5, 2},
                               {2, 5, 5, 30},
                               {30, 4, 4, 30},
                               {17, 16, 15, 14, 13}}) {
    test_product(widths);
  }
  for (Index n : {1, 2, 3, 10, 41}) test_eigen(n);
  Values wide(500), twins(300, 1.0), few(20, -2.0), indefinite(97);
  for (std::size_t i = 0; i < wide.size(); ++i) {
    wide[i] = std::pow(0.98, static_cast<double>(i)) - 0.3;
  }
  twins[17] = -1.0;
  few[3] = 1.0;
  for (std::size_t i = 0; i < indefinite.size(); ++i) {
    indefinite[i] = std::sin(static_cast<double>(i));
  }
  for (const Values& values : {wide, twins, few, indefinite, Values(400, 0.0), Values(1, 3.0)}) {
    test_search(values);
  }
}

}  // namespace dlnet::tests
