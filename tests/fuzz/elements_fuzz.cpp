// What nft lists of the sets: whatever it is, reading it ends with machines or with an Error, and a machine is one that
// an element was added for.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fireclaw/error.hpp"
#include "fuzz/require.hpp"
#include "net/firewall/elements.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fireclaw;
  try {
    const auto elements = net::read_elements({reinterpret_cast<const char*>(data), size});
    for (const auto& vm : net::vms_of(elements)) {
      const bool added =
          std::ranges::any_of(elements, [&](const net::Element& element) { return element.owner == vm.address; });
      fuzz::require(added, "a machine has an element");
    }
  } catch (const Error& error) {
    fuzz::require(error.code() == ErrorCode::Corrupt || error.code() == ErrorCode::InvalidArgument,
                  "a refusal says that it is the list's fault");
  }
  return 0;
}
