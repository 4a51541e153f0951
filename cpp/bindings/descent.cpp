// The loop as a session: opened once, advanced in slices, asked for its state. Python holds it as
// an opaque capsule.
#include "dlnet/descent.hpp"

#include <variant>

#include "setup.hpp"

namespace dlnet::bindings {

namespace {

struct Session {
  std::variant<Descent<double>, Descent<float>> descent;
  std::vector<std::string> variables;  // that workspaces were made for
};
constexpr const char* session_name = "dlnet.Descent";

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
  Descent<Scalar> built(
      widths, loss, batch_loss, std::move(batches), opening.settings, opening.stop,
      to_wanted(opening.variables, opening.stop),
      to_knowledge(opening.variables, widths, opening.ground_truth, opening.held_out));
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

const std::vector<std::string>& variables_of(const py::capsule& session) {
  return from_capsule<Session>(session, session_name).variables;
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
    plan.sink = to_sink<Scalar>(variables_of(session), arrays, record_steps.size(),
                                descent.network().widths());
    plan.pause_after_record = pause_after_record;
    plan.seconds = seconds;
    const py::gil_scoped_release release;
    return outcome_names[static_cast<std::size_t>(descent.advance(plan))];
  });
}

// Into the only row of the arrays.
void record(const py::capsule& session, const py::dict& arrays, double rate) {
  visit_session(session, [&]<class Scalar>(Descent<Scalar>& descent) {
    const auto sink = to_sink<Scalar>(variables_of(session), arrays, 1, descent.network().widths());
    const py::gil_scoped_release release;
    descent.record(sink, 0, rate);
  });
}

py::list weights(const py::capsule& session) {
  return visit_session(session, [](auto& descent) { return to_arrays(descent.network()); });
}

// Read-only views of the layers in place. They keep the session alive, and show later weights
// later.
py::list views(const py::capsule& session) {
  return visit_session(session,
                       [&](auto& descent) { return to_views(descent.network(), session); });
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
  module.def("meeting_layer", [](const py::capsule& session) {
    return visit_session(session, [](const auto& descent) { return descent.meeting_layer(); });
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
