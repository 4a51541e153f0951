// A run as a session: opened once, advanced in slices, asked for its state. Python holds it as
// an opaque capsule.
#include "session.hpp"

namespace dlnet::bindings {

namespace {

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
  Setup<Scalar> setup;
  setup.widths = widths_of(opening.weights);
  setup.loss = to_loss<Scalar>(opening.loss, setup.widths);
  if (!opening.batch_loss.is_none()) {
    setup.batch_loss = to_loss<Scalar>(py::cast<py::capsule>(opening.batch_loss), setup.widths);
    require(opening.batch_size > 0 && setup.batch_loss->n_samples() > 0,
            "batch_size: expected a positive number and a loss with samples");
  }
  setup.batch_size = opening.batch_size;
  setup.seed = opening.seed;
  setup.method = opening.settings;
  setup.stop = opening.stop;
  setup.wanted = to_wanted(opening.variables, opening.stop);
  setup.knowledge =
      to_knowledge(opening.variables, setup.widths, opening.ground_truth, opening.held_out);
  Owned<Scalar> session = Core<Scalar>::open_descent(setup);
  copy_layers(opening.weights, session->layers());
  return to_capsule(std::make_unique<Opened>(Opened{std::move(session), opening.variables}),
                    session_name);
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
  auto& session = opened_in(capsule).session;
  if (auto* in_single = std::get_if<Owned<float>>(&session)) return visit(**in_single);
  auto* in_double = std::get_if<Owned<double>>(&session);
  require(in_double != nullptr, "session: expected one that takes steps");
  return visit(**in_double);
}

void use_threads(const py::capsule& session, int n_threads) {
  visit_run(session, [&](auto& run) { run.use_threads(n_threads); });
}

const char* advance(const py::capsule& session, std::int64_t until, const Array<double>& rates,
                    std::int64_t first_rate, const Array<std::int64_t>& record_steps,
                    const py::dict& arrays, bool pause_after_record, double seconds) {
  return visit_session(session, [&]<class Scalar>(Session<Scalar>& run) {
    require(first_rate <= run.step(), "rates: expected to begin at the current step or before");
    require(until >= run.step(), "until: expected a step that is still to come");
    Plan<Scalar> plan;
    plan.until = until;
    plan.rates = to_span(rates);
    plan.first_rate = first_rate;
    plan.record_steps = {record_steps.data(), static_cast<std::size_t>(record_steps.size())};
    plan.sink = to_sink<Scalar>(variables_of(session), arrays, record_steps.size(), run.widths());
    plan.pause_after_record = pause_after_record;
    plan.seconds = seconds;
    const py::gil_scoped_release release;
    return outcome_names[static_cast<std::size_t>(run.advance(plan))];
  });
}

// Into the only row of the arrays.
void record(const py::capsule& session, const py::dict& arrays, double rate) {
  visit_session(session, [&]<class Scalar>(Session<Scalar>& run) {
    const auto sink = to_sink<Scalar>(variables_of(session), arrays, 1, run.widths());
    const py::gil_scoped_release release;
    run.record(sink, 0, rate);
  });
}

py::list weights(const py::capsule& session) {
  return visit_run(session, [](auto& run) { return to_arrays(run.layers()); });
}

// Read-only views of the layers in place. They keep the session alive, and show later weights
// later.
py::list views(const py::capsule& session) {
  return visit_run(session, [&](auto& run) { return to_views(run.layers(), session); });
}

// Everything that continues with the run besides the layers and the time: the method's buffers and
// numbers.
py::dict state(const py::capsule& session) {
  return visit_session(session, []<class Scalar>(Session<Scalar>& run) {
    const RunState numbers = run.state();
    py::dict state;
    state["buffers"] = buffers_of<Scalar>(run);
    state["mean_square"] = numbers.mean_square;
    state["n_updates"] = numbers.n_updates;
    return state;
  });
}

// `state` is what state() gave, or None for a method that begins here.
void start(const py::capsule& session, std::int64_t step, std::pair<double, double> time,
           const std::optional<py::dict>& state) {
  require(step >= 0, "step: expected a non-negative number");
  visit_session(session, [&]<class Scalar>(Session<Scalar>& run) {
    RunState numbers{time.first, time.second, 0.0, 0};
    if (state) {
      numbers.mean_square = py::cast<double>((*state)["mean_square"]);
      numbers.n_updates = py::cast<std::int64_t>((*state)["n_updates"]);
      restore_buffers<Scalar>(run, py::cast<py::list>((*state)["buffers"]));
    }
    run.start_at(step, numbers);
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
    return visit_session(session, [](const auto& run) {
      const RunState state = run.state();
      return std::pair<double, double>(state.time, state.time_lost);
    });
  });
  module.def("step", [](const py::capsule& session) {
    return visit_run(session, [](const auto& run) { return run.step(); });
  });
  module.def("is_sparse", [](const py::capsule& session) {
    return visit_run(session, [](const auto& run) { return run.is_sparse(); });
  });
  module.def("meeting_layer", [](const py::capsule& session) {
    return visit_run(session, [](const auto& run) { return run.meeting_layer(); });
  });
  module.def("is_finite", [](const py::capsule& session) {
    return visit_run(session, [](const auto& run) { return run.is_finite(); });
  });
  module.def("loss", [](const py::capsule& session) {
    return visit_run(session, [](const auto& run) { return run.loss(); });
  });
  module.def("is_recorded", [](const py::capsule& session) {
    return visit_run(session, [](const auto& run) { return run.is_recorded(); });
  });
}

}  // namespace dlnet::bindings
