#include "rank_revealing.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

namespace dlnet {

namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// Squared norms of columns are brought down by the squares of their parts along new directions. At
// this share of where they began the digits that are left no longer order the columns well.
constexpr double trusted_share = 1e-6;

// Gram-Schmidt with column pivoting that looks left: one pass over A a direction, which reads A and
// leaves it alone. The remainder is written out only where the norms have lost their digits.
class PivotedQr {
 public:
  PivotedQr(Index rows, Index cols, const double* a, double tolerance, Index largest)
      : remainder_(Eigen::Map<const MatrixXd>(a, rows, cols)),
        limit_(std::min({rows, cols, largest})) {
    const double top = remainder_.cwiseAbs().maxCoeff();
    exponent_ = top > 0.0 ? std::ilogb(top) : 0;
    // Twice, as one factor may be out of range: squares stay in it now.
    const int half = exponent_ / 2;
    remainder_ *= std::ldexp(1.0, -half);
    remainder_ *= std::ldexp(1.0, half - exponent_);
    take_norms();
    negligible_ = tolerance * tolerance * whole_;
    q_.resize(rows, 0);
    r_transposed_.resize(cols, 0);
  }

  RankRevealed factorise() {
    while (rank_ < limit_) {
      if (is_stale()) refresh();
      if (is_negligible()) break;
      add_direction();
    }
    RankRevealed result{rank_, {}, {}};
    result.q.assign(q_.data(), q_.data() + q_.rows() * rank_);
    r_transposed_ *= std::ldexp(1.0, exponent_ / 2);
    r_transposed_ *= std::ldexp(1.0, exponent_ - exponent_ / 2);
    result.coefficients.assign(r_transposed_.data(),
                               r_transposed_.data() + r_transposed_.rows() * rank_);
    return result;
  }

 private:
  void take_norms() {
    squares_ = remainder_.colwise().squaredNorm().transpose();
    whole_ = squares_.sum();
    written_ = rank_;
  }

  bool is_negligible() const {
    return squares_.sum() * static_cast<double>(std::max<Index>(rank_, 1)) <= negligible_;
  }

  bool is_stale() const {
    return written_ < rank_ && (squares_.sum() <= trusted_share * whole_ || is_negligible());
  }

  void refresh() {
    const Index n_new = rank_ - written_;
    remainder_.noalias() -=
        q_.middleCols(written_, n_new) * r_transposed_.middleCols(written_, n_new).transpose();
    take_norms();
  }

  void add_direction() {
    Index pivot = 0;
    squares_.maxCoeff(&pivot);
    VectorXd direction = remainder_.col(pivot);
    // Twice is enough for a column that is not negligible.
    for (int sweep = 0; sweep < 2; ++sweep) {
      const VectorXd along = q_.leftCols(rank_).transpose() * direction;
      direction.noalias() -= q_.leftCols(rank_) * along;
    }
    const double norm = direction.norm();
    if (!(norm > 0.0)) {
      squares_[pivot] = 0.0;
      return;
    }
    make_room();
    q_.col(rank_) = direction / norm;
    r_transposed_.col(rank_).noalias() = remainder_.transpose() * q_.col(rank_);
    squares_ = (squares_ - r_transposed_.col(rank_).cwiseAbs2()).cwiseMax(0.0);
    ++rank_;
  }

  void make_room() {
    if (rank_ < q_.cols()) return;
    const Index room = std::min(limit_, 2 * rank_ + 16);
    q_.conservativeResize(Eigen::NoChange, room);
    r_transposed_.conservativeResize(Eigen::NoChange, room);
  }

  MatrixXd remainder_;  // A less its part along the first `written_` directions, times 2^-exponent
  MatrixXd q_;
  MatrixXd r_transposed_;
  VectorXd squares_;  // squared norms of the columns of what really remains
  Index limit_;
  Index rank_ = 0;
  Index written_ = 0;
  int exponent_ = 0;
  double whole_ = 0.0;  // sum of `squares_` when the remainder was last written out
  double negligible_ = 0.0;
};

}  // namespace

RankRevealed rank_revealing_qr(std::ptrdiff_t rows, std::ptrdiff_t cols, const double* a,
                               double tolerance, std::ptrdiff_t largest) {
  return PivotedQr(rows, cols, a, tolerance, largest).factorise();
}

}  // namespace dlnet
