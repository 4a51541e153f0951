// The fused pass through the chain: prefix products forward, one backward sweep that ends either in
// the update of gradient descent accumulated into the layers or in the gradients written out.
//
// With G the gradient of the loss in the end-to-end matrix, Delta_j = (W_N ... W_{j+1})^T G, (d_j,
// d_0), is swept down from Delta_N = G, and the gradient of layer j is Delta_j (W_{j-1} ... W_1)^T.
//
// G is a Matrix or, from two layers on, a SparseMatrix. Then the end-to-end matrix is needed at the
// stored entries only, and the last layer is read and its gradient found transposed: every product
// with G adds up columns of d_{N-1} numbers.
#pragma once

#include <type_traits>

#include "network.hpp"
#include "sparse.hpp"

namespace dlnet {

template <class Scalar>
class Pass {
 public:
  // `sparse`: so are the gradients to come; `whole`: forward() is called, to see all of the
  // product.
  explicit Pass(const Widths& widths, bool sparse = false, bool whole = true)
      : depth_(widths.size() - 1), packing_(largest(widths), largest(widths)) {
    prefix_.reserve(depth_);
    delta_.reserve(depth_);
    for (std::size_t j = 0; j < depth_; ++j) {
      const bool is_last = j + 1 == depth_;
      // The first prefix is the first layer itself, the last Delta the gradient handed in.
      const bool has_prefix = j > 0 && (!is_last || !sparse || whole);
      prefix_.push_back(has_prefix ? Matrix<Scalar>(widths[j + 1], widths[0]) : Matrix<Scalar>());
      delta_.push_back(is_last ? Matrix<Scalar>() : Matrix<Scalar>(widths[j + 1], widths[0]));
    }
    if (sparse) last_gradient_ = Matrix<Scalar>(widths[depth_ - 1], widths[depth_]);
  }

  // From now on large products are shared among the team, which must outlive this.
  void share_with(Team& team) { packing_.share_with(team); }

  void forward(const Network<Scalar>& network) {
    forward_below_last(network);
    if (depth_ > 1) multiply_last(network);
  }

  // All but the last product, which multiply_last() adds.
  void forward_below_last(const Network<Scalar>& network) {
    for (std::size_t j = 1; j + 1 < depth_; ++j) extend_prefix(network, j);
  }

  void multiply_last(const Network<Scalar>& network) { extend_prefix(network, depth_ - 1); }

  // Valid after forward(), until the network changes.
  const Matrix<Scalar>& end_to_end(const Network<Scalar>& network) const {
    return prefix(network, depth_ - 1);
  }

  // The stored entries of the end-to-end matrix, after forward_below_last().
  void end_to_end_at(const Network<Scalar>& network, SparseMatrix<Scalar>& entries) const {
    multiply_at_entries(network.transposed(depth_ - 1), prefix(network, depth_ - 2), entries);
  }

  // W_j <- keep W_j - rate Delta_j (W_{j-1} ... W_1)^T for all layers at once.
  template <class Gradient>
  void descend(Network<Scalar>& network, const Gradient& end_to_end_gradient, Scalar rate,
               Scalar keep) {
    const Accumulate<Scalar> update{-rate, keep};
    if constexpr (std::is_same_v<Gradient, Matrix<Scalar>>) {
      if (depth_ == 1) {
        accumulate(end_to_end_gradient, network.weight(0), update);
        return;
      }
    }
    sweep_down(network, end_to_end_gradient);
    begin_last(network, end_to_end_gradient, update);
    for (std::size_t j = depth_ - 2; j > 0; --j) {
      multiply_transposed<Scalar>(delta_[j], prefix(network, j - 1), network.weight(j), update,
                                  packing_);
    }
    // The first layer is also the first prefix, and the transposed copy of the second is still the
    // old one: its update comes after every other and before the copies are refreshed.
    sweep_through(network, end_to_end_gradient, 1, network.weight(0), update);
    for (std::size_t j = 1; j + 1 < depth_; ++j) network.refresh_transposed(j);
    finish_last(network, end_to_end_gradient, update);
  }

  // gradients[j] = Delta_j (W_{j-1} ... W_1)^T
  template <class Gradient>
  void gradients(const Network<Scalar>& network, const Gradient& end_to_end_gradient,
                 Layers<Scalar>& gradients) {
    if constexpr (std::is_same_v<Gradient, Matrix<Scalar>>) {
      if (depth_ == 1) {
        copy(end_to_end_gradient, gradients[0]);
        return;
      }
    }
    sweep_down(network, end_to_end_gradient);
    write_last(network, end_to_end_gradient, gradients[depth_ - 1]);
    for (std::size_t j = depth_ - 2; j > 0; --j) {
      multiply_transposed<Scalar>(delta_[j], prefix(network, j - 1), gradients[j], Assign<Scalar>{},
                                  packing_);
    }
    sweep_through(network, end_to_end_gradient, 1, gradients[0], Assign<Scalar>{});
  }

 private:
  const Matrix<Scalar>& prefix(const Network<Scalar>& network, std::size_t j) const {
    return j == 0 ? network.weight(0) : prefix_[j];
  }

  void extend_prefix(const Network<Scalar>& network, std::size_t j) {
    multiply<Scalar>(network.weight(j), prefix(network, j - 1), prefix_[j], Assign<Scalar>{},
                     packing_);
  }

  // Delta of the second layer up; that of the first goes straight into its update or gradient.
  template <class Gradient>
  void sweep_down(const Network<Scalar>& network, const Gradient& end_to_end_gradient) {
    for (std::size_t j = depth_ - 1; j > 1; --j) {
      sweep_through(network, end_to_end_gradient, j, delta_[j - 1], Assign<Scalar>{});
    }
  }

  // result = finish(W_{j+1}^T Delta_{j+1})
  template <class Gradient, class Finish>
  void sweep_through(const Network<Scalar>& network, const Gradient& end_to_end_gradient,
                     std::size_t j, Matrix<Scalar>& result, const Finish& finish) {
    if (j + 1 < depth_) {
      multiply<Scalar>(network.transposed(j), delta_[j], result, finish, packing_);
    } else if constexpr (std::is_same_v<Gradient, Matrix<Scalar>>) {
      multiply<Scalar>(network.transposed(j), end_to_end_gradient, result, finish, packing_);
    } else {
      multiply_sparse(network.transposed(j), end_to_end_gradient.by_column(), result, finish);
    }
  }

  // The last layer, dense: updated in place, then copied.

  void begin_last(Network<Scalar>& network, const Matrix<Scalar>& end_to_end_gradient,
                  const Accumulate<Scalar>& update) {
    multiply_transposed<Scalar>(end_to_end_gradient, prefix(network, depth_ - 2),
                                network.weight(depth_ - 1), update, packing_);
  }

  void finish_last(Network<Scalar>& network, const Matrix<Scalar>&, const Accumulate<Scalar>&) {
    network.refresh_transposed(depth_ - 1);
  }

  void write_last(const Network<Scalar>& network, const Matrix<Scalar>& end_to_end_gradient,
                  Matrix<Scalar>& gradient) {
    multiply_transposed<Scalar>(end_to_end_gradient, prefix(network, depth_ - 2), gradient,
                                Assign<Scalar>{}, packing_);
  }

  // The last layer, sparse: its transposed copy is updated, once nothing multiplies by the old one.

  void begin_last(const Network<Scalar>& network, const SparseMatrix<Scalar>& end_to_end_gradient,
                  const Accumulate<Scalar>&) {
    multiply_sparse(prefix(network, depth_ - 2), end_to_end_gradient.by_row(), last_gradient_,
                    Assign<Scalar>{});
  }

  void finish_last(Network<Scalar>& network, const SparseMatrix<Scalar>&,
                   const Accumulate<Scalar>& update) {
    accumulate(last_gradient_, network.transposed(depth_ - 1), update);
    network.refresh_from_transposed(depth_ - 1);
  }

  void write_last(const Network<Scalar>& network, const SparseMatrix<Scalar>& end_to_end_gradient,
                  Matrix<Scalar>& gradient) {
    begin_last(network, end_to_end_gradient, {});
    transpose(last_gradient_, gradient);
  }

  static void accumulate(const Matrix<Scalar>& gradient, Matrix<Scalar>& weight,
                         const Accumulate<Scalar>& update) {
    for (Index i = 0; i < weight.stride() * weight.cols(); i += lanes<Scalar>) {
      store(weight.data() + i, update(load(gradient.data() + i), load(weight.data() + i)));
    }
  }

  std::size_t depth_;
  Layers<Scalar> prefix_;
  Layers<Scalar> delta_;
  Matrix<Scalar> last_gradient_;  // (d_{N-1}, d_N), where the gradient handed in is sparse
  Packing<Scalar> packing_;
};

}  // namespace dlnet
