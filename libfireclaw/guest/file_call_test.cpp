#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "fireclaw/error.hpp"
#include "guest/testing/fake_guest.hpp"
#include "guest/testing/guestd_process.hpp"
#include "guest/wire/files.hpp"
#include "sys/file.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::guest {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using sys::testing::thrown_by;
using testing::FakeGuest;
using testing::GuestdProcess;
using testing::soon;
using wire::Type;

struct Fixture {
  sys::TempDir folder{"/tmp", "fireclaw-files-"};
  GuestdProcess guestd;
  Session session{guestd.open()};

  std::string path(const std::string& name) const { return folder.path() / name; }
  std::string read(const std::string& name) const { return sys::read_file(path(name)); }
  void write(const std::string& name, const std::string& content, mode_t mode = 0644) const {
    sys::write_file_atomic(path(name), content, mode);
    ::chmod(path(name).c_str(), mode);
  }
  mode_t mode_of(const std::string& name) const {
    struct stat status {};
    REQUIRE(::lstat(path(name).c_str(), &status) == 0);
    return status.st_mode & 07777;
  }
  /// What is in the folder, hidden names too.
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator{folder.path()}, fs::directory_iterator{}));
  }
};

FileOptions with_limit(std::uint64_t limit, std::uint64_t offset = 0) {
  FileOptions options;
  options.limit = limit;
  options.offset = offset;
  return options;
}

FileOptions as(std::string user) {
  FileOptions options;
  options.user = std::move(user);
  return options;
}

/// Makes `call` to a guest that answers a file call with these frames.
template <typename Send, typename Call>
void ask(Send send, Call call) {
  FakeGuest fake{[&](FakeGuest& guest) {
    wire::Hello hello;
    hello.features = wire::feature_files;
    guest.greet(hello);
    const std::uint32_t channel = guest.await_frame().channel;
    guest.send(Type::Started, channel, wire::encode(wire::Started{}));
    send(guest, channel);
    guest.send(Type::Exit, channel, wire::encode(wire::Exit{}));
    guest.await_hang_up();
  }};
  Session session = Session::open(fake.take_stream(), {}, {}, soon());
  call(session);
}

/// What `call` throws at such a guest.
template <typename Send, typename Call>
Error lied_to(Send send, Call call) {
  return thrown_by([&] { ask(send, call); });
}

TEST_CASE_FIXTURE(Fixture, "any bytes are written and read back, whole and in parts") {
  std::string bytes(300'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  const FileInfo written = session.write_file(path("new"), bytes, {});
  CHECK(written.size == bytes.size());
  CHECK(written.type == FileType::File);
  CHECK(read("new") == bytes);
  CHECK(session.read_file(path("new"), FileOptions{}) == bytes);
  CHECK(session.read_file(path("new"), with_limit(10, 299'995)) == bytes.substr(299'995));
  CHECK(session.read_file(path("new"), with_limit(5, 3)) == bytes.substr(3, 5));
  CHECK(session.read_file(path("new"), with_limit(5, 1ULL << 50)).empty());
  CHECK(session.write_file(path("empty"), "", {}).size == 0);
  CHECK(session.read_file(path("empty"), FileOptions{}).empty());
}

TEST_CASE_FIXTURE(Fixture, "a file that is replaced keeps its mode, and nothing is left beside it") {
  write("tool", "old", 0750);
  session.write_file(path("tool"), "new", {});
  CHECK(read("tool") == "new");
  CHECK(mode_of("tool") == 0750);
  FileOptions options;
  options.mode = 04711;
  CHECK(session.write_file(path("tool"), "newer", options).mode == 04711);
  CHECK(mode_of("tool") == 04711);
  CHECK(count() == 1);
}

TEST_CASE_FIXTURE(Fixture, "links are followed when a file is written, also one that leads to nothing yet") {
  write("target", "old");
  fs::create_symlink("target", path("link"));
  fs::create_symlink(path("later"), path("dangling"));
  session.write_file(path("link"), "new", {});
  session.write_file(path("dangling"), "made", {});
  CHECK(fs::is_symlink(path("link")));
  CHECK(read("target") == "new");
  CHECK(fs::is_symlink(path("dangling")));
  CHECK(read("later") == "made");
  fs::create_symlink("circle", path("circle"));
  CHECK(thrown_by([&] { session.write_file(path("circle"), "", {}); }).code() == ErrorCode::InvalidArgument);
}

TEST_CASE_FIXTURE(Fixture, "a file with several names is written in its place, shorter and longer") {
  write("one", "a long content");
  fs::create_hard_link(path("one"), path("two"));
  session.write_file(path("one"), "short", {});
  CHECK(read("two") == "short");
  session.write_file(path("two"), std::string(100'000, 'x'), {});
  CHECK(read("one") == std::string(100'000, 'x'));
  CHECK(count() == 2);
}

TEST_CASE_FIXTURE(Fixture, "content is put behind what is there, and folders that are missing are made if asked for") {
  FileOptions options;
  options.append = true;
  session.write_file(path("log"), "one,", options);
  CHECK(session.write_file(path("log"), "two", options).size == 7);
  CHECK(read("log") == "one,two");
  CHECK(thrown_by([&] { session.write_file(path("a/b/c"), "x", {}); }).code() == ErrorCode::NotFound);
  FileOptions parents;
  parents.parents = true;
  session.write_file(path("a/b/c"), "x", parents);
  CHECK(read("a/b/c") == "x");
}

TEST_CASE_FIXTURE(Fixture, "a folder is listed by name, whatever its files are called") {
  write("b", "12345", 0640);
  write("a\n\xFF", "");
  fs::create_directory(path("c"));
  fs::create_symlink("nowhere", path("d"));
  REQUIRE(::mkfifo(path("e").c_str(), 0600) == 0);
  const auto listed = session.list_directory(folder.path(), {});
  REQUIRE(listed.size() == 5);
  CHECK(listed[0].name == "a\n\xFF");
  CHECK(listed[1].size == 5);
  CHECK(listed[1].mode == 0640);
  CHECK(listed[1].uid == ::geteuid());
  CHECK(std::chrono::abs(listed[1].modified - std::chrono::system_clock::now()) < 1min);
  CHECK(listed[2].type == FileType::Directory);
  CHECK(listed[3].type == FileType::Link);
  CHECK(listed[3].target == "nowhere");
  CHECK(listed[4].type == FileType::Other);
  const auto first = session.list_directory(folder.path(), with_limit(2));
  REQUIRE(first.size() == 2);
  CHECK(first[1].name == "b");
  CHECK(session.list_directory(path("c"), {}).empty());
  CHECK(thrown_by([&] { session.list_directory(path("b"), {}); }).code() == ErrorCode::InvalidArgument);
}

TEST_CASE_FIXTURE(Fixture, "a path is looked at, with its links followed or not") {
  write("file", "123");
  fs::create_symlink("file", path("link"));
  CHECK(session.stat(path("link"), {}).type == FileType::Link);
  CHECK(session.stat(path("link"), {}).target == "file");
  FileOptions follow;
  follow.follow = true;
  CHECK(session.stat(path("link"), follow).size == 3);
  CHECK(session.stat(path("link"), follow).name == path("link"));
  CHECK(thrown_by([&] { session.stat(path("none"), {}); }).code() == ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(Fixture, "files and folders are removed and made, and what a link leads to stays") {
  FileOptions parents;
  parents.parents = true;
  parents.mode = 0700;
  session.make_directory(path("tree/in/side/"), parents);
  session.make_directory(path("tree/in/side"), parents);
  CHECK(mode_of("tree/in/side") == 0700);
  CHECK(thrown_by([&] { session.make_directory(path("tree"), {}); }).code() == ErrorCode::AlreadyExists);
  write("kept", "x");
  fs::create_symlink(path("kept"), path("tree/link"));
  CHECK(thrown_by([&] { session.remove(path("tree"), {}); }).code() == ErrorCode::InvalidState);
  FileOptions recursive;
  recursive.recursive = true;
  session.remove(path("tree"), recursive);
  CHECK_FALSE(fs::exists(path("tree")));
  CHECK(read("kept") == "x");
  session.remove(path("kept"), {});
  CHECK(thrown_by([&] { session.remove(path("kept"), {}); }).code() == ErrorCode::NotFound);
  CHECK(thrown_by([&] { session.remove("//", recursive); }).code() == ErrorCode::InvalidState);
}

TEST_CASE_FIXTURE(Fixture, "what is not a file, and invalid paths, are refused in words") {
  REQUIRE(::mkfifo(path("pipe").c_str(), 0600) == 0);
  const Error pipe = thrown_by([&] { session.read_file(path("pipe"), FileOptions{}); });
  CHECK(pipe.code() == ErrorCode::InvalidArgument);
  CHECK(std::string{pipe.what()}.find("is not a file") != std::string::npos);
  CHECK(thrown_by([&] { session.read_file(folder.path(), FileOptions{}); }).code() == ErrorCode::InvalidArgument);
  CHECK(thrown_by([&] { session.write_file(folder.path(), "x", {}); }).code() == ErrorCode::InvalidArgument);
  CHECK(thrown_by([&] { session.stat("relative", {}); }).code() == ErrorCode::InvalidArgument);
  CHECK(thrown_by([&] { session.stat(std::string{"/a\0b", 4}, {}); }).code() == ErrorCode::InvalidArgument);
  CHECK(thrown_by([&] { session.stat("/", as("nobody-of-that-name")); }).code() == ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(Fixture, "a call has the rights of its user, and what it makes is that user's") {
  if (::geteuid() != 0) return;
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  write("secret", "x", 0600);
  CHECK(thrown_by([&] { session.read_file(path("secret"), as("1000:1000")); }).code() == ErrorCode::PermissionDenied);
  CHECK(thrown_by([&] { session.write_file(path("mine"), "x", as("1000:1000")); }).code() ==
        ErrorCode::PermissionDenied);
  fs::create_directory(path("theirs"));
  REQUIRE(::chown(path("theirs").c_str(), 1000, 1000) == 0);
  CHECK(session.write_file(path("theirs/file"), "x", as("1000:1000")).uid == 1000);
  CHECK(session.write_file(path("theirs/file"), "by root", {}).uid == 1000);
  // In its own folder, but not its own to write.
  write("theirs/roots", "x");
  CHECK(thrown_by([&] { session.write_file(path("theirs/roots"), "y", as("1000:1000")); }).code() ==
        ErrorCode::PermissionDenied);
  CHECK(read("theirs/roots") == "x");
  // Its own to write, but in a folder where it can make nothing; and one whose owner it cannot keep.
  write("open", "x", 0666);
  session.write_file(path("open"), "written", as("1000:1000"));
  CHECK(read("open") == "written");
  write("theirs/shared", "x", 0666);
  CHECK(session.write_file(path("theirs/shared"), "written", as("1000:1000")).uid == 0);
  CHECK(read("theirs/shared") == "written");
}

TEST_CASE_FIXTURE(Fixture, "a call ends when it is called off, and leaves what was there") {
  write("file", "old");
  std::stop_source stop;
  stop.request_stop();
  FileOptions options;
  options.stop = stop.get_token();
  CHECK(thrown_by([&] { session.write_file(path("file"), std::string(1 << 20, 'x'), options); }).code() ==
        ErrorCode::Cancelled);
  CHECK(read("file") == "old");
}

TEST_CASE("a guest that sends more than was asked for, or nonsense, is refused") {
  const auto floods = [](FakeGuest& guest, std::uint32_t channel) {
    guest.send(Type::Stdout, channel, std::string(60'000, 'x'));
  };
  const auto read = [](Session& session) { session.read_file("/x", with_limit(16)); };
  CHECK(std::string{lied_to(floods, read).what()}.find("more than was asked for") != std::string::npos);
  CHECK(lied_to(floods, [](Session& session) { session.list_directory("/x", with_limit(3)); }).code() ==
        ErrorCode::Guest);
  CHECK(lied_to(floods, [](Session& session) { session.stat("/x", {}); }).code() == ErrorCode::Guest);
  const auto says_nothing = [](FakeGuest&, std::uint32_t) {};
  CHECK(lied_to(says_nothing, read).code() == ErrorCode::Guest);
  const auto chatters = [](FakeGuest& guest, std::uint32_t channel) {
    guest.send(Type::Stderr, channel, std::string(60'000, 'x'));
  };
  CHECK(lied_to(chatters, read).code() == ErrorCode::Guest);
  const auto climbs = [](FakeGuest& guest, std::uint32_t channel) {
    std::string listing;
    wire::FileStatus entry;
    entry.name = "../up";
    wire::append_listed(listing, entry);
    guest.send(Type::Stdout, channel, listing);
    guest.send(Type::Stderr, channel, wire::encode(wire::FileAnswer{}));
  };
  CHECK(lied_to(climbs, [](Session& session) { session.list_directory("/x", {}); }).code() == ErrorCode::Guest);
  const auto lists_three = [](FakeGuest& guest, std::uint32_t channel) {
    std::string listing;
    for (const auto* name : {"a", "b", "c"}) {
      wire::FileStatus entry;
      entry.name = name;
      wire::append_listed(listing, entry);
    }
    guest.send(Type::Stdout, channel, listing);
    guest.send(Type::Stderr, channel, wire::encode(wire::FileAnswer{}));
  };
  CHECK_NOTHROW(ask(lists_three, [](Session& session) { session.list_directory("/x", with_limit(3)); }));
  CHECK(lied_to(lists_three, [](Session& session) { session.list_directory("/x", with_limit(2)); }).code() ==
        ErrorCode::Guest);
}

TEST_CASE("a time that clocks here cannot hold becomes the nearest one that they can") {
  for (const bool past : {false, true}) {
    FileInfo info;
    const auto makes_up = [&](FakeGuest& guest, std::uint32_t channel) {
      wire::FileAnswer answer;
      answer.status.mtime_s =
          past ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
      answer.status.mtime_ns = ~0U;
      guest.send(Type::Stderr, channel, wire::encode(answer));
    };
    ask(makes_up, [&](Session& session) { info = session.stat("/x", {}); });
    const std::chrono::seconds most{9'000'000'000};
    CHECK(info.modified.time_since_epoch() == (past ? -most : most) + 999'999'999ns);
  }
}

TEST_CASE("a guestd that is too old for file calls is not asked") {
  FakeGuest fake{[&](FakeGuest& guest) {
    guest.greet();
    guest.await_hang_up();
  }};
  Session session = Session::open(fake.take_stream(), {}, {}, soon());
  CHECK(thrown_by([&] { session.stat("/", {}); }).code() == ErrorCode::Unsupported);
}

}  // namespace
}  // namespace fireclaw::guest
