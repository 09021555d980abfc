// fireclaw-netd is started by the library, never by people: it keeps the network of a user without rights to the
// host's, and leads published ports into machines. See hold.hpp and forward.hpp.

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "forward.hpp"
#include "hold.hpp"

int main(int argc, char** argv) {
  const std::vector<std::string> words{argv + 1, argv + argc};
  try {
    if (!words.empty() && words[0] == "hold") return fireclaw::netd::hold({words.begin() + 1, words.end()});
    if (!words.empty() && words[0] == "forward") return fireclaw::netd::forward({words.begin() + 1, words.end()});
    std::fputs("fireclaw-netd: a part of libfireclaw, which starts it\n", stderr);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "fireclaw-netd: %s\n", problem.what());
  }
  return 2;
}
