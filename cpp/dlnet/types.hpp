// The matrix vocabulary of the core: a padded, aligned, column-major matrix that owns its memory.
// Knows nothing of networks or of Python.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#include "simd.hpp"
#include "view.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace dlnet {

inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t huge_page = 2 << 20;
inline constexpr std::size_t worth_huge_pages = 1 << 20;

// Zeroed memory aligned to a cache line, or to a huge page where it is large. Fixed size: whatever
// the loop needs is sized beforehand.
template <class Scalar>
class Buffer {
 public:
  Buffer() = default;
  // Not worth a copy of its own wherever a matrix is made.
  [[gnu::noinline]] explicit Buffer(Index size) : size_(size) {
    if (size < 0 || size > std::numeric_limits<Index>::max() / 16) {
      throw std::length_error("a buffer of this size does not fit into memory");
    }
    const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(Scalar);
    alignment_ = bytes < worth_huge_pages ? cache_line : huge_page;
    const std::size_t whole = (bytes + alignment_ - 1) / alignment_ * alignment_;
    data_ = static_cast<Scalar*>(::operator new(whole, std::align_val_t{alignment_}));
#if defined(__linux__)
    // Fewer misses when kernels stride over columns; without the kernel's consent nothing changes.
    if (alignment_ == huge_page) madvise(data_, whole, MADV_HUGEPAGE);
#endif
    std::fill(data_, data_ + size, Scalar(0));
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  [[gnu::noinline]] ~Buffer() { ::operator delete(data_, std::align_val_t{alignment_}); }

  Scalar* data() { return data_; }
  const Scalar* data() const { return data_; }
  Index size() const { return size_; }
  Scalar& operator[](Index i) { return data_[i]; }
  const Scalar& operator[](Index i) const { return data_[i]; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(alignment_, other.alignment_);
  }

  Scalar* data_ = nullptr;
  Index size_ = 0;
  std::size_t alignment_ = cache_line;
};

// Rows in memory for a column of `rows` entries: whole vectors, and from eight cache lines on an
// odd number of lines, so that the columns of a matrix do not fall into the same few cache sets.
template <class Scalar>
Index padded_rows(Index rows) {
  const Index line = static_cast<Index>(cache_line / sizeof(Scalar));
  const Index lines = (rows + line - 1) / line;
  if (lines >= 8) return (lines | 1) * line;
  return (rows + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
}

// Column-major, every column aligned and padded with zeros to whole vectors. Kernels compute on the
// padding as well (zero times anything finite); whoever reads the matrix looks at rows() only.
template <class Scalar>
class Matrix {
 public:
  Matrix() = default;
  [[gnu::noinline, gnu::cold]] Matrix(Index rows, Index cols)
      : rows_(rows),
        cols_(cols),
        stride_(padded_rows<Scalar>(rows)),
        buffer_(checked_product(padded_rows<Scalar>(rows), cols)) {}

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index stride() const { return stride_; }
  Scalar* data() { return buffer_.data(); }
  const Scalar* data() const { return buffer_.data(); }
  Scalar* column(Index j) { return buffer_.data() + j * stride_; }
  const Scalar* column(Index j) const { return buffer_.data() + j * stride_; }
  Scalar& operator()(Index i, Index j) { return column(j)[i]; }
  const Scalar& operator()(Index i, Index j) const { return column(j)[i]; }
  operator View<Scalar>() { return {data(), rows_, cols_, stride_}; }
  operator ConstView<Scalar>() const { return {data(), rows_, cols_, stride_}; }

 private:
  static Index checked_product(Index stride, Index cols) {
    if (cols > 0 && stride > std::numeric_limits<Index>::max() / 16 / cols) {
      throw std::length_error("a matrix of this size does not fit into memory");
    }
    return stride * cols;
  }

  Index rows_ = 0;
  Index cols_ = 0;
  Index stride_ = 0;
  Buffer<Scalar> buffer_;
};

template <class Scalar>
ConstView<Scalar> columns(const Matrix<Scalar>& m, Index first, Index count) {
  return {m.column(first), m.rows(), count, m.stride()};
}

template <class Scalar>
View<Scalar> columns(Matrix<Scalar>& m, Index first, Index count) {
  return {m.column(first), m.rows(), count, m.stride()};
}

// Entries are visited column by column; the shapes must agree.
template <class From, class To>
void copy(const Matrix<From>& from, Matrix<To>& to) {
  for (Index j = 0; j < from.cols(); ++j) {
    const From* source = from.column(j);
    To* destination = to.column(j);
    for (Index i = 0; i < from.rows(); ++i) destination[i] = static_cast<To>(source[i]);
  }
}

// Squares are summed in double whatever the scalar, in an order fixed by the shape.
template <class Scalar>
double sum_of_squares(const Matrix<Scalar>& matrix) {
  constexpr Index L = lanes<Scalar>;
  constexpr Index halves = L / lanes<double>;
  Vector<double> even[halves] = {};
  Vector<double> odd[halves] = {};
  const auto add = [](const Scalar* entry, Vector<double>* sums) {
#pragma GCC unroll 2
    for (Index h = 0; h < halves; ++h) {
      const Vector<double> x = load_doubles(entry + h * lanes<double>);
      sums[h] += x * x;
    }
  };
  const Scalar* entry = matrix.data();
  const Scalar* end = entry + matrix.stride() * matrix.cols();
  for (; entry + 2 * L <= end; entry += 2 * L) {
    add(entry, even);
    add(entry + L, odd);
  }
  if (entry < end) add(entry, even);
  double total = 0.0;
  for (Index h = 0; h < halves; ++h) {
    const Vector<double> sum = even[h] + odd[h];
    for (Index l = 0; l < lanes<double>; ++l) total += sum[l];
  }
  return total;
}

// The Frobenius norm, also where the squares leave the range of a double.
template <class Scalar>
double frobenius_norm(const Matrix<Scalar>& matrix) {
  const double squares = sum_of_squares(matrix);
  // Well inside the normal range: no square that counts was lost.
  if (squares > 1e-270 && squares < std::numeric_limits<double>::infinity()) {
    return std::sqrt(squares);
  }
  double largest = 0.0;
  for (Index j = 0; j < matrix.cols(); ++j) {
    for (Index i = 0; i < matrix.rows(); ++i) {
      const double size = std::abs(static_cast<double>(matrix(i, j)));
      if (!(size <= std::numeric_limits<double>::max())) return size;  // infinite or NaN
      largest = std::max(largest, size);
    }
  }
  if (largest == 0.0) return 0.0;
  double total = 0.0;
  for (Index j = 0; j < matrix.cols(); ++j) {
    for (Index i = 0; i < matrix.rows(); ++i) {
      const double ratio = static_cast<double>(matrix(i, j)) / largest;
      total += ratio * ratio;
    }
  }
  return largest * std::sqrt(total);
}

}  // namespace dlnet
