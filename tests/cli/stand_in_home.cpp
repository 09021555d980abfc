// A home folder whose only engine is the stand-in for Firecracker, for tests of programs: its path is printed, and it
// is gone when standard input ends. A line of input sets the engine's knobs, with ';' between them, and is answered
// "ok".
#include "core/testing/stand_in_home.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>

int main() {
  const fireclaw::core::testing::StandInHome home;
  std::cout << home.home().native() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::ranges::replace(line, ';', '\n');
    home.set_knobs(line + "\n");
    std::cout << "ok" << std::endl;
  }
}
