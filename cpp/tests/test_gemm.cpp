// Products of every shape around the edges of tiles, vectors and blocks against plain loops.
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "check.hpp"
#include "dlnet/gemm.hpp"

namespace dlnet::tests {

template <class Scalar>
void check_products(Index m, Index n, Index k) {
  const auto a = random_matrix<Scalar>(m, k);
  const auto b = random_matrix<Scalar>(k, n);
  const auto expected = plain_product(a, b);
  const double tolerance = rounding<Scalar>(k);
  Packing<Scalar> packing(std::max({m, n, k}));

  Matrix<Scalar> c(m, n);
  multiply<Scalar>(a, b, c, Assign<Scalar>{}, packing);
  check(largest_difference(c, expected) <= tolerance, "A B");
  check_padding(c);

  multiply_transposed<Scalar>(a, plain_transpose(b), c, Assign<Scalar>{}, packing);
  check(largest_difference(c, expected) <= tolerance, "A B^T");

  auto accumulated = random_matrix<Scalar>(m, n);
  Matrix<Scalar> by_hand(m, n);
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < m; ++i) {
      by_hand(i, j) = Scalar(-0.5) * expected(i, j) + Scalar(0.75) * accumulated(i, j);
    }
  }
  multiply<Scalar>(a, b, accumulated, Accumulate<Scalar>{Scalar(-0.5), Scalar(0.75)}, packing);
  check(largest_difference(accumulated, by_hand) <= tolerance, "beta C + alpha A B");
  check_padding(accumulated);
}

// Every part once, by whichever member; also where there are fewer parts than members.
void check_team() {
  for (int size : {1, 2, 5}) {
    Team team(size);
    for (int n_parts = 1; n_parts <= 40; ++n_parts) {
      std::vector<int> calls(static_cast<std::size_t>(n_parts), 0);
      std::vector<int> member_of(static_cast<std::size_t>(n_parts), -1);
      team.run(n_parts, [&](int member, int part) {
        ++calls[static_cast<std::size_t>(part)];
        member_of[static_cast<std::size_t>(part)] = member;
      });
      for (int count : calls) check(count == 1, "every part once");
      for (int member : member_of) check(member >= 0 && member < size, "a member of the team");
    }
  }
}

// A forked process has the team but not its threads; its own teams are as good as any.
void check_forked_team() {
  auto team = std::make_unique<Team>(3);
  team->run(5, [](int, int) {});
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // ends it should it wait for ever
    // Its threads may get the places in memory of those that were left behind.
    Team other(3);
    std::atomic<int> calls = 0;
    const auto count = [&](int, int) { ++calls; };
    other.run(3, count);
    team.reset();
    other.run(3, count);
    _exit(calls == 6 ? 0 : 1);
  }
  int status = -1;
  check(child > 0 && waitpid(child, &status, 0) == child, "forked");
  check(status == 0, "a team ends in a forked process");
}

template <class Scalar>
void check_threads(Index m, Index n, Index k) {
  const auto a = random_matrix<Scalar>(m, k);
  const auto b = random_matrix<Scalar>(k, n);
  Packing<Scalar> packing(std::max({m, n, k}));
  Matrix<Scalar> expected(m, n);
  multiply<Scalar>(a, b, expected, Assign<Scalar>{}, packing);
  for (int size : {2, 3, 7}) {
    Team team(size);
    packing.share_with(team);
    Matrix<Scalar> c(m, n);
    for (int again = 0; again < 3; ++again) {
      multiply<Scalar>(a, b, c, Assign<Scalar>{}, packing);
      check(largest_difference(c, expected) == 0.0, "A B on several threads");
      check_padding(c);
      multiply_transposed<Scalar>(a, plain_transpose(b), c, Assign<Scalar>{}, packing);
      check(largest_difference(c, expected) == 0.0, "A B^T on several threads");
    }
  }
}

template <class Scalar>
void check_transpose(Index rows, Index cols) {
  const auto matrix = random_matrix<Scalar>(rows, cols);
  Matrix<Scalar> transposed(cols, rows);
  transpose(matrix, transposed);
  check(largest_difference(transposed, plain_transpose(matrix)) == 0.0, "transpose");
  check_padding(transposed);
}

template <class Scalar>
void check_sum_of_squares() {
  Matrix<Scalar> matrix(19, 3);
  for (Index j = 0; j < 3; ++j) {
    for (Index i = 0; i < 19; ++i) matrix(i, j) = static_cast<Scalar>(i - j);
  }
  double expected = 0.0;  // of small whole numbers: exact
  for (int j = 0; j < 3; ++j) {
    for (int i = 0; i < 19; ++i) expected += (i - j) * (i - j);
  }
  check(sum_of_squares(matrix) == expected, "sum of squares");
  check(frobenius_norm(matrix) == std::sqrt(expected), "Frobenius norm");
  for (Scalar scale : {std::numeric_limits<Scalar>::max(), std::numeric_limits<Scalar>::min()}) {
    Matrix<Scalar> extreme(2, 2);
    for (Index i = 0; i < 2; ++i) extreme(i, i) = scale;
    const double norm = std::sqrt(2.0) * static_cast<double>(scale);
    check(std::abs(frobenius_norm(extreme) / norm - 1.0) <= 1e-15 || !std::isfinite(norm),
          "Frobenius norm of extreme numbers");
  }
}

template <class Scalar>
void check_shapes() {
  for (Index m : {1, 2, 3, 5, 8, 13, 17, 33}) {
    for (Index n : {1, 2, 4, 7, 15, 17}) {
      for (Index k : {1, 2, 5, 16}) check_products<Scalar>(m, n, k);
    }
  }
  for (int number = 0; number < n_fixed_widths; ++number) {
    const Index width = fixed_width(number);
    check_products<Scalar>(width, width, width);
  }
  check_products<Scalar>(50, 50, 50);
  check_products<Scalar>(37, 200, 300);  // packed, with several blocks
  check_products<Scalar>(30, 450, 230);  // packed because of its size
  check_products<Scalar>(3, 2, 700);
  check_products<Scalar>(300, 1, 1);
  for (Index rows : {1, 7, 8, 9, 40}) {
    for (Index cols : {1, 8, 11}) check_transpose<Scalar>(rows, cols);
  }
  check_sum_of_squares<Scalar>();
  check_threads<Scalar>(100, 101, 97);   // columns are shared
  check_threads<Scalar>(230, 60, 80);    // rows
  check_threads<Scalar>(120, 70, 300);   // two blocks of the inner dimension
  check_threads<Scalar>(20000, 1, 64);   // fewer columns than members
  check_threads<Scalar>(300, 420, 260);  // packed, columns are shared
}

void test_gemm() {
  check_team();
  check_forked_team();
  check_shapes<double>();
  check_shapes<float>();
}

}  // namespace dlnet::tests
