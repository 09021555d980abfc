#include "core/moving/bundle.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "image/archives/tar.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

using sys::testing::code_of;
using sys::testing::FileCalls;

constexpr std::uint64_t longest_text = std::uint64_t{4} << 20;

image::Node node_of(std::string content) {
  image::Node node;
  node.type = image::NodeType::File;
  node.bytes = content.size();
  node.content = std::move(content);
  return node;
}

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "bundle-test-"};
  image::Tools tools{{}, {}, folder.path(), {}};
  std::filesystem::path archive = folder.path() / "archive";

  [[nodiscard]] Bundle read() const {
    const auto file = sys::open_file(archive, O_RDONLY);
    const sys::TempDir scratch{folder.path(), "scratch-"};
    return Bundle{file.get(), scratch.path(), "thing", {"one", "two"}, tools};
  }
  void write(const std::map<std::string, BundleContent>& files) const {
    const auto file = sys::open_file(archive, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    write_bundle("thing", files, file.get(), {});
  }
  /// An archive as somebody else makes it: this tree, and a manifest that says this.
  void forge(image::Tree tree, const BundleManifest& manifest, bool keep_holes = false) const {
    tree.add("manifest.json", node_of(json::record_text(manifest)));
    write_plain(tree, keep_holes);
  }
  void write_plain(const image::Tree& tree, bool keep_holes = false) const {
    std::string bytes;
    image::TarOptions options;
    options.keep_holes = keep_holes;
    image::write_tar(
        tree, [&](std::string_view piece) { bytes += piece; }, {}, options);
    sys::replace_file(archive, bytes);
  }
  /// What an honest archive of "one", which says "content", is made of.
  static image::Tree honest_tree() {
    image::Tree tree;
    tree.add("one", node_of("content"));
    return tree;
  }
  static BundleManifest honest_manifest() {
    auto manifest = new_manifest("thing");
    manifest.files.push_back({"one", 7, sys::sha256_hex("content")});
    return manifest;
  }
};

TEST_CASE_FIXTURE(Fixture, "what is packed comes out as it was, and is on disk before it counts") {
  const auto disk = folder.path() / "disk";
  {
    const auto file = sys::open_file(disk, O_RDWR | O_CREAT);
    REQUIRE(::pwrite(file.get(), "end", 3, 1 << 20) == 3);
  }
  write({{"one", std::string{"text"}}, {"two", disk}});
  const auto file = std::make_shared<const sys::Fd>(sys::open_file(archive, O_RDONLY));
  const auto packed = image::read_tar(file, "it", image::SparseMembers::Read);
  CHECK(packed.size() == 3);
  for (const auto& entry : packed) {
    CAPTURE(entry.path);
    CHECK(entry.node.mode == 0600);
  }
  const auto bundle = read();
  CHECK(bundle.has("one"));
  CHECK_FALSE(bundle.has("three"));
  CHECK(bundle.text("one") == "text");
  CHECK(bundle.bytes("two") == (1 << 20) + 3);
  CHECK(code_of([&] { static_cast<void>(bundle.text("three")); }) == ErrorCode::Corrupt);
  const auto target = folder.path() / "out";
  {
    const FileCalls calls{folder.path()};
    bundle.extract("two", target, {});
    const auto lines = calls.lines_with({"out"});
    REQUIRE_FALSE(lines.empty());
    CHECK(lines.back() == "sync out");
  }
  CHECK(sys::read_file(target) == sys::read_file(disk));
  CHECK(sys::allocated_bytes(target) < (1 << 20));
  CHECK(code_of([&] { bundle.extract("two", target, {}); }) == ErrorCode::AlreadyExists);
}

TEST_CASE_FIXTURE(Fixture, "an archive is believed in nothing") {
  struct Row {
    const char* what;
    std::function<void(image::Tree& tree, BundleManifest& manifest)> change;
    ErrorCode code;
  };
  const std::vector<Row> rows{
      {"another kind", [](auto&, auto& manifest) { manifest.kind = "other"; }, ErrorCode::InvalidArgument},
      {"a file that nobody asks for", [](auto& tree, auto&) { tree.add("three", node_of("x")); },
       ErrorCode::InvalidArgument},
      {"a file that its manifest does not name", [](auto& tree, auto&) { tree.add("two", node_of("x")); },
       ErrorCode::InvalidArgument},
      {"a link", [](auto& tree, auto&) { tree.symlink("two", "/etc/passwd"); }, ErrorCode::InvalidArgument},
      {"a second name", [](auto& tree, auto&) { tree.link("two", "one"); }, ErrorCode::InvalidArgument},
      {"a folder", [](auto& tree, auto&) { tree.directory("two"); }, ErrorCode::InvalidArgument},
      {"a file that is not there",
       [](auto&, auto& manifest) {
         manifest.files.push_back({"two", 0, sys::sha256_hex("")});
       },
       ErrorCode::Corrupt},
      {"a file that its manifest names twice",
       [](auto&, auto& manifest) { manifest.files.push_back(manifest.files.front()); }, ErrorCode::Corrupt},
      {"a file of another length", [](auto&, auto& manifest) { manifest.files.front().bytes = 8; }, ErrorCode::Corrupt},
  };
  for (const auto& [what, change, code] : rows) {
    CAPTURE(what);
    auto tree = honest_tree();
    auto manifest = honest_manifest();
    change(tree, manifest);
    forge(std::move(tree), manifest);
    CHECK(code_of([&] { static_cast<void>(read()); }) == code);
  }
  forge(honest_tree(), honest_manifest());
  CHECK(read().text("one") == "content");
  write_plain(honest_tree());
  CHECK(code_of([&] { static_cast<void>(read()); }) == ErrorCode::InvalidArgument);
}

TEST_CASE_FIXTURE(Fixture, "a file that is there twice is refused") {
  forge(honest_tree(), honest_manifest());
  const auto whole = sys::read_file(archive);
  // The first member, header and content.
  sys::replace_file(archive, whole.substr(0, 1024) + whole);
  CHECK(code_of([&] { static_cast<void>(read()); }) == ErrorCode::InvalidArgument);
}

TEST_CASE_FIXTURE(Fixture, "content of another digest is damage, whichever way it is taken out") {
  auto manifest = honest_manifest();
  manifest.files.front().sha256 = sys::sha256_hex("another");
  forge(honest_tree(), manifest);
  const auto bundle = read();
  CHECK(code_of([&] { static_cast<void>(bundle.text("one")); }) == ErrorCode::Corrupt);
  CHECK(code_of([&] { bundle.extract("one", folder.path() / "out", {}); }) == ErrorCode::Corrupt);
}

TEST_CASE_FIXTURE(Fixture, "texts and files are as long as they may be, and no longer") {
  write({{"one", std::string(longest_text, 'x')}});
  CHECK(read().text("one").size() == longest_text);
  write({{"one", std::string(longest_text + 1, 'x')}});
  CHECK(code_of([&] { static_cast<void>(read().text("one")); }) == ErrorCode::Corrupt);
  // With a hole it could be far longer than it is in the archive.
  const auto sparse = folder.path() / "sparse";
  REQUIRE(::ftruncate(sys::open_file(sparse, O_RDWR | O_CREAT).get(), 1 << 20) == 0);
  write({{"one", sparse}});
  CHECK(code_of([&] { static_cast<void>(read().text("one")); }) == ErrorCode::Corrupt);

  auto manifest = honest_manifest();
  manifest.made_by.assign(longest_text, 'x');
  forge(honest_tree(), manifest);
  CHECK(code_of([&] { static_cast<void>(read()); }) == ErrorCode::InvalidArgument);

  constexpr std::uint64_t most = std::uint64_t{1} << 40;
  REQUIRE(::truncate(sparse.c_str(), static_cast<off_t>(most + 4096)) == 0);
  CHECK(code_of([&] { write({{"one", sparse}}); }) == ErrorCode::InvalidArgument);
  image::Tree tree;
  auto node = node_of({});
  node.bytes = most + 4096;
  node.content = image::HostFile{sparse};
  tree.add("one", std::move(node));
  manifest = new_manifest("thing");
  manifest.files.push_back({"one", most + 4096, sys::sha256_hex("")});
  forge(std::move(tree), manifest, true);
  CHECK(code_of([&] { static_cast<void>(read()); }) == ErrorCode::Corrupt);
}

TEST_CASE_FIXTURE(Fixture, "packing and unpacking can be stopped") {
  write({{"one", std::string{"text"}}});
  const auto bundle = read();
  std::stop_source stop;
  stop.request_stop();
  CHECK(code_of([&] { bundle.extract("one", folder.path() / "out", stop.get_token()); }) == ErrorCode::Cancelled);
  CHECK(code_of([&] { static_cast<void>(describe_file("one", archive, stop.get_token())); }) == ErrorCode::Cancelled);
}

}  // namespace
}  // namespace fireclaw::core
