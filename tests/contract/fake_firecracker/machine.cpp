#include "machine.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "snapshot.hpp"

namespace fake {

namespace {

constexpr std::string_view not_before = "The requested operation is not supported before starting the microVM.";
constexpr std::string_view not_after = "The requested operation is not supported after starting the microVM.";
constexpr unsigned ready_port = 1025;

Reply fault(std::string_view message) {
  return {400, Json::object().set("fault_message", Json::of(message)).serialize(), false};
}

Reply found(const Json& value) { return {200, value.serialize(), false}; }

/// 0, or errno.
int try_open(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}

/// Keeps it open until this process ends. 0, or errno.
int open_tap(const std::string& name) {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno;
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  std::strncpy(request.ifr_name, name.c_str(), sizeof request.ifr_name - 1);
  return ::ioctl(fd, TUNSETIFF, &request) < 0 ? errno : 0;
}

Json text_or_null(const Json& body, std::string_view name) {
  const Json* value = body.find(name);
  return value == nullptr ? Json{} : *value;
}

Json value_or(const Json& body, std::string_view name, Json otherwise) {
  const Json* value = body.find(name);
  return value == nullptr || value->kind == Json::Kind::Null ? std::move(otherwise) : *value;
}

bool is_resource_id(std::string_view id) {
  return !id.empty() &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

/// Puts `item` into the array in the place of one with the same id, or at its end.
void put_item(Json& array, std::string_view id_name, Json item) {
  for (Json& old : array.items) {
    if (old.find(id_name)->text == item.find(id_name)->text) {
      old = std::move(item);
      return;
    }
  }
  array.items.push_back(std::move(item));
}

}  // namespace

Machine::Machine(std::string id, bool pci, Knobs knobs)
    : id_{std::move(id)}, pci_{pci}, knobs_{std::move(knobs)}, version_{knobs_.api()}, config_{Json::object()} {
  Json boot = Json::object();
  boot.set("kernel_image_path", Json::of("")).set("initrd_path", {}).set("boot_args", {});
  Json machine = Json::object();
  machine.set("vcpu_count", Json::of(std::int64_t{1}))
      .set("mem_size_mib", Json::of(std::int64_t{128}))
      .set("smt", Json::of(false))
      .set("track_dirty_pages", Json::of(false))
      .set("huge_pages", Json::of("None"));
  config_.set("balloon", {})
      .set("drives", Json::array())
      .set("boot-source", boot)
      .set("cpu-config", {})
      .set("logger", {})
      .set("machine-config", machine)
      .set("metrics", {})
      .set("mmds-config", {})
      .set("network-interfaces", Json::array())
      .set("vsock", {})
      .set("entropy", {})
      .set("pmem", Json::array())
      .set("memory-hotplug", {});
}

const std::vector<Machine::Route>& Machine::routes() {
  using When = Route::When;
  static const std::vector<Route> all{
      {"PUT", "boot-source", "BootSource", &Machine::put_boot_source, When::Before},
      {"PUT", "machine-config", "MachineConfig", &Machine::put_machine_config, When::Before},
      {"PUT", "drives/", "Drive", &Machine::put_drive, When::Before},
      {"PATCH", "drives/", "DrivePatch", &Machine::patch_drive, When::After},
      {"PUT", "network-interfaces/", "NetworkInterface", &Machine::put_interface, When::Before},
      {"PUT", "vsock", "Vsock", &Machine::put_vsock, When::Before},
      {"PUT", "entropy", "Entropy", &Machine::put_entropy, When::Before},
      {"PUT", "balloon", "Balloon", &Machine::put_balloon, When::Before},
      {"PATCH", "balloon", "BalloonUpdate", &Machine::patch_balloon, When::After},
      {"PUT", "logger", "Logger", &Machine::put_logger, When::Before},
      {"PUT", "metrics", "Metrics", &Machine::put_metrics, When::Before},
      {"PUT", "actions", "Action", &Machine::act, When::Any},
      {"PATCH", "vm", "Vm", &Machine::patch_vm, When::After},
      {"PUT", "snapshot/create", "SnapshotCreate", &Machine::create_snapshot, When::After},
      {"PUT", "snapshot/load", "SnapshotLoad", &Machine::load_snapshot, When::Before},
  };
  return all;
}

Reply Machine::handle(std::string_view method, std::string_view path, const std::string& body) {
  if (path.starts_with('/')) path.remove_prefix(1);
  if (method == "GET") return get(path);
  for (const Route& route : routes()) {
    const bool takes_id = route.resource.ends_with('/');
    if (route.method != method || (takes_id ? !path.starts_with(route.resource) : path != route.resource)) continue;
    const std::string id{takes_id ? path.substr(route.resource.size()) : ""};
    if (takes_id && !is_resource_id(id)) {
      return fault("API Resource IDs can only contain alphanumeric characters and underscores.");
    }
    Json value;
    try {
      value = read_body(route.structure, body, version_);
    } catch (const JsonError& error) {
      return fault(fmt::format("An error occurred when deserializing the json body of a request: {}.", error.message));
    }
    if (takes_id && value.find(route.resource == "network-interfaces/" ? "iface_id" : "drive_id")->text != id) {
      return fault("The id from the path does not match the id from the body!");
    }
    const bool started = state_ != State::NotStarted;
    if (route.when == Route::When::After && !started) return fault(not_before);
    if (route.when == Route::When::Before && started) {
      const bool hotplug = route.resource == "drives/" && version_ >= Version{1, 16, 0};
      return fault(hotplug && !pci_ ? "PCI is not enabled" : not_after);
    }
    return (this->*route.handler)(id, value);
  }
  return fault(fmt::format("Invalid request method and/or path: {} {}.", method, path));
}

std::string_view Machine::state_name() const {
  switch (state_) {
    case State::NotStarted: return "Not started";
    case State::Running: return "Running";
    case State::Paused: return "Paused";
  }
  return {};
}

Reply Machine::get(std::string_view path) const {
  if (path.empty()) {
    Json info = Json::object();
    info.set("id", Json::of(id_))
        .set("state", Json::of(state_name()))
        .set("vmm_version", Json::of(knobs_.version))
        .set("app_name", Json::of("Firecracker"));
    return found(info);
  }
  const bool balloon = config_.find("balloon")->kind == Json::Kind::Object;
  if (path == "version") return found(Json::object().set("firecracker_version", Json::of(knobs_.version)));
  if (path == "machine-config") return found(*config_.find("machine-config"));
  if (path == "vm/config") return found(config_);
  if (path == "mmds") return found(Json::object());
  if (path == "balloon") {
    return balloon ? found(*config_.find("balloon")) : fault("Balloon config error: No balloon device found.");
  }
  if (path == "balloon/statistics" && balloon) {
    Json statistics = Json::object();
    for (const char* name : {"target_pages", "actual_pages", "target_mib", "actual_mib"}) {
      statistics.set(name, Json::of(std::int64_t{0}));
    }
    return found(statistics);
  }
  return fault(fmt::format("Invalid request method and/or path: GET {}.", path));
}

Reply Machine::put_boot_source(const std::string&, const Json& body) {
  if (const int error = try_open(body.find("kernel_image_path")->text, O_RDONLY)) {
    return fault("Boot source error: The kernel file cannot be opened: " + os_error(error));
  }
  const Json initrd = text_or_null(body, "initrd_path");
  if (initrd.kind == Json::Kind::String) {
    if (const int error = try_open(initrd.text, O_RDONLY)) {
      return fault("Boot source error: The initrd file cannot be opened due to invalid path or invalid permissions. " +
                   os_error(error));
    }
  }
  Json boot = Json::object();
  boot.set("kernel_image_path", *body.find("kernel_image_path"))
      .set("initrd_path", initrd)
      .set("boot_args", text_or_null(body, "boot_args"));
  config_.set("boot-source", boot);
  configured_ = true;
  return {};
}

Reply Machine::put_machine_config(const std::string&, const Json& body) {
  const std::int64_t cpus = body.find("vcpu_count")->number;
  const bool smt = value_or(body, "smt", Json::of(false)).boolean;
  if (cpus < 1 || cpus > 32 || (smt && cpus != 1 && cpus % 2 != 0)) {
    return fault(
        "Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even "
        "number if SMT is enabled.");
  }
  const std::string pages = value_or(body, "huge_pages", Json::of("None")).text;
  const std::int64_t mib = body.find("mem_size_mib")->number;
  if (mib == 0 || (pages == "2M" && mib % 2 != 0)) {
    return fault(
        "Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size.");
  }
  Json machine = Json::object();
  machine.set("vcpu_count", Json::of(cpus))
      .set("mem_size_mib", Json::of(mib))
      .set("smt", Json::of(smt))
      .set("track_dirty_pages", value_or(body, "track_dirty_pages", Json::of(false)))
      .set("huge_pages", Json::of(pages));
  config_.set("machine-config", machine);
  configured_ = true;
  return {};
}

Reply Machine::put_drive(const std::string& id, const Json& body) {
  const std::string path = value_or(body, "path_on_host", Json::of("")).text;
  const bool read_only = value_or(body, "is_read_only", Json::of(false)).boolean;
  if (const int error = try_open(path, read_only ? O_RDONLY : O_RDWR)) {
    return fault(
        fmt::format("Drive config error: Unable to create the virtio block device: Virtio backend error: Error "
                    "manipulating the backing file: {} {}",
                    os_error(error), path));
  }
  Json drive = Json::object();
  drive.set("drive_id", Json::of(id))
      .set("partuuid", text_or_null(body, "partuuid"))
      .set("is_root_device", *body.find("is_root_device"))
      .set("cache_type", value_or(body, "cache_type", Json::of("Unsafe")))
      .set("is_read_only", Json::of(read_only))
      .set("path_on_host", Json::of(path))
      .set("rate_limiter", text_or_null(body, "rate_limiter"))
      .set("io_engine", value_or(body, "io_engine", Json::of("Sync")))
      .set("socket", {});
  Json drives = *config_.find("drives");
  put_item(drives, "drive_id", drive);
  config_.set("drives", drives);
  configured_ = true;
  return {};
}

Reply Machine::patch_drive(const std::string& id, const Json& body) {
  Json drives = *config_.find("drives");
  for (Json& drive : drives.items) {
    if (drive.find("drive_id")->text != id) continue;
    drive.set("path_on_host", value_or(body, "path_on_host", *drive.find("path_on_host")));
    config_.set("drives", drives);
    return {};
  }
  return fault(
      "Drive config error: Unable to patch the block device: Failed perform action on device: Device not found Please "
      "verify the request arguments.");
}

Reply Machine::put_interface(const std::string& id, const Json& body) {
  const std::string tap = body.find("host_dev_name")->text;
  const int error = tap == knobs_.busy_tap ? EBUSY : knobs_.open_taps ? open_tap(tap) : 0;
  if (error != 0) {
    return fault(
        fmt::format("Network config error: Could not create the network device: Open tap device failed: Error "
                    "while creating ifreq structure: {}. Invalid TUN/TAP Backend provided by {}. Check our "
                    "documentation on setting up the network devices.",
                    os_error(error), tap));
  }
  Json interface = Json::object();
  interface.set("iface_id", Json::of(id))
      .set("host_dev_name", Json::of(tap))
      .set("guest_mac", text_or_null(body, "guest_mac"));
  Json interfaces = *config_.find("network-interfaces");
  put_item(interfaces, "iface_id", interface);
  config_.set("network-interfaces", interfaces);
  configured_ = true;
  return {};
}

Reply Machine::put_vsock(const std::string&, const Json& body) {
  const std::string path = body.find("uds_path")->text;
  vsock_.reset();
  try {
    vsock_ = std::make_unique<Vsock>(path, knobs_.guest, knobs_.guests);
  } catch (int error) {
    return fault(
        fmt::format("Vsock config error: Cannot create backend for vsock device: Error binding to the "
                    "host-side Unix socket: {}",
                    os_error(error)));
  }
  Json vsock = Json::object();
  vsock.set("guest_cid", *body.find("guest_cid")).set("uds_path", Json::of(path));
  config_.set("vsock", vsock);
  configured_ = true;
  return {};
}

Reply Machine::put_entropy(const std::string&, const Json& body) {
  config_.set("entropy", Json::object().set("rate_limiter", text_or_null(body, "rate_limiter")));
  configured_ = true;
  return {};
}

Reply Machine::put_balloon(const std::string&, const Json& body) {
  Json balloon = Json::object();
  balloon.set("amount_mib", *body.find("amount_mib"))
      .set("deflate_on_oom", *body.find("deflate_on_oom"))
      .set("stats_polling_interval_s", value_or(body, "stats_polling_interval_s", Json::of(std::int64_t{0})))
      .set("free_page_hinting", value_or(body, "free_page_hinting", Json::of(false)))
      .set("free_page_reporting", value_or(body, "free_page_reporting", Json::of(false)));
  config_.set("balloon", balloon);
  configured_ = true;
  return {};
}

Reply Machine::patch_balloon(const std::string&, const Json&) {
  return fault("Balloon update error: Balloon: Device not activated yet.");
}

Reply Machine::put_logger(const std::string&, const Json& body) {
  const Json path = text_or_null(body, "log_path");
  if (path.kind == Json::Kind::String) {
    if (const int error = try_open(path.text, O_WRONLY | O_CREAT | O_NONBLOCK)) {
      return fault("Logger config error: Could not open the log file: " + os_error(error));
    }
  }
  return {};
}

Reply Machine::put_metrics(const std::string&, const Json& body) {
  if (const int error = try_open(body.find("metrics_path")->text, O_WRONLY | O_CREAT | O_NONBLOCK)) {
    return fault("Metrics config error: Could not open the metrics file: " + os_error(error));
  }
  return {};
}

Reply Machine::act(const std::string&, const Json& body) {
  const std::string action = body.find("action_type")->text;
  if (action == "InstanceStart") return state_ == State::NotStarted ? start() : fault(not_after);
  if (action == "SendCtrlAltDel" && state_ == State::NotStarted) return fault(not_before);
  return {};
}

Reply Machine::start() {
  if (config_.find("boot-source")->find("kernel_image_path")->text.empty()) {
    return fault("Start microvm error: Cannot start microvm without kernel configuration.");
  }
  state_ = State::Running;
  for (int i = 0; i < knobs_.console_times && !knobs_.console.empty(); ++i) {
    // Dropped when nobody makes room: the console never waits.
    const std::string line = knobs_.console + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) break;
  }
  if (!knobs_.no_guest) boot_at_ = std::chrono::steady_clock::now() + std::chrono::milliseconds{knobs_.boot_ms};
  update_flow();
  return {};
}

void Machine::update_flow() {
  if (!vsock_) return;
  if (!knobs_.guests.empty()) {
    std::vector<std::string> disks;
    for (const Json& drive : config_.find("drives")->items) disks.push_back(drive.find("path_on_host")->text);
    vsock_->set_disks(std::move(disks));
  }
  vsock_->set_listening(guest_up_);
  vsock_->set_flowing(state_ == State::Running && !blocked_);
}

void Machine::resume() {
  if (state_ == State::Running) return;
  state_ = State::Running;
  if (reset_announced_) {
    reset_announced_ = false;
    blocked_ = false;
    if (vsock_) vsock_->reset();
  } else if (version_ >= Version{1, 16, 0} && version_ < Version{1, 17, 0}) {
    blocked_ = true;  // waits for the guest to acknowledge a reset that it was never told of
  }
  update_flow();
}

Reply Machine::patch_vm(const std::string&, const Json& body) {
  if (body.find("state")->text == "Resumed") {
    resume();
  } else {
    state_ = State::Paused;
    update_flow();
  }
  return {};
}

Reply Machine::create_snapshot(const std::string&, const Json& body) {
  const auto failed = [](const std::string& text) { return fault("Create snapshot error: " + text); };
  if (state_ != State::Paused) {
    return failed("Cannot save the microVM state: Operation not allowed: save/restore unavailable while running");
  }
  reset_announced_ = true;
  Json machine = Json::object();
  machine.set("config", config_).set("guest_up", Json::of(guest_up_)).set("version", Json::of(knobs_.version));
  if (const auto problem = write_state(body.find("snapshot_path")->text, machine)) return failed(*problem);
  const std::int64_t mib = config_.find("machine-config")->find("mem_size_mib")->number;
  if (const auto problem = write_memory(body.find("mem_file_path")->text, mib, knobs_.disk_full)) {
    return failed(*problem);
  }
  return {};
}

Reply Machine::load_snapshot(const std::string&, const Json& body) {
  if (configured_) {
    return fault(
        "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.");
  }
  if ((body.find("mem_backend") == nullptr) == (body.find("mem_file_path") == nullptr)) {
    return fault("Load snapshot error: exactly one of `mem_backend` and `mem_file_path` must be given");
  }
  if (const auto problem = restore(body)) {
    Reply reply = fault("Load snapshot error: Failed to restore from snapshot: " + *problem);
    reply.ends = true;
    return reply;
  }
  state_ = State::Paused;
  blocked_ = version_ == Version{1, 16, 0};
  if (vsock_ && knobs_.drop_first) vsock_->drop_next();
  if (value_or(body, "resume_vm", Json::of(false)).boolean) {
    state_ = State::Running;
  } else {
    reset_announced_ = true;
  }
  update_flow();
  return {};
}

std::optional<std::string> Machine::restore(const Json& request) {
  Json machine;
  if (auto problem = read_state(request.find("snapshot_path")->text, machine)) return problem;
  if (machine.find("version")->text != knobs_.version) {
    return "Failed to get snapshot state from file: Failed to load snapshot state from file: Invalid snapshot version";
  }
  Json config = *machine.find("config");
  Json interfaces = *config.find("network-interfaces");
  for (const Json& override : value_or(request, "network_overrides", Json::array()).items) {
    const auto named = std::find_if(interfaces.items.begin(), interfaces.items.end(), [&](const Json& interface) {
      return interface.find("iface_id")->text == override.find("iface_id")->text;
    });
    if (named == interfaces.items.end()) return "Failed to get snapshot state from file: Unknown Network Device.";
    named->set("host_dev_name", *override.find("host_dev_name"));
  }
  config.set("network-interfaces", interfaces);

  const Json* backend = request.find("mem_backend");
  const std::string memory =
      backend != nullptr ? backend->find("backend_path")->text : request.find("mem_file_path")->text;
  if (auto problem = check_memory(memory, config.find("machine-config")->find("mem_size_mib")->number)) return problem;

  const std::string devices =
      "Failed to build microVM from snapshot: Failed to restore devices: Error restoring MMIO devices: ";
  for (const Json& drive : config.find("drives")->items) {
    const std::string path = drive.find("path_on_host")->text;
    if (const int error = try_open(path, drive.find("is_read_only")->boolean ? O_RDONLY : O_RDWR)) {
      return fmt::format("{}Block: Virtio backend error: Error manipulating the backing file: {} {}", devices,
                         os_error(error), path);
    }
  }
  if (Json vsock = *config.find("vsock"); vsock.kind == Json::Kind::Object) {
    if (const Json* override = request.find("vsock_override")) vsock.set("uds_path", *override->find("uds_path"));
    config.set("vsock", vsock);
    try {
      vsock_ = std::make_unique<Vsock>(vsock.find("uds_path")->text, knobs_.guest, knobs_.guests);
    } catch (int error) {
      return fmt::format("{}VsockUnixBackend: Error binding to the host-side Unix socket: {}", devices,
                         os_error(error));
    }
  }
  config_ = std::move(config);
  guest_up_ = machine.find("guest_up")->boolean;
  return std::nullopt;
}

void Machine::add_to(std::vector<pollfd>& polled) const {
  if (vsock_) vsock_->add_to(polled);
}

void Machine::work() {
  if (boot_at_ && state_ == State::Running && std::chrono::steady_clock::now() >= *boot_at_) {
    boot_at_.reset();
    guest_up_ = true;
    update_flow();
    if (vsock_) vsock_->dial(ready_port);
  }
  if (vsock_) vsock_->work();
}

}  // namespace fake
