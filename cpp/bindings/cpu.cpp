// The instruction sets of this processor, asked for without any of them. Plain C API and plain
// x86-64, so that it can be imported everywhere.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#include <initializer_list>

namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

bool has(unsigned word, std::initializer_list<int> bits) {
  for (int bit : bits) {
    if ((word >> bit & 1u) == 0) return false;
  }
  return true;
}

// What the operating system saves on a context switch.
std::uint64_t saved_state() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<std::uint64_t>(high) << 32 | low;
}

// The levels of the x86-64 psABI; every feature that the compiler may use at a level is checked.
int level() {
  const Registers one = cpuid(1, 0);
  const Registers seven = cpuid(7, 0);
  const Registers extended = cpuid(0x80000001u, 0);
  // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF
  if (!has(one.ecx, {0, 9, 13, 19, 20, 23}) || !has(extended.ecx, {0})) return 1;
  // FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; XMM and YMM saved
  if (!has(one.ecx, {12, 22, 27, 28, 29}) || !has(seven.ebx, {3, 5, 8}) ||
      !has(extended.ecx, {5}) || (saved_state() & 0x6) != 0x6) {
    return 2;
  }
  // AVX512 F, DQ, CD, BW, VL; masks and ZMM saved
  if (!has(seven.ebx, {16, 17, 28, 30, 31}) || (saved_state() & 0xe6) != 0xe6) return 3;
  return 4;
}

}  // namespace
#else
namespace {
int level() { return 0; }
}  // namespace
#endif

namespace {

PyObject* x86_64_level(PyObject*, PyObject*) { return PyLong_FromLong(level()); }

PyMethodDef methods[] = {{"x86_64_level", x86_64_level, METH_NOARGS,
                          "The x86-64 level of this processor, 1 to 4; 0 on other processors."},
                         {nullptr, nullptr, 0, nullptr}};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_cpu", nullptr, 0, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__cpu() { return PyModule_Create(&module); }
