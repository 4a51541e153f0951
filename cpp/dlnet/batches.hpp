// Mini-batches as a pure function of (seed, step): a fresh permutation of the samples each epoch,
// cut into batches of one size, the last short one kept.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "view.hpp"

namespace dlnet {

class Batches {
 public:
  Batches(Index n_samples, Index batch_size, std::uint64_t seed)
      : batch_size_(std::min(batch_size, n_samples)),
        seed_(seed),
        order_(static_cast<std::size_t>(n_samples)) {}

  Index batch_size() const { return batch_size_; }

  std::span<const Index> at(std::int64_t step) {
    const Index n = static_cast<Index>(order_.size());
    const std::int64_t per_epoch = (n + batch_size_ - 1) / batch_size_;
    if (step / per_epoch != epoch_) shuffle(step / per_epoch);
    const Index first = static_cast<Index>(step % per_epoch) * batch_size_;
    const Index count = std::min(batch_size_, n - first);
    return std::span<const Index>(order_).subspan(static_cast<std::size_t>(first),
                                                  static_cast<std::size_t>(count));
  }

 private:
  void shuffle(std::int64_t epoch);

  Index batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<Index> order_;
};

}  // namespace dlnet
