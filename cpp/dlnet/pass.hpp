// The fused pass through the chain: products forward from both ends, and one sweep back that ends
// either in the update of gradient descent accumulated into the layers or in the gradients written
// out.
//
// The products meet at the width d_m where that takes the fewest multiplications: W = S P with
// P = W_m ... W_1, (d_m, d_0), and S = W_N ... W_{m+1}, (d_N, d_m). With G the gradient of the loss
// in the end-to-end matrix, S^T G is swept down to the input and P G^T up to the output. For
// m = N - 1 these are the prefix products of the chain, for m = 1 those from the output.
//
// G is a Matrix or, from two layers on, a SparseMatrix. Then the end-to-end matrix is needed at the
// stored entries only, and every product with G adds up columns of d_m numbers.
#pragma once

#include <type_traits>

#include "side.hpp"
#include "sparse.hpp"

namespace dlnet {

// The m of the pass; 1 for a single layer. Fixed by the widths, so that a run always takes the same
// path.
inline std::size_t meeting_layer(const Widths& widths) {
  const std::size_t depth = widths.size() - 1;
  const auto width = [&](std::size_t j) { return static_cast<double>(widths[j]); };
  // Multiplications of the forward products; a step takes three times as many.
  const auto cost = [&](std::size_t m) {
    double total = width(0) * width(m) * width(depth);
    for (std::size_t j = 1; j + 1 < depth; ++j) {
      total += width(j) * width(j + 1) * (j < m ? width(0) : width(depth));
    }
    return total;
  };
  // What S takes besides, and kernels that like square layers: measured with AVX2, both scalars.
  constexpr double overhead = 700.0;
  constexpr double worthwhile = 0.85;
  std::size_t best = depth > 1 ? depth - 1 : 1;
  const double affordable = worthwhile * cost(best) - overhead;
  for (std::size_t m = best; m-- > 1;) {
    if (cost(m) <= affordable && cost(m) < cost(best)) best = m;
  }
  return best;
}

template <class Scalar>
class Pass {
 public:
  // `sparse`: so are the gradients to come; `whole`: forward() is called, to see all of the
  // product.
  explicit Pass(const Widths& widths, bool sparse = false, bool whole = true)
      : Pass(widths, meeting_layer(widths), sparse, whole) {}

  // With the layer m up to which products come from the input, 1 <= m < N (1 for a single layer).
  [[gnu::cold]] Pass(const Widths& widths, std::size_t meeting, bool sparse, bool whole)
      : depth_(widths.size() - 1),
        input_(widths, meeting, false),
        output_(widths, depth_ - meeting, sparse),
        packing_(largest(widths)) {
    if (depth_ == 1 || (sparse && !whole)) return;
    end_to_end_ = Matrix<Scalar>(widths.back(), widths.front());
    if (!output_.is_single()) suffix_ = Matrix<Scalar>(widths.back(), widths[meeting]);
  }

  // The last layer of the products from the input, m.
  std::size_t meeting() const { return input_.n_layers(); }

  // From now on large products are shared among the team, which must outlive this.
  void share_with(Team& team) { packing_.share_with(team); }

  void forward(const Network<Scalar>& network) {
    forward_to_meeting(network);
    if (depth_ > 1) multiply_where_met(network);
  }

  // All but the product where both sides meet, which multiply_where_met() adds.
  void forward_to_meeting(const Network<Scalar>& network) {
    input_.forward(network, packing_);
    output_.forward(network, packing_);
  }

  void multiply_where_met(const Network<Scalar>& network) {
    if (!output_.is_single()) transpose(output_.product(network), suffix_);
    const Matrix<Scalar>& suffix = output_.is_single() ? network.weight(depth_ - 1) : suffix_;
    multiply_layer(suffix, input_.product(network), end_to_end_, Assign<Scalar>{}, packing_);
  }

  // Valid after forward(), until the network changes.
  const Matrix<Scalar>& end_to_end(const Network<Scalar>& network) const {
    return depth_ == 1 ? network.weight(0) : end_to_end_;
  }

  // The stored entries of the end-to-end matrix, after forward_to_meeting().
  void end_to_end_at(const Network<Scalar>& network, SparseMatrix<Scalar>& entries) const {
    multiply_at_entries(output_.product(network), input_.product(network), entries);
  }

  // W_j <- keep W_j - rate (W_N ... W_{j+1})^T G (W_{j-1} ... W_1)^T for all layers at once.
  template <class Gradient>
  void descend(Network<Scalar>& network, const Gradient& end_to_end_gradient, Scalar rate,
               Scalar keep) {
    const Accumulate<Scalar> update{-rate, keep};
    if constexpr (is_dense<Gradient>) {
      if (depth_ == 1) return accumulate(end_to_end_gradient, network.weight(0), update);
    }
    sweep(network, end_to_end_gradient);
    // Where a side is a single layer, the other one's gradient needs it as it was: W_N is updated
    // before W_1, and its transposed copy thereafter.
    const bool is_direct = is_suffix_direct<Gradient>();
    if (is_direct) {
      suffix_gradient(network, end_to_end_gradient, network.weight(depth_ - 1), update);
    }
    if (input_.is_single()) {
      prefix_gradient(network, end_to_end_gradient, network.weight(0), update);
    } else {
      input_.descend(network, update, packing_);
    }
    if (is_direct) {
      network.refresh_transposed(depth_ - 1);
    } else {
      output_.descend(network, update, packing_);
    }
  }

  // gradients[j - 1] = (W_N ... W_{j+1})^T G (W_{j-1} ... W_1)^T
  template <class Gradient>
  void gradients(const Network<Scalar>& network, const Gradient& end_to_end_gradient,
                 Layers<Scalar>& gradients) {
    if constexpr (is_dense<Gradient>) {
      if (depth_ == 1) return copy(end_to_end_gradient, gradients[0]);
    }
    sweep(network, end_to_end_gradient);
    if (input_.is_single()) {
      prefix_gradient(network, end_to_end_gradient, gradients[0], Assign<Scalar>{});
    } else {
      input_.gradients(network, gradients, packing_);
    }
    if (is_suffix_direct<Gradient>()) {
      suffix_gradient(network, end_to_end_gradient, gradients[depth_ - 1], Assign<Scalar>{});
    } else {
      output_.gradients(network, gradients, packing_);
    }
  }

 private:
  template <class Gradient>
  static constexpr bool is_dense = std::is_same_v<Gradient, Matrix<Scalar>>;

  // Whether W_N alone is S, and its gradient is found as it lies instead of mirrored.
  template <class Gradient>
  bool is_suffix_direct() const {
    return is_dense<Gradient> && output_.is_single();
  }

  // The Deltas of both sides, but for those that go straight into an update or a gradient.
  template <class Gradient>
  void sweep(const Network<Scalar>& network, const Gradient& end_to_end_gradient) {
    if (!input_.is_single()) {
      prefix_gradient(network, end_to_end_gradient, input_.delta(), Assign<Scalar>{});
      input_.sweep(network, packing_);
    }
    if (!is_suffix_direct<Gradient>()) {
      mirrored_suffix_gradient(network, end_to_end_gradient, output_.delta());
      output_.sweep(network, packing_);
    }
  }

  // result = finish(S^T G), the gradient in the product of the input side, P
  template <class Gradient>
  void prefix_gradient(const Network<Scalar>& network, const Gradient& end_to_end_gradient,
                       Matrix<Scalar>& result, const Finish<Scalar>& finish) {
    if constexpr (is_dense<Gradient>) {
      multiply_layer(output_.product(network), end_to_end_gradient, result, finish, packing_);
    } else {
      multiply_sparse(output_.product(network), end_to_end_gradient.by_column(), result, finish);
    }
  }

  // result = P G^T, the gradient in the product of the output side, S^T
  template <class Gradient>
  void mirrored_suffix_gradient(const Network<Scalar>& network, const Gradient& end_to_end_gradient,
                                Matrix<Scalar>& result) {
    const Matrix<Scalar>& prefix = input_.product(network);
    if constexpr (!is_dense<Gradient>) {
      multiply_sparse(prefix, end_to_end_gradient.by_row(), result, Assign<Scalar>{});
    } else if (prefix.rows() < end_to_end_gradient.rows()) {
      // G is better read down its long columns, and S is not needed any more.
      suffix_gradient(network, end_to_end_gradient, suffix_, Assign<Scalar>{});
      transpose(suffix_, result);
    } else {
      multiply_layer_transposed(prefix, end_to_end_gradient, result, Assign<Scalar>{}, packing_);
    }
  }

  // result = finish(G P^T), the gradient in S
  template <class Gradient>
  void suffix_gradient(const Network<Scalar>& network, const Gradient& end_to_end_gradient,
                       Matrix<Scalar>& result, const Finish<Scalar>& finish) {
    if constexpr (is_dense<Gradient>) {
      multiply_layer_transposed(end_to_end_gradient, input_.product(network), result, finish,
                                packing_);
    }
  }

  std::size_t depth_;
  Side<Scalar, ChainEnd::input> input_;    // W_1 ... W_m
  Side<Scalar, ChainEnd::output> output_;  // W_{m+1} ... W_N; empty at depth 1
  Matrix<Scalar> suffix_;                  // S, where it is more than W_N
  Matrix<Scalar> end_to_end_;
  Packing<Scalar> packing_;
};

}  // namespace dlnet
