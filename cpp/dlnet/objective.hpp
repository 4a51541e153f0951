// A loss together with its gradient in the end-to-end matrix: a dense matrix, or a sparse one where
// the loss looks at so few entries that their products alone are cheaper.
#pragma once

#include <memory>
#include <numeric>
#include <optional>

#include "losses/loss.hpp"
#include "pass.hpp"

namespace dlnet {

// Whether a step over `n_entries` entries of the end-to-end matrix is taken entry by entry: fixed
// by shape, number and length of the vectors, so that a run always takes the same path.
//
// An entry costs as much as its column has vectors and four more. Measured crossovers of dense and
// sparse evaluations with AVX2, as the share of observed entries: columns of 1 vector 0.08 (float),
// 0.15 (double); 2 or 3 vectors 0.13-0.2, 5 to 7 vectors 0.28, 13 vectors 0.35-0.45, from 25 on
// 0.4-0.5.
template <class Scalar>
bool is_sparse_cheaper(Index n_entries, const Widths& widths) {
  if (n_entries == 0 || widths.size() < 3) return false;  // the only layer is dense in any case
  const auto n_outputs = static_cast<double>(widths.back());
  const auto n_inputs = static_cast<double>(widths.front());
  if (std::max(n_outputs, n_inputs) > std::numeric_limits<std::uint32_t>::max()) return false;
  const Index inner = widths[meeting_layer(widths)];
  const auto n_vectors = static_cast<double>((inner + lanes<Scalar> - 1) / lanes<Scalar>);
  const double density = static_cast<double>(n_entries) / (n_outputs * n_inputs);
  return density * (n_vectors + 4.0) <= 0.45 * n_vectors;
}

template <class Scalar>
class Objective {
 public:
  // `batch_size`: the most samples of one evaluation, or 0 if each is of all of them; `whole`:
  // somebody looks at whole_gradient().
  [[gnu::cold]] Objective(std::shared_ptr<Loss<Scalar>> loss, bool sparse, Index batch_size,
                          bool whole)
      : loss_(std::move(loss)) {
    if (!sparse || whole) dense_ = Matrix<Scalar>(loss_->n_outputs(), loss_->n_inputs());
    if (!sparse) return;
    const Index capacity = batch_size > 0 ? batch_size : loss_->n_samples();
    sparse_.emplace(loss_->n_outputs(), loss_->n_inputs(), capacity);
    if (batch_size > 0) return;
    std::vector<Index> everything(static_cast<std::size_t>(capacity));
    std::iota(everything.begin(), everything.end(), Index(0));
    sparse_->choose(loss_->entries(), everything);
  }

  // An equal loss in other memory.
  void use(std::shared_ptr<Loss<Scalar>> loss) { loss_ = std::move(loss); }

  // Comes before evaluate(), once for all objectives of one network.
  void forward(Pass<Scalar>& pass, const Network<Scalar>& network) const {
    if (sparse_) {
      pass.forward_to_meeting(network);
    } else {
      pass.forward(network);
    }
  }

  // The loss of everything; its gradient stays until the next evaluation.
  double evaluate(const Pass<Scalar>& pass, const Network<Scalar>& network) {
    return sparse_ ? evaluate_sparse(pass, network)
                   : loss_->value_and_gradient(pass.end_to_end(network), dense_);
  }

  // The loss of some of the samples.
  double evaluate(const Pass<Scalar>& pass, const Network<Scalar>& network,
                  std::span<const Index> samples) {
    if (!sparse_) {
      return loss_->batch_value_and_gradient(pass.end_to_end(network), dense_, samples);
    }
    sparse_->choose(loss_->entries(), samples);
    return evaluate_sparse(pass, network);
  }

  void descend(Pass<Scalar>& pass, Network<Scalar>& network, Scalar rate, Scalar keep) const {
    if (sparse_) {
      pass.descend(network, *sparse_, rate, keep);
    } else {
      pass.descend(network, dense_, rate, keep);
    }
  }

  void gradients(Pass<Scalar>& pass, const Network<Scalar>& network,
                 Layers<Scalar>& gradients) const {
    if (sparse_) {
      pass.gradients(network, *sparse_, gradients);
    } else {
      pass.gradients(network, dense_, gradients);
    }
  }

  // As a dense matrix; where nobody wanted it of a sparse one, it is empty.
  const Matrix<Scalar>& whole_gradient() {
    if (sparse_ && dense_.cols() > 0) copy(*sparse_, dense_);
    return dense_;
  }

 private:
  double evaluate_sparse(const Pass<Scalar>& pass, const Network<Scalar>& network) {
    pass.end_to_end_at(network, *sparse_);
    const double value = loss_->value_and_gradient_at(*sparse_);
    sparse_->refresh_rows();
    return value;
  }

  std::shared_ptr<Loss<Scalar>> loss_;
  Matrix<Scalar> dense_;
  std::optional<SparseMatrix<Scalar>> sparse_;
};

}  // namespace dlnet
