// Runs of a small network without observations, for the tests of the loop.
#pragma once

#include "check.hpp"
#include "dlnet/descent.hpp"
#include "dlnet/flow.hpp"
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

template <class Scalar>
std::shared_ptr<Loss<Scalar>> completion_loss(const Widths& widths) {
  std::vector<Index> places(static_cast<std::size_t>(std::min(widths.back(), widths.front()) / 4));
  std::iota(places.begin(), places.end(), Index(0));
  const std::vector<double> values(places.size(), 0.5);
  return std::make_shared<EntriesLoss<Scalar>>(widths.back(), widths.front(), places, places,
                                               values, false);
}

// The same with some of the diagonal of the end-to-end matrix observed.
template <class Scalar>
Descent<Scalar> completion_of(const Widths& widths, const MethodSettings& settings,
                              const StopRule& stop = {}, const Wanted& wanted = {}) {
  engine().seed(7);
  const auto loss = completion_loss<Scalar>(widths);
  return random_descent<Scalar>({widths, loss, nullptr, 0, 0, settings, stop, wanted, {}});
}

// A flow on either of these problems.
inline Flow flow_of(const Widths& widths, bool sparse, const Wanted& wanted) {
  engine().seed(7);
  FlowSetup setup;
  setup.widths = widths;
  setup.loss = completion_loss<double>(widths);
  if (!sparse) {
    setup.loss =
        std::make_shared<TargetLoss<double>>(random_matrix<double>(widths.back(), widths.front()));
  }
  setup.rtol = 1e-8;
  setup.atol = 1e-12;
  setup.weight_decay = 1e-3;
  setup.wanted = wanted;
  Flow flow(setup);
  Network<double> start(widths);
  randomize(start);
  const auto layers = flow.layers();
  for (std::size_t j = 0; j < start.depth(); ++j) {
    for (Index col = 0; col < layers[j].cols; ++col) {
      const double* column = start.weight(j).column(col);
      std::copy(column, column + layers[j].rows, layers[j].data + col * layers[j].stride);
    }
  }
  flow.start(0, 0.0, nullptr);
  return flow;
}

}  // namespace dlnet::tests
