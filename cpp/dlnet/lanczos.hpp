// The largest and the smallest eigenvalue of a symmetric operator that is known by its products
// only, float64. Compiled once in lanczos.cpp for the oldest processor supported: this header shows
// nothing of the kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace dlnet {

class SymmetricOperator {
 public:
  SymmetricOperator() = default;
  SymmetricOperator(const SymmetricOperator&) = delete;
  SymmetricOperator& operator=(const SymmetricOperator&) = delete;
  virtual ~SymmetricOperator() = default;

  virtual std::ptrdiff_t size() const = 0;
  // Of vectors of size() numbers that do not overlap.
  virtual void multiply(const double* vector, double* product) = 0;
};

// Some eigenvalue lies within `residual` of the value. All NaN where products are not finite.
struct Extreme {
  double value;
  double residual;
  std::int64_t n_products;  // after which it was found
};

class ExtremeSearch {
 public:
  // `tolerance`: of the residuals, relative to the larger one of both values in size. After
  // `max_products` the search is over in any case.
  ExtremeSearch(std::unique_ptr<SymmetricOperator> matrix, double tolerance,
                std::int64_t max_products);
  ~ExtremeSearch();

  SymmetricOperator& matrix();
  // For about `seconds`, at least one product; returns whether those that are wanted are found.
  // What is found does not depend on what else is wanted, nor on how the search is cut into slices.
  bool advance(bool largest, bool smallest, double seconds);
  // Valid once found.
  const Extreme& largest() const;
  const Extreme& smallest() const;

 private:
  class Lanczos;
  std::unique_ptr<Lanczos> lanczos_;
};

}  // namespace dlnet
