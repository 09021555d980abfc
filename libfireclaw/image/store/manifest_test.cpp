#include "image/store/manifest.hpp"

#include <doctest/doctest.h>

#include "image/testing/craft.hpp"
#include "sys/file.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::put;

namespace {

Manifest sample() {
  Manifest manifest;
  manifest.name = "tools";
  manifest.kernel = {KernelFormat::Elf, VirtioBus::Mmio, "6.1.0", std::string(64, 'a'), "linux \"6.1\""};
  manifest.kernel_file = {std::string(64, 'a'), 17443152};
  manifest.initramfs = {std::string(64, 'b'), 1024};
  manifest.rootfs = {std::string(64, 'c'), std::uint64_t{5} << 32};
  manifest.rootfs_type = "squashfs";
  manifest.guestd_version = "0.1.0";
  manifest.source = "oci:dir:tag";
  manifest.defaults = {{{"PATH", "/bin"}, {"EMPTY", ""}, {"A", "b=c"}}, "/srv", "1000:50", {"/entry", "--flag"}};
  manifest.created = std::chrono::sys_seconds{std::chrono::seconds{1700000000}};
  manifest.digest = combined_digest(manifest.kernel_file, manifest.initramfs, manifest.rootfs);
  return manifest;
}

struct OnDisk {
  sys::TempDir folder = image::testing::temp_dir();
  std::filesystem::path path = folder.path() / "manifest.json";

  std::pair<ErrorCode, std::string> refusal(std::string_view text) {
    put(path, text);
    return error_of([&] { read_manifest(path); });
  }
  std::string refusal_with(std::string_view from, std::string_view to) {
    std::string text = to_json(sample());
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    const auto [code, message] = refusal(text);
    CHECK(code == ErrorCode::Corrupt);
    CHECK(message.find(path.string()) != std::string::npos);
    return message;
  }
};

}  // namespace

TEST_CASE("a manifest comes back from disk as it was") {
  OnDisk disk;
  put(disk.path, to_json(sample()));
  CHECK(read_manifest(disk.path) == sample());
}

TEST_CASE("a manifest of an earlier version does not say which part of the command is the entrypoint") {
  OnDisk disk;
  Manifest manifest = sample();
  manifest.defaults.entrypoint_words = 1;
  std::string text = to_json(manifest);
  put(disk.path, text);
  CHECK(read_manifest(disk.path).defaults.entrypoint_words == 1);
  const std::string_view field = ",\n    \"entrypoint_words\": 1";
  const std::size_t at = text.find(field);
  REQUIRE(at != std::string::npos);
  put(disk.path, text.erase(at, field.size()));
  CHECK(read_manifest(disk.path).defaults.entrypoint_words == 0);
  CHECK(disk.refusal_with("\"entrypoint_words\": 0", "\"entrypoint_words\": 9").find("entrypoint_words") !=
        std::string::npos);
}

TEST_CASE("a torn manifest is reported with its path") {
  OnDisk disk;
  const std::string text = to_json(sample());
  for (std::size_t length = 0; length + 2 < text.size(); length += 5) {
    const auto [code, message] = disk.refusal(text.substr(0, length));
    REQUIRE(code == ErrorCode::Corrupt);
    REQUIRE(message.find(disk.path.string()) != std::string::npos);
  }
}

TEST_CASE("a manifest from another version says so before anything else") {
  OnDisk disk;
  CHECK(disk.refusal(R"({"schema": 2, "entirely": "different"})").second.find("made by a newer fireclaw") !=
        std::string::npos);
  CHECK(disk.refusal(R"({"schema": 0})").second.find("unknown schema 0") != std::string::npos);
  CHECK(disk.refusal(R"({"name": "x"})").second.find("schema") != std::string::npos);
  CHECK(disk.refusal("[]").first == ErrorCode::Corrupt);
}

TEST_CASE("every field is checked, and the error names it") {
  OnDisk disk;
  CHECK(disk.refusal_with("\"elf\"", "\"pe\"").find("kernel.format") != std::string::npos);
  CHECK(disk.refusal_with("\"mmio\"", "\"isa\"").find("kernel.bus") != std::string::npos);
  CHECK(disk.refusal_with("\"squashfs\"", "\"ntfs\"").find("rootfs_type") != std::string::npos);
  CHECK(disk.refusal_with("\"tools\"", "\"\"").find("name") != std::string::npos);
  CHECK(disk.refusal_with("\"tools\"", "7").find("name") != std::string::npos);
  CHECK(disk.refusal_with("17443152", "-1").find("files.kernel.bytes") != std::string::npos);
  CHECK(disk.refusal_with("\"EMPTY=\"", "\"=x\"").find("defaults.env[1]") != std::string::npos);
  CHECK(disk.refusal_with(std::string(64, 'b'), std::string(63, 'b')).find("files.initramfs.sha256") !=
        std::string::npos);
  CHECK(disk.refusal_with("\"source\": \"oci", "\"extra\": 1, \"source\": \"oci").find("extra") != std::string::npos);
}

TEST_CASE("a digest that does not belong to the files is found out") {
  OnDisk disk;
  CHECK(disk.refusal_with(std::string(64, 'c'), std::string(64, 'd')).find("digest") != std::string::npos);
  // Of the two that are the kernel's, the first.
  CHECK(disk.refusal_with(std::string(64, 'a'), std::string(64, 'd')).find("digest") != std::string::npos);
}

TEST_CASE("an image's digest depends on its files alone") {
  const Manifest a = sample();
  const std::string digest = combined_digest(a.kernel_file, a.initramfs, a.rootfs);
  CHECK(digest != combined_digest(a.kernel_file, a.rootfs, a.initramfs));
  FileInfo other = a.rootfs;
  other.sha256[0] = 'd';
  CHECK(digest != combined_digest(a.kernel_file, a.initramfs, other));
}
