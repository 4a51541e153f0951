// Products of small square matrices.
#pragma once

#include <array>
#include <utility>

#include "tiles.hpp"

namespace dlnet {

// Products of (width, width) matrices with the width known at compile time: for small networks, in
// which finding the tiles costs as much as multiplying them.
template <class Scalar, int width, bool is_transposed>
class FixedProduct {
 public:
  static void run(const Scalar* a, const Scalar* b, Scalar* c, const Finish<Scalar>& finish) {
    // As next_tile_vectors() cuts them: threes first, then at most two twos, or a single one.
    constexpr int twos = n_vectors == 1 ? 0 : (3 - n_vectors % 3) % 3;
    constexpr int threes = n_vectors == 1 ? 0 : (n_vectors - 2 * twos) / 3;
    if constexpr (n_vectors == 1) panels<1, 1>(0, a, b, c, finish);
    if constexpr (threes > 0) panels<3, threes>(0, a, b, c, finish);
    if constexpr (twos > 0) panels<2, twos>(3 * threes * lanes<Scalar>, a, b, c, finish);
  }

 private:
  static constexpr int n_vectors = (width + lanes<Scalar> - 1) / lanes<Scalar>;
  static constexpr Index stride = n_vectors * lanes<Scalar>;
  static_assert(stride * sizeof(Scalar) < 8 * cache_line, "see padded_rows()");

  template <int tile_vectors, int count>
  static void panels(Index row, const Scalar* a, const Scalar* b, Scalar* c,
                     const Finish<Scalar>& finish) {
    constexpr int widest = max_tile_columns(tile_vectors);
    constexpr int n_tiles = (width + widest - 1) / widest;
    constexpr int n_wide = width % n_tiles;
    constexpr int narrow = width / n_tiles;
    for (int panel = 0; panel < count; ++panel, row += tile_vectors * lanes<Scalar>) {
      tiles<tile_vectors, narrow + 1, n_wide>(0, a + row, b, c + row, finish);
      tiles<tile_vectors, narrow, n_tiles - n_wide>(n_wide * (narrow + 1), a + row, b, c + row,
                                                    finish);
    }
  }

  template <int tile_vectors, int tile_columns, int count>
  static void tiles(Index col, const Scalar* a, const Scalar* b, Scalar* c,
                    const Finish<Scalar>& finish) {
    if constexpr (count > 0) {
      for (int tile = 0; tile < count; ++tile, col += tile_columns) {
        const RightFactor<Scalar> factor = is_transposed
                                               ? RightFactor<Scalar>{b + col, stride, 1}
                                               : RightFactor<Scalar>{b + col * stride, 1, stride};
        multiply_tile<Scalar, tile_vectors, tile_columns>(width, a, stride, factor,
                                                          c + col * stride, stride, finish);
      }
    }
  }
};

// All widths up to this one, and few above, as compiling each of them takes its time.
inline constexpr int widest_fixed = has_small_kernels ? 16 : 0;
inline constexpr std::array<int, 2> further_widths = {20, 32};
inline constexpr int n_fixed_widths =
    has_small_kernels ? widest_fixed + static_cast<int>(further_widths.size()) : 0;

constexpr int fixed_width(int number) {
  if (number < widest_fixed) return number + 1;
  return further_widths[static_cast<std::size_t>(number - widest_fixed)];
}

// The number of the fixed width that is `width`; n_fixed_widths if none is.
constexpr int fixed_width_number(Index width) {
  if (width <= widest_fixed) return static_cast<int>(width) - 1;
  int number = widest_fixed;
  while (number < n_fixed_widths && fixed_width(number) != width) ++number;
  return number;
}

// The product for one of the fixed widths.
template <class Scalar, bool is_transposed>
auto fixed_product(Index width) {
  using Product = void (*)(const Scalar*, const Scalar*, Scalar*, const Finish<Scalar>&);
  static constexpr auto table = []<int... number>(std::integer_sequence<int, number...>) {
    return std::array<Product, n_fixed_widths>{
        &FixedProduct<Scalar, fixed_width(number), is_transposed>::run...};
  }(std::make_integer_sequence<int, n_fixed_widths>{});
  return table[static_cast<std::size_t>(fixed_width_number(width))];
}

}  // namespace dlnet
