// Whatever an OCI image's configuration holds, it is read or refused, and what is read can be used to run commands.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fuzz/oci_layout.hpp"

using namespace fireclaw;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::OciLayout layout;
  const std::string_view config{reinterpret_cast<const char*>(data), size};
  const std::string manifest = layout.manifest(config, "");
  layout.index(fmt::format(R"({{"schemaVersion": 2, "manifests": [{}]}})", manifest));
  const auto image = layout.read();
  layout.remove_blobs();
  if (!image) return 0;
  require(image->layers.empty(), "there are the layers that the manifest has");
  require(manifest.find(image->manifest_digest) != std::string::npos, "the manifest is the one that the index names");
  for (const auto& [name, value] : image->defaults.env) {
    require(!name.empty() && name.find('=') == std::string::npos, "a variable has a name");
  }
  require(image->defaults.cwd.empty() || image->defaults.cwd.front() == '/', "a working directory is absolute");
  return 0;
}
