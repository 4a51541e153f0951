// Singular values of many small matrices of one shape: as many at a time as there are lanes, one in
// each. A matrix has the same bits in every lane and in any company, alone included.
#pragma once

#include <vector>

#include "lane_bidiagonal.hpp"
#include "lane_dqds.hpp"

namespace dlnet {

// x 2^exponent for every double and every result, rounded once: a product where ldexp is a call.
class PowerOfTwo {
 public:
  explicit PowerOfTwo(int exponent)
      : first_(exponent > 1000 ? 0x1p1000 : 1.0),
        second_(std::ldexp(1.0, exponent > 1000 ? exponent - 1000 : exponent)) {}

  double operator()(double x) const { return x * first_ * second_; }
  double first() const { return first_; }
  double second() const { return second_; }

 private:
  double first_;
  double second_;
};

class LaneSpectrum {
 public:
  static constexpr Index width = LaneDqds::width;

  // Whether matrices of this shape are decomposed in lanes, always and everywhere, so that the bits
  // of a value depend on its matrix alone. As measured, with one matrix alone as the worst case.
  static bool takes(Index rows, Index cols) {
    return std::min(rows, cols) <= 32 && std::max(rows, cols) <= 64;
  }

  [[gnu::cold]] LaneSpectrum(Index rows, Index cols)
      : is_wide_(rows < cols),
        rows_(std::max(rows, cols)),
        cols_(std::min(rows, cols)),
        diagonal_(cols_ * width),
        off_(cols_ * width),
        dqds_(cols_) {
    for (Index p = 0; p < width / L; ++p) packs_.emplace_back(rows_, cols_);
  }

  // Puts a finite matrix into a lane: column-major, a stride is the distance of two columns.
  void put(Index lane, const double* a, Index stride) {
    double* to = pack(lane / L).entry(0, 0) + lane % L;
    for (Index j = 0; j < cols_; ++j) {
      for (Index i = 0; i < rows_; ++i, to += L)
        *to = is_wide_ ? a[i * stride + j] : a[j * stride + i];
    }
  }

  // Of the matrices in lanes 0, ..., count - 1, which are destroyed.
  void compute(Index count) {
    for (Index p = 0; p * L < count; ++p) {
      const Index first = p * L;
      pad(p, std::min(count - first, L));
      scale(p);
      pack(p).compute(diagonal_.data() + first, off_.data() + first, width);
    }
    dqds_.compute(count, diagonal_.data(), off_.data());
  }

  // Of a lane, min(rows, cols) in descending order.
  void write_values(Index lane, double* out) const {
    dqds_.write_values(lane, out);
    const PowerOfTwo back(exponents_[lane]);
    for (Index r = 0; r < cols_; ++r) out[r] = back(out[r]);
  }

 private:
  static constexpr Index L = lanes<double>;
  using V = Vector<double>;

  LaneBidiagonal& pack(Index p) { return packs_[static_cast<std::size_t>(p)]; }

  // Lanes without a matrix take the first one.
  void pad(Index p, Index count) {
    double* entries = pack(p).entry(0, 0);
    for (double* at = entries; at < entries + rows_ * cols_ * L; at += L) {
      for (Index l = count; l < L; ++l) at[l] = at[0];
    }
  }

  // Entries to about one, by a power of two for each lane.
  void scale(Index p) {
    double* entries = pack(p).entry(0, 0);
    double* end = entries + rows_ * cols_ * L;
    V largest{};
    for (double* at = entries; at < end; at += L) {
      const V x = load(at);
      const V size = x < 0.0 ? -x : x;
      largest = size > largest ? size : largest;
    }
    V first;
    V second;
    for (Index l = 0; l < L; ++l) {
      const int exponent = largest[l] > 0.0 ? std::ilogb(largest[l]) : 0;
      const PowerOfTwo to_one(-exponent);
      exponents_[p * L + l] = exponent;
      first[l] = to_one.first();
      second[l] = to_one.second();
    }
    for (double* at = entries; at < end; at += L) store(at, load(at) * first * second);
  }

  bool is_wide_;
  Index rows_;  // the longer side
  Index cols_;
  std::vector<LaneBidiagonal> packs_;  // a vector's lanes each
  int exponents_[width] = {};
  Buffer<double> diagonal_;
  Buffer<double> off_;
  LaneDqds dqds_;
};

}  // namespace dlnet
