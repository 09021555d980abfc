// OCI images made by the usual tools, built into images of ours.
#include <doctest/doctest.h>
#include <unistd.h>

#include "image/archives/tar.hpp"
#include "image/testing/craft.hpp"
#include "image/testing/workshop.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::put;
using image::testing::Workshop;

namespace {

void umoci(const Workshop& shop, std::vector<std::string> words) {
  words.insert(words.begin(), "umoci");
  sys::check_tool(std::move(words), shop.tools.options());
}

/// A layout with one image of three layers, of which the upper ones replace and hide things of the lowest.
std::filesystem::path make_layout(const Workshop& shop) {
  const std::filesystem::path layout = shop.folder.path() / "layout";
  const std::string image = layout.string() + ":v1";
  umoci(shop, {"init", "--layout", layout.string()});
  umoci(shop, {"new", "--image", image});
  Tree lower;
  lower.symlink("bin", "usr/bin");
  lower.file("usr/bin/sh", 0755, "shell");
  lower.file("etc/gone", 0644, "");
  lower.file("etc/version", 0644, "1");
  Tree upper;
  upper.file("etc/.wh.gone", 0644, "");
  Node owned;
  owned.type = NodeType::File;
  owned.mode = 0600;
  owned.uid = 33;
  owned.gid = 44;
  owned.bytes = 1;
  owned.content = "2";
  upper.add("etc/version", owned);
  std::size_t number = 0;
  for (const Tree* tree : {&lower, &upper}) {
    std::string tar;
    write_tar(*tree, [&](std::string_view piece) { tar += piece; });
    const std::filesystem::path file = shop.folder.path() / ("layer" + std::to_string(number++) + ".tar");
    put(file, tar);
    umoci(shop, {"raw", "add-layer", "--image", image, file.string()});
  }
  // A file below the lowest layer's symbolic link, without an entry for the folder: it goes where the link leads.
  put(shop.folder.path() / "through" / "bin" / "tool", "tool");
  const std::filesystem::path through = shop.folder.path() / "through.tar";
  sys::check_tool({"tar", "-C", (shop.folder.path() / "through").string(), "-cf", through.string(), "bin/tool"},
                  shop.tools.options());
  umoci(shop, {"raw", "add-layer", "--image", image, through.string()});
  umoci(shop, {"config", "--image", image, "--config.env", "GREETING=hello world", "--config.workingdir", "/usr",
               "--config.user", "33:44", "--config.entrypoint", "/bin/tool", "--config.cmd", "--serve"});
  return layout;
}

void check_image(const Workshop& shop, const Entry& entry) {
  const std::string files = shop.listing(entry);
  CHECK(files.find("-rw------- 33/44 1 ") != std::string::npos);
  CHECK(files.find("squashfs-root/etc/gone") == std::string::npos);
  CHECK(files.find(".wh.") == std::string::npos);
  CHECK(files.find("squashfs-root/usr/bin/tool\n") != std::string::npos);
  CHECK(files.find("squashfs-root/bin -> usr/bin\n") != std::string::npos);
  CHECK(shop.content(entry, "etc/version") == "2");
  CHECK(entry.manifest.defaults.cwd == "/usr");
  CHECK(entry.manifest.defaults.user == "33:44");
  CHECK(entry.manifest.defaults.command == std::vector<std::string>{"/bin/tool", "--serve"});
  const auto& env = entry.manifest.defaults.env;
  CHECK(std::find(env.begin(), env.end(), std::pair<std::string, std::string>{"GREETING", "hello world"}) != env.end());
}

}  // namespace

TEST_CASE("a layout made by umoci becomes an image, owners and configuration kept") {
  Workshop shop;
  const std::filesystem::path layout = make_layout(shop);
  const Entry entry = shop.build("oci", Oci{"oci:" + layout.string() + ":v1"});
  check_image(shop, entry);
  CHECK(shop.store.open("oci").manifest.defaults == entry.manifest.defaults);
}

TEST_CASE("what only skopeo can read is fetched by it first") {
  Workshop shop;
  const std::filesystem::path archive = shop.folder.path() / "archive.tar";
  sys::check_tool({"skopeo", "--insecure-policy", "copy", "--quiet", "oci:" + make_layout(shop).string() + ":v1",
                   "oci-archive:" + archive.string() + ":v1"},
                  shop.tools.options());
  check_image(shop, shop.build("archive", Oci{"oci-archive:" + archive.string() + ":v1"}));
  const auto [code, text] =
      error_of([&] { shop.build("none", Oci{"oci-archive:" + shop.folder.path().string() + "/no"}); });
  CHECK(code == ErrorCode::Io);
  CHECK(text.find("skopeo could not fetch 'oci-archive:") == 0);
  CHECK(shop.leftovers() == std::vector<std::string>{"archive"});
}
