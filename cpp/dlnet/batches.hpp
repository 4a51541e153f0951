// Mini-batches as a pure function of (seed, step): a fresh permutation of the samples each epoch,
// cut into batches of one size, the last short one kept.
#pragma once

#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "types.hpp"

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
  // The engine and the seeding are fixed by the standard; std::shuffle and the distributions are
  // not, hence Fisher and Yates by hand.
  void shuffle(std::int64_t epoch) {
    const auto e = static_cast<std::uint64_t>(epoch);
    std::seed_seq words{static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32),
                        static_cast<std::uint32_t>(e), static_cast<std::uint32_t>(e >> 32)};
    std::mt19937_64 engine(words);
    std::iota(order_.begin(), order_.end(), Index(0));
    for (std::size_t i = order_.size() - 1; i > 0; --i) {
      std::swap(order_[i], order_[uniform_below(engine, i + 1)]);
    }
    epoch_ = epoch;
  }

  static std::size_t uniform_below(std::mt19937_64& engine, std::uint64_t bound) {
    const std::uint64_t reject = (0 - bound) % bound;  // 2^64 mod bound: what would make it uneven
    std::uint64_t draw = engine();
    while (draw < reject) draw = engine();
    return static_cast<std::size_t>(draw % bound);
  }

  Index batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<Index> order_;
};

}  // namespace dlnet
