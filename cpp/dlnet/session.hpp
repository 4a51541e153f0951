// Runs as a caller sees them: opened once, advanced in slices, asked for what they have come to.
#pragma once

#include <memory>

#include "members.hpp"

namespace dlnet {

// Everything that decides a run but its layers.
template <class Scalar>
struct Setup {
  Widths widths;
  std::shared_ptr<Loss<Scalar>> loss;
  std::shared_ptr<Loss<Scalar>> batch_loss;  // null for full-batch runs
  Index batch_size = 0;
  std::uint64_t seed = 0;
  MethodSettings method;
  StopRule stop;
  Wanted wanted;
  std::shared_ptr<const Knowledge> knowledge;
};

// The numbers that continue with a run, besides layers and buffers.
struct RunState {
  double time = 0.0;  // the sum of the rates is time + time_lost
  double time_lost = 0.0;
  double mean_square = 0.0;    // GroupRMSprop's running mean of the squared gradient norm
  std::int64_t n_updates = 0;  // since the method took over; for the bias corrections
};

// What every run shows of itself, whatever moves it.
template <class Scalar>
class Run {
 public:
  Run() = default;
  Run(Run&&) = default;
  virtual ~Run() = default;

  virtual const Widths& widths() const = 0;
  virtual std::vector<View<Scalar>> layers() = 0;
  // The method's: one view a layer in each of them.
  virtual std::vector<std::vector<View<Scalar>>> buffers() = 0;

  // Changes how long a step takes, and no bit of what it gives.
  virtual void use_threads(int n_threads) = 0;

  // What the dataset calls `step`.
  virtual std::int64_t step() const = 0;
  virtual bool is_recorded() const = 0;
  // The full loss at the current step, if it is recorded.
  virtual double loss() const = 0;
  // Whether the loss at the current step, as far as it is known, is finite.
  virtual bool is_finite() const = 0;
  // Whether the residual is evaluated at the entries that the loss looks at, and nowhere else.
  virtual bool is_sparse() const = 0;
  // Products of the layers up to this one come from the input, the others from the output.
  virtual std::size_t meeting_layer() const = 0;
};

template <class Scalar>
class Session : public Run<Scalar> {
 public:
  virtual RunState state() const = 0;
  // After layers and buffers were filled.
  virtual void start_at(std::int64_t step, const RunState& state) = 0;
  virtual Outcome advance(const Plan<Scalar>& plan) = 0;
  // Writes row `at` for the current step, scheduled or not.
  virtual void record(const Sink<Scalar>& sink, Index at, double rate) = 0;
};

struct FlowSetup {
  Widths widths;
  std::shared_ptr<Loss<double>> loss;
  double rtol = 0.0;
  double atol = 0.0;
  double weight_decay = 0.0;
  StopRule stop;
  Wanted wanted;
  std::shared_ptr<const Knowledge> knowledge;
};

// Where the step in progress begins: what a flow goes on from, besides the layers there.
struct FlowState {
  double time = 0.0;
  double step_size = 0.0;   // to try; 0: still to be chosen
  double last_error = 1.0;  // of the step before, as a share of what is tolerated
  double first_time = 0.0;  // at which the flow has begun
  std::int64_t n_accepted = 0;
  std::int64_t n_rejected = 0;
  std::int64_t n_gradients = 0;
};

// A run along gradient flow. It looks at times of its own, between the ends of steps as well;
// step() is the number of the record there, whether it is made or not.
class FlowSession : public Run<double> {
 public:
  // Its buffers are the layers where the step in progress begins and those where the flow has
  // begun.
  virtual FlowState state() const = 0;
  // With the numbers until the end of the step in progress.
  virtual FlowState progress() const = 0;
  // At this time and with the next record of this number: from the layers there, or from a state
  // whose buffers were filled, of an earlier time in the same step.
  virtual void start(std::int64_t number, double time, const FlowState* state) = 0;
  virtual Outcome advance(const FlowPlan& plan) = 0;
  // Writes row `at` for the time looked at.
  virtual void record(const Sink<double>& sink, Index at) = 0;
  virtual double time() const = 0;
  // The largest change of W_{j+1}^T W_{j+1} - W_j W_j^T since the flow has begun, apart from what
  // weight decay takes of it, as a share of ||W_j||_F^2 + ||W_{j+1}||_F^2.
  virtual double imbalance_drift() = 0;
};

// Which groups the members of an ensemble are put into.
enum class Path { by_shape, singles, lanes };  // in lanes where this build has them

template <class Scalar>
class EnsembleSession {
 public:
  EnsembleSession() = default;
  EnsembleSession(const EnsembleSession&) = delete;
  EnsembleSession& operator=(const EnsembleSession&) = delete;
  virtual ~EnsembleSession() = default;

  virtual Members<Scalar>& members() = 0;
  // Before start(), while the member waits for the caller, and after its end.
  virtual std::vector<View<Scalar>> layers(std::size_t member) = 0;
  // After the layers of all members were filled.
  virtual void start() = 0;
  // For about `seconds`; returns whether every member that has not ended is at plan.until. Members
  // that wait for the caller have been served.
  virtual bool advance(const EnsemblePlan<Scalar>& plan, double seconds, std::size_t n_threads) = 0;
  virtual void end(std::size_t member, End why) = 0;
  // The member whose loss has thrown.
  virtual std::size_t failed() const = 0;
};

}  // namespace dlnet
