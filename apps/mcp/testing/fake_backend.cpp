#include "testing/fake_backend.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {

struct FakeBackend::World {
  struct Saved {
    std::string memory;
    bool network_device = false;
    std::string image = "busybox";
    unsigned cpus = 1;
    unsigned memory_mib = 128;
  };

  std::mutex mutex;
  std::condition_variable_any changed;
  std::map<std::string, Saved> saved;
  std::size_t running = 0;
  std::size_t blocked = 0;
  VMConfig last;
};

namespace {

bool is_hostname(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  return name.size() <= 63 && std::ranges::all_of(name, fits) && !name.starts_with('-');
}

bool is_snapshot_name(const std::string& name) {
  return name.size() <= 64 && name.find_first_of("/ \n") == std::string::npos;
}

class FakeMachine final : public Machine {
 public:
  FakeMachine(std::shared_ptr<FakeBackend::World> world, VMConfig config, std::string memory)
      : world_{std::move(world)}, config_{std::move(config)}, memory_{std::move(memory)} {
    ++world_->running;
  }
  ~FakeMachine() override { FakeMachine::kill(); }

  ExecResult exec(ExecOptions options) override {
    std::unique_lock lock{world_->mutex};
    require_running();
    const std::string_view line = options.argv.at(2);
    const auto word = line.substr(0, line.find(' '));
    const auto rest = std::string{line.substr(std::min(word.size() + 1, line.size()))};
    ExecResult result;
    if (word == "echo") return print(lock, options, rest + "\n");
    if (word == "get") return print(lock, options, memory_);
    if (word == "flood") return print(lock, options, std::string(std::stoul(rest), 'x'));
    if (word == "set") {
      memory_ = rest;
    } else if (word == "fail") {
      result.exit_code = std::stoi(rest);
    } else if (word == "block") {
      ++world_->blocked;
      world_->changed.notify_all();
      const auto saves = saves_;
      world_->changed.wait(lock, options.stop, [&] { return ended_ || saves_ != saves; });
      --world_->blocked;
      world_->changed.notify_all();
      require_running();
      if (saves_ != saves) throw Error{ErrorCode::Guest, "the connection to the guest is over"};
      result.cancelled = true;
    } else {
      result.exit_code = 127;
    }
    return result;
  }

  std::string read_file(const std::string& path, const FileOptions& options) override {
    const std::scoped_lock lock{world_->mutex};
    const auto& content = find(path)->second;
    return content.substr(std::min<std::size_t>(options.offset, content.size()),
                          options.limit.value_or(content.size()));
  }
  FileInfo write_file(const std::string& path, const std::string& content, const FileOptions& options) override {
    const std::scoped_lock lock{world_->mutex};
    require_running();
    if (!options.append) files_[path].clear();
    files_[path] += content;
    return to_info(*find(path));
  }
  std::vector<FileInfo> list_directory(const std::string&, const FileOptions& options) override {
    const std::scoped_lock lock{world_->mutex};
    require_running();
    std::vector<FileInfo> infos;
    for (const auto& file : files_)
      if (infos.size() < options.limit.value_or(files_.size())) infos.push_back(to_info(file));
    return infos;
  }
  FileInfo stat(const std::string& path, const FileOptions&) override {
    const std::scoped_lock lock{world_->mutex};
    return to_info(*find(path));
  }

  void save(const std::string& snapshot) override {
    const std::scoped_lock lock{world_->mutex};
    require_running();
    if (!is_snapshot_name(snapshot)) throw Error{ErrorCode::InvalidArgument, "'" + snapshot + "' is not a name"};
    const FakeBackend::World::Saved saved{memory_, config_.network != NetworkMode::None, config_.image, config_.cpus,
                                          config_.memory_mib};
    if (!world_->saved.try_emplace(snapshot, saved).second) {
      throw Error{ErrorCode::AlreadyExists, "there is a snapshot named '" + snapshot + "'"};
    }
    ++saves_;
    world_->changed.notify_all();
  }

  [[nodiscard]] std::string console(std::size_t max_bytes) const override {
    return std::string{"Linux version 6.1"}.substr(0, max_bytes);
  }

  [[nodiscard]] VMInfo info() const override {
    const std::scoped_lock lock{world_->mutex};
    VMInfo info;
    info.state = ended_ ? VMState::Stopped : VMState::Running;
    info.image = config_.image;
    info.cpus = config_.cpus;
    info.memory_mib = config_.memory_mib;
    info.network = config_.network;
    info.hostname = config_.hostname;
    info.snapshot = config_.snapshot;
    return info;
  }

  void kill() override {
    const std::scoped_lock lock{world_->mutex};
    if (std::exchange(ended_, true)) return;
    --world_->running;
    world_->changed.notify_all();
  }

 private:
  void require_running() const {
    if (ended_) throw Error{ErrorCode::Guest, "the machine has ended"};
  }

  using Files = std::map<std::string, std::string>;

  [[nodiscard]] Files::const_iterator find(const std::string& path) const {
    require_running();
    const auto found = files_.find(path);
    if (found == files_.end()) throw Error{ErrorCode::NotFound, "'" + path + "': no such file"};
    return found;
  }
  static FileInfo to_info(const Files::value_type& file) {
    FileInfo info;
    info.name = file.first.substr(file.first.rfind('/') + 1);
    info.size = file.second.size();
    info.mode = 0644;
    return info;
  }

  static ExecResult print(std::unique_lock<std::mutex>& lock, const ExecOptions& options, const std::string& text) {
    // The library calls back without a lock, too.
    lock.unlock();
    for (std::size_t at = 0; at < text.size(); at += 1000) options.on_stdout(std::string_view{text}.substr(at, 1000));
    return {};
  }

  std::shared_ptr<FakeBackend::World> world_;
  VMConfig config_;
  std::string memory_;
  Files files_;
  bool ended_ = false;
  /// Each ends what runs.
  unsigned saves_ = 0;
};

}  // namespace

FakeBackend::FakeBackend() : world_{std::make_shared<World>()} {}
FakeBackend::~FakeBackend() = default;

std::unique_ptr<Machine> FakeBackend::start(const VMConfig& config, const std::stop_token& /*stop*/) {
  const std::scoped_lock lock{world_->mutex};
  world_->last = config;
  if (!is_hostname(config.hostname)) {
    throw Error{ErrorCode::InvalidArgument, "'" + config.hostname + "' cannot be a host name"};
  }
  std::string memory;
  if (!config.snapshot.empty()) {
    const auto found = world_->saved.find(config.snapshot);
    if (found == world_->saved.end()) throw Error{ErrorCode::NotFound, "no snapshot named '" + config.snapshot + "'"};
    if (config.network != NetworkMode::None && !found->second.network_device) {
      throw Error{ErrorCode::InvalidArgument, "the snapshot has no network device"};
    }
    memory = found->second.memory;
  } else if (config.image != "busybox" && config.image != "tools") {
    throw Error{ErrorCode::NotFound, "no image named '" + config.image + "'"};
  }
  return std::make_unique<FakeMachine>(world_, config, memory);
}

std::vector<SnapshotInfo> FakeBackend::snapshots() {
  const std::scoped_lock lock{world_->mutex};
  std::vector<SnapshotInfo> infos;
  for (const auto& [name, saved] : world_->saved) {
    SnapshotInfo info;
    info.name = name;
    info.network_device = saved.network_device;
    info.image = saved.image;
    info.cpus = saved.cpus;
    info.memory_mib = saved.memory_mib;
    infos.push_back(std::move(info));
  }
  return infos;
}

void FakeBackend::remove_snapshot(const std::string& name) {
  const std::scoped_lock lock{world_->mutex};
  if (world_->saved.erase(name) == 0) throw Error{ErrorCode::NotFound, "no snapshot named '" + name + "'"};
}

std::vector<ImageInfo> FakeBackend::images() {
  std::vector<ImageInfo> images(2);
  images[0].name = "busybox";
  images[1].name = "tools";
  return images;
}

void FakeBackend::add_snapshot(const std::string& name) {
  const std::scoped_lock lock{world_->mutex};
  world_->saved[name] = {};
}

std::size_t FakeBackend::running() {
  const std::scoped_lock lock{world_->mutex};
  return world_->running;
}

VMConfig FakeBackend::last_config() {
  const std::scoped_lock lock{world_->mutex};
  return world_->last;
}

void FakeBackend::wait_blocked(std::size_t count) {
  std::unique_lock lock{world_->mutex};
  if (!world_->changed.wait_for(lock, std::chrono::seconds{20}, [&] { return world_->blocked == count; })) {
    throw std::runtime_error{"the commands do not block"};
  }
}

}  // namespace fireclaw::mcp
