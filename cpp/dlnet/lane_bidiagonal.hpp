// Householder bidiagonalisation of as many small matrices at a time as a vector has lanes, one in
// each, in the fused form of bidiagonal.hpp. Every operation is the same in all lanes, so nothing
// that happens in one of them reaches another. Without vectors, double only.
#pragma once

#include "householder.hpp"

namespace dlnet {

class LaneBidiagonal {
 public:
  // Of (rows, cols) matrices, rows >= cols.
  LaneBidiagonal(Index rows, Index cols)
      : rows_(rows), cols_(cols), a_(rows * cols * L), alone_(rows) {
    for (Buffer<double>* work : {&u_, &v_, &y_, &kept_}) *work = Buffer<double>(rows * L);
    for (Buffer<double>* work : {&t_, &w_}) *work = Buffer<double>(cols * L);
  }

  // Entry (i, j) of all lanes, to be filled before compute(), which destroys it. None may be much
  // larger than one.
  double* entry(Index i, Index j) { return a_.data() + (j * rows_ + i) * L; }

  // Diagonal entry k of all lanes goes to diagonal + k * step, and the entry beside it to off + k *
  // step.
  void compute(double* diagonal, double* off, Index step) {
    for (Buffer<double>* work : {&u_, &y_, &t_, &w_}) {
      std::fill(work->data(), work->data() + work->size(), 0.0);
    }
    for (Index k = 0; k < cols_; ++k) {
      update_column(k);
      const V left_tau = reflect(at(v_, k), rows_ - k, diagonal + k * step);
      if (k + 1 == cols_) break;
      project_columns(k, left_tau);
      for (Index j = k + 1; j < cols_; ++j) store(at(w_, j), load(entry(k, j)) - load(at(t_, j)));
      const V right_tau = reflect(at(w_, k + 1), cols_ - k - 1, off + k * step);
      multiply_by_row(k, right_tau);
    }
  }

 private:
  static constexpr Index L = lanes<double>;
  using V = Vector<double>;

  static double* at(Buffer<double>& buffer, Index i) { return buffer.data() + i * L; }

  // Column k as the last pair of reflections leaves it.
  void update_column(Index k) {
    const V t = load(at(t_, k));
    const V w = load(at(w_, k));
    for (Index i = k; i < rows_; ++i) {
      store(at(v_, i), load(entry(i, k)) - load(at(u_, i)) * t - load(at(y_, i)) * w);
    }
  }

  // Overwrites the n entries of x by the reflection and returns its tau.
  V reflect(double* x, Index n, double* beta_out) {
    const V alpha = load(x);
    V even{};
    V odd{};
    Index i = 1;
    for (; i + 1 < n; i += 2) {
      even += load(x + i * L) * load(x + i * L);
      odd += load(x + (i + 1) * L) * load(x + (i + 1) * L);
    }
    if (i < n) even += load(x + i * L) * load(x + i * L);
    const V squares = alpha * alpha + (even + odd);
    // Below, a square that counts may have been lost.
    const auto is_small = squares < 1e-280;
    const bool any_small = any(is_small);
    if (any_small) std::copy(x, x + n * L, kept_.data());
    const V norm = root(squares);
    const V beta = alpha > 0.0 ? -norm : norm;
    const V scale = 1.0 / (alpha - beta);
    store(x, V{} + 1.0);
    for (i = 1; i < n; ++i) store(x + i * L, load(x + i * L) * scale);
    V tau = (beta - alpha) / beta;
    store(beta_out, beta);
    if (any_small) {
      for (Index l = 0; l < L; ++l) {
        if (is_small[l]) tau[l] = reflect_alone(l, x, n, beta_out);
      }
    }
    return tau;
  }

  // Of a lane whose squares vanish, from the entries as they were.
  double reflect_alone(Index lane, double* x, Index n, double* beta_out) {
    for (Index i = 0; i < n; ++i) alone_[i] = kept_[i * L + lane];
    const Reflection reflection = dlnet::reflect(alone_.data(), 0, n);
    for (Index i = 0; i < n; ++i) x[i * L + lane] = alone_[i];
    beta_out[lane] = reflection.beta;
    return reflection.tau;
  }

  // Brings the columns behind k up to date and multiplies them by the reflection on the way.
  void project_columns(Index k, V tau) {
    Index j = k + 1;
    for (; j + 3 <= cols_; j += 3) update_and_project<3>(k, j, tau);
    for (; j < cols_; ++j) update_and_project<1>(k, j, tau);
    std::swap(u_, v_);
  }

  template <int count>
  void update_and_project(Index k, Index j, V tau) {
    V total[count] = {};
    V t[count];
    V w[count];
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) {
      t[c] = load(at(t_, j + c));
      w[c] = load(at(w_, j + c));
    }
    double* column = entry(0, j);
    for (Index i = k; i < rows_; ++i) {
      const V u = load(at(u_, i));
      const V y = load(at(y_, i));
      const V v = load(at(v_, i));
#pragma GCC unroll 4
      for (int c = 0; c < count; ++c) {
        double* place = column + (c * rows_ + i) * L;
        const V entry = load(place) - u * t[c] - y * w[c];
        store(place, entry);
        total[c] += entry * v;
      }
    }
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) store(at(t_, j + c), tau * total[c]);
  }

  // y = tau (A - u t^T) w
  void multiply_by_row(Index k, V tau) {
    V along{};
    for (Index j = k + 1; j < cols_; ++j) along += load(at(t_, j)) * load(at(w_, j));
    Index i = k + 1;
    for (; i + 4 <= rows_; i += 4) multiply_rows<4>(k, i, tau, along);
    for (; i < rows_; ++i) multiply_rows<1>(k, i, tau, along);
  }

  template <int count>
  void multiply_rows(Index k, Index i, V tau, V along) {
    V total[count];
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) total[c] = -load(at(u_, i + c)) * along;
    for (Index j = k + 1; j < cols_; ++j) {
      const V w = load(at(w_, j));
      const double* column = entry(i, j);
#pragma GCC unroll 4
      for (int c = 0; c < count; ++c) total[c] += load(column + c * L) * w;
    }
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) store(at(y_, i + c), tau * total[c]);
  }

  Index rows_;
  Index cols_;
  Buffer<double> a_;
  Buffer<double> u_;  // the last reflection from the left, and the next one
  Buffer<double> v_;
  Buffer<double> y_;
  Buffer<double> t_;
  Buffer<double> w_;
  Buffer<double> kept_;
  Buffer<double> alone_;
};

}  // namespace dlnet
