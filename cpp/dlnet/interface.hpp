// The core as the bindings see it. They are compiled once, what is behind this header once for each
// instruction set: so nothing that is declared here, or in what it includes, depends on the length
// of a register.
#pragma once

#include <optional>

#include "lanczos.hpp"
#include "session.hpp"

namespace dlnet {

// A C-contiguous matrix of the caller's.
template <class T>
struct Rows {
  T* data;
  Index rows;
  Index cols;
};

template <class Scalar>
struct Core {
  using New = std::unique_ptr<Loss<Scalar>>;
  using Made = std::shared_ptr<Loss<Scalar>>;  // what callers make of a new one
  using Layers = std::vector<Rows<const Scalar>>;
  using OutLayers = std::vector<Rows<Scalar>>;

  // Losses copy what they are made of. Samples are rows; `divisor` takes the place of their number
  // in a mean.
  static New target_loss(Rows<const double> target);
  static New power_loss(Rows<const double> inputs, Rows<const double> outputs, double power,
                        bool mean, Index divisor, double constant);
  // Half of `factor` times ||W S - outputs||^2 with the diagonal S of `scales`, and a constant.
  static New diagonal_loss(Rows<const double> outputs, std::span<const double> scales,
                           double factor, double constant);
  static New classification_loss(Rows<const double> inputs, std::vector<Index> labels,
                                 Index n_outputs, bool mean);
  static New entries_loss(Index n_outputs, Index n_inputs, std::vector<Index> rows,
                          std::vector<Index> cols, std::span<const double> values, bool mean);
  // Measurement i is measurements[i * n_outputs * n_inputs + row * n_inputs + column].
  static New sensing_loss(Index n_outputs, Index n_inputs, const double* measurements,
                          std::span<const double> values, bool mean);
  // `hessian` may be empty.
  static New function_loss(EndToEndFunction<Scalar> function, EndToEndHessian<Scalar> hessian,
                           Index n_outputs, Index n_inputs);

  static std::unique_ptr<Session<Scalar>> open_descent(const Setup<Scalar>& setup);
  static std::unique_ptr<EnsembleSession<Scalar>> open_ensemble(Members<Scalar> members, Path path);

  // The bare pass, of layers whose shapes follow one another.
  static void product(const Layers& layers, Rows<Scalar> product);
  static void gradients(const Layers& layers, Rows<const Scalar> end_to_end_gradient,
                        const OutLayers& gradients);
  static double value_and_gradients(const Layers& layers, const Made& loss,
                                    const OutLayers& gradients);
  static void step(const Layers& layers, const Made& loss, double rate, const OutLayers& stepped);
};

// The Hessian of the loss in all layers, or in the one of this number. Vectors hold the layers one
// after the other, each row by row.
std::unique_ptr<SymmetricOperator> hessian_operator(const Core<double>::Layers& layers,
                                                    const Core<double>::Made& loss,
                                                    std::optional<std::size_t> layer);

std::unique_ptr<FlowSession> open_flow(const FlowSetup& setup);

// Singular values in descending order (k = min(rows, cols) of them) and, unless null, vectors: left
// (rows, k) and right (cols, k). All column-major without gaps.
void decompose(Index rows, Index cols, const double* a, double* values, double* left,
               double* right);

}  // namespace dlnet
