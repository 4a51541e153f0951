// Ensembles: lanes agree with single descents, products in lanes with plain ones; threads, slices
// and the number of members change no bit.
#include "ensemble_of.hpp"
#include "network_of.hpp"

namespace dlnet::tests {

template <class Scalar>
LaneMatrix<Scalar> in_lanes(const std::vector<Matrix<Scalar>>& of) {
  LaneMatrix<Scalar> lanes_of(of[0].rows(), of[0].cols());
  for (std::size_t l = 0; l < of.size(); ++l) lanes_of.put(static_cast<Index>(l), of[l]);
  return lanes_of;
}

template <class Scalar>
std::vector<Matrix<Scalar>> random_matrices(Index rows, Index cols) {
  std::vector<Matrix<Scalar>> matrices;
  for (Index l = 0; l < lanes<Scalar>; ++l) matrices.push_back(random_matrix<Scalar>(rows, cols));
  return matrices;
}

// A B, A^T B and A B^T in every shape of tile.
template <class Scalar>
void check_lane_products(Index m, Index n, Index k) {
  const auto a = random_matrices<Scalar>(m, k);
  const auto b = random_matrices<Scalar>(k, n);
  std::vector<Matrix<Scalar>> a_transposed;
  std::vector<Matrix<Scalar>> b_transposed;
  for (const auto& matrix : a) a_transposed.push_back(plain_transpose(matrix));
  for (const auto& matrix : b) b_transposed.push_back(plain_transpose(matrix));
  LaneMatrix<Scalar> c[3] = {{m, n}, {m, n}, {m, n}};
  multiply(in_lanes(a), in_lanes(b), c[0], Assign<Scalar>{});
  transposed_multiply(in_lanes(a_transposed), in_lanes(b), c[1], Assign<Scalar>{});
  multiply_transposed(in_lanes(a), in_lanes(b_transposed), c[2], Assign<Scalar>{});
  for (std::size_t l = 0; l < a.size(); ++l) {
    const auto expected = plain_product(a[l], b[l]);
    Matrix<Scalar> actual(m, n);
    for (const auto& product : c) {
      product.take(static_cast<Index>(l), actual);
      check(largest_difference(actual, expected) <= rounding<Scalar>(k), "a product in lanes");
    }
  }
}

template <class Scalar>
Layers<Scalar> final_layers(Ensemble<Scalar>& ensemble, std::size_t member) {
  Layers<Scalar> layers = zero_layers<Scalar>(ensemble.members().widths);
  for (std::size_t j = 0; j < layers.size(); ++j) {
    copy(ensemble.network(member).weight(j), layers[j]);
  }
  return layers;
}

// The layers of all members at their ends.
template <class Scalar>
std::vector<Layers<Scalar>> run_all(Method method, Index count, Path path, std::size_t n_threads,
                                    double seconds) {
  engine().seed(11);
  auto members = members_of<Scalar>({3, 5, 4}, settings_of(method), 11);
  members.list.resize(static_cast<std::size_t>(count));
  members.last_step = 200;
  Ensemble<Scalar> ensemble(std::move(members), path);
  for (std::size_t k = 0; k < static_cast<std::size_t>(count); ++k) {
    engine().seed(static_cast<unsigned>(k));
    randomize(ensemble.network(k));
  }
  ensemble.start();
  EnsemblePlan<Scalar> plan;
  plan.until = 200;
  while (!ensemble.advance(plan, seconds, n_threads)) {
  }
  std::vector<Layers<Scalar>> ends;
  for (std::size_t k = 0; k < static_cast<std::size_t>(count); ++k) {
    check(ensemble.members().list[k].end == End::finished, "the member finished");
    ends.push_back(final_layers(ensemble, k));
  }
  return ends;
}

template <class Scalar>
double difference(const Layers<Scalar>& a, const Layers<Scalar>& b) {
  double largest = 0.0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    largest = std::max(largest, largest_difference(a[j], b[j]));
  }
  return largest;
}

template <class Scalar>
void check_paths(Method method) {
  const auto singles = run_all<Scalar>(method, 11, Path::singles, 1, 1e9);
  const auto in_lanes = run_all<Scalar>(method, 11, Path::lanes, 1, 1e9);
  const auto threaded = run_all<Scalar>(method, 11, Path::lanes, 3, 0.0);
  const auto fewer = run_all<Scalar>(method, 3, Path::lanes, 1, 1e9);
  for (std::size_t k = 0; k < singles.size(); ++k) {
    // A unit in the last place for each of the 200 steps, ten times for what it grows.
    const double tolerance = 2000.0 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());
    check(difference(singles[k], in_lanes[k]) <= tolerance, "lanes agree with single descents");
    check(difference(in_lanes[k], threaded[k]) == 0.0, "threads and slices change no bit");
    if (k < 3) check(difference(in_lanes[k], fewer[k]) == 0.0, "company changes no bit");
  }
}

void test_ensemble() {
  for (Index m = 1; m <= 7; ++m) {
    for (Index n = 1; n <= 13; ++n) {
      check_lane_products<double>(m, n, 3);
      check_lane_products<float>(m, n, 3);
    }
  }
  for (Method method : {Method::gradient_descent, Method::momentum, Method::group_rmsprop,
                        Method::rmsprop, Method::adam, Method::adagrad, Method::adadelta}) {
    check_paths<double>(method);
    check_paths<float>(method);
  }
}

}  // namespace dlnet::tests
