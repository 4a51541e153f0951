// Members of an ensemble, each with a target of its own, for the tests of ensembles.
#pragma once

#include "check.hpp"
#include "dlnet/ensemble.hpp"

namespace dlnet::tests {

template <class Scalar>
Members<Scalar> members_of(const Widths& widths, const MethodSettings& settings, Index count) {
  Members<Scalar> members;
  members.widths = widths;
  members.methods.push_back({settings, {1e-3}, 0});
  for (Index k = 0; k < count; ++k) {
    const auto target = random_matrix<double>(widths.back(), widths.front());
    MemberProblem<Scalar> problem;
    problem.losses.push_back({std::make_shared<TargetLoss<Scalar>>(target), nullptr});
    problem.knowledge = std::make_shared<Knowledge>();
    members.problems.push_back(std::move(problem));
    Member member;
    member.problem = static_cast<std::size_t>(k);
    members.list.push_back(member);
  }
  return members;
}

}  // namespace dlnet::tests
