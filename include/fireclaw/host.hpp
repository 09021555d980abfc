#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "fireclaw/backup.hpp"
#include "fireclaw/engine.hpp"
#include "fireclaw/export.hpp"
#include "fireclaw/image.hpp"
#include "fireclaw/log.hpp"

namespace fireclaw {

class AgentManager;
class Gateway;
class Images;
class LlmServers;
class MachineManager;
class Network;
class Secrets;
class Snapshots;
class VMs;
class Workspaces;

/// How a Host is opened. The library does not read environment variables: everything it needs is passed here.
struct HostOptions {
  /// The folder that holds everything, e.g. ~/.fireclaw; absolute. Created (mode 0700) if missing.
  std::filesystem::path home;
  /// The engine that runs machines, unless the image or the snapshot decides it.
  Engine engine = Engine::Auto;
  /// The program firecracker; empty: searched in `search_path`.
  std::filesystem::path firecracker;
  /// The program qemu-system-*; empty: searched likewise.
  std::filesystem::path qemu;
  /// Folders that are searched for programs: engines, and the tools that build images.
  std::vector<std::filesystem::path> search_path = {"/usr/local/bin",  "/usr/bin",  "/bin",
                                                    "/usr/local/sbin", "/usr/sbin", "/sbin"};
  /// Environment of these tools beside PATH, HOME, TMPDIR and LC_ALL, as "NAME=value"; e.g. proxy settings.
  std::vector<std::string> tool_environment;
  /// The folder that keeps downloads for later builds; empty: with the images. Several home folders can share it.
  /// Debian roots are large: they are kept, for a week, only if a folder is named here.
  std::filesystem::path cache;
  /// The guest's PID 1, a static program; empty: libexec/fireclaw/guestd beside the library.
  std::filesystem::path guestd;
  /// What fireclaw puts into images for agents (the bot and its surroundings); empty: share/fireclaw/agent beside the
  /// library.
  std::filesystem::path agent;
  /// Receives log messages; empty: they are dropped.
  LogSink log;
};

/// What Host::setup() does.
struct SetupOptions {
  /// A kernel to use instead of Debian's cloud kernel.
  KernelSource kernel;
  /// Also build the image that agents run in, "debian-agent".
  bool agents = false;
  /// The URL (http or https) of a Firecracker release's archive (.tgz). It is fetched, kept below the home folder by
  /// its version, and used from then on. Empty: none.
  std::string firecracker_url;
  /// That archive's SHA-256: 64 hexadecimal digits.
  std::string firecracker_sha256;
  /// How long to wait at a first boot while the guest makes no progress; zero: 12 s with KVM (less if emulation boots
  /// sooner), 90 s emulated. Progress is output on the console, or CPU time of the engine, which counts for as long
  /// again. A guest that makes progress has ten times as long at most.
  std::chrono::milliseconds boot_timeout{0};
  /// Repeat steps that are done already.
  bool force = false;
  /// Progress: called when a step starts (done = 0), moves and ends (finished = true).
  ProgressCallback progress;
  /// Cancels the work: Error(Cancelled). Finished steps stay done.
  std::stop_token stop{};
};

/// What Host::setup() found and made.
struct SetupReport {
  /// One verdict for each engine.
  std::vector<EngineVerdict> engines;
  /// The engine that `Engine::Auto` now means.
  std::string engine;
  /// The built-in image's name.
  std::string image;
  /// The image for agents; empty unless it was asked for.
  std::string agent_image;
  /// The default snapshot's name; empty if none could be made (the reason was logged).
  std::string snapshot;
  /// The default snapshot of machines with a network device; empty if machines cannot have a network here.
  std::string network_snapshot;
  /// There was nothing to do.
  bool already_done = false;
};

/// How serious a finding of doctor() is.
enum class CheckStatus { Ok, Warning, Missing };

/// One finding of doctor().
struct Check {
  /// "kvm", "engine qemu-tcg", "image busybox", ...
  std::string name;
  /// How serious it is.
  CheckStatus status = CheckStatus::Ok;
  /// The finding, one line.
  std::string detail;
  /// The command that mends it; empty if there is nothing to mend.
  std::string remedy;
};

/// What Host::upgrade() does.
struct UpgradeOptions {
  /// As in SetupOptions.
  ProgressCallback progress;
  /// Cancels the work: Error(Cancelled). What is done stays done.
  std::stop_token stop{};
};

/// What Host::upgrade() made again.
struct UpgradeReport {
  /// "image busybox", "snapshot base", ...
  std::vector<std::string> renewed;
};

/// What Host::collect_garbage() did.
struct GarbageReport {
  /// Run ids of machines that were ended because their owner is gone.
  std::vector<std::string> ended;
  /// Folders and files removed.
  std::vector<std::filesystem::path> removed;
  /// Addresses taken back from machines that are gone, and their rests removed from the bridge and the firewall.
  std::vector<std::string> addresses;
};

/// The composition root: a home folder opened with options. Everything else is made from a Host.
///
/// Copies share the same insides, and so do the objects made from it, so destruction order does not matter. All
/// members are safe to call from several threads; several processes may use one home folder at once.
class FIRECLAW_API Host {
 public:
  /// Opens the home folder, and creates it if it is missing. Runs nothing. Error(Corrupt) if its config.json is torn or
  /// foreign; Error(PermissionDenied) if the folder belongs to somebody else.
  static Host open(HostOptions options);

  /// The folder that it was opened with; absolute.
  [[nodiscard]] const std::filesystem::path& home() const;
  /// Whether setup has been completed here.
  [[nodiscard]] bool is_set_up() const;

  /// Prepares the home folder: kernel, the built-in image, engine probe, first snapshot. Steps that are done are
  /// skipped, so it can be called again after an interruption. Two at once: the second waits for the first.
  SetupReport setup(const SetupOptions& options);

  /// Makes again what is out of date: images from fireclaw's own recipes that another version built, or this one from
  /// other parts; verdicts on engines that have changed; snapshots that no longer fit and were made by booting. Running
  /// agents and machines are left alone. Error(InvalidState) before the first setup.
  UpgradeReport upgrade(const UpgradeOptions& options);

  /// Reports what works here, what is missing, and how to fix it. Boots no guest.
  [[nodiscard]] std::vector<Check> doctor() const;

  /// The verdicts that setup (or a later probe) recorded.
  [[nodiscard]] std::vector<EngineVerdict> engines() const;
  /// Boots `image` with every engine there is and records what was seen. Takes up to 15 s for each engine that
  /// hangs, 90 s for emulation.
  std::vector<EngineVerdict> probe(const std::string& image, std::stop_token stop = {});

  // Objects made from this host. Their classes are in collections.hpp, unless another header is named here.

  /// Its machines.
  [[nodiscard]] VMs vms() const;
  /// Its machines with names, which outlive the process that starts them (machine.hpp).
  [[nodiscard]] MachineManager machines() const;
  /// What machines are made from.
  [[nodiscard]] Images images() const;
  /// Saved machines.
  [[nodiscard]] Snapshots snapshots() const;
  /// Disks that outlive machines.
  [[nodiscard]] Workspaces workspaces() const;
  /// Its agents (agent.hpp).
  [[nodiscard]] AgentManager agents() const;
  /// The network that machines share.
  [[nodiscard]] Network network() const;
  /// The program between machines and the outside (gateway.hpp).
  [[nodiscard]] Gateway gateway() const;
  /// Keys and passwords that the gateway uses (gateway.hpp).
  [[nodiscard]] Secrets secrets() const;
  /// The servers of language models that its agents can ask (llm.hpp).
  [[nodiscard]] LlmServers llm_servers() const;

  /// Copies the part of the home folder that cannot be built again to `folder`, which must be missing or empty:
  /// configuration, templates, agents, machines with names, workspaces, the overseer's settings and audit log. Files
  /// are copied as they are; backup.json lists their SHA-256. Each disk is copied as it is at one moment, and a machine
  /// that uses it is paused meanwhile. Not included: images (setup() builds them again) and snapshots
  /// (Snapshot::export_archive() saves them). Error(AlreadyExists) if `folder` is not empty; Error(InvalidArgument) if
  /// it cannot be replaced, such as a mount point; Error(Io) if there is too little room; Error(Cancelled).
  BackupReport back_up(const std::filesystem::path& folder, const BackupOptions& options = {}) const;
  /// Puts back what back_up() copied. Restored agents and machines are stopped; the findings of setup() are not
  /// restored. All files are checked before the first one is written: Error(Corrupt) names a damaged one,
  /// Error(InvalidArgument) one that does not belong there, Error(AlreadyExists) one that the home folder has already.
  /// Error(NotFound) if `folder` is not a backup; Error(Cancelled) after the stop.
  BackupReport restore(const std::filesystem::path& folder, std::stop_token stop = {}) const;

  /// Ends machines whose owner is gone and removes what interrupted work left behind.
  GarbageReport collect_garbage();

  struct Impl;

 private:
  explicit Host(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
  friend struct Access;
};

}  // namespace fireclaw
