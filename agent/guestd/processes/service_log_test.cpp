#include "processes/service_log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "sys/file.hpp"

namespace fireclaw::guestd {
namespace {

constexpr guest::Base everywhere{AT_FDCWD, false};

struct Folder {
  const sys::TempDir temporary{"/tmp", "fireclaw-log-"};
  const std::filesystem::path path = temporary.path();
  std::string text(const char* name) const { return sys::read_file(path / name); }
  std::string file(const char* name) const { return (path / name).string(); }
  /// Puts a folder in the file's place: it cannot be opened, as on a disk that is full or gone.
  void block(const char* name) const {
    std::filesystem::remove(path / name);
    std::filesystem::create_directory(path / name);
  }
};

}  // namespace

TEST_CASE("a log is made with its folders, and continues where an earlier one ended") {
  const Folder folder;
  const std::string path = folder.file("a/b/x.log");
  {
    ServiceLog log{everywhere, path, 4096};
    REQUIRE(log.open());
    log.write("one\n");
  }
  ServiceLog log{everywhere, path, 4096};
  REQUIRE(log.open());
  log.write("two\n");
  CHECK(folder.text("a/b/x.log") == "one\ntwo\n");
}

TEST_CASE("a log that has grown to its limit becomes the old one, between two lines") {
  const Folder folder;
  ServiceLog log{everywhere, folder.file("x.log"), 100};
  REQUIRE(log.open());
  std::string all;
  for (int i = 0; i < 50; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    all += line;
    log.write(line);
  }
  const std::string now = folder.text("x.log");
  const std::string before = folder.text("x.log.1");
  CHECK(now.size() <= 100);
  CHECK(before.size() <= 100);
  CHECK(before.ends_with('\n'));
  CHECK(all.ends_with(before + now));
  CHECK(std::distance(std::filesystem::directory_iterator{folder.path}, {}) == 2);
}

TEST_CASE("output that comes in one piece, or without line ends, is bounded too") {
  const Folder folder;
  ServiceLog log{everywhere, folder.file("x.log"), 100};
  REQUIRE(log.open());
  log.write(std::string(1050, 'x'));
  CHECK(folder.text("x.log").size() == 50);
  CHECK(folder.text("x.log.1").size() == 100);
}

TEST_CASE("what fills a log to its last byte is still in it") {
  const Folder folder;
  ServiceLog log{everywhere, folder.file("x.log"), 100};
  REQUIRE(log.open());
  log.write(std::string(50, 'a'));
  log.write(std::string(50, 'b'));
  CHECK(folder.text("x.log") == std::string(50, 'a') + std::string(50, 'b'));
  log.write("c");
  CHECK(folder.text("x.log") == "c");
  CHECK(folder.text("x.log.1").size() == 100);
}

TEST_CASE("a log that somebody removes, or empties, is made again") {
  const Folder folder;
  ServiceLog log{everywhere, folder.file("x.log"), 100};
  REQUIRE(log.open());
  log.write("before\n");
  std::filesystem::remove(folder.path / "x.log");
  log.write("after\n");
  CHECK(folder.text("x.log") == "after\n");
  std::filesystem::resize_file(folder.path / "x.log", 0);
  log.write("again\n");
  CHECK(folder.text("x.log") == "again\n");
}

TEST_CASE("nothing is written through a symbolic link, to a FIFO, or by a name with dots in it") {
  const Folder folder;
  sys::write_file_atomic(folder.path / "secret", "");
  std::filesystem::create_symlink("secret", folder.path / "link.log");
  std::filesystem::create_directory(folder.path / "real");
  std::filesystem::create_directory_symlink("real", folder.path / "folder");
  REQUIRE(::mkfifo(folder.file("fifo.log").c_str(), 0600) == 0);
  for (const char* name : {"link.log", "folder/x.log", "fifo.log", "real/../x.log", "real", "real/"}) {
    CAPTURE(name);
    ServiceLog log{everywhere, folder.file(name), 100};
    CHECK_FALSE(log.open());
    CHECK(errno != 0);
  }
  CHECK(std::filesystem::is_empty(folder.path / "real"));
  CHECK(folder.text("secret").empty());
  ServiceLog relative{everywhere, "x.log", 100};
  CHECK_FALSE(relative.open());
}

TEST_CASE("names are looked up below the root that was given") {
  const Folder folder;
  const guest::OwnedFd root{::open(folder.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  ServiceLog log{{root.get(), true}, "/var/x.log", 100};
  REQUIRE(log.open());
  log.write("here\n");
  CHECK(folder.text("var/x.log") == "here\n");
}

TEST_CASE("what a full disk did not take is counted where the output continues") {
  const Folder folder;
  const std::string path = folder.file("x.log");
  ServiceLog log{everywhere, path, 4096};
  REQUIRE(log.open());
  folder.block("x.log");
  log.write("lost\n");
  log.write("lost too\n");
  std::filesystem::remove(path);
  log.write("kept\n");
  CHECK(folder.text("x.log") == "[guestd: 14 bytes of output were lost here: is a directory]\nkept\n");
}

TEST_CASE("lost output is counted until it can be reported") {
  const Folder folder;
  const std::string path = folder.file("x.log");
  ServiceLog log{everywhere, path, 4096};
  REQUIRE(log.open());
  folder.block("x.log");
  log.write("lost\n");
  std::filesystem::remove(path);
  // Now it can be opened, and takes nothing.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit nothing{0, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &nothing) == 0);
  log.write("lost too\n");
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, handler);
  log.write("kept\n");
  CHECK(folder.text("x.log") == "[guestd: 14 bytes of output were lost here: file too large]\nkept\n");
}

TEST_CASE("an old log that cannot be replaced does not let the new one grow") {
  const Folder folder;
  std::filesystem::create_directories(folder.path / "x.log.1/full");
  ServiceLog log{everywhere, folder.file("x.log"), 100};
  REQUIRE(log.open());
  for (int i = 0; i < 100; ++i) log.write("0123456789\n");
  CHECK(folder.text("x.log").size() <= 100);
}

TEST_CASE("a log that was looked up again continues in what bears its name then") {
  const Folder folder;
  ServiceLog log{everywhere, folder.file("logs/x.log"), 4096};
  REQUIRE(log.open());
  log.write("before\n");
  // As a disk does that is mounted over the folder: what was there is hidden, and still open.
  std::filesystem::rename(folder.path / "logs", folder.path / "hidden");
  log.write("hidden\n");
  log.reopen();
  log.write("after\n");
  CHECK(folder.text("hidden/x.log") == "before\nhidden\n");
  CHECK(folder.text("logs/x.log") == "after\n");
}

}  // namespace fireclaw::guestd
