#include "guest/tree/writer.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "guest/testing/entries.hpp"
#include "guest/tree/untrusted.hpp"
#include "sys/file.hpp"

namespace fireclaw::guest {
namespace {

namespace fs = std::filesystem;
using testing::entry_of;
using wire::Entry;
using wire::EntryKind;

constexpr Base anywhere{AT_FDCWD, false};

Entry folder(std::string name) { return entry_of(EntryKind::Folder, std::move(name), 0755); }
Entry file(std::string name, std::uint32_t mode = 0644) { return entry_of(EntryKind::File, std::move(name), mode); }
Entry link(std::string name, std::string target) {
  return entry_of(EntryKind::Link, std::move(name), 0777, std::move(target));
}

CopyOptions keep_links() {
  CopyOptions options;
  options.links = CopyLinks::Keep;
  return options;
}
CopyOptions at_most(std::uint64_t bytes, std::uint64_t files) {
  CopyOptions options;
  options.max_bytes = bytes;
  options.max_files = files;
  return options;
}

class Umask {
 public:
  explicit Umask(mode_t mask) : before_{::umask(mask)} {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

/// The user's folder, and one beside it in which nothing may change.
struct Fixture {
  Fixture() {
    fs::create_directory(path("job"));
    fs::create_directory(path("victim"));
    write("victim/file", "untouched");
  }
  sys::TempDir folder_{"/tmp", "fireclaw-test-"};
  const Umask umask_{022};
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void write(const std::string& name, const std::string& content, mode_t mode = 0644) const {
    sys::write_file_atomic(path(name), content, mode);
  }
  std::string read(const std::string& name) const { return sys::read_file(path(name)); }
  mode_t mode(const std::string& name) const {
    struct stat status {};
    REQUIRE(::lstat(path(name).c_str(), &status) == 0);
    return status.st_mode & 07777;
  }
  void check_victim() const {
    CHECK(read("victim/file") == "untouched");
    CHECK(std::distance(fs::directory_iterator{path("victim")}, {}) == 1);
  }
  std::vector<std::string> names_in(const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator{path(name)}) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  /// What a hostile guest's answer makes of `target`, as a copy out of it.
  using Answer = std::function<std::optional<Failure>(TreeWriter&)>;
  std::optional<Failure> receive(const std::string& target, const std::string& name, const Answer& answer,
                                 const CopyOptions& options = {}) const {
    TreeWriter writer{anywhere, target.starts_with('/') ? target : path(target).string(), name, false,
                      untrusted(options)};
    if (auto failed = answer(writer)) return failed;
    if (auto failed = writer.finish()) return failed;
    links_left_out_ = writer.links_left_out();
    return {};
  }
  mutable std::uint64_t links_left_out_ = 0;
};

/// One after the other, until one is refused.
template <class... Steps>
std::optional<Failure> in_turn(Steps&&... steps) {
  std::optional<Failure> failed;
  (void)((failed = steps(), !failed) && ...);
  return failed;
}

Fixture::Answer a_folder_with_a_file() {
  return [](TreeWriter& writer) {
    return in_turn([&] { return writer.entry(folder("out")); }, [&] { return writer.entry(file("file", 0755)); },
                   [&] { return writer.data("owned"); }, [&] { return writer.leave(); });
  };
}
Fixture::Answer a_link(const std::string& target) {
  return [target](TreeWriter& writer) { return writer.entry(link("out", target)); };
}

TEST_CASE_FIXTURE(Fixture, "a link that an earlier copy left at the target is replaced, not followed") {
  const CopyOptions keep = keep_links();
  REQUIRE_FALSE(receive("job/result", "out", a_link(path("victim")), keep));
  REQUIRE(fs::is_symlink(path("job/result")));
  REQUIRE_FALSE(receive("job/result", "out", a_folder_with_a_file(), keep));
  CHECK_FALSE(fs::is_symlink(path("job/result")));
  CHECK(read("job/result/file") == "owned");
  // With "/." at the source's end the content goes into the target itself.
  fs::remove_all(path("job/result"));
  REQUIRE_FALSE(receive("job/result", "out", a_link(path("victim")), keep));
  REQUIRE_FALSE(receive("job/result", "", a_folder_with_a_file(), keep));
  CHECK(read("job/result/file") == "owned");
  // One file through a link to a file.
  fs::create_symlink(path("victim/file"), path("job/note"));
  REQUIRE_FALSE(receive("job/note", "out", [](TreeWriter& writer) {
    return in_turn([&] { return writer.entry(file("out")); }, [&] { return writer.data("new"); });
  }));
  CHECK(read("job/note") == "new");
  check_victim();
}

TEST_CASE_FIXTURE(Fixture, "a link to a device or to a file of a process is not replaced") {
  for (const char* target : {"/dev/null", "/proc/self/fd/1"}) {
    CAPTURE(target);
    fs::remove(path("job/stdout"));
    fs::create_symlink(target, path("job/stdout"));
    const auto failed = receive("job/stdout", "out", [](TreeWriter& writer) { return writer.entry(file("out")); });
    REQUIRE(failed);
    CHECK(failed->message.find("is not replaced") != std::string::npos);
    CHECK(fs::read_symlink(path("job/stdout")) == target);
  }
  // Within a tree it is replaced like any other.
  fs::create_directory(path("job/out"));
  fs::create_symlink("/proc/mounts", path("job/out/file"));
  REQUIRE_FALSE(receive("job/out", "", a_folder_with_a_file()));
  CHECK(read("job/out/file") == "owned");
}

TEST_CASE_FIXTURE(Fixture, "a target that says it is a folder is refused where it is a link") {
  fs::create_symlink(path("victim"), path("job/result"));
  for (const std::string target : {"job/result/", "job/result/.", "job/result//"}) {
    const auto failed = receive(target, "out", a_folder_with_a_file());
    REQUIRE(failed);
    CHECK(failed->message.find("symbolic link") != std::string::npos);
  }
  check_victim();
}

TEST_CASE_FIXTURE(Fixture, "links below the target are replaced at any depth, however often it is copied") {
  REQUIRE_FALSE(receive("job", "out", a_folder_with_a_file()));
  fs::create_directory(path("job/out/deep"));
  fs::create_symlink(path("victim"), path("job/out/deep/door"));
  fs::create_symlink(path("victim/file"), path("job/out/deep/pin"));
  for (int run = 0; run < 2; ++run) {
    REQUIRE_FALSE(receive("job", "out", [](TreeWriter& writer) {
      return in_turn([&] { return writer.entry(folder("out")); }, [&] { return writer.entry(folder("deep")); },
                     [&] { return writer.entry(folder("door")); }, [&] { return writer.entry(file("file")); },
                     [&] { return writer.data("evil"); }, [&] { return writer.leave(); },
                     [&] { return writer.entry(file("pin")); }, [&] { return writer.data("evil"); },
                     [&] { return writer.leave(); }, [&] { return writer.leave(); });
    }));
    CHECK(read("job/out/deep/door/file") == "evil");
    CHECK(read("job/out/deep/pin") == "evil");
    CHECK(read("job/out/file") == "owned");
  }
  check_victim();
}

TEST_CASE_FIXTURE(Fixture, "the same name twice in one tree is refused, whatever the two are") {
  const std::vector<Entry> kinds{folder("x"), file("x"), link("x", "inside")};
  for (const Entry& first : kinds) {
    for (const Entry& second : kinds) {
      TreeWriter writer{anywhere, path("job/new"), "out", false, untrusted({})};
      REQUIRE_FALSE(writer.entry(folder("out")));
      REQUIRE_FALSE(writer.entry(first));
      if (first.kind == EntryKind::Folder) REQUIRE_FALSE(writer.leave());
      CHECK(writer.entry(second));
    }
  }
  CHECK(names_in("job").empty());
}

TEST_CASE_FIXTURE(Fixture, "links that lead out of the tree are left out and counted") {
  const std::vector<std::string> outward{
      "/etc/passwd", "..", "../x", "./../..", "a/..", "a/../../x", "deep/../../x", "", "./a/./../b",
  };
  const std::vector<std::string> inward{"a", "./a", "deep/b/c", ".", "a//b/"};
  const auto answer = [&](TreeWriter& writer) -> std::optional<Failure> {
    if (auto failed = writer.entry(folder("out"))) return failed;
    int number = 0;
    for (const auto& target : outward)
      if (auto failed = writer.entry(link("out" + std::to_string(number++), target))) return failed;
    for (const auto& target : inward)
      if (auto failed = writer.entry(link("in" + std::to_string(number++), target))) return failed;
    if (auto failed = writer.entry(folder("deep"))) return failed;
    if (auto failed = writer.entry(link("up", "../a"))) return failed;
    if (auto failed = writer.entry(link("too-far", "../../a"))) return failed;
    if (auto failed = writer.leave()) return failed;
    return writer.leave();
  };
  REQUIRE_FALSE(receive("job/tree", "out", answer));
  CHECK(links_left_out_ == outward.size() + 1);
  CHECK(names_in("job/tree").size() == inward.size() + 1);
  CHECK(fs::read_symlink(path("job/tree/deep/up")) == "../a");
  CHECK_FALSE(fs::is_symlink(path("job/tree/deep/too-far")));
  // By itself a link leads out of what is copied.
  REQUIRE_FALSE(receive("job/link", "out", a_link("tree")));
  CHECK(links_left_out_ == 1);
  CHECK_FALSE(fs::is_symlink(path("job/link")));
}

TEST_CASE_FIXTURE(Fixture, "no chain of links that are kept leads out of the tree") {
  // "a" is the tree's top, so that what follows it lexically is not where it leads.
  REQUIRE_FALSE(receive("job/tree", "out", [](TreeWriter& writer) {
    return in_turn([&] { return writer.entry(folder("out")); }, [&] { return writer.entry(folder("p")); },
                   [&] { return writer.entry(folder("q")); }, [&] { return writer.entry(link("a", "../..")); },
                   [&] { return writer.entry(link("b", "a/..")); }, [&] { return writer.leave(); },
                   [&] { return writer.leave(); }, [&] { return writer.entry(link("c", "p/q/a/../x")); },
                   [&] { return writer.leave(); });
  }));
  CHECK(links_left_out_ == 2);
  for (const auto& entry : fs::recursive_directory_iterator{path("job/tree")}) {
    if (!entry.is_symlink()) continue;
    const auto leads = fs::weakly_canonical(entry.path()).string();
    CHECK_MESSAGE(leads.starts_with(fs::canonical(path("job/tree")).string()), entry.path() << " leads to " << leads);
  }
}

TEST_CASE_FIXTURE(Fixture, "a file that is there stays whole until its successor is") {
  write("job/x", "old");
  {
    TreeWriter writer{anywhere, path("job/x"), "out", false, untrusted({})};
    REQUIRE_FALSE(writer.entry(file("out")));
    REQUIRE_FALSE(writer.data("half of the new o"));
    CHECK(read("job/x") == "old");
  }
  CHECK(names_in("job") == std::vector<std::string>{"x"});
  CHECK(read("job/x") == "old");
  TreeWriter writer{anywhere, path("job/x"), "out", false, untrusted({})};
  REQUIRE_FALSE(writer.entry(file("out")));
  REQUIRE_FALSE(writer.data("new"));
  REQUIRE_FALSE(writer.finish());
  CHECK(read("job/x") == "new");
}

TEST_CASE_FIXTURE(Fixture, "nobody else may read a file before it has the owner and the bits that it is to have") {
  const Umask open_mask{0};
  write("job/x", "old");
  TreeWriter writer{anywhere, path("job/x"), "out", false, {}};
  REQUIRE_FALSE(writer.entry(file("out", 0644)));
  REQUIRE_FALSE(writer.data("half"));
  auto names = names_in("job");
  std::erase(names, "x");
  REQUIRE(names.size() == 1);
  CHECK(mode("job/" + names.front()) == 0600);
  REQUIRE_FALSE(writer.finish());
  CHECK(mode("job/x") == 0644);
}

TEST_CASE_FIXTURE(Fixture, "a tree that is cut short leaves nothing behind, not even of folders without permissions") {
  {
    TreeWriter writer{anywhere, path("job/tree"), "out", false, untrusted({})};
    REQUIRE_FALSE(writer.entry(folder("out")));
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "closed", 0)));
    REQUIRE_FALSE(writer.entry(file("inside", 0)));
    REQUIRE_FALSE(writer.leave());
    REQUIRE_FALSE(writer.entry(link("link", "closed")));
    REQUIRE_FALSE(writer.entry(folder("open")));
    REQUIRE_FALSE(writer.entry(file("unfinished")));
    CHECK_FALSE(fs::exists(path("job/tree")));
  }
  CHECK(names_in("job").empty());
}

TEST_CASE_FIXTURE(Fixture, "the umask holds, and a folder that was there keeps its mode") {
  const Umask private_mask{077};
  REQUIRE_FALSE(receive("job/tree", "out", [](TreeWriter& writer) {
    return in_turn([&] { return writer.entry(entry_of(EntryKind::Folder, "out", 07777)); },
                   [&] { return writer.entry(file("f", 06666)); },
                   [&] { return writer.entry(file("read-only", 0444)); }, [&] { return writer.data("x"); },
                   [&] { return writer.leave(); });
  }));
  CHECK(mode("job/tree") == 0700);
  CHECK(mode("job/tree/f") == 0600);
  CHECK(mode("job/tree/read-only") == 0400);
  fs::permissions(path("job"), fs::perms{0750});
  REQUIRE_FALSE(receive("job", "", [](TreeWriter& writer) {
    return in_turn([&] { return writer.entry(entry_of(EntryKind::Folder, "out", 0777)); },
                   [&] { return writer.leave(); });
  }));
  CHECK(mode("job") == 0750);
}

TEST_CASE_FIXTURE(Fixture, "a copy may write so many bytes, and its error says how many") {
  const CopyOptions options = at_most(1000, 0);
  write("job/x", "old");
  const auto send = [](std::size_t first, std::size_t second, std::uint64_t announced) {
    return [=](TreeWriter& writer) {
      Entry entry = file("out");
      entry.size = announced;
      entry.allocated = announced;
      return in_turn([&] { return writer.entry(entry); }, [&] { return writer.data(std::string(first, 'x')); },
                     [&] { return writer.data(std::string(second, 'x')); });
    };
  };
  CHECK_FALSE(receive("job/x", "out", send(400, 600, 0), options));
  CHECK(read("job/x").size() == 1000);
  auto failed = receive("job/x", "out", send(400, 601, 0), options);
  REQUIRE(failed);
  CHECK(failed->message == "there is more than the 1000 bytes that this copy may take; give it a larger limit");
  failed = receive("job/x", "out", send(1, 1, 1001), options);
  REQUIRE(failed);
  CHECK(failed->message == "'" + path("job/x").string() +
                               "' has 1001 bytes, and 1000 of 1000 are left for this copy; give it a larger limit");
  CHECK(read("job/x").size() == 1000);
  // Holes take nothing.
  CHECK_FALSE(receive(
      "job/y", "out",
      [](TreeWriter& writer) {
        return in_turn([&] { return writer.entry(file("out")); }, [&] { return writer.hole(std::uint64_t{1} << 40); });
      },
      options));
  CHECK(fs::file_size(path("job/y")) == std::uint64_t{1} << 40);
}

TEST_CASE_FIXTURE(Fixture, "what stands between holes counts as the blocks that it takes") {
  const auto send = [](std::uint64_t pieces, std::size_t bytes, std::uint64_t hole) {
    return [=](TreeWriter& writer) -> std::optional<Failure> {
      if (auto failed = writer.entry(file("out"))) return failed;
      for (std::uint64_t i = 0; i < pieces; ++i) {
        if (auto failed =
                in_turn([&] { return writer.data(std::string(bytes, 'x')); }, [&] { return writer.hole(hole); }))
          return failed;
      }
      return std::nullopt;
    };
  };
  const auto most = at_most(std::uint64_t{64} << 10, 0);
  CHECK_FALSE(receive("job/sixteen", "out", send(16, 1, 4095), most));
  CHECK(fs::file_size(path("job/sixteen")) == 64 << 10);
  const auto failed = receive("job/more", "out", send(17, 1, 4095), most);
  REQUIRE(failed);
  CHECK(failed->error == EDQUOT);
  // However it is cut, no block is charged for twice.
  CHECK_FALSE(receive("job/small", "out", send(32, 1, 2047), most));
  CHECK_FALSE(receive("job/none", "out", send(64 << 10, 1, 0), most));
  CHECK(receive("job/apart", "out", send(17, 1, 1 << 20), most));
  CHECK(names_in("job") == std::vector<std::string>{"none", "sixteen", "small"});
}

TEST_CASE_FIXTURE(Fixture, "a share of what is free is held against whole blocks") {
  const auto receive_small = [&](const std::string& target, int files) {
    auto how = untrusted(at_most(std::uint64_t{40} << 10, 0));
    how.limits->whole_blocks = true;
    TreeWriter writer{anywhere, path(target).string(), "out", false, how};
    if (auto failed = writer.entry(folder("out"))) return failed;
    for (int i = 0; i < files; ++i) {
      if (auto failed =
              in_turn([&] { return writer.entry(file(std::to_string(i))); }, [&] { return writer.data("x"); }))
        return failed;
    }
    return in_turn([&] { return writer.entry(link("link", "0")); }, [&] { return writer.leave(); },
                   [&] { return writer.finish(); });
  };
  CHECK_FALSE(receive_small("job/fits", 8));
  CHECK(receive_small("job/more", 9));
  CHECK(names_in("job") == std::vector<std::string>{"fits"});
  CHECK(untrusted({}).limits->whole_blocks);
  CHECK_FALSE(untrusted(at_most(1, 0)).limits->whole_blocks);
}

TEST_CASE_FIXTURE(Fixture, "a copy may make so many files") {
  const auto send = [](int count) {
    return [count](TreeWriter& writer) -> std::optional<Failure> {
      if (auto failed = writer.entry(folder("out"))) return failed;
      for (int i = 1; i < count; ++i)
        if (auto failed = writer.entry(file(std::to_string(i)))) return failed;
      return writer.leave();
    };
  };
  CHECK_FALSE(receive("job/a", "out", send(10), at_most(0, 10)));
  const auto failed = receive("job/b", "out", send(11), at_most(0, 10));
  REQUIRE(failed);
  CHECK(failed->message == "there are more than the 10 files that this copy may make; give it a larger limit");
  CHECK(names_in("job") == std::vector<std::string>{"a"});
}

TEST_CASE_FIXTURE(Fixture, "without a limit a share of what is free is one") {
  const auto failed = receive("job/x", "out", [](TreeWriter& writer) {
    Entry entry = file("out");
    entry.size = std::uint64_t{1} << 60;
    entry.allocated = entry.size;
    return writer.entry(entry);
  });
  REQUIRE(failed);
  CHECK(failed->message.find("(three quarters of what is free in '") != std::string::npos);
  CHECK(names_in("job").empty());
}

TEST_CASE_FIXTURE(Fixture, "holes beyond what a file can have are refused") {
  for (const std::uint64_t size : {UINT64_MAX, std::uint64_t{1} << 63}) {
    const auto failed = receive("job/x", "out", [&](TreeWriter& writer) {
      return in_turn([&] { return writer.entry(file("out")); }, [&] { return writer.hole(1); },
                     [&] { return writer.hole(size); });
    });
    REQUIRE(failed);
    CHECK(failed->error == EFBIG);
  }
  TreeWriter writer{anywhere, path("job/x"), "out", false, untrusted({})};
  CHECK(writer.hole(1));
  CHECK(names_in("job").empty());
}

}  // namespace
}  // namespace fireclaw::guest
