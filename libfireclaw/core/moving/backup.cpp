#include "fireclaw/backup.hpp"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "base/text.hpp"
#include "core/agents/copy.hpp"
#include "core/machines/named.hpp"
#include "core/moving/bundle.hpp"
#include "core/moving/disks.hpp"
#include "core/moving/saved.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/ext4.hpp"
#include "state/records/machines.hpp"
#include "state/settings/config.hpp"
#include "state/settings/secret_fields.hpp"
#include "state/settings/templates.hpp"
#include "sys/file.hpp"
#include "sys/folder.hpp"

namespace fireclaw {
namespace {

namespace fs = std::filesystem;

constexpr const char* manifest_file = "backup.json";
constexpr const char* config_file = "config.json";
constexpr const char* secrets_file = "secrets.json";
constexpr const char* overseer_file = "overseer.json";
constexpr std::string_view json_suffix = ".json";
constexpr std::string_view disk_suffix = ".ext4";
constexpr std::size_t most_text_bytes = std::size_t{64} << 20;
constexpr const char* overseer_folder = "overseer";

/// The part of the configuration that people wrote; setup finds out the rest.
state::Config written_by_people(state::Config config) {
  config.engines.clear();
  config.set_up_by.clear();
  config.confinement.reset();
  return config;
}

std::vector<std::string> names_with(const fs::path& folder, std::string_view suffix) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{folder, error}) {
    const auto name = entry.path().filename().native();
    if (entry.is_regular_file() && !name.starts_with('.') && name.ends_with(suffix)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

/// The lock of the agent or the name that a machine runs for, if it does.
std::optional<sys::FileLock> lock_user(const Host::Impl& host, const std::optional<state::RunRecord>& run) {
  if (!run || (run->agent.empty() && run->machine.empty())) return std::nullopt;
  const auto what = run->agent.empty() ? "machine-" + run->machine : "agent-" + run->agent;
  constexpr std::chrono::minutes patience{6};
  return sys::FileLock::acquire(host.layout.lock(what), sys::FileLock::Mode::Exclusive, Deadline::after(patience),
                                what);
}

class Writer {
 public:
  Writer(std::shared_ptr<Host::Impl> host, fs::path to, const BackupOptions& options)
      : host_{std::move(host)}, to_{std::move(to)}, options_{options} {}

  BackupReport write() {
    config();
    configuration(overseer_file);
    for (const auto& name : names_with(host_->layout.templates(), json_suffix)) configuration("templates/" + name);
    for (const auto& name : names_with(host_->layout.agents(), json_suffix)) copy("agents/" + name);
    for (const auto& name : names_with(home() / overseer_folder, "")) {
      if (name.starts_with("audit.log")) copy(fs::path{overseer_folder} / name);
    }
    secrets();
    machines();
    workspaces();
    sys::write_file_atomic(to_ / manifest_file, json::record_text(manifest_));
    return std::move(report_);
  }

 private:
  [[nodiscard]] const fs::path& home() const { return host_->layout.home(); }

  void config() {
    if (!fs::exists(host_->layout.config())) return;
    const auto mine = written_by_people(host_->config());
    const auto file = to_ / config_file;
    state::write_config(file, mine);
    const auto text = sys::read_file(file);
    put(config_file, without_secrets(config_file, text));
  }

  /// What people write by hand.
  void configuration(const fs::path& name) {
    if (auto text = content(name)) put(name, without_secrets(name, std::move(*text)));
  }

  /// nullopt if it is not there, or went since its folder was looked at.
  [[nodiscard]] std::optional<std::string> content(const fs::path& name) const {
    try {
      return sys::read_file(home() / name);
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::NotFound) throw;
      return std::nullopt;
    }
  }

  [[nodiscard]] std::string without_secrets(const fs::path& name, std::string text) {
    if (options_.secrets) return text;
    std::vector<std::string> places;
    const auto value = json::Value::parse(text, name.native());
    auto rest = state::without_secrets(value, std::move(text), places);
    for (const auto& place : places) report_.left_out.push_back(fmt::format("{}: {}", name.native(), place));
    return rest;
  }

  void secrets() {
    if (!fs::exists(home() / secrets_file)) return;
    if (options_.secrets) return copy(secrets_file);
    report_.left_out.emplace_back(secrets_file);
  }

  /// What cannot be copied is named, with nothing of it in the backup, and the rest is copied.
  template <class Copy>
  void attempt(const fs::path& name, Copy&& copy) {
    const auto whole = manifest_.files.size();
    const auto bytes = report_.bytes;
    try {
      copy();
    } catch (const Error& problem) {
      if (problem.code() == ErrorCode::Cancelled || problem.code() == ErrorCode::Io) throw;
      for (auto i = whole; i < manifest_.files.size(); ++i) fs::remove(to_ / manifest_.files[i].name);
      manifest_.files.resize(whole);
      report_.files.resize(whole);
      report_.bytes = bytes;
      report_.left_out.push_back(fmt::format("{}: {}", name.native(), problem.what()));
    }
  }

  void machines() {
    const auto store = core::machine_store(*host_);
    for (const auto& known : store.list()) {
      attempt(fs::path{"machines"} / known.name, [&] { machine(store, known.name); });
    }
  }

  void machine(const state::MachineStore& store, const std::string& name) {
    const auto turn = core::lock_machine(*host_, name);
    const auto record = store.find(name);
    if (!record) return;
    put(fmt::format("machines/{}.json", name), json::record_text(*record));
    const auto from = store.scratch_disk(record->key);
    if (!fs::exists(from)) return;
    const auto run = core::run_of_machine(*host_, name);
    disk(fs::path{"machines"} / from.filename(), [&](const fs::path& target) {
      if (run) return core::copy_disk(host_, *run, from, target, options_.stop);
      sys::clone_file(from, target, 0600, {Deadline::never(), options_.stop});
    });
  }

  void workspaces() {
    for (const auto& name : host_->workspaces.names()) {
      const auto folder = fs::path{"workspaces"} / name;
      attempt(folder, [&] {
        const auto record = core::require_workspace(*host_, name);
        const auto turn = lock_user(*host_, core::workspace_user(*host_, name));
        disk(folder / "disk.ext4",
             [&](const fs::path& target) { core::copy_workspace(host_, name, target, options_.stop); });
        if (options_.disks) put(folder / "workspace.json", json::record_text(record));
      });
    }
  }

  void disk(const fs::path& name, const std::function<void(const fs::path&)>& copy_to) {
    if (!options_.disks) return report_.left_out.push_back(name.native());
    sys::make_durable_directories((to_ / name).parent_path());
    ScopeGuard undo{[&] { fs::remove(to_ / name); }};
    copy_to(to_ / name);
    sys::sync_fd(sys::open_file(to_ / name, O_RDONLY).get(), to_ / name);
    sys::sync_directory((to_ / name).parent_path());
    undo.release();
    add(name);
  }

  void copy(const fs::path& name) {
    if (const auto text = content(name)) put(name, *text);
  }

  void put(const fs::path& name, const std::string& text) {
    sys::make_durable_directories((to_ / name).parent_path());
    sys::write_file_atomic(to_ / name, text);
    add(name);
  }

  void add(const fs::path& name) {
    manifest_.files.push_back(core::describe_file(name.native(), to_ / name, options_.stop));
    report_.files.push_back(name.native());
    report_.bytes += sys::allocated_bytes(to_ / name);
  }

  std::shared_ptr<Host::Impl> host_;
  fs::path to_;
  const BackupOptions& options_;
  core::BundleManifest manifest_ = core::new_manifest("home");
  BackupReport report_;
};

/// Reads all, checks all, and only then puts it into the home folder. Nothing of a backup is believed but what its
/// readers make of it.
class Restorer {
 public:
  Restorer(const Host& host, fs::path from, std::stop_token stop)
      : handle_{host},
        host_{Access::impl(host)},
        from_{fs::canonical(from)},
        stop_{std::move(stop)},
        staging_{core::import_draft(*host_)} {}

  BackupReport restore() {
    const auto manifest = core::read_manifest(json::Value::parse_file(from_ / manifest_file), "home");
    std::set<std::string> seen;
    for (const auto& file : manifest.files) {
      if (!seen.insert(file.name).second) throw foreign(file.name);
      read(file);
    }
    for (const auto& step : steps_) {
      if (!step.is_free()) throw taken(step.name);
    }
    BackupReport report;
    for (const auto& [disk, whose] : wanted_disks_) {
      if (!seen.contains(disk)) {
        report.left_out.push_back(fmt::format("{}: it is not in the backup; {} begins with an empty one", disk, whose));
      }
    }
    Rollback undo;
    for (const auto& step : steps_) {
      step.put();
      undo.push(step.remove);
      report.files.push_back(step.name);
    }
    undo.commit();
    for (const auto& file : manifest.files) report.bytes += file.bytes;
    return report;
  }

 private:
  struct Step {
    std::string name;
    std::function<bool()> is_free;
    std::function<void()> put;
    std::function<void()> remove;
  };

  /// Disks come before the records that lead to them: without its disk an agent or a machine would begin with a new
  /// one.
  void first(Step step) { steps_.insert(steps_.begin(), std::move(step)); }

  static Error foreign(const std::string& name) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("'{}' does not belong into a backup of a home folder", one_line(name))};
  }
  static Error damaged(const std::string& name) {
    return Error{ErrorCode::Corrupt, fmt::format("'{}' of the backup is not the file that was saved", name)};
  }

  [[nodiscard]] Error taken(const std::string& name) const {
    return Error{ErrorCode::AlreadyExists,
                 fmt::format("'{}' is in '{}' already; restore into a new home folder, or remove that first", name,
                             home().native())};
  }

  [[nodiscard]] const fs::path& home() const { return host_->layout.home(); }

  /// The file, which is a plain one within the backup.
  [[nodiscard]] fs::path file_of(const core::BundledFile& file) const {
    const auto path = from_ / file.name;
    std::error_code error;
    if (fs::canonical(path, error) != path || error || !fs::is_regular_file(path)) throw damaged(file.name);
    return path;
  }

  [[nodiscard]] std::string text_of(const core::BundledFile& file) const {
    auto text = sys::read_file(file_of(file), most_text_bytes);
    const auto found = core::describe_file(file.name, text, stop_);
    if (found.bytes != file.bytes || found.sha256 != file.sha256) throw damaged(file.name);
    return text;
  }

  [[nodiscard]] json::Value value_of(const core::BundledFile& file) const {
    return json::Value::parse(text_of(file), (from_ / file.name).native());
  }

  /// A copy of a disk that is one of ours, in the folder for what is unpacked.
  fs::path stage_disk(const core::BundledFile& file) {
    const auto staged = staging_.files().state.parent_path() / std::to_string(steps_.size());
    sys::clone_file(file_of(file), staged, 0600, {Deadline::never(), stop_});
    sys::sync_fd(sys::open_file(staged, O_RDONLY).get(), staged);
    const auto found = core::describe_file(file.name, staged, stop_);
    if (found.bytes != file.bytes || found.sha256 != file.sha256) throw damaged(file.name);
    if (image::ext4_usage(staged).bytes != found.bytes) throw damaged(file.name);
    image::check_ext4(staged, image::CheckDepth::Full, core::disk_tools(*host_, stop_), host_->logger);
    return staged;
  }

  void read(const core::BundledFile& file) {
    const fs::path path{file.name};
    const std::vector<std::string> parts{path.begin(), path.end()};
    const bool is_json = path.extension() == json_suffix;
    const auto stem = path.stem().native();
    if (file.name == config_file) return config(file);
    if (file.name == secrets_file || file.name == overseer_file) return plain(file, 0600);
    if (parts.size() == 2 && parts[0] == "templates" && is_json && is_agent_name(stem)) return templates(file, stem);
    if (parts.size() == 2 && parts[0] == "agents" && is_json && is_agent_name(stem)) return agent(file, stem);
    if (parts.size() == 2 && parts[0] == "machines" && is_json && state::is_machine_name(stem))
      return machine(file, stem);
    if (parts.size() == 2 && parts[0] == "machines" && path.extension() == disk_suffix) return scratch(file, stem);
    if (parts.size() == 2 && parts[0] == overseer_folder && parts[1].starts_with("audit.log")) return audit(file);
    if (parts.size() == 3 && parts[0] == "workspaces" && parts[2] == "disk.ext4") return workspace_disk(file, parts[1]);
    if (parts.size() == 3 && parts[0] == "workspaces" && parts[2] == "workspace.json") return workspace(file, parts[1]);
    throw foreign(file.name);
  }

  void plain(const core::BundledFile& file, mode_t mode) {
    static_cast<void>(value_of(file));
    write_later(file.name, text_of(file), mode);
  }

  void write_later(const std::string& name, std::string text, mode_t mode) {
    const auto target = home() / name;
    steps_.push_back({name, [target] { return !fs::exists(fs::symlink_status(target)); },
                      [target, text = std::move(text), mode] {
                        sys::make_durable_directories(target.parent_path());
                        sys::write_file_atomic(target, text, mode);
                      },
                      [target] { fs::remove(target); }});
  }

  void config(const core::BundledFile& file) {
    const auto staged = staging_.files().state.parent_path() / config_file;
    sys::write_file_atomic(staged, text_of(file));
    const auto came = written_by_people(state::read_config(staged));
    const auto here = [this] { return written_by_people(state::read_config(host_->layout.config())); };
    const auto is_free = [came, here] {
      const auto found = here();
      return found == state::Config{} || found == came;
    };
    const auto before = here();
    steps_.push_back({file.name, is_free,
                      [this, came, is_free, name = file.name] {
                        const auto lock = host_->lock_config();
                        if (!is_free()) throw taken(name);
                        put_config(came);
                      },
                      [this, before] {
                        const auto lock = host_->lock_config();
                        put_config(before);
                      }});
  }

  /// What people wrote is as in `written`; what setup found out stays. The caller holds the lock.
  void put_config(state::Config written) const {
    const auto target = host_->layout.config();
    auto found = state::read_config(target);
    written.engines = std::move(found.engines);
    written.set_up_by = std::move(found.set_up_by);
    written.confinement = std::move(found.confinement);
    state::write_config(target, written);
  }

  void templates(const core::BundledFile& file, const std::string& name) {
    auto text = text_of(file);
    static_cast<void>(state::parse_template(name, text, from_ / file.name));
    write_later(file.name, std::move(text), 0644);
  }

  void audit(const core::BundledFile& file) { write_later(file.name, text_of(file), 0600); }

  void agent(const core::BundledFile& file, const std::string& name) {
    auto record = core::settings_of(json::read_record<state::AgentRecord>(value_of(file)));
    if (record.name != name) throw foreign(file.name);
    // One that was being made from another agent was not an agent yet.
    if (record.copy != state::CopyStage::Whole) return;
    wanted_disks_.emplace(fmt::format("workspaces/{}/disk.ext4", name), fmt::format("agent '{}'", name));
    write_later(file.name, json::record_text(record), 0600);
  }

  void machine(const core::BundledFile& file, const std::string& name) {
    auto record = json::read_record<state::MachineRecord>(value_of(file));
    if (record.name != name || !state::is_run_id(record.key)) throw foreign(file.name);
    record.resumes_on_use = false;
    keys_.insert(record.key);
    if (record.scratch_mib != 0) {
      wanted_disks_.emplace(fmt::format("machines/{}.ext4", record.key), fmt::format("machine '{}'", name));
    }
    write_later(file.name, json::record_text(record), 0600);
  }

  void scratch(const core::BundledFile& file, const std::string& key) {
    // Records come first.
    if (!keys_.contains(key)) throw foreign(file.name);
    move_later(file.name, stage_disk(file));
  }

  void move_later(const std::string& name, fs::path staged) {
    const auto target = home() / name;
    first({name, [target] { return !fs::exists(fs::symlink_status(target)); },
           [target, staged = std::move(staged)] {
             sys::make_durable_directories(target.parent_path());
             sys::move_file(staged, target);
             sys::sync_directory(target.parent_path());
           },
           [target] { fs::remove(target); }});
  }

  void workspace_disk(const core::BundledFile& file, const std::string& name) {
    image::check_name(name, "a workspace");
    disks_.insert_or_assign(name, stage_disk(file));
  }

  void workspace(const core::BundledFile& file, const std::string& name) {
    const auto record = json::read_whole_record<state::WorkspaceRecord>(value_of(file));
    const auto disk = disks_.find(name);
    if (record.name != name || disk == disks_.end()) throw foreign(file.name);
    const auto host = host_;
    first({"workspaces/" + name, [host, name] { return !fs::exists(host->workspaces.directory(name)); },
           [host, record, disk = disk->second] {
             const auto lock = core::lock_workspace(*host, record.name, "restoring it");
             auto draft = host->workspaces.draft(record.name);
             sys::move_file(disk, draft.path() / "disk.ext4");
             host->workspaces.publish(std::move(draft), record);
           },
           [handle = handle_, name] { handle.workspaces().remove(name); }});
  }

  Host handle_;
  std::shared_ptr<Host::Impl> host_;
  fs::path from_;
  std::stop_token stop_;
  state::SnapshotDraft staging_;
  std::vector<Step> steps_;
  std::set<std::string> keys_;
  std::map<std::string, fs::path> disks_;
  /// Files, and whose they are.
  std::map<std::string, std::string> wanted_disks_;
};

}  // namespace

BackupReport Host::back_up(const fs::path& folder, const BackupOptions& options) const {
  const auto target = fs::absolute(folder).lexically_normal();
  const auto place = target.has_filename() ? target : target.parent_path();
  if (fs::exists(place) && !(fs::is_directory(place) && fs::is_empty(place))) {
    throw Error{ErrorCode::AlreadyExists,
                fmt::format("'{}' exists already; a backup is written to a new folder", place.native())};
  }
  sys::make_directories(place.parent_path());
  sys::TempDir draft{place.parent_path(), ".fireclaw-backup-"};
  // An empty folder makes way before anything is copied: a mount point cannot, or one that others own.
  std::error_code problem;
  if (fs::remove(place, problem); problem) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' cannot be replaced by a backup: {}; name a new folder in it", place.native(),
                            problem.message())};
  }
  auto report = Writer{impl_, draft.path(), options}.write();
  draft.publish(place);
  return report;
}

BackupReport Host::restore(const fs::path& folder, std::stop_token stop) const {
  if (!fs::exists(folder / manifest_file)) {
    throw Error{ErrorCode::NotFound, fmt::format("'{}' is not a backup: it has no {}", folder.native(), manifest_file)};
  }
  return Restorer{*this, folder, std::move(stop)}.restore();
}

}  // namespace fireclaw
