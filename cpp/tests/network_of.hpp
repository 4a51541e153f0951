// Runs of a small network without observations, for the tests of the loop.
#pragma once

#include "check.hpp"
#include "dlnet/descent.hpp"
#include "dlnet/losses/entries.hpp"
#include "dlnet/losses/target.hpp"

namespace dlnet::tests {

inline MethodSettings settings_of(Method method) {
  MethodSettings settings;
  settings.method = method;
  settings.weight_decay = 1e-4;
  settings.momentum = settings.decay = settings.beta1 = settings.beta2 = 0.9;
  settings.epsilon = 1e-6;
  settings.depth = 3.0;
  return settings;
}

template <class Scalar>
Descent<Scalar> random_descent(const Setup<Scalar>& setup) {
  Descent<Scalar> descent(setup);
  randomize(descent.network());
  descent.start_at(0, {});
  return descent;
}

template <class Scalar>
Descent<Scalar> descent_of(const Widths& widths, const MethodSettings& settings,
                           const StopRule& stop = {}, const Wanted& wanted = {}) {
  engine().seed(7);
  const auto loss =
      std::make_shared<TargetLoss<Scalar>>(random_matrix<double>(widths.back(), widths.front()));
  return random_descent<Scalar>({widths, loss, nullptr, 0, 0, settings, stop, wanted, {}});
}

// The same with some of the diagonal of the end-to-end matrix observed.
template <class Scalar>
Descent<Scalar> completion_of(const Widths& widths, const MethodSettings& settings,
                              const StopRule& stop = {}, const Wanted& wanted = {}) {
  engine().seed(7);
  std::vector<Index> places(static_cast<std::size_t>(std::min(widths.back(), widths.front()) / 4));
  std::iota(places.begin(), places.end(), Index(0));
  const std::vector<double> values(places.size(), 0.5);
  const auto loss = std::make_shared<EntriesLoss<Scalar>>(widths.back(), widths.front(), places,
                                                          places, values, false);
  return random_descent<Scalar>({widths, loss, nullptr, 0, 0, settings, stop, wanted, {}});
}

}  // namespace dlnet::tests
