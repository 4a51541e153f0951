// Between NumPy arrays (row-major) and the core's column-major matrices. Shape checks of what
// Python has already checked kindly: here only so that no array can make the core read out of
// bounds.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dlnet/interface.hpp"

namespace py = pybind11;

namespace dlnet::bindings {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// A message known beforehand is no string until it is thrown, which spares the callers code.
inline void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}
inline void require(bool condition, const std::string& message) {
  require(condition, message.c_str());
}

template <class T>
Rows<const T> to_rows(const Array<T>& array, const char* name) {
  require(array.ndim() == 2, std::string(name) + ": expected a matrix");
  return {array.data(), array.shape(0), array.shape(1)};
}

template <class T>
Rows<T> to_rows(Array<T>& array) {
  return {array.mutable_data(), array.shape(0), array.shape(1)};
}

// Column-major without gaps.
inline std::vector<double> to_columns(const Array<double>& array) {
  const Index rows = array.shape(0);
  const Index cols = array.shape(1);
  std::vector<double> columns(static_cast<std::size_t>(array.size()));
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) {
      columns[static_cast<std::size_t>(j * rows + i)] = array.data()[i * cols + j];
    }
  }
  return columns;
}

template <class Scalar>
Array<Scalar> to_array(ConstView<Scalar> matrix) {
  Array<Scalar> array({matrix.rows, matrix.cols});
  Scalar* entry = array.mutable_data();
  for (Index i = 0; i < matrix.rows; ++i) {
    for (Index j = 0; j < matrix.cols; ++j) *entry++ = matrix(i, j);
  }
  return array;
}

template <class Scalar>
py::list to_arrays(const std::vector<View<Scalar>>& layers) {
  py::list arrays;
  for (const View<Scalar>& layer : layers) arrays.append(to_array<Scalar>(layer));
  return arrays;
}

// Read-only views of the layers in place, which keep their owner alive.
template <class Scalar>
py::list to_views(const std::vector<View<Scalar>>& layers, const py::object& owner) {
  py::list views;
  for (const View<Scalar>& layer : layers) {
    const auto size = static_cast<py::ssize_t>(sizeof(Scalar));
    py::array view(py::dtype::of<Scalar>(), {layer.rows, layer.cols}, {size, size * layer.stride},
                   layer.data, owner);
    view.attr("setflags")(py::arg("write") = false);
    views.append(std::move(view));
  }
  return views;
}

inline std::vector<Index> to_indices(const Array<std::int64_t>& array, Index below,
                                     const char* name) {
  require(array.ndim() == 1, std::string(name) + ": expected a vector");
  std::vector<Index> indices(array.data(), array.data() + array.size());
  for (Index i : indices) require(0 <= i && i < below, std::string(name) + ": index out of range");
  return indices;
}

inline std::span<const double> to_span(const Array<double>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

inline void require_layers(const py::list& weights) {
  require(!weights.empty(), "weights: expected at least one layer");
}

// float32 or float64, as the first layer says.
inline bool is_single(const py::list& weights) {
  require_layers(weights);
  return py::isinstance<py::array_t<float>>(weights[0]);
}

inline Widths widths_of(const py::list& weights) {
  require_layers(weights);
  Widths widths;
  for (py::handle item : weights) {
    const auto layer = py::cast<py::array>(item);
    require(layer.ndim() == 2 && layer.size() > 0, "weights: expected non-empty matrices");
    if (widths.empty()) widths.push_back(layer.shape(1));
    require(layer.shape(1) == widths.back(), "weights: shapes do not follow one another");
    widths.push_back(layer.shape(0));
  }
  return widths;
}

template <class Scalar>
Array<Scalar> to_layer(py::handle item, Index rows, Index cols) {
  require(py::isinstance<Array<Scalar>>(item),
          "weights: expected C-contiguous layers of one dtype");
  auto array = py::reinterpret_borrow<Array<Scalar>>(item);
  require(array.ndim() == 2 && array.shape(0) == rows && array.shape(1) == cols,
          "weights: a layer has another shape than before");
  return array;
}

template <class Scalar>
void copy_layers(const py::list& arrays, const std::vector<View<Scalar>>& layers) {
  require(arrays.size() == layers.size(), "weights: expected layers of one depth");
  for (std::size_t j = 0; j < layers.size(); ++j) {
    const auto array = to_layer<Scalar>(arrays[j], layers[j].rows, layers[j].cols);
    const Scalar* entry = array.data();
    for (Index row = 0; row < layers[j].rows; ++row) {
      for (Index col = 0; col < layers[j].cols; ++col) layers[j](row, col) = *entry++;
    }
  }
}

// Losses travel through Python as opaque capsules; one of the two is set.
struct LossHandle {
  std::shared_ptr<Loss<double>> in_double;
  std::shared_ptr<Loss<float>> in_single;
};

template <class T>
py::capsule to_capsule(std::unique_ptr<T> value, const char* name) {
  py::capsule capsule(value.get(), name, [](PyObject* object) {
    delete static_cast<T*>(PyCapsule_GetPointer(object, PyCapsule_GetName(object)));
  });
  value.release();
  return capsule;
}

template <class T>
T& from_capsule(const py::capsule& capsule, const char* name) {
  if (std::string(capsule.name() == nullptr ? "" : capsule.name()) != name) {
    throw py::type_error(std::string("expected a capsule of ") + name);
  }
  return *capsule.get_pointer<T>();
}

inline constexpr const char* loss_name = "dlnet.Loss";

template <class Scalar>
std::shared_ptr<Loss<Scalar>> to_loss(const py::capsule& capsule, const Widths& widths) {
  const LossHandle& handle = from_capsule<LossHandle>(capsule, loss_name);
  std::shared_ptr<Loss<Scalar>> loss;
  if constexpr (std::is_same_v<Scalar, double>) {
    loss = handle.in_double;
  } else {
    loss = handle.in_single;
  }
  require(loss != nullptr, "loss: made for another dtype than the weights");
  require(loss->n_outputs() == widths.back() && loss->n_inputs() == widths.front(),
          "loss: made for another shape than the weights");
  return loss;
}

void register_decompositions(py::module_& module);
void register_losses(py::module_& module);
void register_chain(py::module_& module);
void register_curvature(py::module_& module);
void register_descent(py::module_& module);
void register_ensemble(py::module_& module);
void register_flow(py::module_& module);
void register_interruptions(py::module_& module);

}  // namespace dlnet::bindings
