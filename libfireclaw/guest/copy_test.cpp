#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "guest/testing/fake_guest.hpp"
#include "guest/testing/guestd_process.hpp"
#include "guest/tree/tree.hpp"
#include "sys/file.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::guest {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::FakeGuest;
using testing::GuestdProcess;
using testing::sh;
using testing::soon;
using wire::Entry;
using wire::EntryKind;
using wire::Type;

struct Fixture {
  sys::TempDir folder{"/tmp", "fireclaw-test-"};
  GuestdProcess guestd;
  Session session{guestd.open()};

  std::string path(const std::string& name) const { return folder.path() / name; }
  void write(const std::string& name, const std::string& content, mode_t mode = 0644) const {
    fs::create_directories(fs::path{path(name)}.parent_path());
    sys::write_file_atomic(path(name), content, mode);
  }
  std::string read(const std::string& name) const { return sys::read_file(path(name)); }
};

/// What copy_out() makes of a guest that answers with these frames.
template <typename Send>
std::pair<std::optional<ErrorCode>, std::string> copy_out_from(const fs::path& target, Send send,
                                                               const CopyOptions& options = {}) {
  FakeGuest fake{[&](FakeGuest& guest) {
    guest.greet();
    guest.await_frame();
    send(guest);
    guest.await_hang_up();
  }};
  Session session = Session::open(fake.take_stream(), {}, {}, soon());
  try {
    session.copy_out("/data/tree", target, soon(), options);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

void send_entry(FakeGuest& guest, EntryKind kind, std::string name, std::uint32_t mode = 0755, std::string link = {}) {
  Entry entry;
  entry.kind = kind;
  entry.name = std::move(name);
  entry.mode = mode;
  entry.link = std::move(link);
  guest.send(Type::Entry, 1, wire::encode(entry));
}

TEST_CASE_FIXTURE(Fixture, "a tree is copied into the guest and out again unchanged") {
  std::string big(3 << 20, '\0');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * i >> 7);
  write("tree/big", big);
  write("tree/sub/script", "#!/bin/sh\n", 0755);
  write("tree/sub/empty", "");
  fs::create_symlink("sub/script", path("tree/link"));
  fs::create_directory(path("tree/hollow"));
  const CopyResult in = session.copy_in(path("tree"), path("inside"), soon());
  CHECK(in.files == 4);
  CHECK(in.bytes == big.size() + 10);
  CHECK(in.skipped == 0);
  const CopyResult out = session.copy_out(path("inside"), path("outside"), soon());
  CHECK(out.files == 4);
  CHECK(out.bytes == in.bytes);
  CHECK(session.exec(sh("diff -r '" + path("tree") + "' '" + path("outside") + "'")).exit_code == 0);
  CHECK(read("outside/big") == big);
  CHECK(fs::read_symlink(path("outside/link")) == "sub/script");
  CHECK(fs::is_directory(path("outside/hollow")));
  struct stat before {};
  struct stat after {};
  REQUIRE(::stat(path("tree/sub/script").c_str(), &before) == 0);
  REQUIRE(::stat(path("outside/sub/script").c_str(), &after) == 0);
  CHECK(before.st_mode == after.st_mode);
  CHECK(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}

TEST_CASE_FIXTURE(Fixture, "an existing folder receives a copy under its own name, both ways") {
  write("tree/x", "x");
  fs::create_directory(path("box"));
  session.copy_in(path("tree"), path("box"), soon());
  CHECK(read("box/tree/x") == "x");
  fs::create_directory(path("box2"));
  session.copy_out(path("tree"), path("box2"), soon());
  CHECK(read("box2/tree/x") == "x");
  session.copy_out(path("tree/x"), path("box2"), soon());
  CHECK(read("box2/x") == "x");
}

TEST_CASE_FIXTURE(Fixture, "what cannot be copied is said by the side that knows") {
  write("file", "x");
  CHECK_THROWS_WITH_AS(
      session.copy_in(path("none"), "/tmp", soon()),
      ("copying '" + path("none") + "' into the guest: cannot open '" + path("none") + "': no such file or directory")
          .c_str(),
      Error);
  CHECK_THROWS_WITH_AS(
      session.copy_in(path("file"), "/no/such/folder", soon()),
      ("copying '" + path("file") + "' into the guest: cannot open the folder '/no/such': no such file or directory")
          .c_str(),
      Error);
  CHECK_THROWS_WITH_AS(session.copy_out("/no/such/file", path("out"), soon()),
                       "copying '/no/such/file' out of the guest: cannot open '/no/such/file': no such file or "
                       "directory",
                       Error);
  CHECK_THROWS_AS(session.copy_out(path("file"), path("no/such/out"), soon()), Error);
  CHECK_THROWS_AS(session.copy_in(path("file"), "", soon()), Error);
  CHECK_THROWS_AS(session.copy_out("", path("out"), soon()), Error);
  // The session is none the worse for it.
  session.ping(soon());
}

TEST_CASE("a folder that cannot be read on is named as it was asked for") {
  // Of a process that is gone, the kernel lists nothing.
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  auto process = sys::Child::spawn(spec);
  const auto folder = "/proc/" + std::to_string(process.id().pid) + "/net";
  TreeReader reader{{AT_FDCWD, false}, folder, false};
  TreeReader::Item item;
  std::array<char, 16> buffer{};
  REQUIRE_FALSE(reader.next(item, buffer.data(), buffer.size()));
  CHECK(item.entry.kind == EntryKind::Folder);
  process.kill();
  const auto failed = reader.next(item, buffer.data(), buffer.size());
  REQUIRE(failed);
  CHECK(failed->error == EINVAL);
  CHECK(failed->message == "cannot read the folder '" + folder + "': invalid argument");
}

TEST_CASE_FIXTURE(Fixture, "a full disk in the guest ends the copy with the guest's reason") {
  write("big", std::string(1 << 20, 'x'));
  CHECK_THROWS_AS(session.copy_in(path("big"), "/dev/full/x", soon()), Error);
  CHECK_THROWS_AS(session.write_file("/dev/full", "x", 0644, soon()), Error);
  session.ping(soon());
}

TEST_CASE_FIXTURE(Fixture, "small files are written and read as a whole") {
  const std::string content("one\0two\n", 8);
  session.write_file(path("note"), content, 0640, soon());
  CHECK(read("note") == content);
  struct stat status {};
  REQUIRE(::stat(path("note").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
  CHECK(session.read_file(path("note"), 100, soon()) == content);
  CHECK(session.read_file(path("note"), content.size(), soon()) == content);
  CHECK_THROWS_AS(session.read_file(path("note"), content.size() - 1, soon()), Error);
  session.write_file(path("note"), "", 0640, soon());
  CHECK(session.read_file(path("note"), 0, soon()).empty());
  CHECK_THROWS_AS(session.read_file("/tmp", 100, soon()), Error);
  CHECK_THROWS_AS(session.read_file(path("none"), 100, soon()), Error);
  CHECK_THROWS_AS(session.write_file("/tmp", "x", 0644, soon()), Error);
  fs::create_symlink("note", path("link"));
  session.write_file(path("note"), "linked", 0640, soon());
  CHECK(session.read_file(path("link"), 100, soon()) == "linked");
  // Files whose size is not known beforehand.
  CHECK(session.read_file("/proc/self/comm", 100, soon()) == "guestd\n");
}

TEST_CASE_FIXTURE(Fixture, "copies and commands run side by side") {
  const std::string big(4 << 20, 'b');
  write("big", big);
  std::vector<std::jthread> threads;
  std::array<bool, 8> right{};
  for (std::size_t number = 0; number < right.size(); ++number) {
    threads.emplace_back([&, number] {
      const std::string name = "copy-" + std::to_string(number);
      if (number % 2 == 0) {
        session.copy_in(path("big"), path(name), soon());
      } else {
        session.copy_out(path("big"), path(name), soon());
      }
      right[number] = read(name) == big && session.exec(sh("wc -c < '" + path(name) + "'")).out == "4194304\n";
    });
  }
  threads.clear();
  for (const bool result : right) CHECK(result);
}

TEST_CASE_FIXTURE(Fixture, "a copy can be cancelled and limited in time") {
  std::stop_source stop;
  stop.request_stop();
  write("file", "x");
  CopyOptions stopped;
  stopped.stop = stop.get_token();
  CHECK_THROWS_AS(session.copy_in(path("file"), path("to"), soon(), stopped), Error);
  CHECK_THROWS_AS(session.copy_out("/dev/zero", path("to"), soon()), Error);
  FakeGuest fake{[](FakeGuest& guest) {
    guest.greet();
    guest.await_hang_up();
  }};
  Session silent = Session::open(fake.take_stream(), {}, {}, soon());
  try {
    silent.copy_out("/x", path("to"), Deadline::after(100ms));
    FAIL("it should have timed out");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Timeout);
  }
}

TEST_CASE_FIXTURE(Fixture, "a hostile guest writes nothing outside the target") {
  write("outside/file", "untouched");
  fs::create_directory(path("box"));
  for (const std::string& name : {std::string{"../evil"}, std::string{".."}, std::string{"/tmp/fireclaw-evil"},
                                  std::string{"a/../../evil"}, std::string{"a\0b", 3}, std::string(300, 'x')}) {
    const auto [code, text] = copy_out_from(path("box"), [&](FakeGuest& guest) {
      send_entry(guest, EntryKind::Folder, "tree");
      send_entry(guest, EntryKind::File, name);
    });
    CHECK_MESSAGE(code == ErrorCode::Guest, text);
  }
  // Out through a link that it made before.
  CopyOptions keep;
  keep.links = CopyLinks::Keep;
  const auto through_door = [&](FakeGuest& guest) {
    send_entry(guest, EntryKind::Folder, "tree");
    send_entry(guest, EntryKind::Link, "door", 0777, path("outside"));
    send_entry(guest, EntryKind::Folder, "door");
    send_entry(guest, EntryKind::File, "file");
    guest.send(Type::Data, 1, "evil");
  };
  const auto [code, text] = copy_out_from(path("box"), through_door, keep);
  CHECK_MESSAGE(code == ErrorCode::AlreadyExists, text);
  CHECK(read("outside/file") == "untouched");
  // The name at the top is the one that was asked for, whatever the guest says.
  copy_out_from(path("box"), [&](FakeGuest& guest) {
    send_entry(guest, EntryKind::File, "../outside/file");
    guest.send(Type::Data, 1, "content");
    guest.send_done(1);
  });
  CHECK(read("outside/file") == "untouched");
  CHECK_FALSE(fs::exists(path("evil")));
  CHECK_FALSE(fs::exists("/tmp/fireclaw-evil"));
}

TEST_CASE_FIXTURE(Fixture, "what comes out of a guest has no set-user-id bits") {
  const auto [code, text] = copy_out_from(path("out"), [&](FakeGuest& guest) {
    send_entry(guest, EntryKind::Folder, "tree", 07777);
    send_entry(guest, EntryKind::File, "su", 06755);
    guest.send(Type::Leave, 1);
    guest.send_done(1);
  });
  CHECK_MESSAGE(!code, text);
  struct stat status {};
  REQUIRE(::stat(path("out/su").c_str(), &status) == 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  CHECK((status.st_mode & 07777) == (0755 & ~mask));
  REQUIRE(::stat(path("out").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == (0777 & ~mask));
}

TEST_CASE_FIXTURE(Fixture, "a guest that never stops talking is left when the time is over") {
  for (const Type type : {Type::Entry, Type::Hole}) {
    FakeGuest fake{[&](FakeGuest& guest) {
      guest.greet();
      guest.await_frame();
      send_entry(guest, EntryKind::Folder, "tree");
      if (type == Type::Hole) send_entry(guest, EntryKind::File, "file");
      // As much as may be under way; the rest is what the host allows by and by.
      std::uint64_t credit = wire::window_bytes / 2;
      for (int number = 0;; ++number) {
        while (credit < 128) {
          wire::Window window;
          try {
            const wire::Frame frame = guest.await_frame();
            if (frame.type == Type::Window && wire::decode(frame.payload, window)) credit += window.bytes;
          } catch (const Error&) {
            return;
          }
        }
        credit -= 128;
        if (type == Type::Hole) {
          guest.send(Type::Hole, 1, wire::encode(wire::Hole{1}));
        } else {
          send_entry(guest, EntryKind::Link, std::to_string(number), 0777, "/outward");
        }
      }
    }};
    Session session = Session::open(fake.take_stream(), {}, {}, soon());
    const auto began = std::chrono::steady_clock::now();
    try {
      session.copy_out("/data/tree", path("endless"), Deadline::after(200ms));
      FAIL("it should have timed out");
    } catch (const Error& error) {
      CHECK_MESSAGE(error.code() == ErrorCode::Timeout, error.what());
    }
    CHECK(std::chrono::steady_clock::now() - began < 10s);
    CHECK_FALSE(fs::exists(path("endless")));
  }
}

TEST_CASE_FIXTURE(Fixture, "holes are told as such, both ways") {
  const std::uint64_t size = std::uint64_t{1} << 40;
  write("sparse", "begin");
  fs::resize_file(path("sparse"), size);
  CHECK(session.copy_in(path("sparse"), path("inside"), soon()).bytes == size);
  CHECK(session.copy_out(path("inside"), path("outside"), soon()).bytes == size);
  struct stat status {};
  REQUIRE(::stat(path("outside").c_str(), &status) == 0);
  CHECK(static_cast<std::uint64_t>(status.st_size) == size);
  CHECK(status.st_blocks * 512 < 1 << 20);
  fs::resize_file(path("outside"), 5);
  CHECK(read("outside") == "begin");
  fs::resize_file(path("outside"), 8192);
  CHECK(session.read_file(path("outside"), 8192, soon()) == "begin" + std::string(8187, '\0'));
  CHECK_THROWS_AS(session.read_file(path("sparse"), 8192, soon()), Error);
}

TEST_CASE_FIXTURE(Fixture, "what is left out is counted at both ends") {
  fs::create_directory(path("tree"));
  REQUIRE(::mkfifo(path("tree/pipe").c_str(), 0600) == 0);
  REQUIRE(::mkfifo(path("tree/pipe2").c_str(), 0600) == 0);
  fs::create_symlink("/etc", path("tree/etc"));
  CHECK(session.copy_in(path("tree"), path("inside"), soon()).skipped == 2);
  CHECK(fs::is_symlink(path("inside/etc")));
  const CopyResult out = session.copy_out(path("tree"), path("outside"), soon());
  CHECK(out.skipped == 2);
  CHECK(out.links_left_out == 1);
  CHECK(fs::is_empty(path("outside")));
}

TEST_CASE_FIXTURE(Fixture, "files that are copied in belong to the given owner") {
  write("tree/sub/file", "x");
  fs::create_symlink("sub", path("tree/link"));
  CopyOptions options;
  options.owner = "nobody-of-this-name";
  CHECK_THROWS_AS(session.copy_in(path("tree"), path("inside"), soon(), options), Error);
  CHECK_FALSE(fs::exists(path("inside")));
  const bool root = ::geteuid() == 0;
  const uid_t uid = root ? 12345 : ::geteuid();
  const gid_t gid = root ? 54321 : ::getegid();
  options.owner = std::to_string(uid) + ":" + std::to_string(gid);
  session.copy_in(path("tree"), path("inside"), soon(), options);
  for (const std::string name : {"inside", "inside/sub", "inside/sub/file", "inside/link"}) {
    struct stat status {};
    REQUIRE(::lstat(path(name).c_str(), &status) == 0);
    CHECK(status.st_uid == uid);
    CHECK(status.st_gid == gid);
  }
}

TEST_CASE("what is sent for a file is one file") {
  const auto read = [](const std::function<void(FakeGuest&)>& send) {
    FakeGuest fake{[&](FakeGuest& guest) {
      guest.greet();
      guest.await_frame();
      send(guest);
      guest.send_done(1);
      guest.await_hang_up();
    }};
    Session session = Session::open(fake.take_stream(), {}, {}, soon());
    return session.read_file("/note", 100, soon());
  };
  const auto send_file = [](FakeGuest& guest) {
    send_entry(guest, EntryKind::File, "note");
    guest.send(Type::Data, 1, "text");
  };
  CHECK(read(send_file) == "text");
  const auto refused = [&](const std::function<void(FakeGuest&)>& send) {
    CHECK(sys::testing::thrown_by([&] { read(send); }).code() == ErrorCode::Guest);
  };
  refused([](FakeGuest&) {});
  refused([](FakeGuest& guest) { guest.send(Type::Data, 1, "content of nothing"); });
  refused([&](FakeGuest& guest) {
    send_file(guest);
    send_file(guest);
  });
  refused([&](FakeGuest& guest) {
    send_file(guest);
    guest.send(Type::Leave, 1);
  });
}

TEST_CASE_FIXTURE(Fixture, "answers that are not a tree are refused") {
  const auto refused = [&](const std::function<void(FakeGuest&)>& send) {
    const auto [code, text] = copy_out_from(path("out"), send);
    CHECK_MESSAGE(code == ErrorCode::Guest, text);
  };
  refused([](FakeGuest& guest) { guest.send_done(1); });
  refused([](FakeGuest& guest) { guest.send(Type::Data, 1, "content of nothing"); });
  refused([](FakeGuest& guest) { guest.send(Type::Entry, 1, "x"); });
  refused([](FakeGuest& guest) { guest.send(Type::Leave, 1); });
  refused([](FakeGuest& guest) { guest.send(Type::Exit, 1, wire::encode(wire::Exit{})); });
  refused([](FakeGuest& guest) {
    send_entry(guest, EntryKind::Folder, "tree");
    guest.send_done(1);
  });
}

}  // namespace
}  // namespace fireclaw::guest
