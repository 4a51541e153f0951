// Products of padded column-major matrices: C = A B and C = A B^T, stored or accumulated. Small
// ones run on the matrices as they lie, large ones on packed panels. Knows nothing of networks.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "fixed_product.hpp"
#include "packing.hpp"
#include "tiles.hpp"

namespace dlnet {

template <class Scalar>
[[gnu::always_inline]] inline void multiply_unpacked(const ConstView<Scalar>& a,
                                                     const RightFactor<Scalar>& b,
                                                     const View<Scalar>& c,
                                                     const Finish<Scalar>& finish) {
  for_each_panel<Scalar>(c.rows, [&](Index row, auto tile_vectors) {
    for_each_strip(
        c.cols, max_tile_columns(tile_vectors), [&](Index col, Index width, Index n_tiles) {
          const RightFactor<Scalar> tile{b.data + col * b.col_step, b.row_step, b.col_step};
          KernelTable<Scalar>::find(tile_vectors, width)(
              {n_tiles, a.cols, a.data + row, a.stride, tile, width * b.col_step,
               c.data + col * c.stride + row, c.stride},
              finish);
        });
  });
}

// With B packed; A is packed on the way, or has been for the columns before.
template <class Scalar>
void multiply_block(const ConstView<Scalar>& a, const View<Scalar>& c, const Finish<Scalar>& finish,
                    bool packs_a, Panels<Scalar>& panels) {
  const Index depth = a.cols;
  for_each_panel<Scalar>(c.rows, [&](Index row, auto tile_vectors) {
    if (packs_a) panels.template pack_left<tile_vectors>(a, row);
    for_each_strip(c.cols, Panels<Scalar>::packed_tile_columns,
                   [&](Index col, Index width, Index n_tiles) {
                     KernelTable<Scalar>::find_packed(tile_vectors, width)(
                         {n_tiles, depth, panels.packed_panel(depth, row),
                          tile_vectors * lanes<Scalar>, panels.packed_tile(depth, col, width),
                          width * depth, c.data + col * c.stride + row, c.stride},
                         finish);
                   });
  });
}

template <class Scalar>
void multiply_packed(ConstView<Scalar> a, RightFactor<Scalar> b, View<Scalar> c,
                     const Finish<Scalar>& finish, Panels<Scalar>& panels) {
  for_each_tile(a.cols, block_depth, [&](Index k, Index depth) {
    const ConstView<Scalar> block_a{a.data + k * a.stride, a.rows, depth, a.stride};
    for_each_tile(c.cols, block_cols<Scalar>, [&](Index col, Index width) {
      panels.pack_right({b.data + k * b.row_step + col * b.col_step, b.row_step, b.col_step}, depth,
                        width);
      const View<Scalar> block_c{c.data + col * c.stride, c.rows, width, c.stride};
      multiply_block(block_a, block_c, k == 0 ? finish : finish.rest(), col == 0, panels);
    });
  });
}

template <class Scalar>
void multiply_alone(const ConstView<Scalar>& a, const RightFactor<Scalar>& b, const View<Scalar>& c,
                    const Finish<Scalar>& finish, Panels<Scalar>& panels) {
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

template <class Scalar>
[[gnu::noinline]] void multiply_shared(ConstView<Scalar> a, RightFactor<Scalar> b, View<Scalar> c,
                                       const Finish<Scalar>& finish, Packing<Scalar>& packing,
                                       Team& team) {
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
template <class Scalar>
[[gnu::noinline]] void multiply(const ConstView<Scalar>& a, const RightFactor<Scalar>& b,
                                const View<Scalar>& c, const Finish<Scalar>& finish,
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
template <class Scalar>
[[gnu::always_inline]] inline void multiply(std::type_identity_t<ConstView<Scalar>> a,  // (m, k)
                                            std::type_identity_t<ConstView<Scalar>> b,  // (k, n)
                                            std::type_identity_t<View<Scalar>> c,       // (m, n)
                                            const Finish<Scalar>& finish,
                                            Packing<Scalar>& packing) {
  if (is_fixed_square<Scalar>(a, b)) {
    return fixed_product<Scalar, false>(a.rows)(a.data, b.data, c.data, finish);
  }
  multiply(a, RightFactor<Scalar>{b.data, 1, b.stride}, c, finish, packing);
}

// C = finish(A B^T)
template <class Scalar>
[[gnu::always_inline]] inline void multiply_transposed(
    std::type_identity_t<ConstView<Scalar>> a,  // (m, k)
    std::type_identity_t<ConstView<Scalar>> b,  // (n, k)
    std::type_identity_t<View<Scalar>> c,       // (m, n)
    const Finish<Scalar>& finish, Packing<Scalar>& packing) {
  if (is_fixed_square<Scalar>(a, b)) {
    return fixed_product<Scalar, true>(a.rows)(a.data, b.data, c.data, finish);
  }
  multiply(a, RightFactor<Scalar>{b.data, b.stride, 1}, c, finish, packing);
}

}  // namespace dlnet
