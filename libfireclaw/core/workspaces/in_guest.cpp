#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/machines/impl.hpp"
#include "core/machines/workspace_disk.hpp"
#include "core/workspaces/files.hpp"
#include "core/workspaces/transfer.hpp"
#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/archives/tar.hpp"
#include "sys/socket.hpp"

namespace fireclaw::core {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds session_limit{60};
/// For what a healthy guest does at once.
constexpr std::chrono::minutes command_limit{2};
/// guestd's answer to what it does not know.
constexpr int wrong_usage = 2;
constexpr std::size_t most_capability_bytes = std::size_t{64} << 20;
/// Paths on one command line.
constexpr std::size_t links_at_once = 100;
/// A guest that makes up a tar could send forever: content of sparse files counts in full, but not without end.
constexpr std::uint64_t most_tar_per_disk = 64;

Deadline session_deadline() { return Deadline::after(session_limit); }

class GuestFiles final : public WorkspaceFiles {
 public:
  GuestFiles(std::shared_ptr<VM::Impl> machine, state::WorkspaceRecord record, std::stop_token stop)
      : record_{std::move(record)},
        stop_{std::move(stop)},
        vm_{std::move(machine)},
        session_{vm_->session(session_deadline(), stop_)} {}

  CopyResult push(const fs::path& source, const std::string& target) override {
    const auto at = inside(target);
    const bool into_folder = is("-d", at);
    const auto name = into_folder ? name_for_copy(source) : target.substr(target.rfind('/') + 1);
    const auto slash = target.rfind('/');
    const auto parent = slash == std::string::npos ? std::string{} : target.substr(0, slash);
    const auto folder = into_folder ? at : inside(parent);
    if (!into_folder && !is("-d", folder)) throw no_such(parent);
    image::Tree tree;
    const auto copied = add_host_files(tree, name, source, owner(), stop_);
    unpack(tree, folder);
    return copied;
  }

  CopyResult pull(const std::string& source, const fs::path& target) override {
    CopyOptions options;
    options.stop = stop_;
    try {
      return session_->copy_out(inside(source) + (source.empty() ? "/." : ""), target, Deadline::never(), options);
    } catch (const Error& problem) {
      // The target's folder may be what is missing.
      if (problem.code() == ErrorCode::NotFound) require(source);
      throw;
    }
  }

  std::string read_file(const std::string& path, std::size_t max_bytes) override {
    return session_->read_file(inside(path), max_bytes, session_deadline());
  }

  void write_file(const std::string& path, std::string_view content, unsigned mode) override {
    session_->write_file(inside(path), content, mode, session_deadline());
    run({"chown", fmt::format("{}:{}", record_.uid, record_.gid), inside(path)});
  }

  void remove_path(const std::string& path) override {
    require(path);
    run({"rm", "-rf", inside(path)});
  }

  /// What the guest sends is unpacked in thought and written again, so that a tar from here is whole no matter what the
  /// guest is, and the same as one from a disk that is not in use.
  void export_tar(int fd, Rights rights) override {
    const auto scratch = vm_->host->workspaces.draft(record_.name);
    const auto file = scratch.path() / "archive";
    {
      const auto out = sys::open_file(file, O_WRONLY | O_CREAT | O_EXCL);
      image::UnpackLimit limit{scratch.path(), 0};
      image::UnpackLimit believable{scratch.path(),
                                    most_tar_per_disk * fs::file_size(vm_->host->workspaces.disk(record_.name))};
      ExecOptions options = command({"tar", "-c", "-f", "-", "-C", std::string{workspace_mount}, "."});
      options.timeout.reset();
      options.on_stdout = [&](std::string_view bytes) {
        limit.take(bytes.size(), fmt::format("workspace {}", record_.name));
        believable.take(bytes.size(), fmt::format("workspace {}", record_.name));
        sys::write_all(out.get(), bytes);
      };
      const auto result = session_->exec(std::move(options));
      // A file that was written to meanwhile is in the tar as it was then.
      const bool changed = result.exit_code == 1 && result.err.find("changed as we read it") != std::string::npos;
      if (!changed) expect_success(result, "tar");
    }
    image::Tree tree;
    image::add_entries(
        tree, image::read_tar(std::make_shared<const sys::Fd>(sys::open_file(file, O_RDONLY)), "what the guest sent"));
    tree.remove("lost+found");
    if (rights == Rights::LeaveOut) return write_archive(*vm_->host, record_.name, tree, fd, stop_);
    add_capabilities(tree, capabilities());
    image::write_tar(tree, writer_to(fd, stop_));
  }

  void import_tar(int fd) override {
    const auto scratch = vm_->host->workspaces.draft(record_.name);
    const auto tools = disk_tools(*vm_->host, stop_);
    unpack(read_archive(fd, scratch.path(), owner(), tools), std::string{workspace_mount});
  }

 private:
  [[nodiscard]] Owner owner() const { return {record_.uid, record_.gid}; }
  void require(const std::string& path) {
    if (!is("-e", inside(path)) && !is("-L", inside(path))) throw no_such(path);
  }
  [[nodiscard]] Error no_such(const std::string& path) const {
    return Error{ErrorCode::NotFound, fmt::format("there is no '{}' in workspace '{}'", path, record_.name)};
  }
  static std::string inside(const std::string& path) { return joined(std::string{workspace_mount}, path); }

  [[nodiscard]] ExecOptions command(std::vector<std::string> argv) const {
    ExecOptions options;
    options.argv = std::move(argv);
    options.user = "0:0";
    options.cwd = "/";
    options.stop = stop_;
    options.timeout = command_limit;
    return options;
  }
  /// What test(1) answers.
  bool is(std::string_view flag, const std::string& path) {
    const auto result = session_->exec(command({"test", std::string{flag}, path}));
    if (result.cancelled || result.timed_out || result.exit_code != 1) expect_success(result, "test");
    return result.exit_code == 0;
  }
  void run(std::vector<std::string> argv) {
    const auto program = argv.front();
    expect_success(session_->exec(command(std::move(argv))), program);
  }
  void expect_success(const ExecResult& result, std::string_view program) const {
    if (result.cancelled) throw Error{ErrorCode::Cancelled, "copying was cancelled"};
    if (result.timed_out)
      throw Error{ErrorCode::Timeout, fmt::format("{} in VM {} timed out", program, vm_->record.id)};
    if (result.exit_code == 0) return;
    if (result.exit_code == 127) {
      throw Error{ErrorCode::Unsupported, fmt::format("the image of VM {} has no program '{}'; stop the machine first",
                                                      vm_->record.id, program)};
    }
    auto said = result.err.substr(0, result.err.find('\n'));
    if (image::says_disk_full(said)) {
      throw Error{ErrorCode::Io,
                  fmt::format("workspace '{}' is full; make it larger with: fireclaw workspace resize {}", record_.name,
                              record_.name)};
    }
    throw Error{ErrorCode::Guest,
                fmt::format("{} in VM {} exited with status {}: {}", program, vm_->record.id, result.exit_code, said)};
  }

  /// As guestd lists them: tars of busybox hold none.
  std::string capabilities() {
    std::string listed;
    ExecOptions options = command({"/proc/1/exe", "--capabilities", std::string{workspace_mount}});
    options.timeout.reset();
    options.on_stdout = [&](std::string_view bytes) {
      if (bytes.size() > most_capability_bytes - listed.size()) {
        throw Error{ErrorCode::Guest, fmt::format("VM {} lists capabilities endlessly", vm_->record.id)};
      }
      listed += bytes;
    };
    const auto result = session_->exec(std::move(options));
    if (result.exit_code == wrong_usage && !result.timed_out && !result.cancelled) {
      throw Error{ErrorCode::Unsupported,
                  fmt::format("the guestd in VM {} is too old to tell capabilities; run: fireclaw setup, and start the "
                              "machine again",
                              vm_->record.id)};
    }
    expect_success(result, "guestd");
    return listed;
  }

  /// Streams the tree to tar in the guest.
  void unpack(const image::Tree& tree, const std::string& folder) {
    if (tree.nodes().size() == 1) return;
    // A socket pair rather than a pipe: writing to one whose reader is gone raises no SIGPIPE.
    auto ends = sys::socket_pair();
    std::optional<sys::Fd> feed{std::move(ends.first)};
    std::optional<sys::Fd> drain{std::move(ends.second)};
    std::exception_ptr failure;
    std::jthread writer{[&] {
      try {
        image::write_tar(tree, writer_to(feed->get(), stop_), {}, {.times = {}, .for_guest = true});
      } catch (...) {
        failure = std::current_exception();
      }
      feed.reset();
    }};
    std::exception_ptr guest_failure;
    try {
      ExecOptions options = command({"tar", "-x", "-f", "-", "-C", folder});
      options.input_fd = drain->get();
      options.timeout.reset();
      expect_success(session_->exec(std::move(options)), "tar");
    } catch (...) {
      guest_failure = std::current_exception();
    }
    drain.reset();
    writer.join();
    // A tar in the guest that fails makes writing to it fail.
    if (guest_failure) std::rethrow_exception(guest_failure);
    if (failure) std::rethrow_exception(failure);
    finish_links(tree, folder);
  }

  /// busybox's tar gives symbolic links neither their owner nor their time.
  void finish_links(const image::Tree& tree, const std::string& folder) {
    std::map<std::tuple<std::uint32_t, std::uint32_t, std::int64_t>, std::vector<std::string>> links;
    for (const auto& [path, node] : tree.nodes()) {
      if (node->type == image::NodeType::Symlink) {
        links[{node->uid, node->gid, node->mtime}].push_back(joined(folder, path));
      }
    }
    const auto run_on = [&](std::vector<std::string> argv, std::span<const std::string> paths) {
      argv.insert(argv.end(), paths.begin(), paths.end());
      run(std::move(argv));
    };
    for (const auto& [as, paths] : links) {
      for (std::span<const std::string> rest{paths}; !rest.empty();) {
        const auto batch = rest.first(std::min(rest.size(), links_at_once));
        run_on({"chown", "-h", fmt::format("{}:{}", std::get<0>(as), std::get<1>(as))}, batch);
        run_on({"touch", "-h", "-d", fmt::format("@{}", std::get<2>(as))}, batch);
        rest = rest.subspan(batch.size());
      }
    }
  }

  state::WorkspaceRecord record_;
  std::stop_token stop_;
  std::shared_ptr<VM::Impl> vm_;
  std::shared_ptr<guest::Session> session_;
};

}  // namespace

std::unique_ptr<WorkspaceFiles> files_in_guest(std::shared_ptr<VM::Impl> machine, state::WorkspaceRecord record,
                                               std::stop_token stop) {
  return std::make_unique<GuestFiles>(std::move(machine), std::move(record), std::move(stop));
}

}  // namespace fireclaw::core
