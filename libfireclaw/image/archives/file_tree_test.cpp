#include "image/archives/file_tree.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "image/testing/craft.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;

namespace {

std::vector<std::string> paths(const Tree& tree) {
  std::vector<std::string> result;
  for (const auto& [path, node] : tree.nodes()) result.push_back(path);
  return result;
}

const std::string& content(const Tree& tree, std::string_view path) {
  const auto node = tree.find(path);
  REQUIRE(node);
  return std::get<std::string>(node->content);
}

}  // namespace

TEST_CASE("the ways of writing a path lead to the same place, and missing parents appear") {
  Tree tree;
  tree.file("./usr/bin/env", 0755, "a");
  tree.file("/usr//bin/env", 0755, "b");
  tree.directory("usr/bin/");
  CHECK(paths(tree) == std::vector<std::string>{"", "usr", "usr/bin", "usr/bin/env"});
  CHECK(content(tree, "/usr/bin/env") == "b");
}

TEST_CASE("a path through a symbolic link ends up where the link leads, as when unpacking") {
  Tree tree;
  tree.directory("usr/lib");
  tree.symlink("lib", "usr/lib");
  tree.symlink("lib64", "/lib");
  tree.file("lib64/libc.so", 0755, "libc");
  CHECK(content(tree, "usr/lib/libc.so") == "libc");
  CHECK(paths(tree) == std::vector<std::string>{"", "lib", "lib64", "usr", "usr/lib", "usr/lib/libc.so"});
}

TEST_CASE("a link that climbs stays within the root") {
  Tree tree;
  tree.symlink("escape", "../../../etc");
  tree.file("escape/passwd", 0644, "root");
  CHECK(content(tree, "etc/passwd") == "root");
}

TEST_CASE("a link behind a link leads where it leads within the root") {
  Tree tree;
  tree.directory("real/inner");
  tree.symlink("first", "real");
  tree.symlink("first/second", "/first/inner");
  tree.symlink("first/inner/out", "../../../../etc");
  tree.file("first/second/file", 0644, "inside");
  tree.file("first/second/out/passwd", 0644, "root");
  CHECK(content(tree, "real/inner/file") == "inside");
  CHECK(content(tree, "etc/passwd") == "root");
  CHECK(paths(tree) == std::vector<std::string>{"", "etc", "etc/passwd", "first", "real", "real/inner",
                                                "real/inner/file", "real/inner/out", "real/second"});
}

TEST_CASE("links that go in circles are an error, not a hang") {
  Tree tree;
  tree.symlink("a", "b");
  tree.symlink("b", "a");
  const auto [code, text] = error_of([&] { tree.file("a/x", 0644, ""); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text.find("symbolic links") != std::string::npos);
}

TEST_CASE("as many links are followed as Linux follows, and no more") {
  Tree tree;
  tree.file("0", 0644, "x");
  for (int i = 1; i <= 41; ++i) tree.symlink(std::to_string(i), std::to_string(i - 1));
  CHECK(content(tree, "40") == "x");
  CHECK(error_of([&] { (void)tree.find("41"); }).first == ErrorCode::InvalidArgument);
}

TEST_CASE("a path with .. is refused") {
  Tree tree;
  for (const char* path : {"../x", "a/../../x", ".."}) {
    CHECK(error_of([&] { tree.file(path, 0644, ""); }).first == ErrorCode::InvalidArgument);
    CHECK(error_of([&] { tree.link("ok", path); }).first == ErrorCode::InvalidArgument);
  }
  CHECK(paths(tree) == std::vector<std::string>{""});
}

TEST_CASE("a file cannot be below a file") {
  Tree tree;
  tree.file("etc", 0644, "");
  const auto [code, text] = error_of([&] { tree.file("etc/passwd", 0644, ""); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text == "'etc/passwd' cannot be in the root file system: 'etc' is not a folder there");
}

TEST_CASE("a folder that meets a folder keeps its content and takes the new mode; a file takes its place") {
  Tree tree;
  tree.file("opt/tool/run", 0755, "");
  tree.file("opt-other", 0644, "");
  tree.directory("opt/tool", 0700);
  CHECK(tree.find("opt/tool")->mode == 0700);
  CHECK(tree.find("opt/tool/run"));
  tree.file("opt/tool", 0644, "now a file");
  CHECK(paths(tree) == std::vector<std::string>{"", "opt", "opt-other", "opt/tool"});
}

TEST_CASE("removing and clearing take what is below and nothing beside") {
  Tree tree;
  tree.file("a/b/c", 0644, "");
  tree.file("a/bc", 0644, "");
  tree.file("a-b", 0644, "");
  tree.remove("a/b");
  CHECK(paths(tree) == std::vector<std::string>{"", "a", "a-b", "a/bc"});
  tree.clear("a");
  CHECK(paths(tree) == std::vector<std::string>{"", "a", "a-b"});
  tree.remove("nothing/there");
  tree.clear("");
  CHECK(paths(tree) == std::vector<std::string>{""});
}

TEST_CASE("removing a link removes the link, not what it leads to") {
  Tree tree;
  tree.file("usr/lib/a", 0644, "");
  tree.symlink("lib", "usr/lib");
  tree.remove("lib");
  CHECK(paths(tree) == std::vector<std::string>{"", "usr", "usr/lib", "usr/lib/a"});
}

TEST_CASE("hard links are one node, and need a file to link to") {
  Tree tree;
  tree.file("bin/a", 0755, "x");
  tree.link("bin/b", "./bin/a");
  CHECK(tree.find("bin/a") == tree.find("bin/b"));
  CHECK(error_of([&] { tree.link("bin/c", "bin/missing"); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { tree.link("bin/c", "bin"); }).first == ErrorCode::InvalidArgument);
}

TEST_CASE("the root itself can be described but not replaced") {
  Tree tree;
  Node root;
  root.mode = 0711;
  tree.add("./", root);
  CHECK(tree.nodes().at("")->mode == 0711);
  CHECK(error_of([&] { tree.file("/", 0644, ""); }).first == ErrorCode::InvalidArgument);
}
