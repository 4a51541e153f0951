// The methods: how gradients become an update of the layers, and what each method remembers.
// Gradient descent accumulates its update in the pass itself and remembers nothing; every other
// method takes gradients written out.
#pragma once

#include "end_to_end.hpp"
#include "network.hpp"
#include "update_rules.hpp"

namespace dlnet {

template <class Scalar>
void add_weight_decay(const Network<Scalar>& network, double weight_decay,
                      Layers<Scalar>& gradients) {
  if (weight_decay == 0.0) return;
  const Scalar decay = static_cast<Scalar>(weight_decay);
  for (std::size_t j = 0; j < gradients.size(); ++j) {
    const Matrix<Scalar>& weight = network.weight(j);
    Matrix<Scalar>& gradient = gradients[j];
    for (Index k = 0; k < gradient.stride() * gradient.cols(); k += lanes<Scalar>) {
      store(gradient.data() + k, load(gradient.data() + k) + decay * load(weight.data() + k));
    }
  }
}

template <class Scalar>
class Optimizer {
 public:
  Optimizer(const MethodSettings& settings, const Widths& widths) : settings_(settings) {
    for (std::size_t b = 0; b < n_buffers(settings); ++b) {
      buffers_.push_back(zero_layers<Scalar>(widths));
    }
    if (settings.method == Method::adagrad) fill(buffers_[0], settings.initial_accumulator);
    if (settings.method == Method::end_to_end) make_end_to_end_rule(widths);
  }

  const MethodSettings& settings() const { return settings_; }

  // What continues with the run, besides the layers themselves.
  std::vector<Layers<Scalar>>& buffers() { return buffers_; }
  double mean_square() const { return mean_square_; }
  std::int64_t n_updates() const { return n_updates_; }
  void carry_on(double mean_square, std::int64_t n_updates) {
    mean_square_ = mean_square;
    n_updates_ = n_updates;
  }

  // Where it is part of the gradients.
  void add_weight_decay(const Network<Scalar>& network, Layers<Scalar>& gradients) const {
    if (end_to_end_rule_) return;
    dlnet::add_weight_decay(network, settings_.weight_decay, gradients);
  }

  // The one rate that GroupRMSprop would apply to these gradients (weight decay included).
  double group_rate(const Layers<Scalar>& gradients, double rate) const {
    return dlnet::group_rate(settings_, mean_square_after(gradients), {n_updates_ + 1, rate});
  }

  // Updates the layers (not their transposed copies) from gradients that include weight decay, and
  // returns the rate in force.
  double update(Network<Scalar>& network, const Layers<Scalar>& gradients, double rate) {
    Update update{++n_updates_, rate};
    if (end_to_end_rule_) {
      end_to_end_rule_->update(network.weight(0), gradients[0], rate, settings_.weight_decay);
      return rate;
    }
    if (settings_.method == Method::group_rmsprop) {
      mean_square_ = mean_square_after(gradients);
      update.rate = dlnet::group_rate(settings_, mean_square_, update);
    }
    visit_rule(settings_, [&]<class Kind>(Kind) {
      using Rule = typename Kind::template For<OneNetwork<Scalar>>;
      const Rule rule = Rule::make(settings_, update);
      for (std::size_t j = 0; j < gradients.size(); ++j) {
        for (Index col = 0; col < gradients[j].cols(); ++col) {
          update_column(rule, network.weight(j), gradients[j], j, col,
                        std::make_index_sequence<Rule::n_buffers>{});
        }
      }
    });
    return update.rate;
  }

 private:
  void make_end_to_end_rule(const Widths& widths) {
    if (widths.size() != 2) throw std::invalid_argument("weights: expected one matrix");
    end_to_end_rule_.emplace(widths[1], widths[0], settings_.depth);
  }

  static void fill(Layers<Scalar>& layers, double value) {
    for (Matrix<Scalar>& layer : layers) {
      for (Index col = 0; col < layer.cols(); ++col) {
        std::fill(layer.column(col), layer.column(col) + layer.rows(), static_cast<Scalar>(value));
      }
    }
  }

  double mean_square_after(const Layers<Scalar>& gradients) const {
    double total = 0.0;
    for (const Matrix<Scalar>& gradient : gradients) total += sum_of_squares(gradient);
    return next_mean_square(settings_, mean_square_, total);
  }

  template <class Rule, std::size_t... buffer>
  void update_column(const Rule& rule, Matrix<Scalar>& weight, const Matrix<Scalar>& gradient,
                     [[maybe_unused]] std::size_t j, Index col, std::index_sequence<buffer...>) {
    apply(rule, weight.rows(), weight.column(col), gradient.column(col),
          buffers_[buffer][j].column(col)...);
  }

  template <class Rule, class... Buffers>
  static void apply(const Rule& rule, Index n, Scalar* __restrict w, const Scalar* __restrict g,
                    Buffers* __restrict... buffers) {
    for (Index i = 0; i < n; ++i) rule(w[i], g[i], buffers[i]...);
  }

  MethodSettings settings_;
  std::vector<Layers<Scalar>> buffers_;
  std::optional<EndToEndRule> end_to_end_rule_;
  double mean_square_ = 0.0;    // GroupRMSprop's running mean of the squared gradient norm
  std::int64_t n_updates_ = 0;  // since this method took over; for the bias corrections
};

}  // namespace dlnet
