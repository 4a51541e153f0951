// Gradient flow as a session. What all sessions share is bound with descent.
#include "session.hpp"

namespace dlnet::bindings {

namespace {

py::capsule open_flow(const py::list& weights, const py::capsule& loss, double rtol, double atol,
                      double weight_decay, double stop_loss, double stop_gradient_norm,
                      std::int64_t check_every, bool has_condition,
                      const std::vector<std::string>& variables, const py::object& ground_truth,
                      const py::object& held_out) {
  require(check_every > 0, "check_every: expected a positive number");
  require(rtol > 0.0 && atol >= 0.0, "rtol, atol: expected numbers above 0, and not below 0");
  FlowSetup setup;
  setup.widths = widths_of(weights);
  setup.loss = to_loss<double>(loss, setup.widths);
  setup.rtol = rtol;
  setup.atol = atol;
  setup.weight_decay = weight_decay;
  setup.stop = {stop_loss, stop_gradient_norm, check_every, has_condition};
  setup.wanted = to_wanted(variables, setup.stop);
  setup.knowledge = to_knowledge(variables, setup.widths, ground_truth, held_out);
  auto session = dlnet::open_flow(setup);
  copy_layers(weights, session->layers());
  return to_capsule(std::make_unique<Opened>(Opened{std::move(session), variables}), session_name);
}

FlowSession& flow_in(const py::capsule& capsule) {
  auto& session = opened_in(capsule).session;
  auto* flow = std::get_if<std::unique_ptr<FlowSession>>(&session);
  require(flow != nullptr, "session: expected a flow");
  return **flow;
}

const char* advance_flow(const py::capsule& session, const Array<double>& times,
                         std::int64_t first_number, const py::dict& arrays, bool pause_after_record,
                         double seconds) {
  FlowSession& flow = flow_in(session);
  const std::int64_t next = flow.step() + (flow.is_recorded() ? 1 : 0);
  require(first_number <= next, "first_number: expected that of the next record or before");
  FlowPlan plan;
  plan.times = to_span(times);
  plan.first_number = first_number;
  plan.sink = to_sink<double>(variables_of(session), arrays, times.size(), flow.widths());
  plan.pause_after_record = pause_after_record;
  plan.seconds = seconds;
  const py::gil_scoped_release release;
  return outcome_names[static_cast<std::size_t>(flow.advance(plan))];
}

// Into the only row of the arrays.
void record_flow(const py::capsule& session, const py::dict& arrays) {
  FlowSession& flow = flow_in(session);
  const auto sink = to_sink<double>(variables_of(session), arrays, 1, flow.widths());
  const py::gil_scoped_release release;
  flow.record(sink, 0);
}

py::dict to_dict(const FlowState& numbers) {
  py::dict state;
  state["begin_time"] = numbers.time;
  state["step_size"] = numbers.step_size;
  state["last_error"] = numbers.last_error;
  state["first_time"] = numbers.first_time;
  state["n_accepted"] = numbers.n_accepted;
  state["n_rejected"] = numbers.n_rejected;
  state["n_gradients"] = numbers.n_gradients;
  return state;
}

py::dict flow_state(const py::capsule& session) {
  FlowSession& flow = flow_in(session);
  py::dict state = to_dict(flow.state());
  state["buffers"] = buffers_of<double>(flow);
  return state;
}

// `state` is what flow_state() gave, or None for a flow that begins here.
void start_flow(const py::capsule& session, std::int64_t number, double time,
                const std::optional<py::dict>& state) {
  require(number >= 0, "number: expected a non-negative number");
  FlowSession& flow = flow_in(session);
  FlowState begin;
  if (state) {
    begin.time = py::cast<double>((*state)["begin_time"]);
    begin.step_size = py::cast<double>((*state)["step_size"]);
    begin.last_error = py::cast<double>((*state)["last_error"]);
    begin.first_time = py::cast<double>((*state)["first_time"]);
    begin.n_accepted = py::cast<std::int64_t>((*state)["n_accepted"]);
    begin.n_rejected = py::cast<std::int64_t>((*state)["n_rejected"]);
    begin.n_gradients = py::cast<std::int64_t>((*state)["n_gradients"]);
    restore_buffers<double>(flow, py::cast<py::list>((*state)["buffers"]));
  }
  const py::gil_scoped_release release;
  flow.start(number, time, state ? &begin : nullptr);
}

}  // namespace

void register_flow(py::module_& module) {
  using py::arg;
  module.def("open_flow", &open_flow, arg("weights"), arg("loss"), arg("rtol"), arg("atol"),
             arg("weight_decay"), arg("stop_loss"), arg("stop_gradient_norm"), arg("check_every"),
             arg("has_condition"), arg("variables"), arg("ground_truth"), arg("held_out"));
  module.def("start_flow", &start_flow, arg("session"), arg("number"), arg("time"), arg("state"));
  module.def("advance_flow", &advance_flow, arg("session"), arg("times").noconvert(),
             arg("first_number"), arg("arrays"), arg("pause_after_record"), arg("seconds"));
  module.def("record_flow", &record_flow, arg("session"), arg("arrays"));
  module.def("flow_state", &flow_state, arg("session"));
  module.def("flow_time", [](const py::capsule& session) { return flow_in(session).time(); });
  // Numbers of the integrator until the end of the step in progress.
  module.def("flow_counts", [](const py::capsule& session) {
    const FlowState now = flow_in(session).progress();
    return std::tuple(now.n_accepted, now.n_rejected, now.n_gradients);
  });
  module.def("imbalance_drift",
             [](const py::capsule& session) { return flow_in(session).imbalance_drift(); });
}

}  // namespace dlnet::bindings
