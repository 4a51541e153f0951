// The fused pass against the definition of its gradients, and its update against its gradients.
#include "check.hpp"
#include "dlnet/pass.hpp"

namespace dlnet::tests {

// (W_N ... W_{j+1})^T G (W_{j-1} ... W_1)^T with plain loops.
template <class Scalar>
Matrix<Scalar> plain_gradient(const Network<Scalar>& network, const Matrix<Scalar>& g,
                              std::size_t j) {
  Matrix<Scalar> gradient(g.rows(), g.cols());
  copy(g, gradient);
  for (std::size_t l = network.depth() - 1; l > j; --l) {
    gradient = plain_product(plain_transpose(network.weight(l)), gradient);
  }
  for (std::size_t l = 0; l < j; ++l) {
    gradient = plain_product(gradient, plain_transpose(network.weight(l)));
  }
  return gradient;
}

template <class Scalar>
void check_chain(const Widths& widths) {
  Network<Scalar> network(widths);
  randomize(network);
  Pass<Scalar> pass(widths);
  pass.forward(network);

  Matrix<Scalar> product = plain_transpose(plain_transpose(network.weight(0)));
  for (std::size_t j = 1; j < network.depth(); ++j) {
    product = plain_product(network.weight(j), product);
  }
  const double tolerance = rounding<Scalar>(static_cast<Index>(network.depth()) * largest(widths));
  check(largest_difference(pass.end_to_end(network), product) <= tolerance, "end-to-end matrix");

  const auto g = random_matrix<Scalar>(widths.back(), widths.front());
  auto gradients = zero_layers<Scalar>(widths);
  pass.gradients(network, g, gradients);
  auto expected = zero_layers<Scalar>(widths);
  const Scalar rate = Scalar(0.125);
  const Scalar keep = Scalar(0.75);
  for (std::size_t j = 0; j < network.depth(); ++j) {
    const auto plain = plain_gradient(network, g, j);
    check(largest_difference(gradients[j], plain) <= 10.0 * tolerance, "gradient of a layer");
    check_padding(gradients[j]);
    for (Index col = 0; col < plain.cols(); ++col) {
      for (Index row = 0; row < plain.rows(); ++row) {
        expected[j](row, col) = keep * network.weight(j)(row, col) - rate * plain(row, col);
      }
    }
  }
  pass.descend(network, g, rate, keep);
  for (std::size_t j = 0; j < network.depth(); ++j) {
    check(largest_difference(network.weight(j), expected[j]) <= 10.0 * tolerance, "update");
    check_padding(network.weight(j));
    if (j == 0) continue;
    check(largest_difference(network.transposed(j), plain_transpose(network.weight(j))) == 0.0,
          "transposed copy");
  }
}

template <class Scalar>
void check_chains() {
  check_chain<Scalar>({1, 1});
  check_chain<Scalar>({5, 3});
  check_chain<Scalar>({1, 1, 1, 1});
  check_chain<Scalar>({7, 2, 9});
  check_chain<Scalar>({4, 17, 1, 5, 12});
  check_chain<Scalar>({20, 20, 20, 20});
  check_chain<Scalar>({1, 70, 1});
  check_chain<Scalar>({300, 3, 280});
  check_chain<Scalar>(Widths(33, 6));
}

void test_pass() {
  check_chains<double>();
  check_chains<float>();
}

}  // namespace dlnet::tests
