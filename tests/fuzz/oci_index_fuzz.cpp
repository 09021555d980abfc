// Whatever an OCI layout's index holds, no file outside of its blobs is read, and an image that is found is one that is
// there. In the input, @1, @2 and @3 stand for the descriptors of an image, of an image for another platform, and of an
// index of both.
#include <array>
#include <cstddef>
#include <cstdint>

#include "fuzz/oci_layout.hpp"

using namespace fireclaw;
using fuzz::require;

namespace {

struct World {
  fuzz::OciLayout layout;
  std::string here = layout.manifest(R"({"os": "linux", "architecture": "amd64"})", "");
  std::string elsewhere = layout.manifest(R"({"os": "linux", "architecture": "arm64"})", "");
  std::string both =
      layout.blob(fmt::format(R"({{"schemaVersion": 2, "manifests": [{}, {}]}})", elsewhere, here), "index.v1+json");
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  std::string index;
  for (std::size_t i = 0; i < size; ++i) {
    const char c = static_cast<char>(data[i]);
    const std::array descriptors{&world.here, &world.elsewhere, &world.both};
    if (c == '@' && i + 1 < size && data[i + 1] >= '1' && data[i + 1] <= '3') {
      index += *descriptors.at(data[++i] - std::size_t{'1'});
    } else {
      index += c;
    }
  }
  world.layout.index(index);
  const auto image = world.layout.read();
  if (!image) return 0;
  require(world.here.find(image->manifest_digest) != std::string::npos, "an image is found that runs here");
  return 0;
}
