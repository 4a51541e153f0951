// Singular values of several bidiagonal matrices at a time, one in each lane of a few vectors:
// dqds.hpp without its special cases. All lanes take their passes together, each with a shift and
// an end of its own, and nothing that happens in one of them reaches another. A matrix with a zero
// in the way, or whose values do not separate soon, is left to Dqds from the beginning.
#pragma once

#include <array>

#include "dqds.hpp"

namespace dlnet {

class LaneDqds {
 public:
  // Two divisions at a time: one alone leaves the divider waiting, more gain nothing.
  static constexpr Index n_vectors = 2;
  static constexpr Index width = n_vectors * lanes<double>;

  explicit LaneDqds(Index n)
      : n_(n), values_(n * width), own_diagonal_(n), own_off_(n), own_values_(n), alone_(n) {
    for (Buffer<double>* work : {&q_, &e_, &other_q_, &other_e_}) *work = Buffer<double>(n * width);
  }

  // Of the upper bidiagonal matrices in lanes 0, ..., count - 1: entry k of the diagonal of lane l
  // is diagonal[k * width + l], the one beside it off[k * width + l]. Their squares stay inside the
  // range of a double.
  void compute(Index count, const double* diagonal, const double* off) {
    begin(count, diagonal, off);
    for (Index n_passes = 0; longest_ > 0 && n_passes < most_passes(); ++n_passes) {
      transform();
      for (Index r = 0; r < n_vectors; ++r) judge(r);
      drop_ends();
      for (Index r = 0; r < n_vectors; ++r) choose_shift(r);
    }
    for (Index l = 0; l < count; ++l) finish(l);
    for (Index at = 0; at < n_ * width; at += L) store(&values_[at], root(load(&values_[at])));
    for (Index l = 0; l < count; ++l) {
      if (is_hard_[l]) compute_alone(l, diagonal, off);
    }
  }

  // Of lane l, n in descending order. They come out nearly so.
  void write_values(Index l, double* out) const {
    for (Index i = 0; i < n_; ++i) {
      const double value = values_[i * width + l];
      Index place = i;
      for (; place > 0 && out[place - 1] < value; --place) out[place] = out[place - 1];
      out[place] = value;
    }
  }

 private:
  static constexpr Index L = lanes<double>;
  static constexpr double epsilon = std::numeric_limits<double>::epsilon();
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  using V = Vector<double>;

  // A number for each lane.
  struct alignas(cache_line) Numbers {
    double of[width] = {};
    double& operator[](Index l) { return of[l]; }
    V get(Index r) const { return load(of + r * L); }
    void put(Index r, V v) { store(of + r * L, v); }
  };

  // What a pass tells of the end of a matrix: its last q, the e and q before it, the e before
  // these, and the smallest d in front of the end.
  struct End {
    Numbers q;
    Numbers e;
    Numbers further_q;
    Numbers further_e;
    Numbers least;
  };

  // Of a number or of a vector of them.
  template <class T>
  static T smaller(T a, T b) {
    return a < b ? a : b;
  }
  template <class T>
  static T larger(T a, T b) {
    return a > b ? a : b;
  }

  // Three times what is usual.
  Index most_passes() const { return 8 * n_ + 8; }

  void begin(Index count, const double* diagonal, const double* off) {
    for (Index r = 0; r < n_vectors; ++r) {
      V largest{};
      for (Index at = r * L; at < n_ * width; at += width) {
        const V d = load(diagonal + at);
        const V e = at + width < n_ * width ? load(off + at) : V{};
        store(&q_[at], d * d);
        store(&e_[at], e * e);
        largest = larger<V>(largest, larger<V>(d * d, e * e));
      }
      negligible_.put(r, 1e-4 * epsilon * epsilon * largest);  // as for Dqds
    }
    shift_ = total_ = lost_ = Numbers();
    for (Index l = 0; l < width; ++l) {
      is_hard_[l] = false;
      last_[l] = l < count ? static_cast<double>(n_ - 1) : 0.0;
      if (1.5 * q_[l] < q_[(n_ - 1) * width + l]) turn(l);
    }
    longest_ = n_ - 1;
  }

  // Passes separate values at the end, and fast where those are the small ones.
  void turn(Index l) {
    for (Index i = 0, k = n_ - 1; i < k; ++i, --k) std::swap(q_[i * width + l], q_[k * width + l]);
    for (Index i = 0, k = n_ - 2; i < k; ++i, --k) std::swap(e_[i * width + l], e_[k * width + l]);
  }

  // One pass. A lane stands still behind its own end.
  void transform() {
    V d[n_vectors];
    V shift[n_vectors];
    V last[n_vectors];
    V e[n_vectors];
    V further_q[n_vectors];
    V further_e[n_vectors];
    V least[n_vectors];
#pragma GCC unroll 2
    for (Index r = 0; r < n_vectors; ++r) {
      shift[r] = shift_.get(r);
      last[r] = last_.get(r);
      d[r] = load(&q_[r * L]) - shift[r];
      e[r] = further_q[r] = further_e[r] = V{};
      least[r] = V{} + infinity;
    }
    V index{};
    for (Index i = 0; i < longest_; ++i, index += 1.0) {
#pragma GCC unroll 2
      for (Index r = 0; r < n_vectors; ++r) {
        const Index at = i * width + r * L;
        const auto is_inside = index < last[r];
        const V beside = load(&e_[at]);
        const V sum = d[r] + beside;
        const V ratio = load(&q_[at + width]) / sum;
        const V next = beside * ratio;
        store(&other_q_[at], is_inside ? sum : d[r]);
        store(&other_e_[at], next);
        further_e[r] = is_inside ? e[r] : further_e[r];
        e[r] = is_inside ? next : e[r];
        further_q[r] = is_inside ? sum : further_q[r];
        least[r] = is_inside ? smaller(d[r], least[r]) : least[r];
        d[r] = is_inside ? d[r] * ratio - shift[r] : d[r];
      }
    }
#pragma GCC unroll 2
    for (Index r = 0; r < n_vectors; ++r) {
      store(&other_q_[longest_ * width + r * L], d[r]);
      found_.q.put(r, d[r]);
      found_.e.put(r, e[r]);
      found_.further_q.put(r, further_q[r]);
      found_.further_e.put(r, further_e[r]);
      found_.least.put(r, least[r]);
    }
    std::swap(q_, other_q_);
    std::swap(e_, other_e_);
  }

  // Keeps the pass where its shift was below the smallest eigenvalue, which shows in that no d is
  // negative, and takes it back elsewhere.
  void judge(Index r) {
    const V shift = shift_.get(r);
    const V last = found_.q.get(r);
    const V least = found_.least.get(r);
    const auto is_good = (last >= 0.0) & (least >= 0.0);  // NaN is not
    V retry = V{} - 1.0;
    if (any(~is_good)) {
      for (Index at = r * L; at <= longest_ * width + r * L; at += width) {
        store(&q_[at], is_good ? load(&q_[at]) : load(&other_q_[at]));
        store(&e_[at], is_good ? load(&e_[at]) : load(&other_e_[at]));
      }
      // As Dqds::smaller_shift().
      const V late = (1.0 - 4.0 * epsilon) * (shift + last);
      const V less = shift > negligible_.get(r) ? 0.25 * shift : V{};
      const V next = (least > 0.0) & (late > 0.0) ? late : less;
      retry = is_good ? retry : next;
      const auto is_lost = ~is_good & (shift == 0.0);
      for (Index l = 0; l < L; ++l) {
        if (is_lost[l]) give_up(r * L + l);
      }
    }
    retry_.put(r, retry);
    const auto take = [&](Numbers& to, const Numbers& from) {
      to.put(r, is_good ? from.get(r) : to.get(r));
    };
    take(end_.q, found_.q);
    take(end_.e, found_.e);
    take(end_.further_q, found_.further_q);
    take(end_.further_e, found_.further_e);
    take(end_.least, found_.least);
    smallest_.put(r, smaller(end_.least.get(r), end_.q.get(r)));
    const V added = is_good ? shift : V{};
    const V before = total_.get(r);
    const V total = before + added;
    lost_.put(r, lost_.get(r) + (added - (total - before)));
    total_.put(r, total);
  }

  void give_up(Index l) {
    is_hard_[l] = true;
    last_[l] = 0.0;
  }

  // Of a number or of a vector of them, see Dqds::is_separate().
  template <class T>
  static auto is_separate(T q, T e, T total, T lost, T negligible) {
    const T allowed = larger<T>(negligible, 0.05 * epsilon * (total + (lost + q)));
    return (e <= allowed) & (q * e <= allowed * allowed);
  }

  void drop_ends() {
    for (Index r = 0; r < n_vectors; ++r) {
      const auto separate = is_separate(end_.q.get(r), end_.e.get(r), total_.get(r), lost_.get(r),
                                        negligible_.get(r)) &
                            (last_.get(r) > 0.0);
      for (Index l = 0; l < L; ++l) {
        if (separate[l]) drop_end(r * L + l);
      }
    }
    longest_ = static_cast<Index>(*std::max_element(last_.of, last_.of + width));
  }

  void drop_end(Index l) {
    auto last = static_cast<Index>(last_[l]);
    const auto before = [&](const Buffer<double>& entries, Index k) {
      return last >= k ? entries[(last - k) * width + l] : 0.0;
    };
    do {
      values_[last * width + l] = total_[l] + (lost_[l] + end_.q[l]);
      --last;
      end_.q[l] = q_[last * width + l];
      end_.e[l] = before(e_, 1);
    } while (last > 0 && is_separate(end_.q[l], end_.e[l], total_[l], lost_[l], negligible_[l]));
    end_.further_q[l] = before(q_, 1);
    end_.further_e[l] = before(e_, 2);
    smallest_[l] = end_.least[l];
    last_[l] = static_cast<double>(last);
  }

  // As Dqds::choose_shift(), or what the last pass has left to try.
  void choose_shift(Index r) {
    const V q = end_.q.get(r);
    const V e = end_.e.get(r);
    const V further_q = end_.further_q.get(r);
    const V smallest = smallest_.get(r);
    const V beside = root(q * e);
    const V above = further_q + e;
    const V around = beside + root(further_q * end_.further_e.get(r));
    const V gap = above - q - around;
    const V residual = larger<V>(q - beside * (beside / gap), 0.5 * smallest);
    const V discs = larger<V>(q - beside, V{});
    const V bound = above > around ? smaller<V>(discs, above - around) : discs;
    const V guess = gap > beside ? residual : larger<V>(bound, smallest / 3.0);
    const V shift = q > 1.01 * smallest ? 0.25 * smallest : guess;
    const V retry = retry_.get(r);
    const V next = retry >= 0.0 ? retry : shift;
    shift_.put(r, last_.get(r) > 0.0 ? next : V{});
  }

  void finish(Index l) {
    if (last_[l] > 0.0) give_up(l);
    values_[l] = total_[l] + (lost_[l] + q_[l]);
  }

  void compute_alone(Index l, const double* diagonal, const double* off) {
    for (Index i = 0; i < n_; ++i) own_diagonal_[i] = diagonal[i * width + l];
    for (Index i = 0; i + 1 < n_; ++i) own_off_[i] = off[i * width + l];
    alone_.compute(n_, own_diagonal_.data(), own_off_.data(), own_values_.data());
    for (Index i = 0; i < n_; ++i) values_[i * width + l] = own_values_[i];
  }

  Index n_;
  Buffer<double> q_;  // squares of the diagonals
  Buffer<double> e_;  // and of the entries beside them
  Buffer<double> other_q_;
  Buffer<double> other_e_;
  Buffer<double> values_;
  Numbers last_;  // index of the end
  Numbers shift_;
  Numbers total_;  // of the shifts so far
  Numbers lost_;   // that rounding dropped from it
  Numbers negligible_;
  Numbers smallest_;  // not below the smallest eigenvalue
  Numbers retry_;     // the shift that a pass taken back leaves to try; -1 where it was kept
  End found_;         // by a pass, good or not
  End end_;
  bool is_hard_[width] = {};
  Index longest_ = 0;  // the largest `last`
  Buffer<double> own_diagonal_;
  Buffer<double> own_off_;
  Buffer<double> own_values_;
  Dqds alone_;
};

}  // namespace dlnet
