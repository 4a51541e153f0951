// What can be recorded: names, sizes, and the arrays that records go to.
#pragma once

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "view.hpp"

namespace dlnet {

enum class Quantity : std::size_t {
  time,
  loss,
  learning_rate,
  gradient_norm,
  reconstruction_error,
  held_out_error,
  singular_value,
  left_singular_vector,
  right_singular_vector,
  effective_rank,
  stable_rank,
  nuclear_norm,
  alignment,
  imbalance,
  layer_norm,
  layer_singular_value,
};
inline constexpr std::size_t n_quantities = 16;

// In the order of Quantity; the dataset's names.
inline constexpr std::array<const char*, n_quantities> quantity_names = {
    "time",
    "loss",
    "learning_rate",
    "gradient_norm",
    "reconstruction_error",
    "held_out_error",
    "singular_value",
    "left_singular_vector",
    "right_singular_vector",
    "effective_rank",
    "stable_rank",
    "nuclear_norm",
    "alignment",
    "imbalance",
    "layer_norm",
    "layer_singular_value",
};

inline Quantity quantity_named(const std::string& name) {
  for (std::size_t q = 0; q < n_quantities; ++q) {
    if (name == quantity_names[q]) return static_cast<Quantity>(q);
  }
  throw std::invalid_argument("unknown variable: " + name);
}

// Columns of a table with one row a layer for its singular values.
inline Index widest_spectrum(const Widths& widths) {
  Index widest = 0;
  for (std::size_t j = 0; j + 1 < widths.size(); ++j) {
    widest = std::max(widest, std::min(widths[j], widths[j + 1]));
  }
  return widest;
}

// Entries of one record.
inline Index record_size(Quantity quantity, const Widths& widths) {
  const Index k = std::min(widths.front(), widths.back());
  const Index depth = static_cast<Index>(widths.size()) - 1;
  switch (quantity) {
    case Quantity::singular_value:
    case Quantity::alignment:
      return k;
    case Quantity::left_singular_vector:
      return widths.back() * k;
    case Quantity::right_singular_vector:
      return widths.front() * k;
    case Quantity::imbalance:
      return depth - 1;
    case Quantity::layer_norm:
      return depth;
    case Quantity::layer_singular_value:
      return depth * widest_spectrum(widths);
    default:
      return 1;
  }
}

// What problems know besides their loss; runs share it.
struct Knowledge {
  std::vector<double> ground_truth;  // (d_N, d_0), column-major
  std::vector<Index> held_out_rows;
  std::vector<Index> held_out_cols;
  std::vector<double> held_out_values;
};

// Arrays that one block of records goes to, C-contiguous with the record first; null: not wanted.
template <class Scalar>
struct Sink {
  double* quantities[n_quantities] = {};
  Scalar* end_to_end = nullptr;
  std::vector<Scalar*> weights;

  double*& operator[](Quantity q) { return quantities[static_cast<std::size_t>(q)]; }
  double* operator[](Quantity q) const { return quantities[static_cast<std::size_t>(q)]; }
  bool wants(Quantity q) const { return (*this)[q] != nullptr; }
  template <class... Names>
  bool wants_any(Names... names) const {
    return (wants(names) || ...);
  }
};

// Which workspaces a run will need.
struct Wanted {
  bool product = false;           // the whole end-to-end matrix
  bool product_gradient = false;  // the whole gradient in it
  bool spectrum = false;
  bool vectors = false;
  bool layer_spectra = false;
  bool imbalance = false;
  bool gradients = false;
};

}  // namespace dlnet
