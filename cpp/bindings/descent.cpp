// The loop as a session: opened once, advanced in slices, asked for its state. Python holds it as
// an opaque capsule.
#include "dlnet/descent.hpp"

#include <pybind11/stl.h>

#include <array>
#include <variant>

#include "arrays.hpp"

namespace dlnet::bindings {

namespace {

struct Session {
  std::variant<Descent<double>, Descent<float>> descent;
  std::vector<std::string> variables;  // that workspaces were made for
};
constexpr const char* session_name = "dlnet.Descent";

Method method_named(const std::string& name) {
  constexpr std::array<const char*, 7> names = {
      "gradient_descent", "momentum", "group_rmsprop", "rmsprop", "adam", "adagrad", "adadelta"};
  for (std::size_t m = 0; m < names.size(); ++m) {
    if (name == names[m]) return static_cast<Method>(m);
  }
  throw std::invalid_argument("unknown method: " + name);
}

MethodSettings to_settings(const std::string& method, const py::dict& numbers) {
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
  return settings;
}

Wanted to_wanted(const std::vector<std::string>& variables, const StopRule& stop) {
  Wanted wanted;
  wanted.gradients = stop.gradient_norm >= 0.0;
  for (const std::string& name : variables) {
    if (name == "end_to_end" || name.front() == 'W') continue;
    switch (quantity_named(name)) {
      case Quantity::left_singular_vector:
      case Quantity::right_singular_vector:
      case Quantity::alignment:
        wanted.vectors = wanted.spectrum = true;
        break;
      case Quantity::singular_value:
      case Quantity::effective_rank:
      case Quantity::stable_rank:
      case Quantity::nuclear_norm:
        wanted.spectrum = true;
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

struct Opening {
  py::list weights;
  py::capsule loss;
  py::object batch_loss;
  Index batch_size;
  std::uint64_t seed;
  MethodSettings settings;
  StopRule stop;
  std::vector<std::string> variables;
  py::object ground_truth;
  py::object held_out;
};

bool is_among(const std::vector<std::string>& variables, const char* name) {
  return std::find(variables.begin(), variables.end(), name) != variables.end();
}

Knowledge to_knowledge(const Opening& opening, const Widths& widths) {
  Knowledge knowledge;
  if (is_among(opening.variables, "reconstruction_error")) {
    require(!opening.ground_truth.is_none(), "ground_truth: expected for reconstruction_error");
    knowledge.ground_truth =
        to_matrix<double>(py::cast<Array<double>>(opening.ground_truth), "ground_truth");
    require(knowledge.ground_truth->rows() == widths.back() &&
                knowledge.ground_truth->cols() == widths.front(),
            "ground_truth: expected the shape of the end-to-end matrix");
  }
  if (is_among(opening.variables, "held_out_error")) {
    require(!opening.held_out.is_none(), "held_out: expected for held_out_error");
    const auto [rows, cols, values] =
        py::cast<std::tuple<Array<std::int64_t>, Array<std::int64_t>, Array<double>>>(
            opening.held_out);
    knowledge.held_out_rows = to_indices(rows, widths.back(), "held_out rows");
    knowledge.held_out_cols = to_indices(cols, widths.front(), "held_out columns");
    knowledge.held_out_values.assign(values.data(), values.data() + values.size());
    require(rows.size() > 0 && rows.size() == values.size() && cols.size() == values.size(),
            "held_out: expected rows, columns and values of one length");
  }
  return knowledge;
}

Whole to_whole(const std::vector<std::string>& variables) {
  constexpr std::array of_product = {"end_to_end",           "reconstruction_error",
                                     "held_out_error",       "singular_value",
                                     "left_singular_vector", "right_singular_vector",
                                     "effective_rank",       "stable_rank",
                                     "nuclear_norm",         "alignment"};
  const auto is_wanted = [&](const char* name) { return is_among(variables, name); };
  return {std::any_of(of_product.begin(), of_product.end(), is_wanted), is_wanted("alignment")};
}

template <class Scalar>
py::capsule open_as(const Opening& opening) {
  const Widths widths = widths_of(opening.weights);
  const auto loss = to_loss<Scalar>(opening.loss, widths);
  std::shared_ptr<Loss<Scalar>> batch_loss;
  std::optional<Batches> batches;
  if (!opening.batch_loss.is_none()) {
    batch_loss = to_loss<Scalar>(py::cast<py::capsule>(opening.batch_loss), widths);
    require(opening.batch_size > 0 && batch_loss->n_samples() > 0,
            "batch_size: expected a positive number and a loss with samples");
    batches.emplace(batch_loss->n_samples(), opening.batch_size, opening.seed);
  }
  Descent<Scalar> built(widths, loss, batch_loss, std::move(batches), opening.settings,
                        opening.stop, to_wanted(opening.variables, opening.stop),
                        to_knowledge(opening, widths), to_whole(opening.variables));
  auto session = std::make_unique<Session>(Session{std::move(built), opening.variables});
  auto& descent = std::get<Descent<Scalar>>(session->descent);
  for (std::size_t j = 0; j < descent.network().depth(); ++j) {
    copy_layer(opening.weights[j], descent.network().weight(j));
  }
  return to_capsule(std::move(session), session_name);
}

py::capsule open_descent(const py::list& weights, const py::capsule& loss,
                         const py::object& batch_loss, Index batch_size, std::uint64_t seed,
                         const std::string& method, const py::dict& settings, double stop_loss,
                         double stop_gradient_norm, std::int64_t check_every, bool has_condition,
                         const std::vector<std::string>& variables, const py::object& ground_truth,
                         const py::object& held_out) {
  require(check_every > 0, "check_every: expected a positive number");
  const Opening opening{weights,
                        loss,
                        batch_loss,
                        batch_size,
                        seed,
                        to_settings(method, settings),
                        {stop_loss, stop_gradient_norm, check_every, has_condition},
                        variables,
                        ground_truth,
                        held_out};
  return is_single(weights) ? open_as<float>(opening) : open_as<double>(opening);
}

template <class Visit>
decltype(auto) visit_session(const py::capsule& capsule, const Visit& visit) {
  return std::visit(visit, from_capsule<Session>(capsule, session_name).descent);
}

void use_threads(const py::capsule& session, int n_threads) {
  visit_session(session, [&](auto& descent) { descent.use_threads(n_threads); });
}

template <class T>
T* rows_of(const py::handle& item, Index n_records, Index size, const std::string& name) {
  require(py::isinstance<Array<T>>(item), name + ": expected a C-contiguous array of its dtype");
  auto array = py::reinterpret_borrow<Array<T>>(item);
  require(array.size() == n_records * size, name + ": expected an array of another size");
  return array.mutable_data();
}

template <class Scalar>
Sink<Scalar> to_sink(const py::capsule& session, const py::dict& arrays, Index n_records,
                     const Widths& widths) {
  const auto& variables = from_capsule<Session>(session, session_name).variables;
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

const char* advance(const py::capsule& session, std::int64_t until, const Array<double>& rates,
                    std::int64_t first_rate, const Array<std::int64_t>& record_steps,
                    const py::dict& arrays, bool pause_after_record, double seconds) {
  return visit_session(session, [&]<class Scalar>(Descent<Scalar>& descent) {
    require(first_rate <= descent.step(), "rates: expected to begin at the current step or before");
    require(until >= descent.step(), "until: expected a step that is still to come");
    Plan<Scalar> plan;
    plan.until = until;
    plan.rates = to_span(rates);
    plan.first_rate = first_rate;
    plan.record_steps = {record_steps.data(), static_cast<std::size_t>(record_steps.size())};
    plan.sink = to_sink<Scalar>(session, arrays, record_steps.size(), descent.network().widths());
    plan.pause_after_record = pause_after_record;
    plan.seconds = seconds;
    const py::gil_scoped_release release;
    return outcome_names[static_cast<std::size_t>(descent.advance(plan))];
  });
}

// Into the only row of the arrays.
void record(const py::capsule& session, const py::dict& arrays, double rate) {
  visit_session(session, [&]<class Scalar>(Descent<Scalar>& descent) {
    const auto sink = to_sink<Scalar>(session, arrays, 1, descent.network().widths());
    const py::gil_scoped_release release;
    descent.record(sink, 0, rate);
  });
}

py::list weights(const py::capsule& session) {
  return visit_session(session, [](auto& descent) {
    py::list layers;
    for (std::size_t j = 0; j < descent.network().depth(); ++j) {
      layers.append(to_array(descent.network().weight(j)));
    }
    return layers;
  });
}

// Read-only views of the layers in place. They keep the session alive, and show later weights
// later.
py::list views(const py::capsule& session) {
  return visit_session(session, [&]<class Scalar>(Descent<Scalar>& descent) {
    py::list layers;
    for (std::size_t j = 0; j < descent.network().depth(); ++j) {
      const Matrix<Scalar>& weight = descent.network().weight(j);
      const auto size = static_cast<py::ssize_t>(sizeof(Scalar));
      py::array view(py::dtype::of<Scalar>(), {weight.rows(), weight.cols()},
                     {size, size * weight.stride()}, weight.data(), session);
      view.attr("setflags")(py::arg("write") = false);
      layers.append(std::move(view));
    }
    return layers;
  });
}

// Everything that continues with the run besides the layers: numbers and the method's buffers.
py::dict state(const py::capsule& session) {
  return visit_session(session, [](auto& descent) {
    py::list buffers;
    for (const auto& layers : descent.optimizer().buffers()) buffers.append(to_arrays(layers));
    py::dict state;
    state["buffers"] = buffers;
    state["mean_square"] = descent.optimizer().mean_square();
    state["n_updates"] = descent.optimizer().n_updates();
    return state;
  });
}

template <class Scalar>
void restore(Optimizer<Scalar>& optimizer, const py::dict& state) {
  optimizer.mean_square() = py::cast<double>(state["mean_square"]);
  optimizer.n_updates() = py::cast<std::int64_t>(state["n_updates"]);
  const auto buffers = py::cast<py::list>(state["buffers"]);
  require(buffers.size() == optimizer.buffers().size(), "state: of another method");
  for (std::size_t b = 0; b < buffers.size(); ++b) {
    const auto layers = py::cast<py::list>(buffers[b]);
    require(layers.size() == optimizer.buffers()[b].size(), "state: of another depth");
    for (std::size_t j = 0; j < layers.size(); ++j)
      copy_layer(layers[j], optimizer.buffers()[b][j]);
  }
}

// `state` is what state() gave, or None for a method that begins here.
void start(const py::capsule& session, std::int64_t step, std::pair<double, double> time,
           const std::optional<py::dict>& state) {
  require(step >= 0, "step: expected a non-negative number");
  visit_session(session, [&](auto& descent) {
    descent.clock() = {time.first, time.second};
    if (state) restore(descent.optimizer(), *state);
    descent.start_at(step);
  });
}

}  // namespace

void register_descent(py::module_& module) {
  using py::arg;
  module.def("open_descent", &open_descent, arg("weights"), arg("loss"), arg("batch_loss"),
             arg("batch_size"), arg("seed"), arg("method"), arg("settings"), arg("stop_loss"),
             arg("stop_gradient_norm"), arg("check_every"), arg("has_condition"), arg("variables"),
             arg("ground_truth"), arg("held_out"));
  module.def("use_threads", &use_threads, arg("session"), arg("n_threads"));
  module.def("start", &start, arg("session"), arg("step"), arg("time"), arg("state"));
  module.def("advance", &advance, arg("session"), arg("until"), arg("rates").noconvert(),
             arg("first_rate"), arg("record_steps").noconvert(), arg("arrays"),
             arg("pause_after_record"), arg("seconds"));
  module.def("record", &record, arg("session"), arg("arrays"), arg("rate"));
  module.def("weights", &weights, arg("session"));
  module.def("views", &views, arg("session"));
  module.def("state", &state, arg("session"));
  module.def("time", [](const py::capsule& session) {
    return visit_session(session, [](auto& descent) {
      return std::pair<double, double>(descent.clock().sum, descent.clock().lost);
    });
  });
  module.def("step", [](const py::capsule& session) {
    return visit_session(session, [](const auto& descent) { return descent.step(); });
  });
  module.def("is_sparse", [](const py::capsule& session) {
    return visit_session(session, [](const auto& descent) { return descent.is_sparse(); });
  });
  module.def("is_finite", [](const py::capsule& session) {
    return visit_session(session, [](const auto& descent) { return descent.is_finite(); });
  });
  module.def("loss", [](const py::capsule& session) {
    return visit_session(session, [](const auto& descent) { return descent.loss(); });
  });
  module.def("is_recorded", [](const py::capsule& session) {
    return visit_session(session, [](const auto& descent) { return descent.is_recorded(); });
  });
}

}  // namespace dlnet::bindings
