// The bare pass.
#include <cmath>

#include "arrays.hpp"
#include "dlnet/objective.hpp"

namespace dlnet::bindings {

namespace {

template <class Scalar>
py::array product(const py::list& weights) {
  const Network<Scalar> network = to_network<Scalar>(weights);
  Pass<Scalar> pass(network.widths());
  {
    const py::gil_scoped_release release;
    pass.forward(network);
  }
  return to_array(pass.end_to_end(network));
}

template <class Scalar>
py::list gradients(const py::list& weights, const py::array& end_to_end_gradient) {
  const Network<Scalar> network = to_network<Scalar>(weights);
  Matrix<Scalar> gradient(network.widths().back(), network.widths().front());
  copy_layer(end_to_end_gradient, gradient);
  Pass<Scalar> pass(network.widths());
  auto layers = zero_layers<Scalar>(network.widths());
  {
    const py::gil_scoped_release release;
    pass.forward(network);
    pass.gradients(network, gradient, layers);
  }
  return to_arrays(layers);
}

// One evaluation of a loss at a network, on the path that a run would take.
template <class Scalar>
struct Evaluation {
  Evaluation(const py::list& weights, const py::capsule& capsule)
      : network(to_network<Scalar>(weights)),
        loss(to_loss<Scalar>(capsule, network.widths())),
        sparse(is_sparse_cheaper<Scalar>(loss->entries().size(), network.widths())),
        pass(network.widths(), sparse, false),
        objective(loss, sparse, 0, false) {}

  double run() {
    objective.forward(pass, network);
    return objective.evaluate(pass, network);
  }

  Network<Scalar> network;
  std::shared_ptr<Loss<Scalar>> loss;
  bool sparse;
  Pass<Scalar> pass;
  Objective<Scalar> objective;
};

template <class Scalar>
py::tuple value_and_gradients(const py::list& weights, const py::capsule& capsule) {
  Evaluation<Scalar> at(weights, capsule);
  auto layers = zero_layers<Scalar>(at.network.widths());
  double value = 0.0;
  {
    const py::gil_scoped_release release;
    value = at.run();
    at.objective.gradients(at.pass, at.network, layers);
  }
  return py::make_tuple(value, to_arrays(layers));
}

template <class Scalar>
py::list step(const py::list& weights, const py::capsule& capsule, double rate) {
  Evaluation<Scalar> at(weights, capsule);
  {
    const py::gil_scoped_release release;
    at.run();
    at.objective.descend(at.pass, at.network, static_cast<Scalar>(rate), Scalar(1));
  }
  py::list layers;
  for (std::size_t j = 0; j < at.network.depth(); ++j) {
    layers.append(to_array(at.network.weight(j)));
  }
  return layers;
}

}  // namespace

void register_chain(py::module_& module) {
  using py::arg;
  module.def(
      "chain_product",
      [](const py::list& weights) {
        return is_single(weights) ? product<float>(weights) : product<double>(weights);
      },
      arg("weights"));
  module.def(
      "chain_gradients",
      [](const py::list& weights, const py::array& gradient) {
        return is_single(weights) ? gradients<float>(weights, gradient)
                                  : gradients<double>(weights, gradient);
      },
      arg("weights"), arg("end_to_end_gradient"));
  module.def(
      "chain_value_and_gradients",
      [](const py::list& weights, const py::capsule& loss) {
        return is_single(weights) ? value_and_gradients<float>(weights, loss)
                                  : value_and_gradients<double>(weights, loss);
      },
      arg("weights"), arg("loss"));
  module.def(
      "chain_step",
      [](const py::list& weights, const py::capsule& loss, double rate) {
        require(std::isfinite(rate), "rate: expected a finite number");
        return is_single(weights) ? step<float>(weights, loss, rate)
                                  : step<double>(weights, loss, rate);
      },
      arg("weights"), arg("loss"), arg("rate"));
}

}  // namespace dlnet::bindings
