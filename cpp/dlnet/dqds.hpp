// Singular values of a bidiagonal matrix by the differential quotient-difference algorithm with
// shifts (Fernando & Parlett 1994; Parlett & Marques 2000): on the squares of its entries, one
// division an entry and pass, and no subtraction but that of the shift. Values only.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <vector>

#include "types.hpp"

namespace dlnet {

class Dqds {
 public:
  explicit Dqds(Index n)
      : q_(static_cast<std::size_t>(n)),
        e_(static_cast<std::size_t>(n)),
        new_q_(static_cast<std::size_t>(n)),
        new_e_(static_cast<std::size_t>(n)) {
    blocks_.reserve(static_cast<std::size_t>(n));
  }

  // Of the upper bidiagonal matrix with n entries on the diagonal and n - 1 beside it, whose
  // squares stay inside the range of a double: n values in descending order.
  void compute(Index n, const double* diagonal, const double* off, double* values) {
    double largest = 0.0;
    for (Index i = 0; i < n; ++i) {
      q(i) = diagonal[i] * diagonal[i];
      e(i) = i + 1 < n ? off[i] * off[i] : 0.0;
      largest = std::max({largest, q(i), e(i)});
    }
    // Dropped, it moves no singular value by more than 1/100 unit in the last place of the largest.
    negligible_ = 1e-4 * epsilon * epsilon * largest;
    passes_left_ = 100 * static_cast<std::int64_t>(n);
    blocks_.assign(1, Block{});
    is_fresh_ = true;
    for (Index last = n - 1; last >= 0;) last = reduce(last, values);
    std::sort(values, values + n, std::greater<>());
  }

 private:
  static constexpr double epsilon = std::numeric_limits<double>::epsilon();
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  // From `first` to where the next block begins: B^T B of this part plus the shift has the
  // eigenvalues that are sought.
  struct Block {
    Index first = 0;
    double shift = 0.0;
    double lost = 0.0;  // that rounding dropped from the sum of shifts
  };

  // The smallest d of a pass, also among all but the last, and the last.
  struct Smallest {
    double d = infinity;
    double d_before_last = infinity;
    double last = 0.0;
  };

  double& q(Index i) { return q_[static_cast<std::size_t>(i)]; }
  double& e(Index i) { return e_[static_cast<std::size_t>(i)]; }

  double value(double eigenvalue) const {
    const Block& block = blocks_.back();
    return std::sqrt(block.shift + (block.lost + eigenvalue));
  }

  // Finishes one or two values at the end of the last block, or works on it; returns what is the
  // last index then.
  Index reduce(Index last, double* values) {
    split(last);
    const Index first = blocks_.back().first;
    if (first == last || is_separate(last)) {
      values[last] = value(q(last));
      if (first == last) return leave(last - 1);
      smallest_.d = smallest_.d_before_last;
      return last - 1;
    }
    if (first + 1 == last) {
      const double sum = q(first) + e(first) + q(last);
      const double difference = q(first) - q(last);
      const double root =
          std::sqrt(difference * difference + e(first) * (2.0 * (q(first) + q(last)) + e(first)));
      const double larger = 0.5 * (sum + root);
      values[first] = value(larger);
      values[last] = value(q(first) * (q(last) / larger));
      return leave(first - 1);
    }
    turn(first, last);
    step(first, last);
    return last;
  }

  Index leave(Index last) {
    blocks_.pop_back();
    is_fresh_ = true;
    return last;
  }

  // Whether the last e can be dropped, which takes as much from one diagonal entry of B B^T and the
  // entry sqrt(q e) beside its last: no eigenvalue moves by more than these.
  bool is_separate(Index last) {
    const Block& block = blocks_.back();
    const double allowed =
        std::max(negligible_, 0.05 * epsilon * (block.shift + (block.lost + q(last))));
    return e(last - 1) <= allowed && q(last) * e(last - 1) <= allowed * allowed;
  }

  void split(Index last) {
    const Block block = blocks_.back();
    for (Index i = last - 1; i > block.first; --i) {
      if (e(i - 1) > negligible_) continue;
      blocks_.push_back({i, block.shift, block.lost});
      is_fresh_ = true;
      return;
    }
  }

  // Passes separate values at the end, and fast where those are the small ones. With J the exchange
  // matrix, J B^T J is bidiagonal with the entries in opposite order.
  void turn(Index first, Index last) {
    if (1.5 * q(first) >= q(last)) return;
    std::reverse(q_.begin() + first, q_.begin() + last + 1);
    std::reverse(e_.begin() + first, e_.begin() + last);
    is_fresh_ = true;
  }

  // One pass, with a shift below the smallest eigenvalue, which shows in that no d is negative.
  void step(Index first, Index last) {
    double shift = is_fresh_ ? 0.0 : choose_shift(first, last);
    while (true) {
      if (passes_left_-- == 0) throw std::runtime_error("singular values: no convergence");
      smallest_ = transform(first, last, shift);
      if (smallest_.d >= 0.0) break;
      if (shift == 0.0) throw std::runtime_error("singular values: not a finite matrix");
      shift = smaller_shift(shift);
    }
    std::copy(new_q_.begin() + first, new_q_.begin() + last + 1, q_.begin() + first);
    std::copy(new_e_.begin() + first, new_e_.begin() + last, e_.begin() + first);
    is_fresh_ = false;
    Block& block = blocks_.back();
    const double total = block.shift + shift;
    block.lost += shift - (total - block.shift);
    block.shift = total;
  }

  Smallest transform(Index first, Index last, double shift) {
    Smallest found;
    double d = q(first) - shift;
    for (Index i = first; i < last; ++i) {
      found.d_before_last = std::min(found.d_before_last, d);
      const double sum = d + e(i);
      const double ratio = q(i + 1) / sum;
      new_q_[static_cast<std::size_t>(i)] = sum;
      new_e_[static_cast<std::size_t>(i)] = e(i) * ratio;
      d = d * ratio - shift;
    }
    new_q_[static_cast<std::size_t>(last)] = d;
    found.last = d;
    found.d = std::min(found.d_before_last, d);
    return found;
  }

  // A lower bound of the smallest eigenvalue where the end of B B^T shows one (Gershgorin's, or the
  // quadratic one of a residual and a gap), else a guess below the upper bound that d is.
  double choose_shift(Index first, Index last) {
    if (q(last) > 1.01 * smallest_.d) return 0.25 * smallest_.d;
    const double end = q(last);
    const double beside = std::sqrt(end * e(last - 1));
    const double above = q(last - 1) + e(last - 1);
    const double further = last - 1 > first ? std::sqrt(q(last - 1) * e(last - 2)) : 0.0;
    const double gap = above - end - (beside + further);
    if (gap > beside) return std::max(end - beside * (beside / gap), 0.5 * smallest_.d);
    double bound = std::max(end - beside, 0.0);
    if (above > beside + further) bound = std::min(bound, above - (beside + further));
    return std::max(bound, smallest_.d / 3.0);
  }

  // Where only the last d was negative, shift + d is below the smallest eigenvalue.
  double smaller_shift(double shift) const {
    const double late = shift + smallest_.last;
    if (smallest_.d_before_last > 0.0 && late > 0.0) return (1.0 - 4.0 * epsilon) * late;
    return shift > negligible_ ? 0.25 * shift : 0.0;
  }

  std::vector<double> q_;  // squares of the diagonal
  std::vector<double> e_;  // and of the entries beside it
  std::vector<double> new_q_;
  std::vector<double> new_e_;
  std::vector<Block> blocks_;
  Smallest smallest_;
  double negligible_ = 0.0;
  std::int64_t passes_left_ = 0;
  bool is_fresh_ = true;  // nothing is known of the last block
};

}  // namespace dlnet
