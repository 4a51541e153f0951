// Tiles of a product of padded column-major matrices: one micro-kernel template over vectors x
// columns, and how rows and columns are cut into tiles.
#pragma once

#include <array>
#include <type_traits>
#include <utility>

#include "types.hpp"

namespace dlnet {

// What happens to a finished tile of the product P = A B.
template <class Scalar>
struct Accumulate {  // C = alpha P + beta C
  Scalar alpha;
  Scalar beta;
  Vector<Scalar> operator()(Vector<Scalar> product, Vector<Scalar> c) const {
    return alpha * product + beta * c;
  }
};

template <class Scalar>
struct Assign {};  // C = P

// One of the two. Kernels look at it once a tile: one for each would take twice as long to compile.
template <class Scalar>
struct Finish {
  Accumulate<Scalar> accumulate{Scalar(1), Scalar(1)};
  bool reads_c = true;

  Finish(Accumulate<Scalar> finish) : accumulate(finish) {}
  Finish(Assign<Scalar>) : reads_c(false) {}

  // Where the inner dimension is cut into blocks, the first one is finished as it says and the
  // others are added so.
  Finish rest() const { return Accumulate<Scalar>{accumulate.alpha, Scalar(1)}; }
};

// The factor B as the micro-kernel reads it: entry (k, n) at data[k * row_step + n * col_step].
template <class Scalar>
struct RightFactor {
  const Scalar* data;
  Index row_step;
  Index col_step;
};

// A tile holds tile_vectors x tile_columns accumulators; with one register for each vector of A and
// one for the broadcast entry of B it must fit into the register file.
constexpr int max_tile_vectors = 3;

constexpr int max_tile_columns(int tile_vectors) {
  const int available = (vector_registers - 1 - tile_vectors) / tile_vectors;
  return available < 16 ? available : 16;
}

// Inlined, so that strides known at compile time fold into the addresses.
template <class Scalar, int tile_vectors, int tile_columns>
[[gnu::always_inline]] inline void multiply_tile(Index depth, const Scalar* a, Index a_stride,
                                                 RightFactor<Scalar> b, Scalar* c, Index c_stride,
                                                 const Finish<Scalar>& finish) {
  constexpr Index L = lanes<Scalar>;
  constexpr Index worth_prefetching = 64;  // inner dimensions whose products leave the first cache
  if (depth >= worth_prefetching) {
#pragma GCC unroll 16
    for (int n = 0; n < tile_columns; ++n) {
#pragma GCC unroll 3
      for (int m = 0; m < tile_vectors; ++m) __builtin_prefetch(c + n * c_stride + m * L, 1);
    }
  }
  Vector<Scalar> tile[tile_columns][tile_vectors];
#pragma GCC unroll 16
  for (int n = 0; n < tile_columns; ++n) {
#pragma GCC unroll 3
    for (int m = 0; m < tile_vectors; ++m) tile[n][m] = Vector<Scalar>{};
  }
  const Scalar* entry = b.data;
  const auto add_column = [&](const Scalar* vectors) __attribute__((always_inline)) {
    Vector<Scalar> column[tile_vectors];
#pragma GCC unroll 3
    for (int m = 0; m < tile_vectors; ++m) column[m] = load(vectors + m * L);
#pragma GCC unroll 16
    for (int n = 0; n < tile_columns; ++n) {
      const Vector<Scalar> factor = broadcast(entry[n * b.col_step]);
#pragma GCC unroll 3
      for (int m = 0; m < tile_vectors; ++m) add_product<Scalar>(tile[n][m], column[m], factor);
    }
    entry = opaque(entry + b.row_step);
  };
  for (; depth > 1; depth -= 2, a = opaque(a + 2 * a_stride)) {
    add_column(a);
    add_column(a + a_stride);
  }
  if (depth > 0) add_column(a);
  if (finish.reads_c) {
#pragma GCC unroll 16
    for (int n = 0; n < tile_columns; ++n) {
#pragma GCC unroll 3
      for (int m = 0; m < tile_vectors; ++m) {
        Scalar* out = c + n * c_stride + m * L;
        store(out, finish.accumulate(tile[n][m], load(out)));
      }
    }
  } else {
#pragma GCC unroll 16
    for (int n = 0; n < tile_columns; ++n) {
#pragma GCC unroll 3
      for (int m = 0; m < tile_vectors; ++m) store(c + n * c_stride + m * L, tile[n][m]);
    }
  }
}

// Tiles of one shape side by side, that read the same rows of A.
template <class Scalar>
struct Strip {
  Index n_tiles;
  Index depth;
  const Scalar* a;
  Index a_stride;
  RightFactor<Scalar> b;  // of the first tile
  Index b_tile;           // from tile to tile
  Scalar* c;
  Index c_stride;
};

// `is_packed`: the rows of both factors are contiguous, so that their strides need not be read.
template <class Scalar, int tile_vectors, int tile_columns, bool is_packed>
void micro_kernel(const Strip<Scalar>& strip, const Finish<Scalar>& finish) {
  const Index a_stride = is_packed ? tile_vectors * lanes<Scalar> : strip.a_stride;
  RightFactor<Scalar> b = strip.b;
  if constexpr (is_packed) b = {b.data, tile_columns, 1};
  Scalar* c = strip.c;
  for (Index tile = 0; tile < strip.n_tiles; ++tile) {
    multiply_tile<Scalar, tile_vectors, tile_columns>(strip.depth, strip.a, a_stride, b, c,
                                                      strip.c_stride, finish);
    b.data += strip.b_tile;
    c += tile_columns * strip.c_stride;
  }
}

// The micro-kernels of every tile shape, looked up by [vectors - 1][columns - 1].
template <class Scalar>
class KernelTable {
 public:
  using Kernel = void (*)(const Strip<Scalar>&, const Finish<Scalar>&);

  static Kernel find(int tile_vectors, Index tile_columns) {
    static constexpr auto table = make(std::make_integer_sequence<int, max_tile_vectors>{});
    return table[static_cast<std::size_t>(tile_vectors - 1)]
                [static_cast<std::size_t>(tile_columns - 1)];
  }

  // For packed factors: the largest of all tiles, of which most of a large product is made, has a
  // kernel of its own.
  static Kernel find_packed(int tile_vectors, Index tile_columns) {
    constexpr int widest = max_tile_columns(max_tile_vectors);
    if (tile_vectors == max_tile_vectors && tile_columns == widest) {
      return &micro_kernel<Scalar, max_tile_vectors, widest, true>;
    }
    return find(tile_vectors, tile_columns);
  }

 private:
  using Row = std::array<Kernel, 16>;

  template <int tile_vectors, int... column>
  static constexpr Row make_row(std::integer_sequence<int, column...>) {
    return {&micro_kernel<Scalar, tile_vectors, column + 1, false>...};
  }

  template <int... vector>
  static constexpr std::array<Row, max_tile_vectors> make(std::integer_sequence<int, vector...>) {
    return {
        make_row<vector + 1>(std::make_integer_sequence<int, max_tile_columns(vector + 1)>{})...};
  }
};

// Cuts a row of `total` vectors into tiles of three and two, so that no tile of one is left over.
constexpr int next_tile_vectors(Index remaining) {
  if (remaining <= max_tile_vectors) return static_cast<int>(remaining);
  return remaining % max_tile_vectors == 1 ? 2 : 3;
}

// Columns split evenly into tiles of at most `widest`: first some of one column more, then the
// others.
struct Tiling {
  Index n_wide;
  Index n_narrow;
  Index narrow;  // columns

  Tiling(Index cols, Index widest) {
    const Index n_tiles = (cols + widest - 1) / widest;
    narrow = widest;
    while (narrow * n_tiles > cols) --narrow;  // a division takes as long as a small tile
    n_wide = cols - narrow * n_tiles;
    n_narrow = n_tiles - n_wide;
  }
};

// Calls visit(first column, columns, tiles) for tiles of the same width, at most twice.
template <class Visit>
void for_each_strip(Index cols, Index widest, const Visit& visit) {
  const Tiling tiling(cols, widest);
  const Index wide = tiling.narrow + 1;
  if (tiling.n_wide > 0) visit(Index(0), wide, tiling.n_wide);
  if (tiling.n_narrow > 0) visit(tiling.n_wide * wide, tiling.narrow, tiling.n_narrow);
}

// Calls visit(first column, columns) for each tile.
template <class Visit>
void for_each_tile(Index cols, Index widest, const Visit& visit) {
  for_each_strip(cols, widest, [&](Index first, Index width, Index n_tiles) {
    for (Index t = 0; t < n_tiles; ++t) visit(first + t * width, width);
  });
}

// Calls visit(first row, vectors) for the rows of tiles that cover `rows` rows, with the number of
// vectors as a constant.
template <class Scalar, class Visit>
void for_each_panel(Index rows, const Visit& visit) {
  const Index n_vectors = (rows + lanes<Scalar> - 1) / lanes<Scalar>;
  for (Index v = 0; v < n_vectors;) {
    const int tile_vectors = next_tile_vectors(n_vectors - v);
    const Index row = v * lanes<Scalar>;
    static_assert(max_tile_vectors == 3);
    if (tile_vectors == 3) visit(row, std::integral_constant<int, 3>{});
    if (tile_vectors == 2) visit(row, std::integral_constant<int, 2>{});
    if (tile_vectors == 1) visit(row, std::integral_constant<int, 1>{});
    v += tile_vectors;
  }
}

}  // namespace dlnet
