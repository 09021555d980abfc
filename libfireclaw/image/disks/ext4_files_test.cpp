#include "image/disks/ext4_files.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "image/disks/ext4.hpp"
#include "image/testing/craft.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

struct Fixture {
  sys::TempDir folder = image::testing::temp_dir();
  std::filesystem::path disk = folder.path() / "disk.ext4";
  Tools tools = image::testing::make_tools(folder.path());
  int scratches = 0;

  explicit Fixture(std::uint64_t bytes = 64 * mib) { make_ext4(disk, {bytes, "", true, 1000, 1000}, tools); }

  std::filesystem::path scratch() {
    auto made = folder.path() / ("scratch" + std::to_string(scratches++));
    std::filesystem::create_directory(made);
    return made;
  }
  Ext4Content read() { return Ext4Content::read(disk, scratch(), tools, {}); }
  void put(const Tree& tree) { put_into_ext4(disk, read(), tree, scratch(), tools, {}); }
  void remove(const std::string& place) { remove_from_ext4(disk, read(), place, scratch(), tools, {}); }
  void debugfs(const std::string& command) const {
    sys::check_tool({"debugfs", "-w", "-R", command, disk.string()}, tools.options());
  }
  [[nodiscard]] std::string raw() const { return sys::read_file(disk, 128 * mib); }
  void write_raw(std::string_view bytes) const {
    const sys::Fd file = sys::open_file(disk, O_WRONLY);
    sys::write_all(file.get(), bytes);
  }
  static std::string content(const Ext4Content& read, const std::string& path) {
    return sys::read_file(std::get<HostFile>(read.tree().nodes().at(path)->content).path);
  }
};

Node file(std::string content, unsigned mode = 0644) {
  Node node;
  node.type = NodeType::File;
  node.mode = mode;
  node.uid = 1000;
  node.gid = 1000;
  node.mtime = 1'700'000'000;
  node.bytes = content.size();
  node.content = std::move(content);
  return node;
}
Node folder_node(unsigned mode = 0755) {
  Node node;
  node.mode = mode;
  node.uid = 1000;
  node.gid = 1000;
  node.mtime = 1'600'000'000;
  return node;
}
Node link_to(std::string target) {
  Node node;
  node.type = NodeType::Symlink;
  node.mode = 0777;
  node.mtime = 5;
  node.target = std::move(target);
  return node;
}

/// All that a tree says, contents apart.
std::string described(const Tree& tree) {
  std::string text;
  for (const auto& [path, node] : tree.nodes()) {
    text += path + "|" + std::to_string(static_cast<int>(node->type)) + "|" + std::to_string(node->mode) + "|" +
            std::to_string(node->uid) + ":" + std::to_string(node->gid) + "|" + std::to_string(node->mtime) + "|" +
            std::to_string(node->bytes) + "|" + node->target + "|" + std::to_string(node->device_major) + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what is put on a disk comes back with owners, modes, times, links and names") {
  Tree tree;
  tree.add("a folder", folder_node(01777));
  tree.add("a folder/na\xc3\xbcme \xe6\x97\xa5", file("unicode"));
  tree.add("a folder/\"quoted\" 'both' ways", file("quotes"));
  tree.add("<2>", file("no inode"));
  tree.add("-d", file("no option", 04751));
  tree.add("!ls", file("no escape"));
  tree.add("#c", file("no comment"));
  tree.add(" blanks ", file("", 0));
  tree.add("tab\there", file("tab"));
  tree.add("back\\slash", file(std::string(300'000, 'x')));
  tree.add(std::string(255, 'n'), file("long"));
  tree.add("short link", link_to("../../../etc/passwd"));
  tree.add("long link", link_to(std::string(200, 'l')));
  Node late = file("later than 2038");
  late.mtime = 5'000'000'000;
  late.uid = 4'000'000'000;
  late.gid = 70'000;
  tree.add("late", late);
  Node pipe = file("");
  pipe.type = NodeType::Fifo;
  tree.add("pipe", pipe);
  Node null = file("");
  null.type = NodeType::CharDevice;
  null.device_major = 1;
  null.device_minor = 3;
  tree.add("null", null);
  put(tree);

  const Ext4Content back = read();
  Tree expected = tree;
  expected.add("", *back.tree().nodes().at(""));
  CHECK(described(back.tree()) == described(expected));
  back.fetch("");
  CHECK(content(back, "a folder/na\xc3\xbcme \xe6\x97\xa5") == "unicode");
  CHECK(content(back, "a folder/\"quoted\" 'both' ways") == "quotes");
  CHECK(content(back, "<2>") == "no inode");
  CHECK(content(back, "back\\slash") == std::string(300'000, 'x'));
  CHECK(content(back, " blanks ").empty());
}

TEST_CASE_FIXTURE(Fixture, "folders keep their content, files are replaced, and hard links become copies") {
  Tree first;
  first.add("d", folder_node());
  first.add("d/kept", file("kept"));
  first.add("d/old", file("old"));
  first.link("d/second name", "d/kept");
  put(first);
  Tree second;
  second.add("d", folder_node(0700));
  second.add("d/old", file("new content"));
  second.add("d/kept", link_to("old"));
  put(second);
  const Ext4Content back = read();
  back.fetch("d");
  CHECK(content(back, "d/old") == "new content");
  CHECK(content(back, "d/second name") == "kept");
  CHECK(back.tree().nodes().at("d/kept")->target == "old");
  CHECK(back.tree().nodes().at("d")->mode == 0700);

  Tree clash;
  clash.add("d", file("not a folder"));
  const auto [code, text] = error_of([&] { put(clash); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text.find("'d' is a folder") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "thousands of files in one folder and deep paths fit") {
  Tree tree;
  tree.add("many", folder_node());
  for (int i = 0; i < 3000; ++i) tree.add("many/file number " + std::to_string(i), file(std::to_string(i)));
  std::string deep;
  for (int i = 0; i < 100; ++i) {
    deep += deep.empty() ? "deep" : "/deep";
    tree.add(deep, folder_node());
  }
  put(tree);
  const Ext4Content back = read();
  CHECK(back.tree().nodes().size() == 3102);
  back.fetch("many");
  CHECK(content(back, "many/file number 2999") == "2999");
  remove("many");
  remove("deep");
  CHECK(read().tree().nodes().size() == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "names with line ends cannot be given to debugfs and are refused before anything is changed") {
  for (const char* name : {"two\nlines", "carriage\rreturn", "x\nrm MEMORY.md"}) {
    Tree tree;
    tree.add("harmless", file(""));
    tree.add(name, file(""));
    const auto [code, text] = error_of([&] { put(tree); });
    CHECK(code == ErrorCode::InvalidArgument);
    CHECK(text.find("line end") != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
  }
  Tree tree;
  tree.add("link", link_to("two\nlines"));
  CHECK(error_of([&] { put(tree); }).first == ErrorCode::InvalidArgument);
  CHECK(read().tree().nodes().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "names and targets with line ends that a guest made are read as they are") {
  const auto source = folder.path() / "source";
  std::filesystem::create_directories(source / "a\nb");
  std::ofstream{source / "a\nb/c\n/d"};
  std::ofstream{source / "a\nb/debugfs: ls -p <2>\n"} << "echo";
  std::ofstream{source / "x\ny"} << "content";
  std::filesystem::create_symlink("t\" mtime: 0x1:2\n\ndebugfs: stat <12>", source / "link");
  std::filesystem::remove(disk);
  make_ext4(disk, {64 * mib, "", true, 0, 0, source}, tools);
  const Ext4Content back = read();
  back.fetch("");
  CHECK(back.tree().nodes().at("link")->target == "t\" mtime: 0x1:2\n\ndebugfs: stat <12>");
  CHECK(content(back, "x\ny") == "content");
  CHECK(content(back, "a\nb/debugfs: ls -p <2>\n") == "echo");
}

TEST_CASE_FIXTURE(Fixture, "a full disk is named as such") {
  Tree tree;
  tree.add("large", file(std::string(70 * mib, 'x')));
  const auto [code, text] = error_of([&] { put(tree); });
  CHECK(code == ErrorCode::Io);
  CHECK(text == "the file system in 'disk.ext4' is full");
}

TEST_CASE_FIXTURE(Fixture, "paths are looked up within the disk, whatever links there say") {
  Tree tree;
  tree.add("real", folder_node());
  tree.add("real/file", file("inside"));
  tree.add("way", link_to("/real"));
  tree.add("out", link_to("../../../../etc"));
  tree.add("loop", link_to("loop"));
  put(tree);
  const Ext4Content back = read();
  CHECK(back.locate("way/file") == "real/file");
  CHECK(back.locate("/") == "");
  CHECK(error_of([&] { static_cast<void>(back.locate("out/passwd")); }).first == ErrorCode::NotFound);
  CHECK(error_of([&] { static_cast<void>(back.locate("loop")); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { static_cast<void>(back.locate("missing")); }).first == ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(Fixture, "entries that a hostile guest named with slashes and dots do not come out") {
  Tree tree;
  tree.add("dir", folder_node());
  tree.add("dir/NAME-OF-NO-INTEREST", file("hostile"));
  put(tree);
  std::string bytes = raw();
  const std::string name = "NAME-OF-NO-INTEREST";
  const std::string evil = "../../../evil-file-x";
  const std::size_t at = bytes.find(name);
  REQUIRE(at != std::string::npos);
  bytes.replace(at, name.size(), evil.substr(0, name.size()));
  write_raw(bytes);
  const Ext4Content back = read();
  back.fetch("");
  for (const auto& [path, node] : back.tree().nodes()) {
    // Its name has become one that is only a name: "dir/.........evil...".
    CHECK(std::ranges::count(path, '/') <= 1);
    CHECK(path.find("../") == std::string::npos);
    CHECK_FALSE(path.ends_with("/.."));
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator{folder.path()}) {
    CHECK(entry.path().filename().string().find("evil") == std::string::npos);
  }
}

TEST_CASE_FIXTURE(Fixture, "a folder that contains itself is found out or taken apart") {
  Tree tree;
  tree.add("a", folder_node());
  tree.add("a/b", folder_node());
  put(tree);
  debugfs("ln a a/b/loop");
  debugfs("ln a second");
  CHECK(read().tree().nodes().size() <= 4);
}

TEST_CASE_FIXTURE(Fixture, "a file that claims to be larger than this host's disk is not copied") {
  Tree tree;
  tree.add("sparse", file("x"));
  put(tree);
  debugfs("set_inode_field sparse size 0xfff00000000");
  const Ext4Content back = read();
  REQUIRE(back.tree().nodes().at("sparse")->bytes > 16'000 * std::uint64_t{1'000'000'000});
  const auto [code, text] = error_of([&] { back.fetch(""); });
  CHECK(code == ErrorCode::Io);
  CHECK(text.find("MiB are free") != std::string::npos);
}
