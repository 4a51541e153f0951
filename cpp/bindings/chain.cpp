// The bare pass.
#include <cmath>

#include "arrays.hpp"

namespace dlnet::bindings {

namespace {

// Layers of one dtype whose shapes follow one another, and room for as many of the same shapes.
template <class Scalar>
struct Chain {
  explicit Chain(const py::list& weights) : widths(widths_of(weights)) {
    for (std::size_t j = 0; j < weights.size(); ++j) {
      arrays.push_back(to_layer<Scalar>(weights[j], widths[j + 1], widths[j]));
      layers.push_back(to_rows(std::as_const(arrays.back()), "weights"));
      written.push_back(Array<Scalar>({widths[j + 1], widths[j]}));
      out.push_back(to_rows(written.back()));
    }
  }

  py::list result() const {
    py::list list;
    for (const auto& array : written) list.append(array);
    return list;
  }

  Widths widths;
  std::vector<Array<Scalar>> arrays;
  std::vector<Array<Scalar>> written;
  std::vector<Rows<const Scalar>> layers;
  std::vector<Rows<Scalar>> out;
};

template <class Scalar>
py::array product(const py::list& weights) {
  const Chain<Scalar> chain(weights);
  Array<Scalar> product({chain.widths.back(), chain.widths.front()});
  const Rows<Scalar> out = to_rows(product);
  {
    const py::gil_scoped_release release;
    Core<Scalar>::product(chain.layers, out);
  }
  return product;
}

template <class Scalar>
py::list gradients(const py::list& weights, const py::array& end_to_end_gradient) {
  const Chain<Scalar> chain(weights);
  const auto array =
      to_layer<Scalar>(end_to_end_gradient, chain.widths.back(), chain.widths.front());
  const auto gradient = to_rows(array, "end_to_end_gradient");
  {
    const py::gil_scoped_release release;
    Core<Scalar>::gradients(chain.layers, gradient, chain.out);
  }
  return chain.result();
}

template <class Scalar>
py::tuple value_and_gradients(const py::list& weights, const py::capsule& capsule) {
  const Chain<Scalar> chain(weights);
  const auto loss = to_loss<Scalar>(capsule, chain.widths);
  double value = 0.0;
  {
    const py::gil_scoped_release release;
    value = Core<Scalar>::value_and_gradients(chain.layers, loss, chain.out);
  }
  return py::make_tuple(value, chain.result());
}

template <class Scalar>
py::list step(const py::list& weights, const py::capsule& capsule, double rate) {
  const Chain<Scalar> chain(weights);
  const auto loss = to_loss<Scalar>(capsule, chain.widths);
  {
    const py::gil_scoped_release release;
    Core<Scalar>::step(chain.layers, loss, rate, chain.out);
  }
  return chain.result();
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
