#include "batches.hpp"

#include <numeric>
#include <random>
#include <utility>

namespace dlnet {

namespace {

std::size_t uniform_below(std::mt19937_64& engine, std::uint64_t bound) {
  const std::uint64_t reject = (0 - bound) % bound;  // 2^64 mod bound: what would make it uneven
  std::uint64_t draw = engine();
  while (draw < reject) draw = engine();
  return static_cast<std::size_t>(draw % bound);
}

}  // namespace

// The engine and the seeding are fixed by the standard; std::shuffle and the distributions are
// not, hence Fisher and Yates by hand.
void Batches::shuffle(std::int64_t epoch) {
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

}  // namespace dlnet
