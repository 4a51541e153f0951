// Sessions as Python holds them: opaque capsules.
#pragma once

#include <variant>

#include "dlnet/origin.hpp"
#include "setup.hpp"

namespace dlnet::bindings {

template <class Scalar>
using Owned = std::unique_ptr<Session<Scalar>>;

struct Opened {
  std::variant<Owned<double>, Owned<float>, std::unique_ptr<FlowSession>> session;
  std::vector<std::string> variables;  // that workspaces were made for
  Origin origin = {};
};
inline constexpr const char* session_name = "dlnet.Session";

inline Opened& opened_in(const py::capsule& capsule) {
  auto& opened = from_capsule<Opened>(capsule, session_name);
  opened.origin.require_here();
  return opened;
}

inline const std::vector<std::string>& variables_of(const py::capsule& session) {
  return opened_in(session).variables;
}

// Any session, as the Run that it is.
template <class Visit>
decltype(auto) visit_run(const py::capsule& capsule, const Visit& visit) {
  auto& session = opened_in(capsule).session;
  if (auto* in_single = std::get_if<Owned<float>>(&session)) {
    return visit(static_cast<Run<float>&>(**in_single));
  }
  auto* in_double = std::get_if<Owned<double>>(&session);
  return visit(in_double != nullptr ? static_cast<Run<double>&>(**in_double)
                                    : *std::get<std::unique_ptr<FlowSession>>(session));
}

template <class Scalar>
void restore_buffers(Run<Scalar>& run, const py::list& saved) {
  const auto buffers = run.buffers();
  require(saved.size() == buffers.size(), "state: of another method");
  for (std::size_t b = 0; b < buffers.size(); ++b) {
    copy_layers(py::cast<py::list>(saved[b]), buffers[b]);
  }
}

template <class Scalar>
py::list buffers_of(Run<Scalar>& run) {
  py::list buffers;
  for (const auto& layers : run.buffers()) buffers.append(to_arrays(layers));
  return buffers;
}

}  // namespace dlnet::bindings
