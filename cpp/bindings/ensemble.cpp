// Ensembles as sessions: opened once, advanced in slices, asked for their members. Python holds
// them as opaque capsules.
#include <variant>

#include "dlnet/origin.hpp"
#include "setup.hpp"

namespace dlnet::bindings {

namespace {

template <class Scalar>
using OwnedEnsemble = std::unique_ptr<EnsembleSession<Scalar>>;

struct OpenedEnsemble {
  std::variant<OwnedEnsemble<double>, OwnedEnsemble<float>> ensemble;
  std::vector<std::string> variables;
  py::dict last;  // arrays that the core writes to for as long as the session lives
  Origin origin = {};
};
constexpr const char* ensemble_name = "dlnet.Ensemble";

OpenedEnsemble& ensemble_in(const py::capsule& capsule) {
  auto& opened = from_capsule<OpenedEnsemble>(capsule, ensemble_name);
  opened.origin.require_here();
  return opened;
}

template <class Visit>
decltype(auto) visit_ensemble(const py::capsule& capsule, const Visit& visit) {
  auto& ensemble = ensemble_in(capsule).ensemble;
  if (auto* in_single = std::get_if<OwnedEnsemble<float>>(&ensemble)) return visit(**in_single);
  return visit(*std::get<OwnedEnsemble<double>>(ensemble));
}

template <class Scalar>
std::vector<Losses<Scalar>> to_losses(const py::list& pairs, const Widths& widths) {
  require(!pairs.empty(), "problems: expected at least one pair of losses");
  std::vector<Losses<Scalar>> losses;
  for (py::handle item : pairs) {
    const auto [full, batch] = py::cast<std::tuple<py::capsule, py::object>>(item);
    Losses<Scalar> pair{to_loss<Scalar>(full, widths), nullptr};
    if (!batch.is_none()) {
      pair.batch = to_loss<Scalar>(py::cast<py::capsule>(batch), widths);
      require(pair.batch->n_samples() > 0, "problems: expected a loss with samples");
    }
    losses.push_back(std::move(pair));
  }
  return losses;
}

template <class Scalar>
void add_problems(Members<Scalar>& members, const py::list& problems,
                  const std::vector<std::string>& variables) {
  for (py::handle item : problems) {
    const auto [losses, ground_truth, held_out] =
        py::cast<std::tuple<py::list, py::object, py::object>>(item);
    members.problems.push_back({to_losses<Scalar>(losses, members.widths),
                                to_knowledge(variables, members.widths, ground_truth, held_out)});
  }
}

template <class Scalar>
void add_methods(Members<Scalar>& members, const py::list& methods) {
  for (py::handle item : methods) {
    const auto [kind, settings] = py::cast<std::tuple<std::string, py::dict>>(item);
    members.methods.push_back({to_settings(kind, settings), {}, 0});
  }
}

// A column of numbers, one a member.
template <class T>
const T* column_of(const py::dict& table, const char* name, Index n_members) {
  return rows_of<T>(table[name], n_members, 1, name);
}

template <class Scalar>
void add_members(Members<Scalar>& members, const py::dict& table, Index n_members) {
  const auto* problem = column_of<std::int64_t>(table, "problem", n_members);
  const auto* method = column_of<std::int64_t>(table, "method", n_members);
  const auto* batch_size = column_of<std::int64_t>(table, "batch_size", n_members);
  const auto* seed = column_of<std::uint64_t>(table, "seed", n_members);
  const auto* stop_loss = column_of<double>(table, "stop_loss", n_members);
  const auto* stop_norm = column_of<double>(table, "stop_gradient_norm", n_members);
  const auto* check_every = column_of<std::int64_t>(table, "check_every", n_members);
  const auto* has_condition = column_of<std::int64_t>(table, "has_condition", n_members);
  for (Index k = 0; k < n_members; ++k) {
    Member member;
    member.problem = static_cast<std::size_t>(problem[k]);
    member.method = static_cast<std::size_t>(method[k]);
    require(member.problem < members.problems.size(), "problem: no such problem");
    require(member.method < members.methods.size(), "method: no such method");
    const bool batched = members.problems[member.problem].losses.front().batch != nullptr;
    require(!batched || batch_size[k] > 0, "batch_size: expected a positive number");
    require(check_every[k] > 0, "check_every: expected a positive number");
    member.batch_size = batch_size[k];
    member.seed = seed[k];
    member.stop = {stop_loss[k], stop_norm[k], check_every[k], has_condition[k] != 0};
    members.wanted.gradients |= stop_norm[k] >= 0.0;
    members.list.push_back(member);
  }
}

template <class Scalar>
py::capsule open_as(const py::list& starts, const py::list& problems, const py::list& methods,
                    const py::dict& table, const std::vector<std::string>& variables,
                    std::int64_t last_step, const py::dict& last, Path path) {
  const auto n_members = static_cast<Index>(starts.size());
  Members<Scalar> members;
  members.widths = widths_of(py::cast<py::list>(starts[0]));
  members.wanted = to_wanted(variables, {});
  members.last_step = last_step;
  members.last = to_sink<Scalar>(variables, last, n_members, members.widths);
  add_problems(members, problems, variables);
  add_methods(members, methods);
  add_members(members, table, n_members);
  OwnedEnsemble<Scalar> ensemble = Core<Scalar>::open_ensemble(std::move(members), path);
  for (std::size_t k = 0; k < starts.size(); ++k) {
    copy_layers(py::cast<py::list>(starts[k]), ensemble->layers(k));
  }
  auto opened =
      std::make_unique<OpenedEnsemble>(OpenedEnsemble{std::move(ensemble), variables, last});
  return to_capsule(std::move(opened), ensemble_name);
}

Path path_named(const std::string& name) {
  if (name == "by shape") return Path::by_shape;
  if (name == "singles") return Path::singles;
  if (name == "lanes") return Path::lanes;
  throw std::invalid_argument("unknown path: " + name);
}

py::capsule open_ensemble(const py::list& starts, const py::list& problems, const py::list& methods,
                          const py::dict& table, const std::vector<std::string>& variables,
                          std::int64_t last_step, const py::dict& last, const std::string& path) {
  require(!starts.empty(), "starts: expected at least one");
  require(last_step >= 0, "last_step: expected a non-negative number");
  const Path way = path_named(path);
  return is_single(py::cast<py::list>(starts[0]))
             ? open_as<float>(starts, problems, methods, table, variables, last_step, last, way)
             : open_as<double>(starts, problems, methods, table, variables, last_step, last, way);
}

// The rates of a method from step `first` on.
void set_rates(const py::capsule& session, std::size_t method, const Array<double>& rates,
               std::int64_t first) {
  visit_ensemble(session, [&](auto& ensemble) {
    require(method < ensemble.members().methods.size(), "method: no such method");
    auto& target = ensemble.members().methods[method];
    target.rates.assign(rates.data(), rates.data() + rates.size());
    target.first_rate = first;
  });
}

void start_ensemble(const py::capsule& session) {
  visit_ensemble(session, [](auto& ensemble) { ensemble.start(); });
}

bool advance_ensemble(const py::capsule& session, std::int64_t until,
                      const Array<std::int64_t>& record_steps, const py::dict& arrays,
                      bool pause_after_record, double seconds, std::size_t threads) {
  const auto& variables = ensemble_in(session).variables;
  return visit_ensemble(session, [&]<class Scalar>(EnsembleSession<Scalar>& ensemble) {
    Members<Scalar>& members = ensemble.members();
    for (const Member& member : members.list) {
      require(member.end != End::none || member.step <= until, "until: a member is further on");
      require(members.methods[member.method].first_rate <= member.step,
              "rates: expected to begin at the current step or before");
    }
    EnsemblePlan<Scalar> plan;
    plan.until = until;
    plan.record_steps = {record_steps.data(), static_cast<std::size_t>(record_steps.size())};
    const auto n_rows = static_cast<Index>(members.list.size()) * record_steps.size();
    plan.sink = to_sink<Scalar>(variables, arrays, n_rows, members.widths);
    plan.pause_after_record = pause_after_record;
    const py::gil_scoped_release release;
    return ensemble.advance(plan, seconds, std::max<std::size_t>(threads, 1));
  });
}

End end_named(const std::string& name) {
  for (std::size_t e = 0; e < end_names.size(); ++e) {
    if (name == end_names[e]) return static_cast<End>(e);
  }
  throw std::invalid_argument("unknown end: " + name);
}

void end_member(const py::capsule& session, std::size_t member, const std::string& why) {
  visit_ensemble(session, [&](auto& ensemble) {
    require(member < ensemble.members().list.size(), "member: no such member");
    const py::gil_scoped_release release;
    ensemble.end(member, end_named(why));
  });
}

// Members that wait for the caller, each with what it waits for.
py::list waiting_members(const py::capsule& session) {
  return visit_ensemble(session, [](auto& ensemble) {
    py::list waiting;
    const auto& list = ensemble.members().list;
    for (std::size_t k = 0; k < list.size(); ++k) {
      if (!list[k].waits) continue;
      waiting.append(py::make_tuple(k, outcome_names[static_cast<std::size_t>(*list[k].waits)]));
    }
    return waiting;
  });
}

template <class T, class Get>
Array<T> of_members(const py::capsule& session, const Get& get) {
  return visit_ensemble(session, [&](auto& ensemble) {
    const auto& list = ensemble.members().list;
    Array<T> column(static_cast<py::ssize_t>(list.size()));
    std::transform(list.begin(), list.end(), column.mutable_data(), get);
    return column;
  });
}

Array<std::int64_t> member_steps(const py::capsule& session) {
  return of_members<std::int64_t>(session, [](const Member& member) { return member.step; });
}

Array<bool> members_ended(const py::capsule& session) {
  return of_members<bool>(session, [](const Member& member) { return member.end != End::none; });
}

Array<bool> members_ended_off_schedule(const py::capsule& session) {
  return of_members<bool>(session, [](const Member& member) { return member.ended_off_schedule; });
}

py::list member_status(const py::capsule& session) {
  return visit_ensemble(session, [](auto& ensemble) {
    py::list status;
    for (const Member& member : ensemble.members().list) {
      status.append(end_names[static_cast<std::size_t>(member.end)]);
    }
    return status;
  });
}

// Read-only, as they are while the member waits or once it has ended; they keep the session alive.
py::list member_views(const py::capsule& session, std::size_t member) {
  return visit_ensemble(session, [&]<class Scalar>(EnsembleSession<Scalar>& ensemble) {
    require(member < ensemble.members().list.size(), "member: no such member");
    return to_views(ensemble.layers(member), session);
  });
}

py::list member_weights(const py::capsule& session, std::size_t member) {
  return visit_ensemble(session, [&](auto& ensemble) {
    require(member < ensemble.members().list.size(), "member: no such member");
    return to_arrays(ensemble.layers(member));
  });
}

std::size_t failed_member(const py::capsule& session) {
  return visit_ensemble(session, [](auto& ensemble) { return ensemble.failed(); });
}

}  // namespace

void register_ensemble(py::module_& module) {
  using py::arg;
  module.def("open_ensemble", &open_ensemble, arg("starts"), arg("problems"), arg("methods"),
             arg("table"), arg("variables"), arg("last_step"), arg("last"),
             arg("path") = "by shape");
  module.def("set_rates", &set_rates, arg("session"), arg("method"), arg("rates").noconvert(),
             arg("first"));
  module.def("start_ensemble", &start_ensemble, arg("session"));
  module.def("advance_ensemble", &advance_ensemble, arg("session"), arg("until"),
             arg("record_steps").noconvert(), arg("arrays"), arg("pause_after_record"),
             arg("seconds"), arg("threads"));
  module.def("end_member", &end_member, arg("session"), arg("member"), arg("why"));
  module.def("waiting_members", &waiting_members, arg("session"));
  module.def("member_steps", &member_steps, arg("session"));
  module.def("members_ended", &members_ended, arg("session"));
  module.def("members_ended_off_schedule", &members_ended_off_schedule, arg("session"));
  module.def("member_status", &member_status, arg("session"));
  module.def("member_views", &member_views, arg("session"), arg("member"));
  module.def("member_weights", &member_weights, arg("session"), arg("member"));
  module.def("failed_member", &failed_member, arg("session"));
}

}  // namespace dlnet::bindings
