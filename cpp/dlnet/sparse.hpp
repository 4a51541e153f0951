// Matrices of which few entries are stored, and their products with dense ones: what a loss of few
// entries of the end-to-end matrix needs. Every sum runs over whole columns or over the entries of
// a column in the order of their rows. Knows nothing of losses or networks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tiles.hpp"

namespace dlnet {

// Column j holds the entries starts[j] up to starts[j + 1], with ascending rows. Some rows more
// than the capacity are valid: kernels look ahead.
template <class Scalar>
struct SparseColumns {
  static constexpr Index look_ahead = 4;

  SparseColumns(Index cols, Index capacity)
      : starts(static_cast<std::size_t>(cols) + 1),
        rows(static_cast<std::size_t>(capacity + look_ahead)),
        values(static_cast<std::size_t>(capacity)) {}

  Index cols() const { return static_cast<Index>(starts.size()) - 1; }

  std::vector<Index> starts;
  std::vector<std::uint32_t> rows;
  std::vector<Scalar> values;
};

// Entries grouped by column and, for products with the transpose, by row. Which places are stored
// may change without allocation.
template <class Scalar>
class SparseMatrix {
 public:
  SparseMatrix(Index rows, Index cols, Index capacity)
      : by_column_(cols, capacity),
        by_row_(rows, capacity),
        samples_(static_cast<std::size_t>(capacity)),
        places_(samples_.size()),
        scratch_(samples_.size()) {}

  // Stores the places of these samples, at most the capacity, none of them twice. The values are to
  // be set; the order of the samples does not matter.
  void choose(const Entries& entries, std::span<const Index> samples) {
    const auto row = [&](Index sample) { return entries.rows[index(sample)]; };
    const auto col = [&](Index sample) { return entries.cols[index(sample)]; };
    size_ = samples.size();
    group(samples, row, by_row_.starts, scratch_);
    group(std::span(scratch_).first(size_), col, by_column_.starts, samples_);
    for (std::size_t k = 0; k < size_; ++k) {
      by_column_.rows[k] = static_cast<std::uint32_t>(row(samples_[k]));
      scratch_[k] = static_cast<Index>(k);
    }
    const auto row_at = [&](Index k) { return static_cast<Index>(by_column_.rows[index(k)]); };
    group(std::span(scratch_).first(size_), row_at, by_row_.starts, places_);
    for (std::size_t k = 0; k < size_; ++k) {
      by_row_.rows[k] = static_cast<std::uint32_t>(col(samples_[index(places_[k])]));
    }
  }

  // In the order of by_column().
  std::span<const Index> samples() const { return std::span(samples_).first(size_); }
  std::span<Scalar> values() { return std::span(by_column_.values).first(size_); }
  std::span<const Scalar> values() const { return std::span(by_column_.values).first(size_); }

  // To be called whenever values() have changed.
  void refresh_rows() {
    for (std::size_t k = 0; k < size_; ++k) {
      by_row_.values[k] = by_column_.values[index(places_[k])];
    }
  }

  const SparseColumns<Scalar>& by_column() const { return by_column_; }
  const SparseColumns<Scalar>& by_row() const { return by_row_; }  // the columns of the transpose

 private:
  static std::size_t index(Index i) { return static_cast<std::size_t>(i); }

  // A stable counting sort: `grouped` gets the items by ascending key, `starts` where each begins.
  template <class Key>
  static void group(std::span<const Index> items, const Key& key, std::vector<Index>& starts,
                    std::vector<Index>& grouped) {
    std::fill(starts.begin(), starts.end(), Index(0));
    for (Index item : items) ++starts[index(key(item)) + 1];
    for (std::size_t b = 1; b < starts.size(); ++b) starts[b] += starts[b - 1];
    for (Index item : items) grouped[index(starts[index(key(item))]++)] = item;
    // Every start has moved to the next one's place.
    for (std::size_t b = starts.size() - 1; b > 0; --b) starts[b] = starts[b - 1];
    starts[0] = 0;
  }

  SparseColumns<Scalar> by_column_;
  SparseColumns<Scalar> by_row_;
  std::size_t size_ = 0;
  std::vector<Index> samples_;  // of the entries by column
  std::vector<Index> places_;   // by column, of the entries by row
  std::vector<Index> scratch_;
};

template <class Scalar>
void copy(const SparseMatrix<Scalar>& from, Matrix<Scalar>& to) {
  std::fill(to.data(), to.column(to.cols()), Scalar(0));
  const SparseColumns<Scalar>& columns = from.by_column();
  for (Index j = 0; j < to.cols(); ++j) {
    const auto end = static_cast<std::size_t>(columns.starts[static_cast<std::size_t>(j) + 1]);
    for (auto k = static_cast<std::size_t>(columns.starts[static_cast<std::size_t>(j)]); k < end;
         ++k) {
      to(static_cast<Index>(columns.rows[k]), j) = columns.values[k];
    }
  }
}

// Inner products of `count` columns of A with one vector, each summed in the same order whatever
// its company.
template <class Scalar, int count>
void inner_products(const Scalar* const* a, const Scalar* b, Index n_vectors, Scalar* out) {
  constexpr Index L = lanes<Scalar>;
  Vector<Scalar> even[count] = {};
  Vector<Scalar> odd[count] = {};
  Index k = 0;
  for (; k + 2 <= n_vectors; k += 2) {
    const Vector<Scalar> b_even = load(b + k * L);
    const Vector<Scalar> b_odd = load(b + (k + 1) * L);
#pragma GCC unroll 4
    for (int n = 0; n < count; ++n) {
      even[n] += load(a[n] + k * L) * b_even;
      odd[n] += load(a[n] + (k + 1) * L) * b_odd;
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < count; ++n) {
    if (k < n_vectors) even[n] += load(a[n] + k * L) * load(b + k * L);
    even[n] += odd[n];
    Scalar total = 0;
    for (Index lane = 0; lane < L; ++lane) total += even[n][lane];
    out[n] = total;
  }
}

// The stored entries of A^T B. Four columns of A at once share the loads of the column of B.
template <class Scalar>
void multiply_at_entries(const Matrix<Scalar>& a,        // (k, m)
                         const Matrix<Scalar>& b,        // (k, n)
                         SparseMatrix<Scalar>& product)  // (m, n)
{
  constexpr Index at_once = 4;
  const SparseColumns<Scalar>& places = product.by_column();
  const std::span<Scalar> values = product.values();
  const Index n_vectors = (a.rows() + lanes<Scalar> - 1) / lanes<Scalar>;
  for (Index j = 0; j < b.cols(); ++j) {
    const Scalar* column = b.column(j);
    const Index end = places.starts[static_cast<std::size_t>(j) + 1];
    for (Index k = places.starts[static_cast<std::size_t>(j)]; k < end;) {
      const auto entry = static_cast<std::size_t>(k);
      const Index count = std::min(at_once, end - k);
      const Scalar* columns[at_once];
      for (Index n = 0; n < count; ++n) {
        columns[n] = a.column(static_cast<Index>(places.rows[entry + static_cast<std::size_t>(n)]));
      }
      if (count == at_once) {
        inner_products<Scalar, at_once>(columns, column, n_vectors, &values[entry]);
        k += at_once;
      } else {
        inner_products<Scalar, 1>(columns, column, n_vectors, &values[entry]);
        ++k;
      }
    }
  }
}

// Rows of a product that are held in registers while a column of B is gone through.
inline constexpr int max_sparse_vectors = vector_registers / 2;

template <class Scalar, int n_vectors>
void sparse_kernel(ConstView<Scalar> a, const SparseColumns<Scalar>& b, View<Scalar> c,
                   const Finish<Scalar>& finish) {
  constexpr Index L = lanes<Scalar>;
  constexpr Index line = static_cast<Index>(cache_line / sizeof(Scalar));
  // Where the rows of A leave the first cache: a fifth less time there, a third more elsewhere.
  const bool prefetches = a.cols * n_vectors * static_cast<Index>(vector_bytes) > 24 * 1024;
  const Index* starts = b.starts.data();
  const std::uint32_t* rows = b.rows.data();
  const Scalar* values = b.values.data();
  for (Index j = 0; j < b.cols(); ++j) {
    Vector<Scalar> sum[n_vectors] = {};
    for (Index k = starts[j]; k < starts[j + 1]; ++k) {
      if (prefetches) {
        const Scalar* later =
            a.data + static_cast<Index>(rows[k + SparseColumns<Scalar>::look_ahead]) * a.stride;
#pragma GCC unroll 16
        for (Index i = 0; i < n_vectors * L; i += line) __builtin_prefetch(later + i);
      }
      const Scalar* column = a.data + static_cast<Index>(rows[k]) * a.stride;
      const Scalar factor = values[k];
#pragma GCC unroll 16
      for (int m = 0; m < n_vectors; ++m) sum[m] += load(column + m * L) * factor;
    }
    Scalar* out = c.data + j * c.stride;
    if (finish.reads_c) {
#pragma GCC unroll 16
      for (int m = 0; m < n_vectors; ++m) {
        store(out + m * L, finish.accumulate(sum[m], load(out + m * L)));
      }
    } else {
#pragma GCC unroll 16
      for (int m = 0; m < n_vectors; ++m) store(out + m * L, sum[m]);
    }
  }
}

template <class Scalar>
class SparseKernelTable {
 public:
  using Kernel = void (*)(ConstView<Scalar>, const SparseColumns<Scalar>&, View<Scalar>,
                          const Finish<Scalar>&);

  static Kernel find(Index n_vectors) {
    static constexpr auto table = make(std::make_integer_sequence<int, max_sparse_vectors>{});
    return table[static_cast<std::size_t>(n_vectors - 1)];
  }

 private:
  template <int... vector>
  static constexpr std::array<Kernel, max_sparse_vectors> make(
      std::integer_sequence<int, vector...>) {
    return {&sparse_kernel<Scalar, vector + 1>...};
  }
};

// C = finish(A B), a few vectors of rows after the other: those of A stay in cache meanwhile.
template <class Scalar>
void multiply_sparse(const Matrix<Scalar>& a,         // (m, k)
                     const SparseColumns<Scalar>& b,  // (k, n)
                     Matrix<Scalar>& c,               // (m, n)
                     const std::type_identity_t<Finish<Scalar>>& finish) {
  const Index n_vectors = (c.rows() + lanes<Scalar> - 1) / lanes<Scalar>;
  for_each_tile(n_vectors, max_sparse_vectors, [&](Index first, Index count) {
    const Index row = first * lanes<Scalar>;
    const ConstView<Scalar> rows_of_a{a.data() + row, count * lanes<Scalar>, a.cols(), a.stride()};
    const View<Scalar> rows_of_c{c.data() + row, count * lanes<Scalar>, c.cols(), c.stride()};
    SparseKernelTable<Scalar>::find(count)(rows_of_a, b, rows_of_c, finish);
  });
}

}  // namespace dlnet
