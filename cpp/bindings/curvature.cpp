// The Hessian of a loss in the layers: its products, and the search for its extreme eigenvalues.
#include <pybind11/stl.h>

#include <cmath>

#include "arrays.hpp"

namespace dlnet::bindings {

namespace {

constexpr const char* search_name = "dlnet.ExtremeSearch";

py::capsule open_curvature(const py::list& weights, const py::capsule& capsule,
                           std::optional<std::size_t> layer, double tolerance,
                           std::int64_t max_products) {
  require(!layer || *layer < weights.size(), "layer: expected the number of one");
  require(tolerance > 0.0, "tolerance: expected a positive number");
  require(max_products > 0, "max_products: expected a positive number");
  const Widths widths = widths_of(weights);
  const auto loss = to_loss<double>(capsule, widths);
  std::vector<Array<double>> arrays;
  std::vector<Rows<const double>> layers;
  for (std::size_t j = 0; j < weights.size(); ++j) {
    arrays.push_back(to_layer<double>(weights[j], widths[j + 1], widths[j]));
    layers.push_back(to_rows(std::as_const(arrays.back()), "weights"));
  }
  std::unique_ptr<ExtremeSearch> search;
  {
    const py::gil_scoped_release release;
    search = std::make_unique<ExtremeSearch>(hessian_operator(layers, loss, layer), tolerance,
                                             max_products);
  }
  return to_capsule(std::move(search), search_name);
}

Array<double> hessian_product(const py::capsule& capsule, const Array<double>& vector) {
  SymmetricOperator& hessian = from_capsule<ExtremeSearch>(capsule, search_name).matrix();
  require(vector.ndim() == 1 && vector.size() == hessian.size(),
          "vector: expected one number for each of the layers");
  Array<double> product(hessian.size());
  const double* in = vector.data();
  double* out = product.mutable_data();
  {
    const py::gil_scoped_release release;
    hessian.multiply(in, out);
  }
  return product;
}

bool search_extremes(const py::capsule& capsule, bool largest, bool smallest, double seconds) {
  auto& search = from_capsule<ExtremeSearch>(capsule, search_name);
  const py::gil_scoped_release release;
  return search.advance(largest, smallest, seconds);
}

}  // namespace

void register_curvature(py::module_& module) {
  using py::arg;
  module.def("open_curvature", &open_curvature, arg("weights"), arg("loss"), arg("layer"),
             arg("tolerance"), arg("max_products"));
  module.def("hessian_product", &hessian_product, arg("curvature"), arg("vector").noconvert());
  module.def("search_extremes", &search_extremes, arg("curvature"), arg("largest"), arg("smallest"),
             arg("seconds"));
  module.def("extreme_found", [](const py::capsule& capsule, bool largest) {
    const auto& search = from_capsule<ExtremeSearch>(capsule, search_name);
    const Extreme& found = largest ? search.largest() : search.smallest();
    return py::make_tuple(found.value, found.residual, found.n_products);
  });
}

}  // namespace dlnet::bindings
