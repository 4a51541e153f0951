// Runs the test named on the command line.
#include <iostream>
#include <map>
#include <string>

namespace dlnet::tests {
void test_gemm();
void test_sparse();
void test_pass();
void test_losses();
void test_hessian();
void test_descent();
void test_ensemble();
void test_allocation();
void test_spectrum();
}  // namespace dlnet::tests

int main(int argc, char** argv) {
  using namespace dlnet::tests;
  const std::map<std::string, void (*)()> tests = {
      {"gemm", &test_gemm},         {"sparse", &test_sparse},         {"pass", &test_pass},
      {"losses", &test_losses},     {"hessian", &test_hessian},       {"descent", &test_descent},
      {"ensemble", &test_ensemble}, {"allocation", &test_allocation}, {"spectrum", &test_spectrum}};
  const auto test = argc == 2 ? tests.find(argv[1]) : tests.end();
  if (test == tests.end()) {
    std::cerr << "expected the name of a test\n";
    return 2;
  }
  test->second();
}
