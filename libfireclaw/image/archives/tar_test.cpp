#include "image/archives/tar.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/testing/craft.hpp"
#include "support/peak_memory.hpp"
#include "sys/file.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::memory_file;
using image::testing::put;

namespace {

std::string to_tar(const Tree& tree, bool keep_holes = false) {
  std::string bytes;
  TarOptions options;
  options.keep_holes = keep_holes;
  write_tar(
      tree, [&](std::string_view piece) { bytes += piece; }, {}, options);
  return bytes;
}

Tree from_tar(std::string_view bytes) {
  Tree tree;
  add_entries(tree, read_tar(memory_file(bytes), "test.tar"));
  return tree;
}

std::string text_of(const Tree& tree, std::string_view path) {
  const auto node = tree.find(path);
  REQUIRE(node);
  // A tree that came from a tar: written again, the content is in the stream.
  Tree one;
  one.add("file", *node);
  return to_tar(one).substr(512, node->bytes);
}

Node file_node(std::string content) {
  Node node;
  node.type = NodeType::File;
  node.mode = 0644;
  node.bytes = content.size();
  node.content = std::move(content);
  return node;
}

/// One of everything, with what does not fit into a plain ustar header.
Tree sample() {
  Tree tree;
  Node plain = file_node("hello\n");
  plain.uid = 1000;
  plain.gid = 50;
  plain.mtime = 1700000000;
  plain.mode = 04755;
  tree.add("usr/bin/tool", plain);
  tree.link("usr/bin/alias", "usr/bin/tool");
  tree.symlink("bin", "usr/bin");
  tree.symlink("far", std::string(150, 't'));
  Node big_ids = file_node("x");
  big_ids.uid = 3000000000;
  big_ids.gid = 2999999999;
  big_ids.mtime = -5;
  big_ids.xattrs["user.note"] = std::string{"a\0=\nb", 5};
  tree.add(std::string(90, 'd') + "/" + std::string(120, 'f'), big_ids);
  Node device;
  device.type = NodeType::CharDevice;
  device.mode = 0666;
  device.device_major = 1;
  device.device_minor = 3;
  tree.add("dev/null", device);
  Node fifo;
  fifo.type = NodeType::Fifo;
  tree.add("run/fifo", fifo);
  tree.directory("tmp", 01777);
  return tree;
}

std::string with_checksum(std::string header) {
  header.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::array<char, 9> digits{};
  std::snprintf(digits.data(), digits.size(), "%06o", sum);
  header.replace(148, 6, std::string_view{digits.data(), 6});
  header[154] = '\0';
  return header;
}

/// A member's header, with its size as GNU writes large ones.
std::string header_of(std::string_view path, char flag, std::uint64_t size) {
  std::string header(512, '\0');
  const auto set = [&](std::size_t at, std::string_view text) { header.replace(at, text.size(), text); };
  set(0, path);
  set(100, "0000644");
  header[124] = '\x80';
  for (std::size_t i = 0; i < 8; ++i) header[135 - i] = static_cast<char>(size >> (8 * i));
  header[156] = flag;
  set(257, "ustar");
  set(263, "00");
  return with_checksum(std::move(header));
}

/// Such a header with what it says of the members after it.
std::string described(char flag, const std::string& data) {
  return header_of("h", flag, data.size()) + data + std::string((512 - data.size() % 512) % 512, '\0');
}

void check_same(const Tree& a, const Tree& b) {
  REQUIRE(a.nodes().size() == b.nodes().size());
  for (const auto& [path, node] : a.nodes()) {
    if (path.empty()) continue;
    CAPTURE(path);
    const auto other = b.nodes().at(path);
    CHECK(node->type == other->type);
    CHECK(node->mode == other->mode);
    CHECK(node->uid == other->uid);
    CHECK(node->gid == other->gid);
    CHECK(node->mtime == other->mtime);
    CHECK(node->bytes == other->bytes);
    CHECK(node->target == other->target);
    CHECK(node->device_major == other->device_major);
    CHECK(node->device_minor == other->device_minor);
    CHECK(node->xattrs == other->xattrs);
  }
}

}  // namespace

TEST_CASE("a tar header is, byte for byte, what the format says") {
  Tree tree;
  tree.file("hello.txt", 0640, "hi");
  const std::string tar = to_tar(tree);
  std::string header(512, '\0');
  const auto set = [&](std::size_t at, std::string_view text) { header.replace(at, text.size(), text); };
  set(0, "hello.txt");
  set(100, "0000640");
  set(108, "0000000");
  set(116, "0000000");
  set(124, "00000000002");
  set(136, "00000000000");
  set(156, "0");
  set(257, "ustar");
  set(263, "00");
  set(329, "0000000");
  set(337, "0000000");
  CHECK(tar.substr(0, 512) == with_checksum(header));
  CHECK(tar.substr(512, 512) == "hi" + std::string(510, '\0'));
  CHECK(tar.substr(1024) == std::string(1024, '\0'));
}

TEST_CASE("times outside of a range are written as its nearest end") {
  Tree tree;
  Node early = file_node("e");
  early.mtime = -86400;
  tree.add("early", early);
  Node late = file_node("l");
  late.mtime = 5680281600;
  tree.add("late", late);
  std::string tar;
  write_tar(tree, [&](std::string_view piece) { tar += piece; }, {}, {.times = {0, 4294967295}});
  const Tree back = from_tar(tar);
  CHECK(back.find("early")->mtime == 0);
  CHECK(back.find("late")->mtime == 4294967295);
}

TEST_CASE("a harmless tar holds no devices, and nothing that gives rights away") {
  Tree tree;
  Node program = file_node("#!");
  program.mode = 06755;
  program.xattrs["security.capability"] = "cap_sys_admin";
  tree.add("program", program);
  tree.directory("shared", 03777);
  Node disk;
  disk.type = NodeType::BlockDevice;
  disk.device_major = 8;
  tree.add("disk", disk);
  disk.type = NodeType::CharDevice;
  tree.add("console", disk);
  std::string tar;
  write_tar(tree, [&](std::string_view piece) { tar += piece; }, {}, {.times = {}, .harmless = true});
  const Tree back = from_tar(tar);
  CHECK(back.nodes().size() == 3);
  CHECK(back.find("program")->mode == 0755);
  CHECK(back.find("program")->xattrs.empty());
  CHECK(back.find("shared")->mode == 01777);
}

TEST_CASE(
    "a tar for a guest is read by GNU's tar and by busybox's, with long names, large numbers and folders' times") {
  const sys::TempDir folder = image::testing::temp_dir();
  Tree tree;
  const std::string name(120, 'n');
  Node file = file_node("x");
  file.mtime = -86400;
  tree.add(name + "/file", file);
  Node inside;
  inside.mtime = 1234567890;
  tree.add(name, inside);
  Node link;
  link.type = NodeType::Symlink;
  link.target = std::string(130, 't');
  tree.add("link", link);
  Node far = file_node("f");
  far.uid = 3000000000;
  // Octal digits do not hold it, and ext4 does.
  far.mtime = std::int64_t{3} << 32;
  tree.add("far", far);
  const std::string alias = "alias" + std::string(120, 'a');
  tree.link(alias, "far");
  std::string tar;
  write_tar(tree, [&](std::string_view piece) { tar += piece; }, {}, {.times = {}, .for_guest = true});
  const Tree back = from_tar(tar);
  CHECK(back.find(alias) == back.find("far"));
  CHECK(back.nodes().at("link")->target == link.target);
  CHECK(back.find("far")->uid == 3000000000);
  CHECK(back.find("far")->mtime == std::int64_t{3} << 32);
  for (const char* program : {"tar", "busybox tar"}) {
    const auto target = folder.path() / program;
    std::filesystem::create_directory(target);
    image::testing::filter({"sh", "-c", fmt::format("exec {} -x -o -f - -C '{}'", program, target.string())}, tar,
                           image::testing::make_tools(folder.path()));
    struct stat status {};
    REQUIRE(::stat((target / name).c_str(), &status) == 0);
    CHECK(status.st_mtim.tv_sec == 1234567890);
    REQUIRE(::stat((target / name / "file").c_str(), &status) == 0);
    CHECK(status.st_mtim.tv_sec == -86400);
    CHECK(std::filesystem::read_symlink(target / "link") == link.target);
    REQUIRE(::stat((target / "far").c_str(), &status) == 0);
    CHECK(std::filesystem::equivalent(target / "far", target / alias));
    CHECK(status.st_mtim.tv_sec == std::int64_t{3} << 32);
  }
}

TEST_CASE("tar itself reads what the writer wrote") {
  const sys::TempDir folder = image::testing::temp_dir();
  const std::string listing = image::testing::filter({"tar", "-tv", "--numeric-owner", "--xattrs", "--full-time"},
                                                     to_tar(sample()), image::testing::make_tools(folder.path()));
  // How wide tar makes its columns is its own affair.
  std::string columns;
  for (const char c : listing) {
    if (c != ' ' || columns.empty() || columns.back() != ' ') columns += c;
  }
  const auto has = [&](const std::string& text) { return columns.find(text) != std::string::npos; };
  CHECK(has("lrwxrwxrwx 0/0 0 1970-01-01 00:00:00 bin -> usr/bin\n"));
  CHECK(has("crw-rw-rw- 0/0 1,3 1970-01-01 00:00:00 dev/null\n"));
  CHECK(has("hrwsr-xr-x 1000/50 0 2023-11-14 22:13:20 usr/bin/tool link to usr/bin/alias\n"));
  CHECK(has("-rwsr-xr-x 1000/50 6 2023-11-14 22:13:20 usr/bin/alias\n"));
  CHECK(has("-rw-r--r--* 3000000000/2999999999 1 1969-12-31 23:59:55 " + std::string(90, 'd') + "/"));
  CHECK(has("prwxr-xr-x 0/0 0 1970-01-01 00:00:00 run/fifo\n"));
  CHECK(has("drwxrwxrwt 0/0 0 1970-01-01 00:00:00 tmp/\n"));
  CHECK(has("far -> " + std::string(150, 't') + "\n"));
}

TEST_CASE("what is written and read again is the same, and the same tree gives the same bytes") {
  const Tree tree = sample();
  const std::string tar = to_tar(tree);
  CHECK(tar == to_tar(sample()));
  const Tree again = from_tar(tar);
  check_same(tree, again);
  CHECK(again.find("usr/bin/alias") == again.find("usr/bin/tool"));
  CHECK(text_of(again, "usr/bin/tool") == "hello\n");
  CHECK(to_tar(again) == tar);
}

TEST_CASE("tars by GNU tar are read in each of its formats") {
  const sys::TempDir folder = image::testing::temp_dir();
  const std::string deep = std::string(60, 'a') + "/" + std::string(60, 'b') + "/" + std::string(99, 'c');
  put(folder.path() / "in" / deep, "deep content");
  put(folder.path() / "in" / "two words", std::string(1500, 'w'));
  std::filesystem::create_symlink(std::string(120, 'l'), folder.path() / "in" / "link");
  std::filesystem::create_hard_link(folder.path() / "in" / "two words", folder.path() / "in" / "zz");
  for (const char* format : {"gnu", "posix", "oldgnu"}) {
    CAPTURE(format);
    const std::filesystem::path file = folder.path() / (std::string{format} + ".tar");
    sys::check_tool({"tar", std::string{"--format="} + format, "--owner=12:34", "--group=g:56", "--mtime=@1000000000",
                     "-C", (folder.path() / "in").string(), "-cf", file.string(), "."},
                    image::testing::make_tools(folder.path()).options());
    const Tree tree = from_tar(sys::read_file(file));
    CHECK(text_of(tree, deep) == "deep content");
    CHECK(text_of(tree, "two words") == std::string(1500, 'w'));
    CHECK(tree.find("two words") == tree.find("zz"));
    CHECK(tree.nodes().at("link")->target == std::string(120, 'l'));
    CHECK(tree.find("two words")->uid == 34);
    CHECK(tree.find("two words")->gid == 56);
    CHECK(tree.find("two words")->mtime == 1000000000);
  }
}

TEST_CASE("a tar that is cut off anywhere is an error that names it") {
  Tree tree;
  tree.file("a", 0644, std::string(700, 'a'));
  tree.file(std::string(120, 'b'), 0644, "b");
  const std::string tar = to_tar(tree);
  for (std::size_t length = 0; length + 1024 < tar.size(); length += 7) {
    CAPTURE(length);
    // At a member's end it could be an archive without the closing blocks.
    if (length == 512 + 1024) continue;
    const auto [code, text] = error_of([&] { from_tar(std::string_view{tar}.substr(0, length)); });
    REQUIRE((code == ErrorCode::Corrupt || code == ErrorCode::InvalidArgument));
    REQUIRE(text.find("'test.tar'") != std::string::npos);
  }
}

TEST_CASE("what is not a tar is refused") {
  const auto [code, text] = error_of([] { from_tar(std::string(2000, 'z')); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text == "'test.tar' is not a tar file");
}

TEST_CASE("a damaged header in the middle is found by its checksum") {
  Tree tree;
  tree.file("a", 0644, "");
  tree.file("b", 0644, "");
  std::string tar = to_tar(tree);
  tar[512 + 3] = 'x';
  const auto [code, text] = error_of([&] { from_tar(tar); });
  CHECK(code == ErrorCode::Corrupt);
  CHECK(text == "tar file 'test.tar' is torn at byte 512: a header's checksum is wrong");
}

TEST_CASE("sizes that no archive can have are refused before anything is kept for them") {
  constexpr std::uint64_t terabyte = std::uint64_t{1} << 40;
  constexpr std::uint64_t longest = std::uint64_t{4} << 20;
  for (const char flag : {'x', 'g', 'L', 'K'}) {
    CAPTURE(flag);
    for (const std::uint64_t size : {terabyte, longest + 1}) {
      const auto [code, text] =
          error_of([&] { from_tar(header_of("h", flag, size) + std::string(longest + 1024, 'x')); });
      CHECK(code == ErrorCode::Corrupt);
      CHECK(text.find("an extended header is too long") != std::string::npos);
    }
  }
  const auto pax = [](const std::string& record) {
    return header_of("pax", 'x', record.size()) + record + std::string(512 - record.size(), '\0');
  };
  for (const std::string& data : {header_of("file", '0', terabyte), header_of("file", '0', ~std::uint64_t{0} >> 8),
                                  pax("22 size=1099511627776\n") + header_of("file", '0', 0),
                                  pax("29 size=18446744073709551615\n") + header_of("file", '0', 0)}) {
    const auto [code, text] = error_of([&] { from_tar(data + std::string(1024, '\0')); });
    CHECK(code == ErrorCode::Corrupt);
    CHECK(text.find("it ends too early") != std::string::npos);
  }
}

TEST_CASE("a number in GNU's form has 63 bits at most") {
  using namespace std::string_literals;
  const auto problem = [](const std::string& field) {
    auto header = header_of("file", '0', 0);
    header.replace(124, 12, field);
    return error_of([&] { from_tar(with_checksum(header) + std::string(1024, '\0')); }).second;
  };
  for (const auto& [field, is_number] : {std::pair{"\x80\0\0\0\x7f"s + std::string(7, '\xff'), true},
                                         {"\x80\0\0\0\x80"s + std::string(7, '\0'), false},
                                         {"\x80\0\0\x01"s + std::string(8, '\0'), false},
                                         {"\x80\x01"s + std::string(10, '\0'), false},
                                         {"\x81"s + std::string(11, '\0'), false},
                                         {std::string(12, '\xff'), false},
                                         {"00000000008\0"s, false},
                                         {"0000 000001\0"s, false},
                                         {"-0000000001\0"s, false},
                                         {"77777777777\0"s, true},
                                         {"  7777777777"s, true}}) {
    CAPTURE(field);
    CHECK(problem(field).ends_with(is_number ? "it ends too early" : "a header's size is not a number"));
  }
}

TEST_CASE("owners and numbers that no file can have are refused") {
  const auto pax = [](const std::string& record) {
    return header_of("pax", 'x', record.size()) + record + std::string(512 - record.size(), '\0');
  };
  for (const std::string record : {"18 uid=4294967296\n", "18 gid=4294967296\n"}) {
    const auto [code, text] =
        error_of([&] { from_tar(pax(record) + header_of("file", '0', 0) + std::string(1024, '\0')); });
    CHECK(code == ErrorCode::Corrupt);
    CHECK(text.find("an owner is out of range") != std::string::npos);
  }
  const auto tree = from_tar(pax("18 uid=4294967295\n") + header_of("file", '0', 0) + std::string(1024, '\0'));
  CHECK(tree.find("file")->uid == 4294967295);
}

TEST_CASE("a path that no file system has is refused before its folders are listed") {
  std::string deep;
  for (int i = 0; i < (2 << 20) - 8; ++i) deep += "a/";
  const auto before = test::peak_memory_kib(::getpid());
  const auto tar = described('L', deep + "f") + header_of("short", '0', 0) + std::string(1024, '\0');
  const auto [code, text] = error_of([&] { from_tar(tar); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK_MESSAGE(text.find("longer than 4095 bytes: 'a/a/") != std::string::npos, text.substr(0, 400));
  CHECK(text.size() < 200);
  CHECK(test::peak_memory_kib(::getpid()) - before < 64 * 1024 + test::sanitizer_kib);

  // The same by links, each of which is short.
  Tree tree;
  std::string part;
  for (int i = 0; i < 1000; ++i) part += "a/";
  CHECK(error_of([&] {
          for (std::string at; at.size() < (1 << 20); at += part) tree.symlink(at + "l", part + "l");
        }).second.find("longer than 4095 bytes") != std::string::npos);
}

TEST_CASE("what a tar says of all its members, or of each, fills no memory") {
  const std::string value(60000, 'v');
  const auto tar_with = [&](std::string_view key) {
    const auto record = fmt::format("{} {}={}\n", 6 + key.size() + 1 + value.size() + 1, key, value);
    auto tar = described('g', record);
    for (int i = 0; i < 1000; ++i) tar += header_of(fmt::format("f{}", i), '0', 0);
    return tar + std::string(1024, '\0');
  };
  const auto read = [](const std::string& tar, std::uint64_t most) {
    return read_tar(memory_file(tar), "test.tar", SparseMembers::Refuse, most);
  };
  const auto kept = tar_with("SCHILY.xattr.user.x");
  const auto [code, text] = error_of([&] { read(kept, 8 << 20); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text.find("than memory is for") != std::string::npos);
  const auto entries = read(kept, 80 << 20);
  CHECK(entries.size() == 1000);
  CHECK(entries.back().node.xattrs.at("user.x") == value);
  // What nobody reads is not kept.
  CHECK(read(tar_with("comment"), 1 << 20).size() == 1000);
  // Nor is there room for members without end, or for what they make of a root.
  CHECK(error_of([&] { read(tar_with("comment"), 1 << 16); }).first == ErrorCode::InvalidArgument);
  Tree small{1 << 16};
  const auto full = error_of([&] { add_entries(small, read(tar_with("comment"), 1 << 20)); });
  CHECK(full.first == ErrorCode::InvalidArgument);
  CHECK(full.second.find("than memory is for") != std::string::npos);
}

TEST_CASE("sparse members are refused with the remedy") {
  const sys::TempDir folder = image::testing::temp_dir();
  put(folder.path() / "in" / "holes", "x");
  std::filesystem::resize_file(folder.path() / "in" / "holes", 10 << 20);
  for (const char* format : {"gnu", "posix"}) {
    const std::filesystem::path file = folder.path() / (std::string{format} + ".tar");
    sys::check_tool({"tar", "--sparse", std::string{"--format="} + format, "-C", (folder.path() / "in").string(), "-cf",
                     file.string(), "holes"},
                    image::testing::make_tools(folder.path()).options());
    const auto [code, text] = error_of([&] { from_tar(sys::read_file(file)); });
    CHECK(code == ErrorCode::Unsupported);
    CHECK(text.find("without --sparse") != std::string::npos);
  }
}

namespace {

/// 64 KiB: a hole, 4096 times 'a', a hole, 'z' as the last byte.
void put_with_holes(const std::filesystem::path& path) {
  const auto file = sys::open_file(path, O_RDWR | O_CREAT | O_EXCL);
  const std::string data(4096, 'a');
  CHECK(::pwrite(file.get(), data.data(), data.size(), 8192) == 4096);
  CHECK(::pwrite(file.get(), "z", 1, 65535) == 1);
}

Tree tree_with_holes(const std::filesystem::path& path) {
  Node node;
  node.type = NodeType::File;
  node.mode = 0600;
  node.bytes = 65536;
  node.content = HostFile{path};
  Tree tree;
  tree.add("disk", std::move(node));
  return tree;
}

std::string extracted(const TarEntry& entry, const std::filesystem::path& target) {
  extract_file(entry, sys::open_file(target, O_RDWR | O_CREAT | O_EXCL).get(), {});
  return sys::read_file(target);
}

}  // namespace

TEST_CASE("a file with holes is stored without them and comes back with them") {
  const sys::TempDir folder = image::testing::temp_dir();
  put_with_holes(folder.path() / "disk");
  const auto tar = to_tar(tree_with_holes(folder.path() / "disk"), true);
  CHECK(tar.size() < 16384);
  const auto entries = read_tar(memory_file(tar), "test.tar", SparseMembers::Read);
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].path == "disk");
  CHECK(entries[0].node.bytes == 65536);
  CHECK(extracted(entries[0], folder.path() / "again") == sys::read_file(folder.path() / "disk"));
  CHECK(sys::allocated_bytes(folder.path() / "again") <= sys::allocated_bytes(folder.path() / "disk"));
}

TEST_CASE("a file that ends in a hole, or is one, comes back as long as it was") {
  const sys::TempDir folder = image::testing::temp_dir();
  const auto path = folder.path() / "disk";
  const auto file = sys::open_file(path, O_RDWR | O_CREAT | O_EXCL);
  sys::check(::ftruncate(file.get(), 65536), "ftruncate");
  for (const auto* target : {"hole", "ending"}) {
    const auto tar = to_tar(tree_with_holes(path), true);
    const auto entries = read_tar(memory_file(tar), "test.tar", SparseMembers::Read);
    REQUIRE(entries.size() == 1);
    CHECK(extracted(entries[0], folder.path() / target) == sys::read_file(path));
    CHECK(::pwrite(file.get(), "a", 1, 0) == 1);
  }
}

TEST_CASE("GNU tar unpacks what has holes here, and what it packs with holes is read") {
  const sys::TempDir folder = image::testing::temp_dir();
  put_with_holes(folder.path() / "disk");
  const auto expected = sys::read_file(folder.path() / "disk");
  put(folder.path() / "ours.tar", to_tar(tree_with_holes(folder.path() / "disk"), true));
  const auto options = image::testing::make_tools(folder.path()).options();
  std::filesystem::create_directory(folder.path() / "out");
  sys::check_tool({"tar", "-xf", folder.path() / "ours.tar", "-C", folder.path() / "out"}, options);
  CHECK(sys::read_file(folder.path() / "out/disk") == expected);

  const auto theirs = folder.path() / "theirs.tar";
  sys::check_tool(
      {"tar", "--format=pax", "--sparse", "--sparse-version=1.0", "-cf", theirs, "-C", folder.path(), "disk"}, options);
  const auto entries = read_tar(memory_file(sys::read_file(theirs)), "theirs.tar", SparseMembers::Read);
  REQUIRE(entries.size() == 1);
  CHECK(extracted(entries[0], folder.path() / "theirs") == expected);
}

TEST_CASE("a map of holes that lies is refused") {
  const sys::TempDir folder = image::testing::temp_dir();
  put_with_holes(folder.path() / "disk");
  const auto tar = to_tar(tree_with_holes(folder.path() / "disk"), true);
  const auto map = tar.find("2\n8192\n4096\n");
  REQUIRE(map != std::string::npos);
  for (const std::string_view lie :
       {"3\n8192\n4096\n", "2\n8192\n4097\n", "2\n8192\n0000\n", "2\n8192\n-096\n", "2\n8192\n4096x", "9999999999999",
        // The second piece begins in the first one, or before it.
        "2\n8192\n4096\n12287\n", "2\n8192\n4096\n00000\n"}) {
    auto changed = tar;
    changed.replace(map, lie.size(), lie);
    CAPTURE(lie);
    const auto [code, text] = error_of([&] { read_tar(memory_file(changed), "test.tar", SparseMembers::Read); });
    CHECK(code == ErrorCode::Corrupt);
    CHECK(text.find("a map of holes is malformed") != std::string::npos);
  }
}

TEST_CASE("what is between holes takes whole blocks, and none twice") {
  TarEntry entry;
  entry.node.bytes = 4097;
  CHECK(allocated_bytes(entry) == 8192);
  entry.pieces.emplace();
  CHECK(allocated_bytes(entry) == 0);
  *entry.pieces = {{0, 1}, {2048, 1}, {4096, 1}, {9000, 4000}, {1 << 30, 0}};
  CHECK(allocated_bytes(entry) == 4096 * 4);
}

TEST_CASE("a map of holes without end fills no memory") {
  const sys::TempDir folder = image::testing::temp_dir();
  put_with_holes(folder.path() / "disk");
  const auto tar = to_tar(tree_with_holes(folder.path() / "disk"), true);
  const auto read = [&](std::uint64_t most) {
    return read_tar(memory_file(tar), "test.tar", SparseMembers::Read, most).size();
  };
  CHECK(read(1 << 20) == 1);
  CHECK(error_of([&] { read(16); }).first == ErrorCode::InvalidArgument);
}

TEST_CASE("an archive with holes has few members") {
  Tree tree;
  for (int i = 0; i < 1000; ++i) tree.file(fmt::format("{}", i), 0644, "");
  CHECK(read_tar(memory_file(to_tar(tree, true)), "test.tar", SparseMembers::Read).size() == 1000);
  tree.file("one more", 0644, "");
  const auto tar = to_tar(tree, true);
  const auto [code, text] = error_of([&] { read_tar(memory_file(tar), "test.tar", SparseMembers::Read); });
  CHECK(code == ErrorCode::Corrupt);
  CHECK(text.find("it has too many members") != std::string::npos);
  CHECK(read_tar(memory_file(tar), "test.tar").size() == 1001);
}

TEST_CASE("a file that shrinks or grows while it is streamed is an error, not a wrong archive") {
  const sys::TempDir folder = image::testing::temp_dir();
  const std::filesystem::path path = folder.path() / "log";
  put(path, std::string(1000, 'x'));
  for (const std::uint64_t promised : {999, 1001}) {
    Tree tree;
    Node node;
    node.type = NodeType::File;
    node.bytes = promised;
    node.content = HostFile{path};
    tree.add("log", node);
    const auto [code, text] = error_of([&] { to_tar(tree); });
    CHECK(code == ErrorCode::Io);
    CHECK(text.find("changed while it was read") != std::string::npos);
  }
}

TEST_CASE("content is counted once however many names it has") { CHECK(content_bytes(sample()) == 7); }
