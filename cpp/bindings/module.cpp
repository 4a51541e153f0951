// One extension module per instruction set: these bindings with the core compiled for it. In each
// of them the entry point of its own name is the one that Python calls.
#include "arrays.hpp"

namespace dlnet::bindings {

static void fill(py::module_& module, const char* isa) {
  module.attr("ISA") = isa;
  register_decompositions(module);
  register_losses(module);
  register_chain(module);
  register_curvature(module);
  register_descent(module);
  register_ensemble(module);
  register_flow(module);
  register_interruptions(module);
}

}  // namespace dlnet::bindings

PYBIND11_MODULE(_v2, module) { dlnet::bindings::fill(module, "v2"); }
PYBIND11_MODULE(_v3, module) { dlnet::bindings::fill(module, "v3"); }
PYBIND11_MODULE(_v4, module) { dlnet::bindings::fill(module, "v4"); }
PYBIND11_MODULE(_generic, module) { dlnet::bindings::fill(module, "generic"); }
