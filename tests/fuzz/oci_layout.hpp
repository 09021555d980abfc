// An OCI layout that fuzzers put their input into, on disk since that is where layouts are read from.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "fuzz/require.hpp"
#include "image/roots/oci.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::fuzz {

class OciLayout {
 public:
  OciLayout() { sys::make_directories(blobs_); }

  /// Writes a blob and returns its descriptor.
  [[nodiscard]] std::string blob(std::string_view content, std::string_view type) const {
    const auto hex = sys::sha256_hex(content);
    sys::replace_file(blobs_ / hex, content);
    return fmt::format(R"({{"mediaType": "application/vnd.oci.image.{}", "digest": "sha256:{}", "size": {}}})", type,
                       hex, content.size());
  }
  [[nodiscard]] std::string manifest(std::string_view config, std::string_view layers) const {
    return blob(
        fmt::format(R"({{"schemaVersion": 2, "config": {}, "layers": [{}]}})", blob(config, "config.v1+json"), layers),
        "manifest.v1+json");
  }
  void index(std::string_view content) const { sys::replace_file(folder_.path() / "index.json", content); }

  /// Blobs of earlier inputs would come to hundreds of thousands of files.
  void remove_blobs() const {
    sys::remove_tree(blobs_);
    sys::make_directories(blobs_);
  }

  /// What is read of it; nothing if it is refused, which is the layout's fault.
  [[nodiscard]] std::optional<image::OciImage> read() const {
    try {
      return image::read_oci_layout(folder_.path(), "");
    } catch (const Error& error) {
      require(error.code() == ErrorCode::Corrupt || error.code() == ErrorCode::NotFound ||
                  error.code() == ErrorCode::Unsupported,
              "a refusal says that it is the layout's fault");
      return std::nullopt;
    }
  }

 private:
  sys::TempDir folder_{std::filesystem::temp_directory_path(), "fireclaw-fuzz-"};
  std::filesystem::path blobs_ = folder_.path() / "blobs" / "sha256";
};

}  // namespace fireclaw::fuzz
