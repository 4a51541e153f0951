// What is recorded of singular values alone, of matrices of several shapes. Small ones wait until
// the lanes of a LaneSpectrum are full, which changes no bit of what is written.
#pragma once

#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "spectrum.hpp"

namespace dlnet {

// entropy = -sum p log p with p = s / sum s; its exponential is the effective rank.
inline double effective_rank(const double* s, Index k) {
  if (!(s[0] > 0.0)) return 0.0;
  double total = 0.0;
  for (Index i = 0; i < k; ++i) total += s[i] / s[0];
  double entropy = 0.0;
  for (Index i = 0; i < k; ++i) {
    const double p = s[i] / s[0] / total;
    if (p > 0.0) entropy -= p * std::log(p);
  }
  return std::exp(entropy);
}

inline double stable_rank(const double* s, Index k) {
  if (!(s[0] > 0.0)) return 0.0;
  double total = 0.0;
  for (Index i = 0; i < k; ++i) total += (s[i] / s[0]) * (s[i] / s[0]);
  return total;
}

inline double nuclear_norm(const double* s, Index k) {
  double total = 0.0;
  for (Index i = 0; i < k; ++i) total += s[i];
  return total;
}

// Where one matrix's values, and the numbers that follow from them, go; null: not wanted.
struct SpectrumRecord {
  double* values = nullptr;
  double* effective_rank = nullptr;
  double* stable_rank = nullptr;
  double* nuclear_norm = nullptr;

  bool is_wanted() const {
    return values != nullptr || effective_rank != nullptr || stable_rank != nullptr ||
           nuclear_norm != nullptr;
  }

  void write(const double* s, Index k) const {
    if (values != nullptr) std::copy(s, s + k, values);
    if (effective_rank != nullptr) *effective_rank = dlnet::effective_rank(s, k);
    if (stable_rank != nullptr) *stable_rank = dlnet::stable_rank(s, k);
    if (nuclear_norm != nullptr) *nuclear_norm = dlnet::nuclear_norm(s, k);
  }

  // Of a matrix that is not finite.
  void write_nan(Index k) const {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    if (values != nullptr) std::fill(values, values + k, nan);
    for (double* number : {effective_rank, stable_rank, nuclear_norm}) {
      if (number != nullptr) *number = nan;
    }
  }
};

class SpectrumQueue {
 public:
  // Before matrices of this shape are added.
  void prepare(Index rows, Index cols) {
    if (find(rows, cols) == nullptr) shapes_.emplace_back(rows, cols);
  }

  // A finite matrix; its record is complete after flush() at the latest.
  void add(const Matrix<double>& matrix, const SpectrumRecord& record) {
    if (!record.is_wanted()) return;
    Shape& shape = *find(matrix.rows(), matrix.cols());
    if (shape.one) {
      guard([&] { shape.one->compute(matrix.data(), matrix.stride()); });
      record.write(shape.one->singular_values(), shape.k());
      return;
    }
    shape.lanes->put(shape.n_waiting, matrix.data(), matrix.stride());
    shape.records[static_cast<std::size_t>(shape.n_waiting++)] = record;
    if (shape.n_waiting == LaneSpectrum::width) guard([&] { shape.finish(); });
  }

  void flush() {
    for (Shape& shape : shapes_) guard([&] { shape.finish(); });
  }

 private:
  struct Shape {
    Shape(Index r, Index c) : rows(r), cols(c), values(static_cast<std::size_t>(std::min(r, c))) {
      if (LaneSpectrum::takes(rows, cols)) {
        lanes.emplace(rows, cols);
      } else {
        one.emplace(rows, cols, false);
      }
    }

    Index k() const { return std::min(rows, cols); }

    void finish() {
      if (n_waiting == 0) return;
      const Index count = std::exchange(n_waiting, 0);
      lanes->compute(count);
      for (Index l = 0; l < count; ++l) {
        lanes->write_values(l, values.data());
        records[static_cast<std::size_t>(l)].write(values.data(), k());
      }
    }

    Index rows;
    Index cols;
    std::optional<LaneSpectrum> lanes;  // of small matrices
    std::optional<Spectrum> one;        // of others
    std::array<SpectrumRecord, static_cast<std::size_t>(LaneSpectrum::width)> records;
    Index n_waiting = 0;
    std::vector<double> values;
  };

  // After a failure nothing waits any more: the arrays may be gone by the next time.
  template <class Work>
  void guard(const Work& work) {
    try {
      work();
    } catch (...) {
      for (Shape& other : shapes_) other.n_waiting = 0;
      throw;
    }
  }

  Shape* find(Index rows, Index cols) {
    for (Shape& shape : shapes_) {
      if (shape.rows == rows && shape.cols == cols) return &shape;
    }
    return nullptr;
  }

  std::deque<Shape> shapes_;  // which need not be moved to add one
};

}  // namespace dlnet
