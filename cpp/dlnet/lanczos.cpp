#include "lanczos.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "symmetric_eigen.hpp"

namespace dlnet {

namespace {

using Index = std::ptrdiff_t;
using Values = std::vector<double>;

constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t index(Index i) { return static_cast<std::size_t>(i); }

// Sums of eight, so that the order is fixed and a register of any length may hold some of them.
double inner_product(const Values& a, const Values& b) {
  constexpr std::size_t n = 8;
  std::array<double, n> sums{};
  std::size_t i = 0;
  for (; i + n <= a.size(); i += n) {
    for (std::size_t k = 0; k < n; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (; i < a.size(); ++i) sums[0] += a[i] * b[i];
  double total = 0.0;
  for (double sum : sums) total += sum;
  return total;
}

double largest_entry(const Values& a) {
  double largest = 0.0;
  for (double entry : a) {
    if (!std::isfinite(entry)) return nan;
    largest = std::max(largest, std::abs(entry));
  }
  return largest;
}

// NaN unless all entries are finite.
double norm(const Values& a) {
  const double squares = inner_product(a, a);
  // Well inside the normal range: no square that counts was lost.
  if (squares > 1e-270 && squares < std::numeric_limits<double>::infinity()) {
    return std::sqrt(squares);
  }
  const double largest = largest_entry(a);
  if (!(largest > 0.0)) return largest;
  double total = 0.0;
  for (double entry : a) total += (entry / largest) * (entry / largest);
  return largest * std::sqrt(total);
}

void divide(Values& a, double divisor) {
  for (double& entry : a) entry /= divisor;
}

void subtract(Values& a, double factor, const Values& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= factor * b[i];
}

// A register of the oldest processor supported.
typedef double Pair __attribute__((vector_size(16), aligned(8), may_alias));

const Pair& pair(const double* p) { return *reinterpret_cast<const Pair*>(p); }
Pair& pair(double* p) { return *reinterpret_cast<Pair*>(p); }

// Takes from the vector what it has of each of `count` orthonormal ones, which share the reading of
// it. Writes how much that was.
template <int count>
void project_out(Values& vector, const Values* basis, double* parts) {
  const Index size = static_cast<Index>(vector.size());
  double* v = vector.data();
  const double* b[count];
  Pair even[count] = {};
  Pair odd[count] = {};
  for (int k = 0; k < count; ++k) b[k] = basis[k].data();
  Index i = 0;
  for (; i + 4 <= size; i += 4) {
    for (int k = 0; k < count; ++k) {
      even[k] += pair(b[k] + i) * pair(v + i);
      odd[k] += pair(b[k] + i + 2) * pair(v + i + 2);
    }
  }
  for (int k = 0; k < count; ++k) {
    const Pair both = even[k] + odd[k];
    parts[k] = both[0] + both[1];
    for (Index rest = i; rest < size; ++rest) parts[k] += b[k][rest] * v[rest];
  }
  for (i = 0; i + 2 <= size; i += 2) {
    Pair taken{};
    for (int k = 0; k < count; ++k) taken += parts[k] * pair(b[k] + i);
    pair(v + i) -= taken;
  }
  for (; i < size; ++i) {
    for (int k = 0; k < count; ++k) v[i] -= parts[k] * b[k][i];
  }
}

// Adds to `out`, from `first` up to `end`, four vectors times a factor each.
void add_four(Values& out, const Values* in, const double* factors, Index first, Index end) {
  const double *a = in[0].data(), *b = in[1].data(), *c = in[2].data(), *d = in[3].data();
  Index i = first;
  for (; i + 2 <= end; i += 2) {
    pair(out.data() + i) += (factors[0] * pair(a + i) + factors[1] * pair(b + i)) +
                            (factors[2] * pair(c + i) + factors[3] * pair(d + i));
  }
  if (i < end) {
    out[index(i)] +=
        (factors[0] * a[i] + factors[1] * b[i]) + (factors[2] * c[i] + factors[3] * d[i]);
  }
}

}  // namespace

// Lanczos with a basis that is kept and orthogonalised against in full. Where it is full it shrinks
// to the Ritz vectors at both ends and goes on (thick restarts, Wu & Simon 2000). The projection of
// the operator on the basis is kept as a whole, so that nothing depends on how it came about. Small
// operators are gone through to the end: then the basis is one of the whole space.
class ExtremeSearch::Lanczos {
 public:
  Lanczos(std::unique_ptr<SymmetricOperator> matrix, double tolerance, std::int64_t max_products)
      : matrix_(std::move(matrix)),
        size_(matrix_->size()),
        capacity_(capacity_for(size_)),
        tolerance_(tolerance),
        max_products_(max_products),
        projection_(index(capacity_ * capacity_)),
        next_(index(size_)) {
    draw();
    divide(next_, norm(next_));
  }

  SymmetricOperator& matrix() { return *matrix_; }
  const Extreme& found(bool is_largest) const { return is_largest ? largest_ : smallest_; }

  bool advance(bool largest, bool smallest, double seconds) {
    using Time = std::chrono::steady_clock;
    const auto began = Time::now();
    const auto is_over = [&] {
      return (!largest || largest_.n_products > 0) && (!smallest || smallest_.n_products > 0);
    };
    // A product at the least, or a search in slices of nothing would never end.
    while (!is_over()) {
      extend();
      if (std::chrono::duration<double>(Time::now() - began).count() >= seconds) break;
    }
    return is_over();
  }

 private:
  // All of a space of up to so many dimensions.
  static constexpr Index all_of = 96;

  static Index capacity_for(Index size) {
    if (size <= all_of) return size;
    // From 170,000 numbers in a vector on, the basis takes 128 MiB.
    return std::clamp<Index>((Index(1) << 24) / size, 24, all_of) / 4 * 4;
  }

  // Whether the Ritz values are to be looked at: more seldom as that takes longer.
  bool is_due() const {
    const auto n = basis_.size();
    if (static_cast<Index>(n) == capacity_ || n_products_ >= max_products_) return true;
    if (size_ <= all_of || n_products_ > capacity_) return false;
    return n == 8 || n == 12 || n == 16 || n == 24 || n == 32 || n == 48 || n == 64;
  }

  // Adds the next vector to the basis and applies the operator to it.
  void extend() {
    const Index k = static_cast<Index>(basis_.size());
    Values product = multiply(next_);
    basis_.push_back(std::move(next_));
    const double size_before = norm(product);
    if (!(size_before < std::numeric_limits<double>::infinity())) return give_up();
    // What is known of it first, so that one sweep over the basis is enough to get rid of rounding.
    couplings_.resize(basis_.size(), 0.0);
    for (std::size_t i = 0; i < couplings_.size(); ++i) {
      if (couplings_[i] != 0.0) subtract(product, couplings_[i], basis_[i]);
    }
    const double own = inner_product(basis_.back(), product);
    subtract(product, own, basis_.back());
    couplings_.back() += own;
    const Values along = orthogonalise(product, std::move(couplings_));
    for (Index i = 0; i <= k; ++i) {
      if (!std::isfinite(along[index(i)])) return give_up();
      projection(i, k) = projection(k, i) = along[index(i)];
    }
    remaining_ = norm(product);
    const bool is_invariant = !(remaining_ > 16.0 * epsilon * size_before);
    if (is_invariant) remaining_ = 0.0;
    next_ = std::move(product);
    couplings_.assign(basis_.size(), 0.0);
    couplings_.back() = remaining_;
    // The start is generic: the span of its images has every eigenvalue, if not its multiplicity.
    if (is_due() || (is_invariant && size_ > all_of)) look();
    if (static_cast<Index>(basis_.size()) == size_) return;
    if (is_invariant) {
      draw();
      orthogonalise(next_, Values(basis_.size()));
    }
    divide(next_, norm(next_));
  }

  // Takes the basis out of the vector until nothing of it is left, and adds what was taken.
  Values orthogonalise(Values& vector, Values along) const {
    double before = norm(vector);
    // Once or twice, unless next to nothing remains.
    for (int sweep = 0; sweep < 4; ++sweep) {
      constexpr int at_once = 4;
      double parts[at_once];
      for (std::size_t i = 0; i < basis_.size();) {
        const int count = basis_.size() - i < at_once ? 1 : at_once;
        if (count == 1) {
          project_out<1>(vector, &basis_[i], parts);
        } else {
          project_out<at_once>(vector, &basis_[i], parts);
        }
        for (int k = 0; k < count; ++k) along[i++] += parts[k];
      }
      const double after = norm(vector);
      if (!(after < 0.5 * before)) break;
      before = after;
    }
    return along;
  }

  Values multiply(const Values& vector) {
    Values product(vector.size());
    matrix_->multiply(vector.data(), product.data());
    ++n_products_;
    return product;
  }

  // Accepts the ends that are found; shrinks the basis if it is full.
  void look() {
    const Index k = static_cast<Index>(basis_.size());
    Values block(index(k * k));
    for (Index j = 0; j < k; ++j) {
      for (Index i = 0; i < k; ++i) block[index(j * k + i)] = projection(i, j);
    }
    // The last entries of its vectors say how good Ritz values are; all of them take much longer.
    const SymmetricEigen ends(k, block.data(), 1);
    const double scale = std::max(std::abs(ends.value(0)), std::abs(ends.value(k - 1)));
    const bool is_over = k == size_ || n_products_ >= max_products_;
    const auto is_found = [&](const Extreme& end, Index i) {
      const double residual = remaining_ * std::abs(ends.vector(i)[0]);
      return end.n_products == 0 && (is_over || residual <= tolerance_ * scale);
    };
    const bool has_largest = is_found(largest_, k - 1);
    const bool has_smallest = is_found(smallest_, 0);
    const bool is_full = k == capacity_ && k < size_;
    if (!has_largest && !has_smallest && !is_full) return;
    const SymmetricEigen ritz(k, block.data(), k);
    if (has_largest) largest_ = extreme(ritz, k - 1, scale);
    if (has_smallest) smallest_ = extreme(ritz, 0, scale);
    if (is_full) shrink(ritz);
  }

  Extreme extreme(const SymmetricEigen& ritz, Index i, double scale) {
    return {ritz.value(i), true_residual(ritz, i, scale), n_products_};
  }

  // ||A y - value y|| / ||y|| for the Ritz vector y. The product does not count as one of the
  // search, whose end it must not move.
  double true_residual(const SymmetricEigen& ritz, Index i, double scale) {
    Values y(index(size_));
    for (std::size_t j = 0; j < basis_.size(); ++j) subtract(y, -ritz.vector(i)[j], basis_[j]);
    Values rest(y.size());
    matrix_->multiply(y.data(), rest.data());
    subtract(rest, ritz.value(i), y);
    // What rounding of a product may hide.
    return norm(rest) / norm(y) + 16.0 * epsilon * scale;
  }

  // To a quarter of its Ritz vectors at either end.
  void shrink(const SymmetricEigen& ritz) {
    const Index k = static_cast<Index>(basis_.size());
    const Index kept = k / 4;
    const auto chosen = [&](Index i) { return i < kept ? i : k - 2 * kept + i; };
    std::vector<Values> vectors(index(2 * kept), Values(index(size_)));
    // A few numbers of all vectors at a time stay in cache.
    constexpr Index at_once = 512;
    for (Index first = 0; first < size_; first += at_once) {
      const Index end = std::min(first + at_once, size_);
      for (Index i = 0; i < 2 * kept; ++i) {
        const double* factors = ritz.vector(chosen(i));
        for (Index j = 0; j < k; j += 4) {
          add_four(vectors[index(i)], &basis_[index(j)], factors + j, first, end);
        }
      }
    }
    basis_ = std::move(vectors);
    std::fill(projection_.begin(), projection_.end(), 0.0);
    couplings_.assign(index(2 * kept), 0.0);
    for (Index i = 0; i < 2 * kept; ++i) {
      projection(i, i) = ritz.value(chosen(i));
      couplings_[index(i)] = remaining_ * ritz.vector(chosen(i))[k - 1];
    }
  }

  void give_up() {
    for (Extreme* end : {&largest_, &smallest_}) {
      if (end->n_products == 0) *end = {nan, nan, n_products_};
    }
    // Only for the divisions that follow.
    next_.assign(index(size_), 0.0);
  }

  double& projection(Index i, Index j) { return projection_[index(j * capacity_ + i)]; }

  // The same numbers between -1 and 1 for every operator of this size (splitmix64).
  void draw() {
    for (double& entry : next_) {
      std::uint64_t z = seed_ += 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      entry = std::ldexp(static_cast<double>((z ^ (z >> 31)) >> 11), -52) - 1.0;
    }
  }

  std::unique_ptr<SymmetricOperator> matrix_;
  Index size_;
  Index capacity_;
  double tolerance_;
  std::int64_t max_products_;
  std::int64_t n_products_ = 0;
  std::uint64_t seed_ = 0;
  std::vector<Values> basis_;  // orthonormal
  Values projection_;          // (capacity, capacity)
  Values next_;                // orthogonal to the basis, of norm 1
  Values couplings_;           // <basis, A next>, as far as it is known before the product
  double remaining_ = 0.0;     // norm of what the last product had outside of the basis
  Extreme largest_{nan, nan, 0};
  Extreme smallest_{nan, nan, 0};
};

ExtremeSearch::ExtremeSearch(std::unique_ptr<SymmetricOperator> matrix, double tolerance,
                             std::int64_t max_products)
    : lanczos_(std::make_unique<Lanczos>(std::move(matrix), tolerance, max_products)) {}

ExtremeSearch::~ExtremeSearch() = default;

SymmetricOperator& ExtremeSearch::matrix() { return lanczos_->matrix(); }

bool ExtremeSearch::advance(bool largest, bool smallest, double seconds) {
  return lanczos_->advance(largest, smallest, seconds);
}

const Extreme& ExtremeSearch::largest() const { return lanczos_->found(true); }
const Extreme& ExtremeSearch::smallest() const { return lanczos_->found(false); }

}  // namespace dlnet
