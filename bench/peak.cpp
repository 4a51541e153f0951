// The most multiply-adds that one core does: vectors of the widest kind, in registers only, enough
// of them to hide the latency.

#include <cstdint>

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
constexpr int n_accumulators = 24;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
constexpr int n_accumulators = 12;
#elif defined(__aarch64__)
constexpr int vector_bytes = 16;
constexpr int n_accumulators = 24;
#else
constexpr int vector_bytes = 16;
constexpr int n_accumulators = 12;
#endif

namespace {

// Returns a value that depends on every operation and starts from one that the compiler does not
// know, so that none can be left out.
template <typename Scalar>
double multiply_add(std::int64_t n_rounds, double start) {
  typedef Scalar Vector __attribute__((vector_size(vector_bytes)));
  constexpr int lanes = vector_bytes / sizeof(Scalar);
  const Vector factor = Vector{} + Scalar(0.999999);
  const Vector term = Vector{} + Scalar(1e-6);
  Vector accumulators[n_accumulators];
  for (int j = 0; j < n_accumulators; ++j) accumulators[j] = Vector{} + Scalar(start + j);
  for (std::int64_t i = 0; i < n_rounds; ++i) {
#pragma GCC unroll 32
    for (int j = 0; j < n_accumulators; ++j) accumulators[j] = accumulators[j] * factor + term;
  }
  double sum = 0;
  for (const Vector& accumulator : accumulators) {
    for (int k = 0; k < lanes; ++k) sum += double(accumulator[k]);
  }
  return sum;
}

}  // namespace

extern "C" {

std::int64_t operations_float64() { return 2 * n_accumulators * vector_bytes / 8; }
std::int64_t operations_float32() { return 2 * n_accumulators * vector_bytes / 4; }
double multiply_add_float64(std::int64_t n_rounds, double start) {
  return multiply_add<double>(n_rounds, start);
}
double multiply_add_float32(std::int64_t n_rounds, double start) {
  return multiply_add<float>(n_rounds, start);
}
}
