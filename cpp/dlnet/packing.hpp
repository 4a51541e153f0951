// Where the panels of large products are copied to, and who shares these products.
#pragma once

#include <cstring>
#include <vector>

#include "team.hpp"
#include "tiles.hpp"

namespace dlnet {

// Blocks of the inner dimension and of the columns: a panel of A stays in the first-level cache, a
// block of B in the second.
inline constexpr Index block_depth = 256;
template <class Scalar>
inline constexpr Index block_cols = 1536 / static_cast<Index>(sizeof(Scalar));

// Where packed copies of panels go, for one thread. Empty when no product in sight is large enough
// to be packed.
template <class Scalar>
class Panels {
 public:
  Panels() = default;
  // No factor of the products to come has more rows or columns.
  explicit Panels(Index largest) {
    if (!are_worthwhile(largest, largest, true)) return;
    left_ = Buffer<Scalar>(padded_rows<Scalar>(largest) * block_depth);
    right_ = Buffer<Scalar>(block_depth * block_cols<Scalar>);
  }

  // Below, B stays in the second-level cache as it lies (measured with 512 KB and 1 MB of it); read
  // across its columns it does so less long.
  static bool are_worthwhile(Index depth, Index cols, bool across_columns) {
    const Index cached = (across_columns ? 192 : 384) * 1024 / static_cast<Index>(sizeof(Scalar));
    return depth > block_depth || depth * cols > cached;
  }

  // The rows of A from `row` on, as many as the vectors hold.
  template <int tile_vectors>
  void pack_left(ConstView<Scalar> a, Index row) {
    Scalar* out = left_.data() + row * a.cols;
    const Scalar* column = a.data + row;
    for (Index k = 0; k < a.cols; ++k, column += a.stride, out += tile_vectors * lanes<Scalar>) {
      for (int m = 0; m < tile_vectors; ++m) {
        store(out + m * lanes<Scalar>, load(column + m * lanes<Scalar>));
      }
    }
  }

  const Scalar* packed_panel(Index depth, Index row) const { return left_.data() + row * depth; }

  // Tile after tile, each (depth, width) with its rows contiguous.
  void pack_right(RightFactor<Scalar> b, Index depth, Index cols) {
    for_each_tile(cols, packed_tile_columns, [&](Index col, Index width) {
      Scalar* out = right_.data() + col * depth;
      const Scalar* entry = b.data + col * b.col_step;
      if (width == packed_tile_columns) {
        pack_tile(entry, b, depth, packed_tile_columns, out);
      } else {
        pack_tile(entry, b, depth, width, out);
      }
    });
  }

  RightFactor<Scalar> packed_tile(Index depth, Index col, Index width) const {
    return {right_.data() + col * depth, width, 1};
  }

  static constexpr Index packed_tile_columns = max_tile_columns(max_tile_vectors);

 private:
  // Inlined, so that nearly all of the tiles are copied with a width known at compile time.
  [[gnu::always_inline]] static void pack_tile(const Scalar* entry, const RightFactor<Scalar>& b,
                                               Index depth, Index width, Scalar* out) {
    if (b.col_step == 1) {
      for (Index k = 0; k < depth; ++k, entry += b.row_step, out += width) {
        std::memcpy(out, entry, static_cast<std::size_t>(width) * sizeof(Scalar));
      }
    } else {
      for (Index k = 0; k < depth; ++k, entry += b.row_step, out += width) {
#pragma GCC unroll 16
        for (Index n = 0; n < width; ++n) out[n] = entry[n * b.col_step];
      }
    }
  }

  Buffer<Scalar> left_;
  Buffer<Scalar> right_;
};

// What products work with: panels for every thread that shares them.
template <class Scalar>
class Packing {
 public:
  // No factor of the products to come has more rows or columns.
  explicit Packing(Index largest) : largest_(largest) { panels_.emplace_back(largest); }

  // From now on large products are shared among the team, which must outlive this.
  void share_with(Team& team) {
    team_ = &team;
    while (static_cast<int>(panels_.size()) < team.size()) panels_.emplace_back(largest_);
  }

  // The team, where it gains more than calling it costs (measured at 2 threads), else null.
  Team* team_for(Index rows, Index depth, Index cols) const {
    constexpr Index worth_sharing = 96 * 96 * 96;
    return team_ != nullptr && rows * cols >= worth_sharing / depth ? team_ : nullptr;
  }

  Panels<Scalar>& panels(int member) { return panels_[static_cast<std::size_t>(member)]; }

 private:
  Index largest_;
  std::vector<Panels<Scalar>> panels_;
  Team* team_ = nullptr;
};

}  // namespace dlnet
