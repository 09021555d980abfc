#include "vmm/firecracker/driver.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace fireclaw::vmm::firecracker {
namespace {

const std::string cpuinfo =
    "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n"
    "model name\t: Intel(R) Xeon(R) @ 2.00GHz\nstepping\t: 8\nmicrocode\t: 0x1\ncpu MHz\t\t: 2000.152\n"
    "cache size\t: 107520 KB\nflags\t\t: fpu vme de\nbogomips\t: 4000.30\n\n"
    "processor\t: 1\nvendor_id\t: GenuineIntel\nflags\t\t: fpu\n\n";

std::string with(const std::string& what, const std::string& instead) {
  auto text = cpuinfo;
  text.replace(text.find(what), what.size(), instead);
  return text;
}

TEST_CASE("a processor is another one if a guest can tell, and the same at any clock rate") {
  const auto before = describe_cpu(cpuinfo);
  CHECK(before.starts_with("Intel(R) Xeon(R) @ 2.00GHz "));
  struct Row {
    std::string what;
    std::string instead;
    bool is_same;
  };
  for (const auto& row : std::vector<Row>{{"2000.152", "3100.000", true},
                                          {"4000.30", "4100.00", true},
                                          {"107520 KB", "1 KB", true},
                                          {"processor\t: 0", "processor\t: 3", true},
                                          {"processor\t: 1\nvendor_id\t: GenuineIntel", "processor\t: 1", true},
                                          {"GenuineIntel", "AuthenticAMD", false},
                                          {"family\t: 6", "family\t: 7", false},
                                          {"model\t\t: 143", "model\t\t: 144", false},
                                          {"2.00GHz", "2.10GHz", false},
                                          {"stepping\t: 8", "stepping\t: 9", false},
                                          {"0x1", "0x2", false},
                                          {"fpu vme de", "fpu vme", false}}) {
    CAPTURE(row.what);
    CHECK((describe_cpu(with(row.what, row.instead)) == before) == row.is_same);
  }
  CHECK(describe_cpu("").starts_with("unknown processor "));
  CHECK(describe_cpu("model name\t: ").starts_with(" "));
  CHECK(describe_cpu("Features\t: fp asimd\n") != describe_cpu("Features\t: fp\n"));
}

}  // namespace
}  // namespace fireclaw::vmm::firecracker
