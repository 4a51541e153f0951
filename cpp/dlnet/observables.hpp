// The recorded quantities. What is a function of the layers is evaluated in double from them as
// they are, so that cancellation (imbalance) and small singular values survive in a float32 run as
// well; gradients are the run's own.
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "imbalance.hpp"
#include "pass.hpp"
#include "quantities.hpp"
#include "spectrum_queue.hpp"

namespace dlnet {

// The matrices of the network and of the end-to-end map in double, whatever the run computes in.
// Copies are made of what is wanted only: of a large network they are most of the memory of a run.
template <class Scalar>
class DoubleView {
 public:
  [[gnu::cold]] DoubleView(const Widths& widths, const Wanted& wanted) {
    if constexpr (!std::is_same_v<Scalar, double>) {
      if (wanted.product || wanted.imbalance || wanted.layer_spectra) network_.emplace(widths);
      if (wanted.product) pass_.emplace(widths);
    }
  }

  void look_at(const Network<Scalar>& network, const Pass<Scalar>& pass) {
    if constexpr (std::is_same_v<Scalar, double>) {
      seen_ = &network;
      end_to_end_ = &pass.end_to_end(network);
    } else {
      for (std::size_t j = 0; j < network.depth(); ++j) {
        copy(network.weight(j), network_->weight(j));
        network_->refresh_transposed(j);
      }
      seen_ = &*network_;
      if (!pass_) return;
      pass_->forward(*network_);
      end_to_end_ = &pass_->end_to_end(*network_);
    }
  }

  const Network<double>& network() const { return *seen_; }
  const Matrix<double>& end_to_end() const { return *end_to_end_; }

 private:
  std::optional<Network<double>> network_;
  std::optional<Pass<double>> pass_;
  const Network<double>* seen_ = nullptr;
  const Matrix<double>* end_to_end_ = nullptr;
};

inline bool is_finite(const Matrix<double>& matrix) {
  for (Index j = 0; j < matrix.cols(); ++j) {
    for (Index i = 0; i < matrix.rows(); ++i) {
      if (!std::isfinite(matrix(i, j))) return false;
    }
  }
  return true;
}

template <class Scalar>
class Observer {
 public:
  [[gnu::cold]] Observer(const Widths& widths, const Wanted& wanted,
                         std::shared_ptr<const Knowledge> knowledge)
      : widths_(widths),
        k_(std::min(widths.front(), widths.back())),
        knowledge_(std::move(knowledge)),
        view_(widths, wanted),
        has_spectrum_(wanted.spectrum),
        are_values_queued_(!wanted.vectors || LaneSpectrum::takes(widths.back(), widths.front())) {
    if (has_spectrum_ && are_values_queued_) values_.prepare(widths.back(), widths.front());
    if (wanted.vectors) {
      spectrum_.emplace(widths.back(), widths.front(), true, !are_values_queued_);
      gradient_.emplace(widths.back(), widths.front());
      signs_.resize(static_cast<std::size_t>(k_));
    }
    for (std::size_t j = 0; j + 1 < widths.size(); ++j) {
      if (wanted.layer_spectra) values_.prepare(widths[j + 1], widths[j]);
      if (wanted.imbalance && j > 0) difference_.emplace_back(widths[j], widths[j]);
    }
    if (wanted.imbalance) packing_.emplace(largest(widths));
  }

  // From now on the records are those of a network that descends on another problem.
  void look_with(std::shared_ptr<const Knowledge> knowledge) { knowledge_ = std::move(knowledge); }

  // Whether there is anything to record that is not known without looking at the network.
  static bool looks_at_network(const Sink<Scalar>& sink) {
    if (sink.end_to_end != nullptr || !sink.weights.empty()) return true;
    for (std::size_t q = 0; q < n_quantities; ++q) {
      switch (static_cast<Quantity>(q)) {
        case Quantity::time:
        case Quantity::loss:
        case Quantity::learning_rate:
        case Quantity::gradient_norm:
          break;
        default:
          if (sink.quantities[q] != nullptr) return true;
      }
    }
    return false;
  }

  // Everything that follows from the layers and from the gradient of the full loss in W. Where the
  // run has diverged nothing is decomposed. What follows from singular values is there after
  // flush(), which must come before anybody looks at the arrays, or frees them.
  void record(const Network<Scalar>& network, const Pass<Scalar>& pass,
              const Matrix<Scalar>& end_to_end_gradient, bool diverged, const Sink<Scalar>& sink,
              Index at) {
    write_matrices(network, pass, sink, at);
    if (sink.wants(Quantity::layer_norm)) record_layer_norms(network, sink, at);
    if (!needs_view(sink)) return;
    view_.look_at(network, pass);
    record_errors(sink, at);
    if (has_spectrum_) record_spectrum(end_to_end_gradient, diverged, sink, at);
    if (sink.wants(Quantity::imbalance)) record_imbalance(sink[Quantity::imbalance], at);
    if (sink.wants(Quantity::layer_singular_value)) {
      record_layer_spectra(sink[Quantity::layer_singular_value], diverged, at);
    }
  }

  void flush() { values_.flush(); }

 private:
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();

  bool needs_view(const Sink<Scalar>& sink) const {
    return has_spectrum_ || sink.wants_any(Quantity::reconstruction_error, Quantity::held_out_error,
                                           Quantity::imbalance, Quantity::layer_singular_value);
  }

  static void write_rows(const Matrix<Scalar>& matrix, Scalar* out) {
    for (Index i = 0; i < matrix.rows(); ++i) {
      for (Index j = 0; j < matrix.cols(); ++j) *out++ = matrix(i, j);
    }
  }

  void write_matrices(const Network<Scalar>& network, const Pass<Scalar>& pass,
                      const Sink<Scalar>& sink, Index at) const {
    if (sink.end_to_end != nullptr) {
      write_rows(pass.end_to_end(network), sink.end_to_end + at * widths_.back() * widths_.front());
    }
    for (std::size_t j = 0; j < sink.weights.size(); ++j) {
      write_rows(network.weight(j), sink.weights[j] + at * widths_[j + 1] * widths_[j]);
    }
  }

  void record_errors(const Sink<Scalar>& sink, Index at) const {
    if (double* out = sink[Quantity::reconstruction_error]) out[at] = reconstruction_error();
    if (double* out = sink[Quantity::held_out_error]) out[at] = held_out_error();
  }

  double reconstruction_error() const {
    const Matrix<double>& w = view_.end_to_end();
    const double* truth = knowledge_->ground_truth.data();
    double total = 0.0;
    for (Index j = 0; j < w.cols(); ++j) {
      double column = 0.0;
      for (Index i = 0; i < w.rows(); ++i) {
        const double difference = w(i, j) - *truth++;
        column += difference * difference;
      }
      total += column;
    }
    return total / (static_cast<double>(w.rows()) * static_cast<double>(w.cols()));
  }

  double held_out_error() const {
    const std::size_t n = knowledge_->held_out_values.size();
    double total = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      const double difference =
          view_.end_to_end()(knowledge_->held_out_rows[i], knowledge_->held_out_cols[i]) -
          knowledge_->held_out_values[i];
      total += difference * difference;
    }
    return total / static_cast<double>(n);
  }

  void record_spectrum(const Matrix<Scalar>& end_to_end_gradient, bool diverged,
                       const Sink<Scalar>& sink, Index at) {
    const Matrix<double>& w = view_.end_to_end();
    const bool finite = !diverged && is_finite(w);
    const SpectrumRecord record = spectrum_record(sink, at);
    if (!finite) {
      record.write_nan(k_);
    } else {
      if (spectrum_) spectrum_->compute(w.data(), w.stride());
      if (are_values_queued_) {
        values_.add(w, record);
      } else {
        record.write(spectrum_->singular_values(), k_);
      }
    }
    if (gradient_) record_vectors(end_to_end_gradient, finite, sink, at);
  }

  SpectrumRecord spectrum_record(const Sink<Scalar>& sink, Index at) const {
    const auto place = [&](Quantity q, Index size) {
      return sink.wants(q) ? sink[q] + at * size : nullptr;
    };
    return {place(Quantity::singular_value, k_), place(Quantity::effective_rank, 1),
            place(Quantity::stable_rank, 1), place(Quantity::nuclear_norm, 1)};
  }

  void record_vectors(const Matrix<Scalar>& end_to_end_gradient, bool finite,
                      const Sink<Scalar>& sink, Index at) {
    if (finite) choose_signs();
    if (double* out = sink[Quantity::left_singular_vector]) {
      write_vectors(&Spectrum::left, finite, widths_.back(), out, at);
    }
    if (double* out = sink[Quantity::right_singular_vector]) {
      write_vectors(&Spectrum::right, finite, widths_.front(), out, at);
    }
    if (double* out = sink[Quantity::alignment]) {
      copy(end_to_end_gradient, *gradient_);
      for (Index r = 0; r < k_; ++r) out[at * k_ + r] = finite ? aligned_part(r) : nan;
    }
  }

  // A singular vector pair is defined up to a common sign: the largest entry on the left decides.
  void choose_signs() {
    for (Index r = 0; r < k_; ++r) {
      const double* u = spectrum_->left(r);
      const double* top = std::max_element(
          u, u + widths_.back(), [](double a, double b) { return std::abs(a) < std::abs(b); });
      signs_[static_cast<std::size_t>(r)] = *top < 0.0 ? -1.0 : 1.0;
    }
  }

  using Column = const double* (Spectrum::*)(Index) const;

  void write_vectors(Column vector, bool finite, Index size, double* out, Index at) const {
    out += at * size * k_;
    for (Index r = 0; r < k_; ++r) {
      const double* entry = ((*spectrum_).*vector)(r);
      const double sign = finite ? signs_[static_cast<std::size_t>(r)] : nan;
      for (Index i = 0; i < size; ++i) out[i * k_ + r] = sign * entry[i];
    }
  }

  // u_r^T G v_r
  double aligned_part(Index r) const {
    const double* u = spectrum_->left(r);
    const double* v = spectrum_->right(r);
    double total = 0.0;
    for (Index j = 0; j < gradient_->cols(); ++j) {
      double column = 0.0;
      for (Index i = 0; i < gradient_->rows(); ++i) column += u[i] * (*gradient_)(i, j);
      total += column * v[j];
    }
    return total;
  }

  // ||W_{j+1}^T W_{j+1} - W_j W_j^T||_F
  void record_imbalance(double* out, Index at) {
    const Network<double>& network = view_.network();
    const Index n_pairs = static_cast<Index>(difference_.size());
    for (std::size_t j = 0; j < difference_.size(); ++j) {
      imbalance(network, j, difference_[j], *packing_);
      out[at * n_pairs + static_cast<Index>(j)] = frobenius_norm(difference_[j]);
    }
  }

  // The squares are summed in double in any case.
  static void record_layer_norms(const Network<Scalar>& network, const Sink<Scalar>& sink,
                                 Index at) {
    double* out = sink[Quantity::layer_norm] + at * static_cast<Index>(network.depth());
    for (std::size_t j = 0; j < network.depth(); ++j) out[j] = frobenius_norm(network.weight(j));
  }

  void record_layer_spectra(double* out, bool diverged, Index at) {
    const Network<double>& network = view_.network();
    const Index widest = widest_spectrum(widths_);
    out += at * static_cast<Index>(network.depth()) * widest;
    for (std::size_t j = 0; j < network.depth(); ++j, out += widest) {
      const Matrix<double>& weight = network.weight(j);
      std::fill(out, out + widest, nan);
      if (diverged || !is_finite(weight)) continue;
      values_.add(weight, {.values = out});
    }
  }

  Widths widths_;
  Index k_;
  std::shared_ptr<const Knowledge> knowledge_;
  DoubleView<Scalar> view_;
  bool has_spectrum_;
  bool are_values_queued_;
  SpectrumQueue values_;
  std::optional<Spectrum> spectrum_;  // with vectors
  std::optional<Matrix<double>> gradient_;
  std::vector<double> signs_;
  std::vector<Matrix<double>> difference_;
  std::optional<Packing<double>> packing_;
};

}  // namespace dlnet
