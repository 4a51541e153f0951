#include <pybind11/stl.h>

#include "arrays.hpp"
#include "dlnet/origin.hpp"

namespace dlnet::bindings {

namespace {

// make(Scalar{}) builds the loss; only the asked-for dtype is built.
template <class Make>
py::capsule make_handle(bool single, const Make& make) {
  auto handle = std::make_unique<LossHandle>();
  if (single) {
    handle->in_single = make(float{});
  } else {
    handle->in_double = make(double{});
  }
  return to_capsule(std::move(handle), loss_name);
}

py::capsule target_loss(const Array<double>& target, bool single) {
  const auto matrix = to_rows(target, "target");
  return make_handle(single,
                     [&](auto scalar) { return Core<decltype(scalar)>::target_loss(matrix); });
}

py::capsule power_loss(const Array<double>& inputs, const Array<double>& outputs, double power,
                       bool mean, bool single, Index n_samples, double constant) {
  const auto x = to_rows(inputs, "inputs");
  const auto y = to_rows(outputs, "outputs");
  require(x.rows == y.rows, "outputs: expected as many rows as inputs");
  require(power > 1.0, "power: expected a number above 1");
  const Index divisor = n_samples > 0 ? n_samples : x.rows;
  return make_handle(single, [&](auto scalar) {
    return Core<decltype(scalar)>::power_loss(x, y, power, mean, divisor, constant);
  });
}

py::capsule diagonal_loss(const Array<double>& outputs, const Array<double>& scales, double factor,
                          double constant, bool single) {
  const auto b = to_rows(outputs, "outputs");
  require(scales.ndim() == 1 && scales.size() == b.cols,
          "scales: expected one for each column of outputs");
  return make_handle(single, [&](auto scalar) {
    return Core<decltype(scalar)>::diagonal_loss(b, to_span(scales), factor, constant);
  });
}

py::capsule classification_loss(const Array<double>& inputs, const Array<std::int64_t>& labels,
                                Index n_outputs, bool mean, bool single) {
  const auto x = to_rows(inputs, "inputs");
  const auto indices = to_indices(labels, std::max<Index>(n_outputs, 2), "labels");
  require(static_cast<Index>(indices.size()) == x.rows, "labels: expected one for each sample");
  return make_handle(single, [&](auto scalar) {
    return Core<decltype(scalar)>::classification_loss(x, indices, n_outputs, mean);
  });
}

py::capsule entries_loss(Index n_outputs, Index n_inputs, const Array<std::int64_t>& rows,
                         const Array<std::int64_t>& columns, const Array<double>& values, bool mean,
                         bool single) {
  require(rows.size() == values.size() && columns.size() == values.size(),
          "rows, columns, values: expected one length");
  const auto row_indices = to_indices(rows, n_outputs, "rows");
  const auto column_indices = to_indices(columns, n_inputs, "columns");
  return make_handle(single, [&](auto scalar) {
    return Core<decltype(scalar)>::entries_loss(n_outputs, n_inputs, row_indices, column_indices,
                                                to_span(values), mean);
  });
}

py::capsule sensing_loss(const Array<double>& measurements, const Array<double>& values, bool mean,
                         bool single) {
  require(measurements.ndim() == 3 && measurements.shape(0) == values.size(),
          "measurements: expected shape (n, d_N, d_0) with one matrix for each value");
  return make_handle(single, [&](auto scalar) {
    return Core<decltype(scalar)>::sensing_loss(measurements.shape(1), measurements.shape(2),
                                                measurements.data(), to_span(values), mean);
  });
}

// Whoever drops the loss last may not hold the interpreter's lock.
std::shared_ptr<py::function> share(py::function function) {
  return {new py::function(std::move(function)), [](py::function* last) {
            const py::gil_scoped_acquire acquire;
            delete last;
          }};
}

// What the user's function has returned.
template <class Scalar>
void copy_answer(const py::object& answer, View<Scalar> matrix, const char* expected) {
  const auto array =
      py::cast<py::array_t<double, py::array::c_style | py::array::forcecast>>(answer);
  require(array.ndim() == 2 && array.shape(0) == matrix.rows && array.shape(1) == matrix.cols,
          expected);
  const double* entry = array.data();
  for (Index i = 0; i < matrix.rows; ++i) {
    for (Index j = 0; j < matrix.cols; ++j) matrix(i, j) = static_cast<Scalar>(*entry++);
  }
}

// The user's own function of the end-to-end matrix, called with a fresh array each time.
template <class Scalar>
EndToEndFunction<Scalar> to_function(py::function function) {
  return
      [shared = share(std::move(function))](ConstView<Scalar> end_to_end, View<Scalar> gradient) {
        const py::gil_scoped_acquire acquire;
        const Origin origin;
        const auto answer = py::cast<py::tuple>((*shared)(to_array(end_to_end)));
        origin.require_here();
        require(answer.size() == 2, "function: expected (value, gradient)");
        copy_answer(answer[1], gradient,
                    "function: expected a gradient of the shape of the end-to-end matrix");
        return py::cast<double>(answer[0]);
      };
}

template <class Scalar>
EndToEndHessian<Scalar> to_hessian(std::optional<py::function> function) {
  if (!function) return {};
  return [shared = share(std::move(*function))](ConstView<Scalar> end_to_end,
                                                ConstView<Scalar> direction, View<Scalar> product) {
    const py::gil_scoped_acquire acquire;
    const Origin origin;
    const py::object answer = (*shared)(to_array(end_to_end), to_array(direction));
    origin.require_here();
    copy_answer(answer, product,
                "hessian_product: expected an array of the shape of the end-to-end matrix");
  };
}

py::capsule python_loss(const py::function& function,
                        const std::optional<py::function>& hessian_product, Index n_outputs,
                        Index n_inputs, bool single) {
  return make_handle(single, [&](auto scalar) {
    using Scalar = decltype(scalar);
    return Core<Scalar>::function_loss(to_function<Scalar>(function),
                                       to_hessian<Scalar>(hessian_product), n_outputs, n_inputs);
  });
}

}  // namespace

void register_losses(py::module_& module) {
  using py::arg;
  module.def("target_loss", &target_loss, arg("target").noconvert(), arg("single"));
  module.def("power_loss", &power_loss, arg("inputs").noconvert(), arg("outputs").noconvert(),
             arg("power"), arg("mean"), arg("single"), arg("n_samples") = 0, arg("constant") = 0.0);
  module.def("diagonal_loss", &diagonal_loss, arg("outputs").noconvert(), arg("scales").noconvert(),
             arg("factor"), arg("constant"), arg("single"));
  module.def("classification_loss", &classification_loss, arg("inputs").noconvert(),
             arg("labels").noconvert(), arg("n_outputs"), arg("mean"), arg("single"));
  module.def("entries_loss", &entries_loss, arg("n_outputs"), arg("n_inputs"),
             arg("rows").noconvert(), arg("columns").noconvert(), arg("values").noconvert(),
             arg("mean"), arg("single"));
  module.def("sensing_loss", &sensing_loss, arg("measurements").noconvert(),
             arg("values").noconvert(), arg("mean"), arg("single"));
  module.def("python_loss", &python_loss, arg("function"), arg("hessian_product"), arg("n_outputs"),
             arg("n_inputs"), arg("single"));
}

}  // namespace dlnet::bindings
