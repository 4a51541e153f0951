// Products of padded column-major matrices: C = A B and C = A B^T, stored or accumulated.
// One micro-kernel template over vectors x columns of C; small products run on the matrices as they
// lie, large ones on packed panels. Knows nothing of networks.
#pragma once

#include <array>
#include <type_traits>
#include <utility>
#include <vector>

#include "team.hpp"
#include "types.hpp"

namespace dlnet {

// What happens to a finished tile of the product P = A B. Where the inner dimension is cut into
// blocks, the first block is finished so and the rest is added with `rest()`.
template <class Scalar>
struct Accumulate {  // C = alpha P + beta C
  Scalar alpha;
  Scalar beta;
  static constexpr bool reads_c = true;
  Vector<Scalar> operator()(Vector<Scalar> product, Vector<Scalar> c) const {
    return alpha * product + beta * c;
  }
  Accumulate rest() const { return {alpha, Scalar(1)}; }
};

template <class Scalar>
struct Assign {  // C = P
  static constexpr bool reads_c = false;
  Vector<Scalar> operator()(Vector<Scalar> product, Vector<Scalar>) const { return product; }
  Accumulate<Scalar> rest() const { return {Scalar(1), Scalar(1)}; }
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
template <class Scalar, int tile_vectors, int tile_columns, class Finish>
[[gnu::always_inline]] inline void multiply_tile(Index depth, const Scalar* a, Index a_stride,
                                                 RightFactor<Scalar> b, Scalar* c, Index c_stride,
                                                 const Finish& finish) {
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
  for (Index k = 0; k < depth; ++k, a += a_stride, entry += b.row_step) {
    Vector<Scalar> column[tile_vectors];
#pragma GCC unroll 3
    for (int m = 0; m < tile_vectors; ++m) column[m] = load(a + m * L);
#pragma GCC unroll 16
    for (int n = 0; n < tile_columns; ++n) {
      const Scalar factor = entry[n * b.col_step];
#pragma GCC unroll 3
      for (int m = 0; m < tile_vectors; ++m) tile[n][m] += column[m] * factor;
    }
  }
#pragma GCC unroll 16
  for (int n = 0; n < tile_columns; ++n) {
#pragma GCC unroll 3
    for (int m = 0; m < tile_vectors; ++m) {
      Scalar* out = c + n * c_stride + m * L;
      if constexpr (Finish::reads_c) {
        store(out, finish(tile[n][m], load(out)));
      } else {
        store(out, finish(tile[n][m], Vector<Scalar>{}));
      }
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

template <class Scalar, int tile_vectors, int tile_columns, class Finish>
void micro_kernel(const Strip<Scalar>& strip, const Finish& finish) {
  RightFactor<Scalar> b = strip.b;
  Scalar* c = strip.c;
  for (Index tile = 0; tile < strip.n_tiles; ++tile) {
    multiply_tile<Scalar, tile_vectors, tile_columns>(strip.depth, strip.a, strip.a_stride, b, c,
                                                      strip.c_stride, finish);
    b.data += strip.b_tile;
    c += tile_columns * strip.c_stride;
  }
}

// The micro-kernels of every tile shape, looked up by [vectors - 1][columns - 1].
template <class Scalar, class Finish>
class KernelTable {
 public:
  using Kernel = void (*)(const Strip<Scalar>&, const Finish&);

  static Kernel find(int tile_vectors, Index tile_columns) {
    static constexpr auto table = make(std::make_integer_sequence<int, max_tile_vectors>{});
    return table[static_cast<std::size_t>(tile_vectors - 1)]
                [static_cast<std::size_t>(tile_columns - 1)];
  }

 private:
  using Row = std::array<Kernel, 16>;

  template <int tile_vectors, int... column>
  static constexpr Row make_row(std::integer_sequence<int, column...>) {
    return {&micro_kernel<Scalar, tile_vectors, column + 1, Finish>...};
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

// Products of (width, width) matrices with the width known at compile time: for small networks, in
// which finding the tiles costs as much as multiplying them.
template <class Scalar, int width, bool is_transposed, class Finish>
class FixedProduct {
 public:
  static void run(const Scalar* a, const Scalar* b, Scalar* c, const Finish& finish) {
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
  static void panels(Index row, const Scalar* a, const Scalar* b, Scalar* c, const Finish& finish) {
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
  static void tiles(Index col, const Scalar* a, const Scalar* b, Scalar* c, const Finish& finish) {
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
inline constexpr int widest_fixed = 16;
inline constexpr std::array<int, 2> further_widths = {20, 32};
inline constexpr int n_fixed_widths = widest_fixed + static_cast<int>(further_widths.size());

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
template <class Scalar, bool is_transposed, class Finish>
auto fixed_product(Index width) {
  using Product = void (*)(const Scalar*, const Scalar*, Scalar*, const Finish&);
  static constexpr auto table = []<int... number>(std::integer_sequence<int, number...>) {
    return std::array<Product, n_fixed_widths>{
        &FixedProduct<Scalar, fixed_width(number), is_transposed, Finish>::run...};
  }(std::make_integer_sequence<int, n_fixed_widths>{});
  return table[static_cast<std::size_t>(fixed_width_number(width))];
}

template <class Scalar, class Finish>
[[gnu::always_inline]] inline void multiply_unpacked(const ConstView<Scalar>& a,
                                                     const RightFactor<Scalar>& b,
                                                     const View<Scalar>& c, const Finish& finish) {
  for_each_panel<Scalar>(c.rows, [&](Index row, auto tile_vectors) {
    for_each_strip(
        c.cols, max_tile_columns(tile_vectors), [&](Index col, Index width, Index n_tiles) {
          const RightFactor<Scalar> tile{b.data + col * b.col_step, b.row_step, b.col_step};
          KernelTable<Scalar, Finish>::find(tile_vectors, width)(
              {n_tiles, a.cols, a.data + row, a.stride, tile, width * b.col_step,
               c.data + col * c.stride + row, c.stride},
              finish);
        });
  });
}

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
  // The largest inner dimension and number of columns among the products to come.
  Panels(Index depth, Index cols) {
    if (!are_worthwhile(depth, cols, true)) return;
    left_ = Buffer<Scalar>(max_tile_vectors * lanes<Scalar> * block_depth);
    right_ = Buffer<Scalar>(block_depth * block_cols<Scalar>);
  }

  // Below, B stays in the second-level cache as it lies (measured with 512 KB and 1 MB of it); read
  // across its columns it does so less long.
  static bool are_worthwhile(Index depth, Index cols, bool across_columns) {
    const Index cached = (across_columns ? 192 : 384) * 1024 / static_cast<Index>(sizeof(Scalar));
    return depth > block_depth || depth * cols > cached;
  }

  const Scalar* pack_left(const Scalar* a, Index stride, Index depth, int tile_vectors) {
    Scalar* out = left_.data();
    for (Index k = 0; k < depth; ++k) {
      for (int m = 0; m < tile_vectors; ++m, out += lanes<Scalar>) {
        store(out, load(a + k * stride + m * lanes<Scalar>));
      }
    }
    return left_.data();
  }

  // Tile after tile, each (depth, width) with its rows contiguous.
  void pack_right(RightFactor<Scalar> b, Index depth, Index cols) {
    for_each_tile(cols, packed_tile_columns, [&](Index col, Index width) {
      Scalar* out = right_.data() + col * depth;
      const Scalar* entry = b.data + col * b.col_step;
      for (Index k = 0; k < depth; ++k, entry += b.row_step) {
        for (Index n = 0; n < width; ++n) *out++ = entry[n * b.col_step];
      }
    });
  }

  RightFactor<Scalar> packed_tile(Index depth, Index col, Index width) const {
    return {right_.data() + col * depth, width, 1};
  }

  static constexpr Index packed_tile_columns = max_tile_columns(max_tile_vectors);

 private:
  Buffer<Scalar> left_;
  Buffer<Scalar> right_;
};

// What products work with: panels for every thread that shares them.
template <class Scalar>
class Packing {
 public:
  // The largest inner dimension and number of columns among the products to come.
  Packing(Index depth, Index cols) : depth_(depth), cols_(cols) {
    panels_.emplace_back(depth, cols);
  }

  // From now on large products are shared among the team, which must outlive this.
  void share_with(Team& team) {
    team_ = &team;
    while (static_cast<int>(panels_.size()) < team.size()) panels_.emplace_back(depth_, cols_);
  }

  // The team, where it gains more than calling it costs (measured at 2 threads), else null.
  Team* team_for(Index rows, Index depth, Index cols) const {
    constexpr Index worth_sharing = 96 * 96 * 96;
    return team_ != nullptr && rows * cols >= worth_sharing / depth ? team_ : nullptr;
  }

  Panels<Scalar>& panels(int member) { return panels_[static_cast<std::size_t>(member)]; }

 private:
  Index depth_;
  Index cols_;
  std::vector<Panels<Scalar>> panels_;
  Team* team_ = nullptr;
};

template <class Scalar, class Finish>
void multiply_block(ConstView<Scalar> a, RightFactor<Scalar> b, View<Scalar> c,
                    const Finish& finish, Panels<Scalar>& panels) {
  const Index depth = a.cols;
  panels.pack_right(b, depth, c.cols);
  for_each_panel<Scalar>(c.rows, [&](Index row, auto tile_vectors) {
    const Scalar* left = panels.pack_left(a.data + row, a.stride, depth, tile_vectors);
    const Index left_stride = tile_vectors * lanes<Scalar>;
    for_each_strip(c.cols, Panels<Scalar>::packed_tile_columns,
                   [&](Index col, Index width, Index n_tiles) {
                     KernelTable<Scalar, Finish>::find(tile_vectors, width)(
                         {n_tiles, depth, left, left_stride, panels.packed_tile(depth, col, width),
                          width * depth, c.data + col * c.stride + row, c.stride},
                         finish);
                   });
  });
}

template <class Scalar, class Finish>
void multiply_packed(ConstView<Scalar> a, RightFactor<Scalar> b, View<Scalar> c,
                     const Finish& finish, Panels<Scalar>& panels) {
  for_each_tile(c.cols, block_cols<Scalar>, [&](Index col, Index width) {
    for_each_tile(a.cols, block_depth, [&](Index k, Index depth) {
      const ConstView<Scalar> block_a{a.data + k * a.stride, a.rows, depth, a.stride};
      const RightFactor<Scalar> block_b{b.data + k * b.row_step + col * b.col_step, b.row_step,
                                        b.col_step};
      const View<Scalar> block_c{c.data + col * c.stride, c.rows, width, c.stride};
      if (k == 0) {
        multiply_block(block_a, block_b, block_c, finish, panels);
      } else {
        multiply_block(block_a, block_b, block_c, finish.rest(), panels);
      }
    });
  });
}

template <class Scalar, class Finish>
void multiply_alone(const ConstView<Scalar>& a, const RightFactor<Scalar>& b, const View<Scalar>& c,
                    const Finish& finish, Panels<Scalar>& panels) {
  if (Panels<Scalar>::are_worthwhile(a.cols, c.cols, b.row_step != 1)) {
    multiply_packed(a, b, c, finish, panels);
  } else {
    multiply_unpacked(a, b, c, finish);
  }
}

// How the entries of C are cut into parts for a team.
struct Cut {
  bool by_columns;
  Index size;  // rows or columns, and the units that they are handed out in
  Index unit;
  int n_parts;

  // From where to where a part goes: whole units, shared evenly.
  std::pair<Index, Index> part(int number) const {
    const Index units = (size + unit - 1) / unit;
    const auto start = [&](Index p) { return std::min(units * p / n_parts * unit, size); };
    return {start(number), start(number + 1)};
  }
};

// Several parts a member, so that nobody waits for long; fewer where each of them packs all of A,
// or of B, once again.
template <class Scalar>
Cut cut_for(int n_members, Index rows, Index cols, bool packs) {
  // Panels of whole cache lines, which no two members write to.
  constexpr Index row_unit = max_tile_vectors * static_cast<Index>(cache_line / sizeof(Scalar));
  constexpr Index col_unit = 16;
  const bool by_columns = cols > rows || (packs && cols == rows);
  const Index size = by_columns ? cols : rows;
  const Index unit = by_columns ? col_unit : row_unit;
  const Index widest = by_columns && packs ? block_cols<Scalar> : size;
  const Index narrowest = packs ? 6 * unit : unit;
  const Index wanted = packs ? 2 * n_members : 4 * n_members;
  Index n_parts = std::max(std::min(wanted, size / narrowest), (size + widest - 1) / widest);
  n_parts = (n_parts + n_members - 1) / n_members * n_members;
  return {by_columns, size, unit, static_cast<int>(std::min(n_parts, (size + unit - 1) / unit))};
}

template <class Scalar, class Finish>
[[gnu::noinline]] void multiply_shared(ConstView<Scalar> a, RightFactor<Scalar> b, View<Scalar> c,
                                       const Finish& finish, Packing<Scalar>& packing, Team& team) {
  const bool packs = Panels<Scalar>::are_worthwhile(a.cols, c.cols, b.row_step != 1);
  const Cut cut = cut_for<Scalar>(team.size(), c.rows, c.cols, packs);
  team.run(cut.n_parts, [&](int member, int number) {
    const auto [first, end] = cut.part(number);
    if (cut.by_columns) {
      const RightFactor<Scalar> own_b{b.data + first * b.col_step, b.row_step, b.col_step};
      const View<Scalar> own_c{c.data + first * c.stride, c.rows, end - first, c.stride};
      multiply_alone(a, own_b, own_c, finish, packing.panels(member));
    } else {
      const ConstView<Scalar> own_a{a.data + first, end - first, a.cols, a.stride};
      const View<Scalar> own_c{c.data + first, end - first, c.cols, c.stride};
      multiply_alone(own_a, b, own_c, finish, packing.panels(member));
    }
  });
}

// Every entry of C is summed by one thread in an order that knows nothing of the others: the same
// bits for every number of threads.
//
// Views are handed on by reference: a copy is written to the stack in single words and read back as
// vectors, which stalls, and in small networks that takes as long as some of the products.
template <class Scalar, class Finish>
[[gnu::noinline]] void multiply(const ConstView<Scalar>& a, const RightFactor<Scalar>& b,
                                const View<Scalar>& c, const Finish& finish,
                                Packing<Scalar>& packing) {
  if (Team* team = packing.team_for(c.rows, a.cols, c.cols)) {
    multiply_shared(a, b, c, finish, packing, *team);
  } else {
    multiply_alone(a, b, c, finish, packing.panels(0));
  }
}

// Whether all three factors of a product are square matrices of one fixed width.
template <class Scalar>
bool is_fixed_square(ConstView<Scalar> a, ConstView<Scalar> b) {
  return fixed_width_number(a.rows) < n_fixed_widths && a.rows == a.cols && b.rows == a.cols &&
         b.cols == a.cols;
}

// C = finish(A B)
template <class Scalar, class Finish>
[[gnu::always_inline]] inline void multiply(std::type_identity_t<ConstView<Scalar>> a,  // (m, k)
                                            std::type_identity_t<ConstView<Scalar>> b,  // (k, n)
                                            std::type_identity_t<View<Scalar>> c,       // (m, n)
                                            const Finish& finish, Packing<Scalar>& packing) {
  if (is_fixed_square<Scalar>(a, b)) {
    return fixed_product<Scalar, false, Finish>(a.rows)(a.data, b.data, c.data, finish);
  }
  multiply(a, RightFactor<Scalar>{b.data, 1, b.stride}, c, finish, packing);
}

// C = finish(A B^T)
template <class Scalar, class Finish>
[[gnu::always_inline]] inline void multiply_transposed(
    std::type_identity_t<ConstView<Scalar>> a,  // (m, k)
    std::type_identity_t<ConstView<Scalar>> b,  // (n, k)
    std::type_identity_t<View<Scalar>> c,       // (m, n)
    const Finish& finish, Packing<Scalar>& packing) {
  if (is_fixed_square<Scalar>(a, b)) {
    return fixed_product<Scalar, true, Finish>(a.rows)(a.data, b.data, c.data, finish);
  }
  multiply(a, RightFactor<Scalar>{b.data, b.stride, 1}, c, finish, packing);
}

// Transposes a block of as many rows as columns in registers: in every round the entries on either
// side of the diagonal of blocks of `size` change places.
template <class Scalar, int size = 1>
[[gnu::always_inline]] inline void transpose_block(Vector<Scalar>* rows) {
  constexpr int L = static_cast<int>(lanes<Scalar>);
  if constexpr (size < L) {
    using Integer = std::conditional_t<sizeof(Scalar) == 8, std::int64_t, std::int32_t>;
    typedef Integer Choice __attribute__((vector_size(vector_bytes)));
    Choice lower{};
    Choice upper{};
    for (int l = 0; l < L; ++l) {
      lower[l] = (l & size) == 0 ? l : L + l - size;
      upper[l] = (l & size) == 0 ? l + size : L + l;
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      if ((i & size) != 0) continue;
      const Vector<Scalar> top = rows[i];
      const Vector<Scalar> bottom = rows[i + size];
      rows[i] = __builtin_shuffle(top, bottom, lower);
      rows[i + size] = __builtin_shuffle(top, bottom, upper);
    }
    transpose_block<Scalar, 2 * size>(rows);
  }
}

// to = from^T
template <class Scalar>
void transpose(const Matrix<Scalar>& from, Matrix<Scalar>& to) {
  constexpr Index L = lanes<Scalar>;
  for (Index j = 0; j < from.cols(); j += L) {
    const Index n_cols = std::min(L, from.cols() - j);
    for (Index i = 0; i < from.rows(); i += L) {
      const Index n_rows = std::min(L, from.rows() - i);
      Vector<Scalar> block[L];
#pragma GCC unroll 16
      for (Index c = 0; c < L; ++c) {
        block[c] = c < n_cols ? load(from.column(j + c) + i) : Vector<Scalar>{};
      }
      transpose_block<Scalar>(block);
#pragma GCC unroll 16
      for (Index r = 0; r < L; ++r) {
        if (r < n_rows) store(to.column(i + r) + j, block[r]);
      }
    }
  }
}

}  // namespace dlnet
