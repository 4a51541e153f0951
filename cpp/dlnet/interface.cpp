// What interface.hpp promises, compiled once for each instruction set: the only file that is.
#include "interface.hpp"

#include "ensemble.hpp"
#include "flow.hpp"
#include "hessian.hpp"
#include "losses/diagonal.hpp"
#include "losses/entries.hpp"
#include "losses/function.hpp"
#include "losses/samples.hpp"
#include "losses/sensing.hpp"
#include "losses/target.hpp"
#include "spectrum.hpp"

namespace dlnet {

namespace {

template <class From, class To>
void copy_rows(Rows<From> from, Matrix<To>& to) {
  const From* entry = from.data;
  for (Index i = 0; i < from.rows; ++i) {
    for (Index j = 0; j < from.cols; ++j) to(i, j) = static_cast<To>(*entry++);
  }
}

template <class To, class From>
Matrix<To> to_matrix(Rows<From> from) {
  Matrix<To> matrix(from.rows, from.cols);
  copy_rows(from, matrix);
  return matrix;
}

template <class Scalar>
void copy_out(const Matrix<Scalar>& from, Rows<Scalar> to) {
  Scalar* entry = to.data;
  for (Index i = 0; i < to.rows; ++i) {
    for (Index j = 0; j < to.cols; ++j) *entry++ = from(i, j);
  }
}

// Samples come first at the caller's and last here.
Matrix<double> to_columns(Rows<const double> samples) {
  Matrix<double> matrix(samples.cols, samples.rows);
  for (Index i = 0; i < samples.rows; ++i) {
    const double* sample = samples.data + i * samples.cols;
    std::copy(sample, sample + samples.cols, matrix.column(i));
  }
  return matrix;
}

template <class Scalar>
Network<Scalar> to_network(const std::vector<Rows<const Scalar>>& layers) {
  Widths widths{layers.front().cols};
  for (const auto& layer : layers) widths.push_back(layer.rows);
  Network<Scalar> network(widths);
  for (std::size_t j = 0; j < layers.size(); ++j) {
    copy_rows(layers[j], network.weight(j));
    network.refresh_transposed(j);
  }
  return network;
}

// One evaluation of a loss at a network, on the path that a run would take.
template <class Scalar>
struct Evaluation {
  Evaluation(const std::vector<Rows<const Scalar>>& layers,
             const std::shared_ptr<Loss<Scalar>>& loss)
      : network(to_network(layers)),
        sparse(is_sparse_cheaper<Scalar>(loss->entries().size(), network.widths())),
        pass(network.widths(), sparse, false),
        objective(loss, sparse, 0, false) {
    objective.forward(pass, network);
    value = objective.evaluate(pass, network);
  }

  Network<Scalar> network;
  bool sparse;
  Pass<Scalar> pass;
  Objective<Scalar> objective;
  double value;
};

}  // namespace

template <class Scalar>
auto Core<Scalar>::target_loss(Rows<const double> target) -> New {
  return std::make_unique<TargetLoss<Scalar>>(to_matrix<double>(target));
}

template <class Scalar>
auto Core<Scalar>::power_loss(Rows<const double> inputs, Rows<const double> outputs, double power,
                              bool mean, Index divisor, double constant) -> New {
  return std::make_unique<PowerLoss<Scalar>>(to_columns(inputs), to_columns(outputs), power, mean,
                                             divisor, constant);
}

template <class Scalar>
auto Core<Scalar>::diagonal_loss(Rows<const double> outputs, std::span<const double> scales,
                                 double factor, double constant) -> New {
  return std::make_unique<DiagonalLoss<Scalar>>(to_matrix<double>(outputs), scales, factor,
                                                constant);
}

template <class Scalar>
auto Core<Scalar>::classification_loss(Rows<const double> inputs, std::vector<Index> labels,
                                       Index n_outputs, bool mean) -> New {
  return std::make_unique<ClassificationLoss<Scalar>>(to_columns(inputs), std::move(labels),
                                                      n_outputs, mean);
}

template <class Scalar>
auto Core<Scalar>::entries_loss(Index n_outputs, Index n_inputs, std::vector<Index> rows,
                                std::vector<Index> cols, std::span<const double> values, bool mean)
    -> New {
  return std::make_unique<EntriesLoss<Scalar>>(n_outputs, n_inputs, std::move(rows),
                                               std::move(cols), values, mean);
}

template <class Scalar>
auto Core<Scalar>::sensing_loss(Index n_outputs, Index n_inputs, const double* measurements,
                                std::span<const double> values, bool mean) -> New {
  return std::make_unique<SensingLoss<Scalar>>(n_outputs, n_inputs, measurements, values, mean);
}

template <class Scalar>
auto Core<Scalar>::function_loss(EndToEndFunction<Scalar> function, EndToEndHessian<Scalar> hessian,
                                 Index n_outputs, Index n_inputs) -> New {
  return std::make_unique<FunctionLoss<Scalar>>(std::move(function), std::move(hessian), n_outputs,
                                                n_inputs);
}

template <class Scalar>
std::unique_ptr<Session<Scalar>> Core<Scalar>::open_descent(const Setup<Scalar>& setup) {
  return std::make_unique<Descent<Scalar>>(setup);
}

template <class Scalar>
std::unique_ptr<EnsembleSession<Scalar>> Core<Scalar>::open_ensemble(Members<Scalar> members,
                                                                     Path path) {
  return std::make_unique<Ensemble<Scalar>>(std::move(members), path);
}

template <class Scalar>
void Core<Scalar>::product(const Layers& layers, Rows<Scalar> product) {
  const Network<Scalar> network = to_network(layers);
  Pass<Scalar> pass(network.widths());
  pass.forward(network);
  copy_out(pass.end_to_end(network), product);
}

template <class Scalar>
void Core<Scalar>::gradients(const Layers& layers, Rows<const Scalar> end_to_end_gradient,
                             const OutLayers& gradients) {
  const Network<Scalar> network = to_network(layers);
  Pass<Scalar> pass(network.widths());
  auto written = zero_layers<Scalar>(network.widths());
  pass.forward(network);
  pass.gradients(network, to_matrix<Scalar>(end_to_end_gradient), written);
  for (std::size_t j = 0; j < written.size(); ++j) copy_out(written[j], gradients[j]);
}

template <class Scalar>
double Core<Scalar>::value_and_gradients(const Layers& layers, const Made& loss,
                                         const OutLayers& gradients) {
  Evaluation<Scalar> at(layers, loss);
  auto written = zero_layers<Scalar>(at.network.widths());
  at.objective.gradients(at.pass, at.network, written);
  for (std::size_t j = 0; j < written.size(); ++j) copy_out(written[j], gradients[j]);
  return at.value;
}

template <class Scalar>
void Core<Scalar>::step(const Layers& layers, const Made& loss, double rate,
                        const OutLayers& stepped) {
  Evaluation<Scalar> at(layers, loss);
  at.objective.descend(at.pass, at.network, static_cast<Scalar>(rate), Scalar(1));
  for (std::size_t j = 0; j < stepped.size(); ++j) copy_out(at.network.weight(j), stepped[j]);
}

template struct Core<double>;
template struct Core<float>;

std::unique_ptr<SymmetricOperator> hessian_operator(const Core<double>::Layers& layers,
                                                    const Core<double>::Made& loss,
                                                    std::optional<std::size_t> layer) {
  return std::make_unique<ChainHessian>(to_network(layers), loss, layer.value_or(layers.size()));
}

std::unique_ptr<FlowSession> open_flow(const FlowSetup& setup) {
  return std::make_unique<Flow>(setup);
}

void decompose(Index rows, Index cols, const double* a, double* values, double* left,
               double* right) {
  Spectrum spectrum(rows, cols, left != nullptr);
  spectrum.compute(a, rows);
  const Index k = std::min(rows, cols);
  std::copy(spectrum.singular_values(), spectrum.singular_values() + k, values);
  if (left == nullptr) return;
  for (Index r = 0; r < k; ++r) {
    std::copy(spectrum.left(r), spectrum.left(r) + rows, left + r * rows);
    std::copy(spectrum.right(r), spectrum.right(r) + cols, right + r * cols);
  }
}

}  // namespace dlnet
