#pragma once

#include <poll.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "image/store/store.hpp"
#include "image/testing/craft.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"

namespace fireclaw::image::testing {

/// Its own store with what building takes: a made-up kernel that needs no modules, a made-up guestd.
struct Workshop {
  sys::TempDir folder = temp_dir();
  std::filesystem::path root = folder.path() / "images";
  std::filesystem::path kernel = folder.path() / "vmlinux";
  std::filesystem::path guestd = folder.path() / "guestd";
  std::vector<std::string> messages;
  Store store{root, Logger{[this](LogLevel, std::string_view message) { messages.emplace_back(message); }}};
  BuildOptions options;
  Tools tools = make_tools(folder.path());

  Workshop() {
    put(kernel, make_vmlinux("6.1.0-test", {"virtio_mmio.device"}));
    put(guestd, "the daemon");
    options.guestd = guestd;
    options.guestd_version = "1.2.3";
    options.search_path = tools.search_path;
    options.created = std::chrono::sys_seconds{std::chrono::seconds{1700000000}};
  }

  Entry build(const std::string& name, const RootfsSource& rootfs, bool replace = false) {
    return store.build(BuildSpec{name, KernelFile{kernel, {}}, rootfs, replace}, options);
  }
  /// A tar with one small file, whose root builds quickly.
  std::filesystem::path small_tar(const std::string& content = "small") {
    put(folder.path() / "in" / "etc" / "content", content);
    const std::filesystem::path file = folder.path() / "small.tar";
    sys::check_tool({"tar", "-C", (folder.path() / "in").string(), "-cf", file.string(), "."}, tools.options());
    return file;
  }
  /// The lines `unsquashfs -lln` says of an image's root file system, columns one blank apart.
  [[nodiscard]] std::string listing(const Entry& entry) const {
    const std::string raw = sys::check_tool({"unsquashfs", "-lln", entry.rootfs().string()}, tools.options()).out;
    std::string columns;
    for (const char c : raw) {
      if (c != ' ' || columns.empty() || columns.back() != ' ') columns += c;
    }
    return columns;
  }
  [[nodiscard]] std::string content(const Entry& entry, const std::string& path) const {
    return sys::check_tool({"unsquashfs", "-cat", entry.rootfs().string(), path}, tools.options()).out;
  }
  /// What is in the store's folder beside its own locks and downloads.
  [[nodiscard]] std::vector<std::string> leftovers() const {
    std::vector<std::string> names;
    for (const auto& item : std::filesystem::directory_iterator{root}) {
      const std::string name = item.path().filename().string();
      if (name != ".locks" && name != ".cache") names.push_back(name);
    }
    return names;
  }
};

/// Waits until all that a killed builder had started is gone too: a process that was about to execute a program still
/// holds the builder's lock.
inline void wait_for_lock(const std::filesystem::path& store, const std::string& name) {
  sys::FileLock::acquire(store / ".locks" / name, sys::FileLock::Mode::Exclusive,
                         Deadline::after(std::chrono::seconds{30}), "the killed builder's lock");
}

/// helper.cpp at work.
class Helper {
 public:
  static Helper start(std::vector<std::string> arguments, std::vector<std::string> wrapper = {}) {
    sys::Pipe in = sys::make_pipe();
    sys::Pipe out = sys::make_pipe();
    sys::SpawnSpec spec;
    spec.argv = std::move(wrapper);
    spec.argv.emplace_back(FIRECLAW_IMAGE_TEST_HELPER);
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.search_path = {"/usr/bin", "/bin"};
    spec.fds = {{in.read.get(), 0}, {out.write.get(), 1}, {2, 2}};
    // ThreadSanitizer refuses threads in a forked process unless told otherwise.
    spec.env = {"TSAN_OPTIONS=die_after_fork=0"};
    return Helper{sys::Child::spawn(spec), std::move(in.write), std::move(out.read)};
  }

  /// The next line; nullopt once the helper has ended.
  std::optional<std::string> line() {
    std::string text;
    for (;;) {
      std::array<std::byte, 1> byte;
      sys::require_fd(output_.get(), POLLIN, patience(), "waiting for the helper");
      if (sys::read_some(output_.get(), byte) <= 0) return text.empty() ? std::nullopt : std::optional{text};
      if (byte[0] == std::byte{'\n'}) return text;
      text += static_cast<char>(byte[0]);
    }
  }
  /// All lines to the end that are not steps.
  std::vector<std::string> results() {
    std::vector<std::string> lines;
    while (const auto text = line()) {
      if (!text->starts_with("step ")) lines.push_back(*text);
    }
    return lines;
  }
  void release() { input_.reset(); }
  void kill() { child_.kill(); }
  sys::ExitStatus end() { return child_.wait(patience()).value(); }

 private:
  Helper(sys::Child child, sys::Fd input, sys::Fd output)
      : child_{std::move(child)}, input_{std::move(input)}, output_{std::move(output)} {}
  static Deadline patience() { return Deadline::after(std::chrono::seconds{120}); }

  sys::Child child_;
  std::optional<sys::Fd> input_;
  sys::Fd output_;
};

}  // namespace fireclaw::image::testing
