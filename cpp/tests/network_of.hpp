// A run of a small network without observations, for the tests of the loop.
#pragma once

#include "check.hpp"
#include "dlnet/descent.hpp"
#include "dlnet/losses/target.hpp"

namespace dlnet::tests {

template <class Scalar>
Descent<Scalar> descent_of(const Widths& widths, const MethodSettings& settings,
                           const StopRule& stop = {}, const Wanted& wanted = {}) {
  engine().seed(7);
  const auto loss =
      std::make_shared<TargetLoss<Scalar>>(random_matrix<double>(widths.back(), widths.front()));
  Descent<Scalar> descent(widths, loss, nullptr, std::nullopt, settings, stop, wanted, {});
  randomize(descent.network());
  descent.start_at(0);
  return descent;
}

}  // namespace dlnet::tests
