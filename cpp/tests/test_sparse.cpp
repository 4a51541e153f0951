// Sparse products against plain loops over the dense matrices, and a loss of entries taken entry by
// entry against the same loss taken dense.
#include <numeric>
#include <set>

#include "dlnet/losses/entries.hpp"
#include "network_of.hpp"

namespace dlnet::tests {

struct Places {
  std::vector<Index> rows;
  std::vector<Index> cols;
  std::vector<Index> everything;

  // `count` distinct places in random order.
  Places(Index n_rows, Index n_cols, Index count) {
    std::vector<Index> all(static_cast<std::size_t>(n_rows * n_cols));
    std::iota(all.begin(), all.end(), Index(0));
    std::shuffle(all.begin(), all.end(), engine());
    for (Index k = 0; k < count; ++k) {
      rows.push_back(all[static_cast<std::size_t>(k)] / n_cols);
      cols.push_back(all[static_cast<std::size_t>(k)] % n_cols);
      everything.push_back(k);
    }
  }

  Entries entries() const { return {rows, cols}; }
};

template <class Scalar>
void fill(SparseMatrix<Scalar>& sparse) {
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  for (Scalar& value : sparse.values()) value = static_cast<Scalar>(uniform(engine()));
  sparse.refresh_rows();
}

// (m, n) = (k, m)^T (k, n) at `count` places, and products with the sparse matrix on the right.
template <class Scalar>
void check_products(Index m, Index n, Index k, Index count) {
  const Places places(m, n, count);
  SparseMatrix<Scalar> sparse(m, n, count);
  sparse.choose(places.entries(), places.everything);
  check(static_cast<Index>(sparse.values().size()) == count, "stores every place");
  const auto a = random_matrix<Scalar>(k, m);
  const auto b = random_matrix<Scalar>(k, n);

  multiply_at_entries(a, b, sparse);
  const auto product = plain_product(plain_transpose(a), b);
  for (Index s = 0; s < count; ++s) {
    const Index sample = sparse.samples()[static_cast<std::size_t>(s)];
    const auto at = static_cast<std::size_t>(sample);
    const double error = std::abs(static_cast<double>(sparse.values()[static_cast<std::size_t>(s)] -
                                                      product(places.rows[at], places.cols[at])));
    check(error <= rounding<Scalar>(k), "product at an entry");
  }

  fill(sparse);
  Matrix<Scalar> dense(m, n);
  copy(sparse, dense);
  const auto check_product = [&](const Matrix<Scalar>& left, const SparseColumns<Scalar>& right,
                                 const Matrix<Scalar>& plain) {
    auto c = random_matrix<Scalar>(left.rows(), right.cols());
    Matrix<Scalar> expected(c.rows(), c.cols());
    for (Index j = 0; j < c.cols(); ++j) {
      for (Index i = 0; i < c.rows(); ++i) {
        expected(i, j) = Scalar(0.5) * c(i, j) - Scalar(2) * plain(i, j);
      }
    }
    multiply_sparse(left, right, c, Accumulate<Scalar>{Scalar(-2), Scalar(0.5)});
    check(largest_difference(c, expected) <= 4.0 * rounding<Scalar>(count), "accumulated product");
    check_padding(c);
    multiply_sparse(left, right, c, Assign<Scalar>{});
    check(largest_difference(c, plain) <= rounding<Scalar>(count), "product");
    check_padding(c);
  };
  check_product(a, sparse.by_column(), plain_product(a, dense));
  check_product(b, sparse.by_row(), plain_product(b, plain_transpose(dense)));
}

template <class Scalar>
struct Taken {
  double value;
  Layers<Scalar> gradients;
  Matrix<Scalar> whole;
  Network<Scalar> network;  // after a step
};

template <class Scalar>
Taken<Scalar> take(const std::shared_ptr<Loss<Scalar>>& loss, const Widths& widths, bool sparse,
                   std::span<const Index> batch, std::size_t meeting) {
  Network<Scalar> network(widths);
  engine().seed(11);
  randomize(network);
  Pass<Scalar> pass(widths, meeting, sparse, false);
  Objective<Scalar> objective(loss, sparse, static_cast<Index>(batch.size()), true);
  objective.forward(pass, network);
  const double value =
      batch.empty() ? objective.evaluate(pass, network) : objective.evaluate(pass, network, batch);
  auto gradients = zero_layers<Scalar>(widths);
  objective.gradients(pass, network, gradients);
  Matrix<Scalar> whole(widths.back(), widths.front());
  copy(objective.whole_gradient(), whole);
  objective.descend(pass, network, Scalar(0.5), Scalar(0.75));
  return {value, std::move(gradients), std::move(whole), std::move(network)};
}

template <class Scalar>
void check_same(const Taken<Scalar>& a, const Taken<Scalar>& b, double tolerance) {
  check(std::abs(a.value - b.value) <= tolerance * (1.0 + std::abs(b.value)), "loss");
  check(largest_difference(a.whole, b.whole) <= tolerance, "gradient in the end-to-end matrix");
  for (std::size_t j = 0; j < a.gradients.size(); ++j) {
    check(largest_difference(a.gradients[j], b.gradients[j]) <= tolerance, "gradient of a layer");
    check_padding(a.gradients[j]);
    check(largest_difference(a.network.weight(j), b.network.weight(j)) <= tolerance, "update");
    check_padding(a.network.weight(j));
    if (j == 0) continue;
    const auto transposed = plain_transpose(a.network.weight(j));
    check(largest_difference(a.network.transposed(j), transposed) == 0.0, "transposed copy");
    check_padding(a.network.transposed(j));
  }
}

template <class Scalar>
void check_objective(const Widths& widths, std::size_t meeting, Index count, bool mean) {
  engine().seed(5);
  const Places places(widths.back(), widths.front(), count);
  std::vector<double> values;
  for (Index s = 0; s < count; ++s) values.push_back(0.1 * static_cast<double>(s % 17) - 0.7);
  const auto loss_of = [&](const std::vector<Index>& rows, const std::vector<Index>& cols,
                           const std::vector<double>& v) -> std::shared_ptr<Loss<Scalar>> {
    return std::make_shared<EntriesLoss<Scalar>>(widths.back(), widths.front(), rows, cols, v,
                                                 mean);
  };
  const auto loss = loss_of(places.rows, places.cols, values);
  // Residuals and layers are of order one; a sum has at most this many terms.
  const double tolerance = 10.0 * rounding<Scalar>(count + largest(widths));
  const auto sparse = take(loss, widths, true, {}, meeting);
  check_same(sparse, take(loss, widths, false, {}, meeting), tolerance);
  const auto batch = std::span(places.everything).first(places.everything.size() / 2 + 1);
  check_same(take(loss, widths, true, batch, meeting), take(loss, widths, false, batch, meeting),
             tolerance);
  // The same entries in another order are the same bits.
  auto rows = places.rows;
  auto cols = places.cols;
  std::reverse(rows.begin(), rows.end());
  std::reverse(cols.begin(), cols.end());
  std::reverse(values.begin(), values.end());
  check_same(sparse, take(loss_of(rows, cols, values), widths, true, {}, meeting), 0.0);
}

// Records of the whole matrix and stops in between change no bit of a sparse run.
template <class Scalar>
void check_records(const Widths& widths, Index count, Method method, Index batch_size) {
  const auto run = [&](bool records) {
    engine().seed(3);
    const Places places(widths.back(), widths.front(), count);
    const std::vector<double> values(static_cast<std::size_t>(count), 0.5);
    const auto loss = std::make_shared<EntriesLoss<Scalar>>(widths.back(), widths.front(),
                                                            places.rows, places.cols, values, true);
    MethodSettings settings;
    settings.method = method;
    settings.decay = 0.9;
    settings.epsilon = 1e-6;
    Wanted wanted;
    wanted.product = wanted.product_gradient = records;
    auto descent = random_descent<Scalar>(
        {widths, loss, batch_size > 0 ? loss : nullptr, batch_size, 1, settings, {}, wanted, {}});
    check(descent.is_sparse(), "few entries are taken one by one");
    const double rate = 0.01;
    const std::vector<std::int64_t> steps = {0, 3, 4, 11, 20};
    std::vector<Scalar> products(steps.size() *
                                 static_cast<std::size_t>(widths.back() * widths[0]));
    Plan<Scalar> plan;
    plan.until = 20;
    plan.rates = {&rate, 1};
    plan.seconds = records ? 0.0 : 1e9;
    if (records) {
      plan.record_steps = steps;
      plan.sink.end_to_end = products.data();
    }
    while (descent.advance(plan) == Outcome::paused) {
    }
    Layers<Scalar> layers;
    for (std::size_t j = 0; j < descent.network().depth(); ++j) {
      layers.push_back(std::move(descent.network().weight(j)));
    }
    return std::pair(std::move(layers), products.back());
  };
  const auto [plain, nothing] = run(false);
  const auto [recorded, last] = run(true);
  double expected = 0.0;
  if (plain.size() == 2) {
    const Matrix<Scalar> product = plain_product(plain[1], plain[0]);
    expected = static_cast<double>(product(product.rows() - 1, product.cols() - 1));
    check(std::abs(static_cast<double>(last) - expected) <= rounding<Scalar>(widths[1]),
          "the whole matrix is recorded");
  }
  for (std::size_t j = 0; j < plain.size(); ++j) {
    check(largest_difference(plain[j], recorded[j]) == 0.0, "records change bits");
  }
}

template <class Scalar>
void check_sparse() {
  check_products<Scalar>(1, 1, 1, 1);
  check_products<Scalar>(5, 3, 2, 15);
  check_products<Scalar>(20, 30, 17, 1);
  check_products<Scalar>(40, 25, 33, 300);
  check_products<Scalar>(300, 260, 140, 2000);  // beyond the first cache
  for (const Widths& widths : {Widths{1, 1, 1}, Widths{5, 3, 4}, Widths{9, 20, 11}, Widths{8, 1, 6},
                               Widths{12, 7, 9, 10}, Widths{6, 3, 5, 2, 9, 7, 11}}) {
    const Index all = widths.front() * widths.back();
    for (Index count : std::set<Index>{1, (all + 3) / 4, all}) {
      for (std::size_t m = 1; m + 1 < widths.size(); ++m) {
        check_objective<Scalar>(widths, m, count, count % 2 == 0);
      }
    }
  }
  for (Method method : {Method::gradient_descent, Method::group_rmsprop, Method::adam}) {
    check_records<Scalar>({20, 10, 15}, 20, method, 0);
    check_records<Scalar>({20, 10, 15}, 300, method, 7);
    check_records<Scalar>({9, 12, 8, 10}, 6, method, 0);
    check_records<Scalar>({40, 20, 30, 6}, 12, method, 0);
  }
}

void test_sparse() {
  check_sparse<double>();
  check_sparse<float>();
}

}  // namespace dlnet::tests
