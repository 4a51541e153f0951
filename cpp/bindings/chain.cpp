// The bare pass.
#include <cmath>

#include "arrays.hpp"
#include "dlnet/pass.hpp"

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

template <class Scalar>
py::tuple value_and_gradients(const py::list& weights, const py::capsule& capsule) {
  const Network<Scalar> network = to_network<Scalar>(weights);
  const auto loss = to_loss<Scalar>(capsule, network.widths());
  Matrix<Scalar> gradient(network.widths().back(), network.widths().front());
  Pass<Scalar> pass(network.widths());
  auto layers = zero_layers<Scalar>(network.widths());
  double value = 0.0;
  {
    const py::gil_scoped_release release;
    pass.forward(network);
    value = loss->value_and_gradient(pass.end_to_end(network), gradient);
    pass.gradients(network, gradient, layers);
  }
  return py::make_tuple(value, to_arrays(layers));
}

template <class Scalar>
py::list step(const py::list& weights, const py::capsule& capsule, double rate) {
  Network<Scalar> network = to_network<Scalar>(weights);
  const auto loss = to_loss<Scalar>(capsule, network.widths());
  Matrix<Scalar> gradient(network.widths().back(), network.widths().front());
  Pass<Scalar> pass(network.widths());
  {
    const py::gil_scoped_release release;
    pass.forward(network);
    loss->value_and_gradient(pass.end_to_end(network), gradient);
    pass.descend(network, gradient, static_cast<Scalar>(rate), Scalar(1));
  }
  py::list layers;
  for (std::size_t j = 0; j < network.depth(); ++j) layers.append(to_array(network.weight(j)));
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
