// The fused pass against the definition of its gradients, and its update against its gradients,
// wherever the products meet; where they meet by themselves.
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
void check_chain(const Widths& widths, std::size_t meeting) {
  Network<Scalar> network(widths);
  randomize(network);
  Pass<Scalar> pass(widths, meeting, false, true);
  check(pass.meeting() == meeting, "the meeting layer asked for");
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
  check(largest_difference(pass.end_to_end(network), product) <= tolerance, "and it stays");
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
void check_chain(const Widths& widths) {
  const std::size_t depth = widths.size() - 1;
  for (std::size_t m = 1; m < std::max<std::size_t>(depth, 2); ++m) check_chain<Scalar>(widths, m);
}

template <class Scalar>
void check_chains() {
  for (const Widths& widths :
       {Widths{1, 1}, Widths{5, 3}, Widths{1, 1, 1, 1}, Widths{7, 2, 9}, Widths{4, 17, 1, 5, 12},
        Widths{20, 20, 20, 20}, Widths{1, 70, 1}, Widths{300, 3, 280}, Widths(33, 6),
        Widths{40, 9, 17, 3}, Widths{3, 17, 9, 40}, Widths{50, 30, 2, 28, 60},
        Widths{5, 40, 3, 8, 21, 6}, Widths{26, 4, 13, 2, 30, 7, 11}, Widths{300, 5, 7, 1}}) {
    check_chain<Scalar>(widths);
  }
}

void check_meeting_layers() {
  const auto check_layer = [](const Widths& widths, std::size_t m) {
    check(meeting_layer(widths) == m, "where the products meet");
    check(Pass<double>(widths).meeting() == m && Pass<float>(widths).meeting() == m, "in the pass");
  };
  check_layer({7, 900}, 1);
  check_layer({1000, 7, 2}, 1);
  // From the output where that is narrow.
  check_layer({784, 100, 100, 10}, 1);
  check_layer({1000, 100, 100, 100, 10}, 1);
  // From the input where that is narrow, and where it makes little difference.
  check_layer({10, 100, 100, 784}, 2);
  check_layer({100, 100, 100, 100}, 2);
  check_layer({100, 100, 100, 95}, 2);
  check_layer({4, 4, 4, 1}, 2);
  // From both sides of a bottleneck.
  check_layer({1000, 500, 10, 500, 1000}, 2);
  check_layer({500, 500, 500, 10, 500, 500}, 3);
  check_layer({20, 60, 21, 60, 19}, 2);
}

void test_pass() {
  check_chains<double>();
  check_chains<float>();
  check_meeting_layers();
}

}  // namespace dlnet::tests
