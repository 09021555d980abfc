#include "image/roots/oci.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include "image/archives/compression.hpp"
#include "image/roots/rootfs.hpp"
#include "image/testing/craft.hpp"
#include "sys/digest.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::put;

namespace {

/// A layout written by hand.
struct Layout {
  sys::TempDir folder = image::testing::temp_dir();
  std::filesystem::path path = folder.path() / "layout";
  Tools tools = image::testing::make_tools(folder.path());
  RootContext context{tools, Logger{}, {}, {}, {}};

  [[nodiscard]] std::string descriptor(std::string_view type, std::string_view content,
                                       std::string_view more = "") const {
    const std::string hex = sys::sha256_hex(content);
    put(path / "blobs" / "sha256" / hex, content);
    return fmt::format(R"({{"mediaType": "application/vnd.oci.image.{}", "digest": "sha256:{}", "size": {}{}}})", type,
                       hex, content.size(), more);
  }
  [[nodiscard]] std::string manifest(const std::vector<Tree>& layers, std::string_view config,
                                     std::string_view more = "") const {
    std::string list;
    for (const Tree& layer : layers) {
      std::string tar;
      write_tar(layer, [&](std::string_view piece) { tar += piece; });
      list += (list.empty() ? "" : ", ") +
              descriptor("layer.v1.tar+gzip", image::testing::filter({"gzip", "-c"}, tar, tools));
    }
    return descriptor("manifest.v1+json",
                      fmt::format(R"({{"schemaVersion": 2, "config": {}, "layers": [{}]}})",
                                  descriptor("config.v1+json", config), list),
                      more);
  }
  void index(std::string_view manifests) const {
    put(path / "index.json", fmt::format(R"({{"schemaVersion": 2, "manifests": [{}]}})", manifests));
  }
  static std::string tag(std::string_view name) {
    return fmt::format(R"(, "annotations": {{"org.opencontainers.image.ref.name": "{}"}})", name);
  }
};

constexpr std::string_view plain_config = R"({"architecture": "amd64", "os": "linux"})";

Tree layer_with(const std::string& path) {
  Tree tree;
  tree.file(path, 0644, path);
  return tree;
}

std::vector<std::string> paths(const Tree& tree) {
  std::vector<std::string> result;
  for (const auto& [path, node] : tree.nodes()) result.push_back(path);
  return result;
}

std::vector<TarEntry> entries_of(const Tree& tree) {
  std::string tar;
  write_tar(tree, [&](std::string_view piece) { tar += piece; });
  return read_tar(image::testing::memory_file(tar), "layer");
}

using Paths = std::vector<std::string>;

}  // namespace

TEST_CASE("a layer's whiteouts hide what is below, never what the layer itself brings") {
  Tree tree;
  for (const char* path : {"a/keep", "a/drop", "b/old", "b/sub/old", "c"}) tree.file(path, 0644, "");
  Tree upper;
  // In an order in which the opaque mark comes after what it must not hide.
  upper.file("a/.wh.drop", 0644, "");
  upper.file("b/.new", 0644, "");
  upper.file("b/.wh..wh..opq", 0644, "");
  upper.file("b/sub/new", 0644, "");
  upper.file(".wh.c", 0644, "");
  upper.file("a/.wh.never-there", 0644, "");
  apply_layer(tree, entries_of(upper));
  CHECK(paths(tree) == Paths{"", "a", "a/keep", "b", "b/.new", "b/sub", "b/sub/new"});
}

TEST_CASE("a layer that replaces a folder by a file, or the other way, leaves no mixture") {
  Tree tree;
  tree.file("was-folder/x", 0644, "");
  tree.file("was-file", 0644, "");
  Tree upper;
  upper.file("was-folder", 0644, "");
  upper.directory("was-file");
  upper.file("was-file/y", 0644, "");
  apply_layer(tree, entries_of(upper));
  CHECK(paths(tree) == Paths{"", "was-file", "was-file/y", "was-folder"});
}

TEST_CASE("an image's layers and configuration are read from a layout") {
  Layout layout;
  Tree second = layer_with("etc/second");
  second.file("etc/.wh.first", 0644, "");
  layout.index(layout.manifest({layer_with("etc/first"), second},
                               R"({"architecture": "amd64", "os": "linux", "config": {
        "Env": ["PATH=/bin", "A=b=c"], "WorkingDir": "/srv", "User": "app:50",
        "Entrypoint": ["/entry"], "Cmd": ["--flag"], "Labels": {"x": "y"}}})"));
  const LoadedRoot root = read_oci(Oci{"oci:" + layout.path.string()}, layout.context);
  CHECK(paths(root.tree) == Paths{"", "etc", "etc/second", "srv"});
  CHECK(root.defaults == RunDefaults{{{"PATH", "/bin"}, {"A", "b=c"}}, "/srv", "app:50", {"/entry", "--flag"}, 1});
  CHECK(root.source.find("oci:" + layout.path.string() + "@sha256:") == 0);
}

TEST_CASE("a tag chooses among several images, and without one the error lists the tags") {
  Layout layout;
  layout.index(layout.manifest({layer_with("one")}, plain_config, Layout::tag("v1")) + ", " +
               layout.manifest({layer_with("two")}, plain_config, Layout::tag("v2")));
  const std::string base = "oci:" + layout.path.string();
  CHECK(paths(read_oci(Oci{base + ":v2"}, layout.context).tree) == Paths{"", "two"});
  const auto [code, text] = error_of([&] { read_oci_layout(layout.path, ""); });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text.find("(v1, v2)") != std::string::npos);
  CHECK(error_of([&] { read_oci_layout(layout.path, "v3"); }).second.find("has no image 'v3'; it has: v1, v2") !=
        std::string::npos);
}

TEST_CASE("a tag can be a whole reference, with colons") {
  for (const auto& [tag, root] : {std::pair{"example.org:5000/tools:v1", "one"}, {"v1", "two"}}) {
    CAPTURE(tag);
    Layout layout;
    layout.index(layout.manifest({layer_with("one")}, plain_config, Layout::tag("example.org:5000/tools:v1")) + ", " +
                 layout.manifest({layer_with("two")}, plain_config, Layout::tag("v1")));
    CHECK(paths(read_oci(Oci{fmt::format("oci:{}:{}", layout.path.string(), tag)}, layout.context).tree) ==
          Paths{"", root});
  }
}

TEST_CASE("among several platforms linux/amd64 is taken, and another alone is not supported") {
  Layout layout;
  const std::string arm = R"(, "platform": {"os": "linux", "architecture": "arm64"})";
  const std::string amd = R"(, "platform": {"os": "linux", "architecture": "amd64"})";
  const std::string for_arm = layout.manifest({layer_with("arm")}, R"({"architecture": "arm64", "os": "linux"})", arm);
  const std::string for_amd = layout.manifest({layer_with("amd")}, plain_config, amd);
  layout.index(layout.descriptor("index.v1+json", fmt::format(R"({{"manifests": [{}, {}]}})", for_arm, for_amd)));
  CHECK(paths(read_oci(Oci{"oci:" + layout.path.string()}, layout.context).tree) == Paths{"", "amd"});
  layout.index(layout.descriptor("index.v1+json", fmt::format(R"({{"manifests": [{}]}})", for_arm)));
  CHECK(error_of([&] { read_oci_layout(layout.path, ""); }).first == ErrorCode::Unsupported);
  layout.index(for_arm);
  const auto [code, text] = error_of([&] { read_oci_layout(layout.path, ""); });
  CHECK(code == ErrorCode::Unsupported);
  CHECK(text.find("linux/arm64") != std::string::npos);
}

TEST_CASE("an index without platforms gives the image whose configuration is for linux/amd64") {
  Layout layout;
  const std::string for_arm = layout.manifest({layer_with("arm")}, R"({"architecture": "arm64", "os": "linux"})");
  const std::string for_amd = layout.manifest({layer_with("amd")}, plain_config);
  layout.index(layout.descriptor("index.v1+json", fmt::format(R"({{"manifests": [{}, {}]}})", for_arm, for_amd)));
  CHECK(paths(read_oci(Oci{"oci:" + layout.path.string()}, layout.context).tree) == Paths{"", "amd"});
  layout.index(layout.descriptor("index.v1+json", fmt::format(R"({{"manifests": [{}]}})", for_arm)));
  CHECK(error_of([&] { read_oci_layout(layout.path, ""); }).first == ErrorCode::Unsupported);
}

TEST_CASE("a working directory that no layer brings is made, also behind a link") {
  Tree layer = layer_with("srv/data/file");
  layer.symlink("app", "srv");
  const auto root_for = [&](std::string_view cwd) {
    const Layout layout;
    layout.index(layout.manifest({layer}, fmt::format(R"({{"architecture": "amd64", "os": "linux",
        "config": {{"WorkingDir": "{}"}}}})",
                                                      cwd)));
    return read_oci(Oci{"oci:" + layout.path.string()}, layout.context);
  };
  const LoadedRoot made = root_for("/app/not/there");
  REQUIRE(made.tree.find("srv/not/there"));
  CHECK(made.tree.find("srv/not/there")->mode == 0755);
  CHECK(made.tree.find("srv/not/there")->uid == 0);
  CHECK(paths(root_for("/app/data").tree) == Paths{"", "app", "srv", "srv/data", "srv/data/file"});
  CHECK(root_for("relative").defaults.cwd == "/relative");
}

TEST_CASE("a working directory is made plain, and of a variable that is there twice the last counts") {
  const Layout layout;
  layout.index(layout.manifest({layer_with("srv/file")}, R"({"architecture": "amd64", "os": "linux", "config": {
        "WorkingDir": "/tmp/../../srv/./data", "Env": ["A=1", "B=2", "A=3", "NONE", "=x"]}})"));
  const LoadedRoot root = read_oci(Oci{"oci:" + layout.path.string()}, layout.context);
  CHECK(root.defaults.cwd == "/srv/data");
  CHECK(paths(root.tree) == Paths{"", "srv", "srv/data", "srv/file"});
  CHECK(root.defaults.env == std::vector<std::pair<std::string, std::string>>{{"B", "2"}, {"A", "3"}});
}

TEST_CASE("a layer of no bytes has no members") {
  const Layout layout;
  layout.index(layout.descriptor(
      "manifest.v1+json",
      fmt::format(R"({{"schemaVersion": 2, "config": {}, "layers": [{}]}})",
                  layout.descriptor("config.v1+json", plain_config), layout.descriptor("layer.v1.tar", ""))));
  CHECK(paths(read_oci(Oci{"oci:" + layout.path.string()}, layout.context).tree) == Paths{""});
}

TEST_CASE("a whiteout that names nothing is refused, and removes nothing") {
  for (const char* name : {"a/.wh.", "a/.wh..", "a/.wh...", ".wh."}) {
    CAPTURE(name);
    Tree tree = layer_with("a/kept");
    Tree upper;
    upper.file(name, 0644, "");
    CHECK(error_of([&] { apply_layer(tree, entries_of(upper)); }).first == ErrorCode::Corrupt);
    CHECK(tree.find("a/kept"));
  }
}

TEST_CASE("an index that leads to itself ends with an error") {
  Layout layout;
  std::string inner =
      layout.manifest({layer_with("x")}, plain_config, R"(, "platform": {"os": "linux", "architecture": "amd64"})");
  for (int i = 0; i < 6; ++i) {
    inner = layout.descriptor("index.v1+json", fmt::format(R"({{"manifests": [{}]}})", inner),
                              R"(, "platform": {"os": "linux", "architecture": "amd64"})");
  }
  layout.index(inner);
  CHECK(error_of([&] { read_oci_layout(layout.path, ""); }).first == ErrorCode::Corrupt);
}

TEST_CASE("damaged, missing and foreign blobs are named") {
  Layout layout;
  layout.index(layout.manifest({layer_with("x")}, plain_config));
  const OciImage image = read_oci_layout(layout.path, "");
  const std::filesystem::path blob = layout.path / "blobs/sha256" / image.layers.at(0).digest.substr(7);
  const auto problem = [&] { return error_of([&] { read_oci(Oci{"oci:" + layout.path.string()}, layout.context); }); };
  put(blob, "damaged");
  CHECK(problem().first == ErrorCode::Corrupt);
  CHECK(problem().second.find(blob.string()) != std::string::npos);
  std::filesystem::remove(blob);
  CHECK(problem().second.find("lacks blob " + image.layers.at(0).digest) != std::string::npos);
  layout.index(R"({"digest": "sha256:../../../../etc/passwd", "size": 1})");
  CHECK(problem().first == ErrorCode::Unsupported);
  layout.index("");
  CHECK(problem().first == ErrorCode::NotFound);
  CHECK(error_of([&] { read_oci(Oci{"oci:/nowhere"}, layout.context); }).first == ErrorCode::NotFound);
  CHECK(error_of([&] { read_oci(Oci{"--help"}, layout.context); }).first == ErrorCode::InvalidArgument);
}

TEST_CASE("what is unpacked is taken from one limit, and beyond it refused with the numbers") {
  const sys::TempDir folder = image::testing::temp_dir();
  const Tools tools = image::testing::make_tools(folder.path());
  const auto packed = image::testing::filter({"gzip", "-c"}, std::string(std::size_t{600} << 10, '\0'), tools);
  UnpackLimit limit{folder.path(), std::uint64_t{1} << 20};
  const auto unpack = [&](const char* name) {
    const auto output = sys::open_file(folder.path() / name, O_RDWR | O_CREAT | O_EXCL);
    decompress(Compression::Gzip, image::testing::memory_file(packed)->get(), output.get(), name, limit, tools);
  };
  unpack("first");
  CHECK(std::filesystem::file_size(folder.path() / "first") == std::size_t{600} << 10);
  CHECK(limit.left() == std::size_t{424} << 10);
  const auto [code, text] = error_of([&] { unpack("second"); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text ==
        "'second' unpacks to more than the limit allows: 0 MiB of at most 1 MiB are left (as it was asked for)");
  CHECK(std::filesystem::file_size(folder.path() / "second") <= std::size_t{424} << 10);
  // Otherwise it is half of what is free, which others change meanwhile.
  const auto free = sys::free_bytes(folder.path());
  CHECK(UnpackLimit{folder.path(), 0}.left() < free / 4 * 3);
  CHECK(UnpackLimit{folder.path(), 0}.left() > free / 4);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit lower{4096, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &lower) == 0);
  const auto half = UnpackLimit{folder.path(), 0}.left();
  const auto little = UnpackLimit{folder.path(), 100}.left();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(half == 4096);
  CHECK(little == 100);
}

TEST_CASE("a layer that climbs out of the root is refused") {
  Layout layout;
  std::string tar;
  write_tar(layer_with("aa/evil"), [&](std::string_view piece) { tar += piece; });
  // The folder's entry comes first; the second header names the file.
  const std::size_t header = 512;
  tar.replace(header, 7, "../evil");
  for (std::size_t i = 148; i < 156; ++i) tar[header + i] = ' ';
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[header + i]);
  tar.replace(header + 148, 7, fmt::format("{:06o}", sum) + '\0');
  Tree tree;
  const auto [code, text] = error_of([&] { apply_layer(tree, read_tar(image::testing::memory_file(tar), "layer")); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text.find("../evil") != std::string::npos);
}
