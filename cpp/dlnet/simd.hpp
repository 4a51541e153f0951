// One vector register of the instruction set this translation unit is compiled for.
// GCC and Clang vector extensions, so that one kernel template serves x86-64-v2, v3, v4 and every
// other processor; nothing here knows about matrices.
#pragma once

#include <cmath>
#include <cstddef>

namespace dlnet {

#if defined(__AVX512F__)
inline constexpr std::size_t vector_bytes = 64;
inline constexpr int vector_registers = 32;
#elif defined(__AVX2__)
inline constexpr std::size_t vector_bytes = 32;
inline constexpr int vector_registers = 16;
#else
inline constexpr std::size_t vector_bytes = 16;
#if defined(__x86_64__)
inline constexpr int vector_registers = 16;
#else
inline constexpr int vector_registers = 32;
#endif
#endif

// On x86-64 processors without AVX2, from before 2013, kernels for small networks are worth less
// than the time that compiling them adds to an installation: the general ones do their work.
#if defined(__x86_64__) && !defined(__AVX2__)
inline constexpr bool has_small_kernels = false;
#else
inline constexpr bool has_small_kernels = true;
#endif

template <class Scalar>
struct Simd {
  typedef Scalar Vector __attribute__((vector_size(vector_bytes), may_alias));
};

template <class Scalar>
using Vector = typename Simd<Scalar>::Vector;

template <class Scalar>
inline constexpr std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(vector_bytes / sizeof(Scalar));

// The pointer must be aligned to vector_bytes, as every column of a padded Matrix is.
template <class Scalar>
inline Vector<Scalar> load(const Scalar* p) {
  return *reinterpret_cast<const Vector<Scalar>*>(p);
}

template <class Scalar>
inline void store(Scalar* p, Vector<Scalar> v) {
  *reinterpret_cast<Vector<Scalar>*>(p) = v;
}

// x in every lane.
template <class Scalar>
[[gnu::always_inline]] inline Vector<Scalar> broadcast(Scalar x) {
  return x - Vector<Scalar>{};
}

// sum += a * b, in place. Left to itself, GCC renames the sums of an unrolled loop from one turn to
// the next, until it runs out of registers and spills them. (With sanitizers it fuses no product,
// and kernels in lanes would round differently from this one.)
template <class Scalar>
[[gnu::always_inline]] inline void add_product(Vector<Scalar>& sum, Vector<Scalar> a,
                                               Vector<Scalar> b) {
#if defined(__FMA__) && !defined(__SANITIZE_ADDRESS__)
  if constexpr (sizeof(Scalar) == sizeof(double)) {
    asm("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  } else {
    asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  }
#else
  sum += a * b;
#endif
}

// A pointer of which the compiler knows nothing: it is added to as the code says, instead of taking
// registers for multiples of its stride.
template <class Scalar>
[[gnu::always_inline]] inline const Scalar* opaque(const Scalar* p) {
  asm("" : "+r"(p));
  return p;
}

inline float root(float x) { return std::sqrt(x); }
inline double root(double x) { return std::sqrt(x); }
template <class V>
V root(V x) {
  for (std::size_t l = 0; l < sizeof(V) / sizeof(x[0]); ++l) x[l] = std::sqrt(x[l]);
  return x;
}

// Whether a comparison of vectors holds in any lane.
template <class Mask>
bool any(Mask mask) {
  bool found = false;
  for (std::size_t l = 0; l < sizeof(Mask) / sizeof(mask[0]); ++l) found |= mask[l] != 0;
  return found;
}

// As many entries as a vector holds doubles, converted. GCC takes vectors wider than a register
// apart entry by entry, so a vector of floats is converted in halves.
template <class Scalar>
inline Vector<double> load_doubles(const Scalar* p) {
  typedef Scalar Narrow __attribute__((vector_size(lanes<double> * sizeof(Scalar)), may_alias));
  return __builtin_convertvector(*reinterpret_cast<const Narrow*>(p), Vector<double>);
}

}  // namespace dlnet
