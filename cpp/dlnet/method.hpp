// Which method a run descends by, and its numbers.
#pragma once

#include <array>

namespace dlnet {

enum class Method {
  gradient_descent,
  momentum,
  group_rmsprop,
  rmsprop,
  adam,
  adagrad,
  adadelta,
  end_to_end
};

// In the order of Method.
inline constexpr std::array<const char*, 8> method_names = {
    "gradient_descent", "momentum", "group_rmsprop", "rmsprop", "adam",
    "adagrad",          "adadelta", "end_to_end"};

struct MethodSettings {
  Method method = Method::gradient_descent;
  double weight_decay = 0.0;
  double momentum = 0.0;
  bool nesterov = false;
  double decay = 0.0;  // of the running mean of squares
  double epsilon = 0.0;
  double beta1 = 0.0;
  double beta2 = 0.0;
  bool centered = false;
  double initial_accumulator = 0.0;
  double depth = 0.0;  // of the network whose end-to-end matrix moves, at least 2
};

}  // namespace dlnet
