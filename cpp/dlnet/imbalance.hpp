// D_j = W_{j+1}^T W_{j+1} - W_j W_j^T, which gradient flow conserves.
#pragma once

#include "gemm.hpp"
#include "network.hpp"

namespace dlnet {

// Of the layers j and j + 1, counted from 0; (d_{j+1}, d_{j+1}).
inline void imbalance(const Network<double>& network, std::size_t j, Matrix<double>& result,
                      Packing<double>& packing) {
  multiply<double>(network.transposed(j + 1), network.weight(j + 1), result, Assign<double>{},
                   packing);
  multiply_transposed<double>(network.weight(j), network.weight(j), result,
                              Accumulate<double>{-1.0, 1.0}, packing);
}

}  // namespace dlnet
