// What Python hands over to the loops, of one run or of many, in the core's own terms.
#pragma once

#include <pybind11/stl.h>

#include <algorithm>

#include "arrays.hpp"

namespace dlnet::bindings {

inline Method method_named(const std::string& name) {
  for (std::size_t m = 0; m < method_names.size(); ++m) {
    if (name == method_names[m]) return static_cast<Method>(m);
  }
  throw std::invalid_argument("unknown method: " + name);
}

inline MethodSettings to_settings(const std::string& method, const py::dict& numbers) {
  const auto number = [&](const char* name) {
    return numbers.contains(name) ? py::cast<double>(numbers[name]) : 0.0;
  };
  MethodSettings settings;
  settings.method = method_named(method);
  settings.weight_decay = number("weight_decay");
  settings.momentum = number("momentum");
  settings.nesterov = number("nesterov") != 0.0;
  settings.decay = number("decay");
  settings.epsilon = number("epsilon");
  settings.beta1 = number("beta1");
  settings.beta2 = number("beta2");
  settings.centered = number("centered") != 0.0;
  settings.initial_accumulator = number("initial_accumulator");
  settings.depth = number("depth");
  return settings;
}

inline Wanted to_wanted(const std::vector<std::string>& variables, const StopRule& stop) {
  Wanted wanted;
  wanted.gradients = stop.gradient_norm >= 0.0;
  for (const std::string& name : variables) {
    wanted.product |= name == "end_to_end";
    if (name == "end_to_end" || name.front() == 'W') continue;
    switch (quantity_named(name)) {
      case Quantity::reconstruction_error:
      case Quantity::held_out_error:
        wanted.product = true;
        break;
      case Quantity::alignment:
        wanted.product = wanted.product_gradient = wanted.vectors = wanted.spectrum = true;
        break;
      case Quantity::left_singular_vector:
      case Quantity::right_singular_vector:
        wanted.product = wanted.vectors = wanted.spectrum = true;
        break;
      case Quantity::singular_value:
      case Quantity::effective_rank:
      case Quantity::stable_rank:
      case Quantity::nuclear_norm:
        wanted.product = wanted.spectrum = true;
        break;
      case Quantity::layer_singular_value:
        wanted.layer_spectra = true;
        break;
      case Quantity::imbalance:
        wanted.imbalance = true;
        break;
      case Quantity::gradient_norm:
        wanted.gradients = true;
        break;
      default:
        break;
    }
  }
  return wanted;
}

inline bool is_among(const std::vector<std::string>& variables, const char* name) {
  return std::find(variables.begin(), variables.end(), name) != variables.end();
}

inline std::shared_ptr<const Knowledge> to_knowledge(const std::vector<std::string>& variables,
                                                     const Widths& widths,
                                                     const py::object& ground_truth,
                                                     const py::object& held_out) {
  auto knowledge = std::make_shared<Knowledge>();
  if (is_among(variables, "reconstruction_error")) {
    require(!ground_truth.is_none(), "ground_truth: expected for reconstruction_error");
    const auto truth = py::cast<Array<double>>(ground_truth);
    require(
        truth.ndim() == 2 && truth.shape(0) == widths.back() && truth.shape(1) == widths.front(),
        "ground_truth: expected the shape of the end-to-end matrix");
    knowledge->ground_truth = to_columns(truth);
  }
  if (is_among(variables, "held_out_error")) {
    require(!held_out.is_none(), "held_out: expected for held_out_error");
    const auto [rows, cols, values] =
        py::cast<std::tuple<Array<std::int64_t>, Array<std::int64_t>, Array<double>>>(held_out);
    knowledge->held_out_rows = to_indices(rows, widths.back(), "held_out rows");
    knowledge->held_out_cols = to_indices(cols, widths.front(), "held_out columns");
    knowledge->held_out_values.assign(values.data(), values.data() + values.size());
    require(rows.size() > 0 && rows.size() == values.size() && cols.size() == values.size(),
            "held_out: expected rows, columns and values of one length");
  }
  return knowledge;
}

template <class T>
T* rows_of(const py::handle& item, Index n_records, Index size, const std::string& name) {
  require(py::isinstance<Array<T>>(item), name + ": expected a C-contiguous array of its dtype");
  auto array = py::reinterpret_borrow<Array<T>>(item);
  require(array.size() == n_records * size, name + ": expected an array of another size");
  return array.mutable_data();
}

template <class Scalar>
Sink<Scalar> to_sink(const std::vector<std::string>& variables, const py::dict& arrays,
                     Index n_records, const Widths& widths) {
  Sink<Scalar> sink;
  for (const auto& [key, value] : arrays) {
    const auto name = py::cast<std::string>(key);
    require(name == "time" || is_among(variables, name.c_str()),
            name + ": not among the variables that the session was opened with");
    if (name == "end_to_end") {
      sink.end_to_end = rows_of<Scalar>(value, n_records, widths.back() * widths.front(), name);
    } else if (name.front() != 'W') {
      const Quantity quantity = quantity_named(name);
      sink[quantity] = rows_of<double>(value, n_records, record_size(quantity, widths), name);
    }
  }
  if (!arrays.contains("W1")) return sink;
  for (std::size_t j = 0; j + 1 < widths.size(); ++j) {
    std::string name("W");
    name += std::to_string(j + 1);
    const py::object array = arrays[py::str(name)];
    sink.weights.push_back(rows_of<Scalar>(array, n_records, widths[j + 1] * widths[j], name));
  }
  return sink;
}

}  // namespace dlnet::bindings
