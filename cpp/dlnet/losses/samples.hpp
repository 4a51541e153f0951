// Losses of samples (x_i, y_i): a function of the scores W x_i, summed or averaged over samples.
// Samples are the columns of one padded matrix and are taken a block at a time, so that the
// workspace does not grow with their number.
#pragma once

#include <cmath>
#include <vector>

#include "../gemm.hpp"
#include "loss.hpp"

namespace dlnet {

template <class Scalar>
class SampleLoss : public Loss<Scalar> {
 public:
  Index n_outputs() const override { return scores_.rows(); }
  Index n_inputs() const override { return inputs_.rows(); }
  Index n_samples() const override { return inputs_.cols(); }

  double value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient) override {
    const auto block = [&](Index first, Index count) { return columns(inputs_, first, count); };
    const auto sample = [](Index i) { return i; };
    return constant_ + sum_blocks(end_to_end, gradient, n_samples(), divisor_, block, sample);
  }

  double batch_value_and_gradient(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient,
                                  std::span<const Index> samples) override {
    const auto sample = [&](Index i) { return samples[static_cast<std::size_t>(i)]; };
    const auto block = [&](Index first, Index count) { return gather(samples, first, count); };
    const Index count = static_cast<Index>(samples.size());
    return sum_blocks(end_to_end, gradient, count, count, block, sample);
  }

  // Over all samples: with the scores z_i = W x_i and their changes u_i = V x_i in a direction V,
  // the sum of (second derivative of the loss of z_i, times u_i) x_i^T.
  void hessian_product(const Matrix<Scalar>& end_to_end, const Matrix<Scalar>& direction,
                       Matrix<Scalar>& product) override {
    const double factor = reduction_factor(mean_, divisor_);
    if (changes_.cols() == 0) changes_ = Matrix<Scalar>(scores_.rows(), scores_.cols());
    for (Index first = 0; first < n_samples(); first += block_samples) {
      const Index size = std::min(block_samples, n_samples() - first);
      const ConstView<Scalar> x = columns(std::as_const(inputs_), first, size);
      View<Scalar> scores = columns(scores_, 0, size);
      View<Scalar> changes = columns(changes_, 0, size);
      multiply<Scalar>(end_to_end, x, scores, Assign<Scalar>{}, packing_);
      multiply<Scalar>(direction, x, changes, Assign<Scalar>{}, packing_);
      for (Index i = 0; i < size; ++i) {
        differentiate_twice(first + i, scores_.column(i), changes_.column(i), factor);
      }
      if (first == 0) {
        multiply_transposed<Scalar>(changes, x, product, Assign<Scalar>{}, packing_);
      } else {
        multiply_transposed<Scalar>(changes, x, product, Accumulate<Scalar>{1, 1}, packing_);
      }
    }
  }

 protected:
  // inputs: (d_0, n_samples), one sample a column. `divisor` is what the mean divides by: more than
  // the samples here when they stand for a larger data set.
  SampleLoss(const Matrix<double>& inputs, Index n_outputs, bool mean, Index divisor,
             double constant)
      : inputs_(inputs.rows(), inputs.cols()),
        gathered_(inputs.rows(), std::min(inputs.cols(), block_samples)),
        scores_(n_outputs, std::min(inputs.cols(), block_samples)),
        packing_(std::max({inputs.rows(), n_outputs, block_samples})),
        mean_(mean),
        divisor_(divisor),
        constant_(constant) {
    copy(inputs, inputs_);
  }

  // Replaces the score of one sample, (n_outputs,), by `factor` times the derivative of its loss,
  // and returns the loss itself (without the factor).
  virtual double differentiate(Index sample, Scalar* score, double factor) const = 0;

  // Replaces the change of the score of one sample by `factor` times that of the derivative.
  virtual void differentiate_twice(Index sample, const Scalar* score, Scalar* change,
                                   double factor) const = 0;

 private:
  static constexpr Index block_samples = 256;

  template <class Block, class Sample>
  double sum_blocks(const Matrix<Scalar>& end_to_end, Matrix<Scalar>& gradient, Index count,
                    Index divisor, const Block& block, const Sample& sample) {
    const double factor = reduction_factor(mean_, divisor);
    double total = 0.0;
    for (Index first = 0; first < count; first += block_samples) {
      const Index size = std::min(block_samples, count - first);
      const ConstView<Scalar> x = block(first, size);
      View<Scalar> scores = columns(scores_, 0, size);
      multiply<Scalar>(end_to_end, x, scores, Assign<Scalar>{}, packing_);
      for (Index i = 0; i < size; ++i) {
        total += differentiate(sample(first + i), scores_.column(i), factor);
      }
      if (first == 0) {
        multiply_transposed<Scalar>(scores, x, gradient, Assign<Scalar>{}, packing_);
      } else {
        multiply_transposed<Scalar>(scores, x, gradient, Accumulate<Scalar>{1, 1}, packing_);
      }
    }
    return factor * total;
  }

  ConstView<Scalar> gather(std::span<const Index> samples, Index first, Index count) {
    for (Index i = 0; i < count; ++i) {
      const Scalar* x = inputs_.column(samples[static_cast<std::size_t>(first + i)]);
      std::copy(x, x + inputs_.rows(), gathered_.column(i));
    }
    return columns(std::as_const(gathered_), 0, count);
  }

  Matrix<Scalar> inputs_;
  Matrix<Scalar> gathered_;
  Matrix<Scalar> scores_;
  Matrix<Scalar> changes_;  // empty until curvature is asked for
  Packing<Scalar> packing_;
  bool mean_;
  Index divisor_;
  double constant_;
};

// |W x - y|^p / p, summed over outputs.
template <class Scalar>
class PowerLoss final : public SampleLoss<Scalar> {
 public:
  PowerLoss(const Matrix<double>& inputs, const Matrix<double>& outputs, double power, bool mean,
            Index divisor, double constant)
      : SampleLoss<Scalar>(inputs, outputs.rows(), mean, divisor, constant),
        outputs_(outputs.rows(), outputs.cols()),
        power_(power),
        whole_(power == std::floor(power) && power <= 16 ? static_cast<int>(power) : 0) {
    copy(outputs, outputs_);
  }

 private:
  double differentiate(Index sample, Scalar* score, double factor) const override {
    const Scalar* y = outputs_.column(sample);
    const Scalar scale = static_cast<Scalar>(factor);
    double total = 0.0;
    for (Index i = 0; i < outputs_.rows(); ++i) {
      const Scalar residual = score[i] - y[i];
      const Scalar size = std::abs(residual);
      const Scalar slope = one_power_less(size);
      total += static_cast<double>(slope) * static_cast<double>(size);
      score[i] = scale * std::copysign(slope, residual);
    }
    return total / power_;
  }

  // The curvature of an output is (p - 1) |residual|^(p - 2).
  void differentiate_twice(Index sample, const Scalar* score, Scalar* change,
                           double factor) const override {
    const Scalar* y = outputs_.column(sample);
    for (Index i = 0; i < outputs_.rows(); ++i) {
      const double size = std::abs(static_cast<double>(score[i] - y[i]));
      const double curvature = power_ == 2.0 ? 1.0 : (power_ - 1.0) * std::pow(size, power_ - 2.0);
      change[i] *= static_cast<Scalar>(factor * curvature);
    }
  }

  // size^(p - 1), without the library's pow where p is a small whole number.
  Scalar one_power_less(Scalar size) const {
    if (whole_ == 0) return std::pow(size, static_cast<Scalar>(power_ - 1.0));
    Scalar result = size;
    for (int i = 2; i < whole_; ++i) result *= size;
    return result;
  }

  Matrix<Scalar> outputs_;
  double power_;
  int whole_;  // p if it is a small whole number, otherwise 0
};

// Cross-entropy of the softmax of the scores, or of their logistic function for a single output.
template <class Scalar>
class ClassificationLoss final : public SampleLoss<Scalar> {
 public:
  // labels: 0 ... n_outputs - 1, or 0 and 1 for a single output.
  ClassificationLoss(const Matrix<double>& inputs, std::vector<Index> labels, Index n_outputs,
                     bool mean)
      : SampleLoss<Scalar>(inputs, n_outputs, mean, inputs.cols(), 0.0),
        labels_(std::move(labels)) {}

 private:
  double differentiate(Index sample, Scalar* score, double factor) const override {
    const Index label = labels_[static_cast<std::size_t>(sample)];
    return this->n_outputs() == 1 ? logistic(label, score, factor) : softmax(label, score, factor);
  }

  void differentiate_twice(Index, const Scalar* score, Scalar* change,
                           double factor) const override {
    if (this->n_outputs() > 1) return softmax_twice(score, change, factor);
    const double decay = std::exp(-std::abs(static_cast<double>(*score)));
    *change *= static_cast<Scalar>(factor * decay / ((1.0 + decay) * (1.0 + decay)));
  }

  // p_c (u_c - sum p u) for probabilities p and the change u, which counts from that of the top
  // score: confident answers keep their tiny curvature.
  void softmax_twice(const Scalar* score, Scalar* change, double factor) const {
    const Index n = this->n_outputs();
    const Index top = std::max_element(score, score + n) - score;
    const auto weight = [&](Index c) {
      return std::exp(static_cast<double>(score[c]) - static_cast<double>(score[top]));
    };
    const double origin = static_cast<double>(change[top]);
    double total = 0.0;
    double mean = 0.0;
    for (Index c = 0; c < n; ++c) {
      total += weight(c);
      mean += weight(c) * (static_cast<double>(change[c]) - origin);
    }
    mean /= total;
    for (Index c = 0; c < n; ++c) {
      const double relative = static_cast<double>(change[c]) - origin - mean;
      change[c] = static_cast<Scalar>(factor * weight(c) / total * relative);
    }
  }

  static double logistic(Index label, Scalar* score, double factor) {
    const double z = static_cast<double>(*score);
    const double y = static_cast<double>(label);
    const double decay = std::exp(-std::abs(z));
    const double probability = (z >= 0 ? 1.0 : decay) / (1.0 + decay);
    *score = static_cast<Scalar>(factor * (probability - y));
    // log(1 + e^z) - y z, written so that right and confident answers keep their tiny loss.
    const double margin = label == 1 ? z : -z;
    return std::log1p(decay) + std::max(-margin, 0.0);
  }

  double softmax(Index label, Scalar* score, double factor) const {
    const Index n = this->n_outputs();
    const double top = static_cast<double>(*std::max_element(score, score + n));
    const double own = static_cast<double>(score[label]);
    double others = 0.0;  // sum over the other classes, relative to the top score
    for (Index c = 0; c < n; ++c) {
      if (c != label) others += std::exp(static_cast<double>(score[c]) - top);
    }
    const double total = others + std::exp(own - top);
    for (Index c = 0; c < n; ++c) {
      const double probability = std::exp(static_cast<double>(score[c]) - top) / total;
      score[c] = static_cast<Scalar>(factor * probability);
    }
    score[label] = static_cast<Scalar>(-factor * (others / total));
    // Where the label has the top score its own term is 1 and log1p keeps what the others add.
    return own == top ? std::log1p(others) : std::log(total) + (top - own);
  }

  std::vector<Index> labels_;
};

}  // namespace dlnet
