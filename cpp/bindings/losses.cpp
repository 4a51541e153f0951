#include "arrays.hpp"
#include "dlnet/losses/entries.hpp"
#include "dlnet/losses/samples.hpp"
#include "dlnet/losses/sensing.hpp"
#include "dlnet/losses/target.hpp"

namespace dlnet::bindings {

namespace {

// The user's own function of the end-to-end matrix, called with a fresh array each time.
template <class Scalar>
class PythonLoss final : public Loss<Scalar> {
 public:
  PythonLoss(py::function function, Index n_outputs, Index n_inputs)
      : function_(std::move(function)), n_outputs_(n_outputs), n_inputs_(n_inputs) {}

  Index n_outputs() const override { return n_outputs_; }
  Index n_inputs() const override { return n_inputs_; }

  double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) override {
    const py::gil_scoped_acquire acquire;
    const auto answer = py::cast<py::tuple>(function_(to_array(end_to_end)));
    require(answer.size() == 2, "function: expected (value, gradient)");
    const auto array = py::cast<py::array_t<double, py::array::c_style | py::array::forcecast>>(
        py::object(answer[1]));
    require(array.ndim() == 2 && array.shape(0) == n_outputs_ && array.shape(1) == n_inputs_,
            "function: expected a gradient of the shape of the end-to-end matrix");
    const double* entry = array.data();
    for (Index i = 0; i < n_outputs_; ++i) {
      for (Index j = 0; j < n_inputs_; ++j) gradient(i, j) = static_cast<Scalar>(*entry++);
    }
    return py::cast<double>(answer[0]);
  }

 private:
  py::function function_;
  Index n_outputs_;
  Index n_inputs_;
};

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
  const auto matrix = to_matrix<double>(target, "target");
  return make_handle(
      single, [&](auto scalar) { return std::make_shared<TargetLoss<decltype(scalar)>>(matrix); });
}

py::capsule power_loss(const Array<double>& inputs, const Array<double>& outputs, double power,
                       bool mean, bool single, Index n_samples, double constant) {
  const auto x = to_transposed_matrix(inputs, "inputs");
  const auto y = to_transposed_matrix(outputs, "outputs");
  require(x.cols() == y.cols(), "outputs: expected as many rows as inputs");
  require(power > 1.0, "power: expected a number above 1");
  const Index divisor = n_samples > 0 ? n_samples : x.cols();
  return make_handle(single, [&](auto scalar) {
    return std::make_shared<PowerLoss<decltype(scalar)>>(x, y, power, mean, divisor, constant);
  });
}

py::capsule classification_loss(const Array<double>& inputs, const Array<std::int64_t>& labels,
                                Index n_outputs, bool mean, bool single) {
  const auto x = to_transposed_matrix(inputs, "inputs");
  const auto indices = to_indices(labels, std::max<Index>(n_outputs, 2), "labels");
  require(static_cast<Index>(indices.size()) == x.cols(), "labels: expected one for each sample");
  return make_handle(single, [&](auto scalar) {
    return std::make_shared<ClassificationLoss<decltype(scalar)>>(x, indices, n_outputs, mean);
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
    return std::make_shared<EntriesLoss<decltype(scalar)>>(n_outputs, n_inputs, row_indices,
                                                           column_indices, to_span(values), mean);
  });
}

py::capsule sensing_loss(const Array<double>& measurements, const Array<double>& values, bool mean,
                         bool single) {
  require(measurements.ndim() == 3 && measurements.shape(0) == values.size(),
          "measurements: expected shape (n, d_N, d_0) with one matrix for each value");
  return make_handle(single, [&](auto scalar) {
    return std::make_shared<SensingLoss<decltype(scalar)>>(
        measurements.shape(1), measurements.shape(2), measurements.data(), to_span(values), mean);
  });
}

py::capsule python_loss(const py::function& function, Index n_outputs, Index n_inputs,
                        bool single) {
  return make_handle(single, [&](auto scalar) {
    return std::make_shared<PythonLoss<decltype(scalar)>>(function, n_outputs, n_inputs);
  });
}

}  // namespace

void register_losses(py::module_& module) {
  using py::arg;
  module.def("target_loss", &target_loss, arg("target").noconvert(), arg("single"));
  module.def("power_loss", &power_loss, arg("inputs").noconvert(), arg("outputs").noconvert(),
             arg("power"), arg("mean"), arg("single"), arg("n_samples") = 0, arg("constant") = 0.0);
  module.def("classification_loss", &classification_loss, arg("inputs").noconvert(),
             arg("labels").noconvert(), arg("n_outputs"), arg("mean"), arg("single"));
  module.def("entries_loss", &entries_loss, arg("n_outputs"), arg("n_inputs"),
             arg("rows").noconvert(), arg("columns").noconvert(), arg("values").noconvert(),
             arg("mean"), arg("single"));
  module.def("sensing_loss", &sensing_loss, arg("measurements").noconvert(),
             arg("values").noconvert(), arg("mean"), arg("single"));
  module.def("python_loss", &python_loss, arg("function"), arg("n_outputs"), arg("n_inputs"),
             arg("single"));
}

}  // namespace dlnet::bindings
