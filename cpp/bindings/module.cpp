// One extension module per instruction set, from the same sources: see CMakeLists.txt.
#include "arrays.hpp"

PYBIND11_MODULE(DLNET_MODULE, module) {
  using namespace dlnet::bindings;
  module.attr("ISA") = DLNET_ISA;
  register_decompositions(module);
  register_losses(module);
  register_chain(module);
  register_descent(module);
  register_ensemble(module);
  register_interruptions(module);
}
