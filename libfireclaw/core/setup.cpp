#include <fcntl.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/agents/machine.hpp"
#include "core/host/engine_store.hpp"
#include "core/host/engines.hpp"
#include "core/host/image_build.hpp"
#include "core/machines/snapshots.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "image/roots/debian_agent.hpp"
#include "state/settings/config.hpp"
#include "state/settings/templates.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

/// Another setup may be downloading a kernel and building an image.
constexpr std::chrono::minutes setup_lock_limit{30};
constexpr std::chrono::seconds keygen_limit{30};
/// A boot that is waited for may take so many times what the first one took.
constexpr int busy_factor = 10;

/// Tells the caller's progress callback when a step starts and, left normally, when it ends.
class Step {
 public:
  Step(const ProgressCallback& progress, std::string name) : progress_{progress}, name_{std::move(name)} {
    tell(0, 0, false);
  }
  void done() const { tell(1, 1, true); }

 private:
  void tell(std::uint64_t done, std::uint64_t total, bool finished) const {
    if (progress_) progress_({name_, done, total, finished});
  }
  const ProgressCallback& progress_;
  std::string name_;
};

void check_stop(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "setup was interrupted; run it again to continue"};
}

/// Whether a person chose the image's kernel: a file or a URL. The distribution's has a package's name and version.
bool has_chosen_kernel(const image::Entry& image) {
  return image.manifest.kernel.source.find('/') != std::string::npos;
}

/// The kernel for one of fireclaw's own images: the one that is asked for; else the one that it has, which only `force`
/// exchanges for the distribution's newest; else, where a person chose that, the built-in image's.
KernelSource kernel_for(const Host::Impl& host, const std::string& name, const SetupOptions& options) {
  if (!std::holds_alternative<DistributionKernel>(options.kernel)) return options.kernel;
  const auto whole = [&](const std::string& of) -> std::optional<image::Entry> {
    try {
      return host.images.find(of);
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::Corrupt) throw;
      return std::nullopt;
    }
  };
  if (const auto own = whole(name)) {
    if (!options.force || has_chosen_kernel(*own)) return KernelOfImage{name};
    return options.kernel;
  }
  const std::string other{built_in_image};
  if (const auto built_in = whole(other); built_in && has_chosen_kernel(*built_in)) return KernelOfImage{other};
  return options.kernel;
}

bool same_kernel(const image::Entry& image, const KernelSource& wanted) {
  if (std::holds_alternative<DistributionKernel>(wanted)) return true;
  if (const auto* url = std::get_if<KernelUrl>(&wanted)) return image.manifest.kernel.sha256 == url->sha256;
  if (const auto* file = std::get_if<KernelFile>(&wanted)) {
    return image.manifest.kernel.sha256 == sys::sha256_file(file->path);
  }
  return false;
}

/// An image of fireclaw's own recipes, built unless it is there, whole, from this version (`recipe` is its digest;
/// where it cannot be known, what is there will do), and with the kernel that is asked for.
image::Entry ensure_image(Host::Impl& host, const SetupOptions& options, std::string_view name, const RootSource& root,
                          const std::optional<std::string>& recipe, bool& changed) {
  if (!options.force) {
    try {
      auto found = host.images.find(std::string{name});
      const auto& wanted = recipe ? *recipe : found ? found->manifest.recipe : std::string{};
      if (found && core::is_current(host, *found, wanted) && same_kernel(*found, options.kernel)) return *found;
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::Corrupt) throw;
      host.logger.warning(fmt::format("{}; building the image again", problem.what()));
    }
  }
  changed = true;
  ImageConfig config;
  config.name = name;
  config.root = root;
  config.kernel = kernel_for(host, config.name, options);
  config.replace = true;
  return core::build_image(host, config, {options.progress, options.stop});
}

/// The key pair that fireclaw logs in to guests with, by SSH.
void ensure_keys(const Host::Impl& host, bool& changed) {
  const auto key = host.layout.keys() / "id_ed25519";
  if (std::filesystem::exists(key)) return;
  changed = true;
  // Rests of a setup that was killed; this one has the lock.
  for (const auto& entry : std::filesystem::directory_iterator{host.layout.keys()}) {
    if (entry.path().filename().native().starts_with(".new-")) sys::remove_tree(entry.path());
  }
  const sys::TempDir folder{host.layout.keys(), ".new-"};
  sys::ToolOptions options;
  options.search_path = host.options.search_path;
  options.deadline = Deadline::after(std::chrono::nanoseconds{keygen_limit});
  sys::check_tool(
      {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fireclaw", "-f", (folder.path() / "id_ed25519").native()},
      options);
  // The public half first: where the key is found, both are there, whole.
  for (const auto* half : {"id_ed25519.pub", "id_ed25519"}) {
    const auto file = folder.path() / half;
    sys::sync_fd(sys::open_file(file, O_RDONLY).get(), file);
    std::filesystem::rename(file, host.layout.keys() / half);
    sys::sync_directory(host.layout.keys());
  }
}

/// What an upgrade may make again, by its name, with something that is another when it has been.
std::map<std::string, std::string> seen_now(const Host::Impl& host) {
  std::map<std::string, std::string> seen;
  for (const auto& image : host.images.list()) {
    seen["image " + image.manifest.name] =
        image.manifest.digest + image.manifest.guestd_version + image.manifest.recipe;
  }
  for (const auto& entry : host.config().engines) {
    seen[fmt::format("engine {} with kernel {}", entry.verdict.engine, entry.verdict.kernel_release)] =
        fmt::format("{} {} {}", entry.verdict.binary.native(), entry.verdict.version, entry.binary_mtime_ns);
  }
  for (const auto& name : host.snapshots.names()) {
    try {
      if (const auto record = host.snapshots.find(name)) seen["snapshot " + name] = record->state_sha256;
    } catch (const Error& problem) {
      host.logger.debug(problem.what());
    }
  }
  return seen;
}

/// Whether it is one with a name, which no longer fits and can be made again.
bool renews_by_name(const SnapshotInfo& snapshot) {
  return !snapshot.usable && snapshot.recoverable && !snapshot.automatic && snapshot.agent.empty();
}

/// Whether upgrade() has anything to do: nothing is downloaded, built or started to find out.
bool is_old(const Host& handle, const Host::Impl& host) {
  const auto outdated = [&](std::string_view name, auto recipe) {
    try {
      const auto image = host.images.find(std::string{name});
      return image && !core::has_own_packages(*image) &&
             !core::is_current(host, *image, recipe().value_or(image->manifest.recipe));
    } catch (const Error& problem) {
      host.logger.debug(problem.what());
      return problem.code() == ErrorCode::Corrupt;
    }
  };
  if (outdated(built_in_image, [&] { return core::busybox_recipe(host); }) ||
      outdated(agent_image, [&] { return std::optional{image::agent_recipe({}, host.agent())}; })) {
    return true;
  }
  const auto images = host.images.list();
  const auto config = host.config();
  const bool has_changed = std::ranges::any_of(config.engines, [&](const state::Config::Engine& entry) {
    return entry.verdict.works && !state::is_current(entry) && core::may_be_used(host, config, entry.verdict.engine) &&
           std::ranges::any_of(images, [&](const image::Entry& image) {
             return image.manifest.kernel.sha256 == entry.verdict.kernel_sha256;
           });
  });
  return has_changed || std::ranges::any_of(handle.snapshots().list(), renews_by_name);
}

void finish_config(const Host::Impl& host) {
  const auto lock = host.lock_config();
  auto config = state::read_config(host.layout.config());
  config.set_up_by = version();
  state::write_config(host.layout.config(), config);
}

}  // namespace

SetupReport Host::setup(const SetupOptions& options) {
  if (!options.firecracker_url.empty()) {
    auto with = impl_->options;
    with.firecracker = core::fetch_firecracker(*impl_, options.firecracker_url, options.firecracker_sha256,
                                               options.progress, options.stop);
    auto rest = options;
    rest.firecracker_url.clear();
    auto report = Host::open(std::move(with)).setup(rest);
    report.already_done = false;
    return report;
  }
  const auto lock = sys::FileLock::acquire(impl_->layout.lock("setup"), sys::FileLock::Mode::Exclusive,
                                           Deadline::after(std::chrono::nanoseconds{setup_lock_limit}),
                                           "another fireclaw setup in this home folder");
  bool changed = false;
  // What an interrupted setup left is in nobody's way, but it takes room.
  collect_garbage();

  const Step image_step{options.progress, "image"};
  const auto image =
      ensure_image(*impl_, options, built_in_image, BusyboxRoot{}, core::busybox_recipe(*impl_), changed);
  image_step.done();
  check_stop(options.stop);

  SetupReport report;
  report.image = image.manifest.name;
  const Step engine_step{options.progress, "engines"};
  if (core::refresh_engines(*impl_, image, options.force, options.stop, options.boot_timeout)) changed = true;
  const auto chosen = core::choose_engine(*impl_, image, options.stop);
  for (auto& verdict : engines()) {
    if (verdict.kernel_sha256 == image.manifest.kernel.sha256) report.engines.push_back(std::move(verdict));
  }
  report.engine = chosen.engine;
  engine_step.done();
  check_stop(options.stop);

  const Step template_step{options.progress, "templates"};
  if (state::TemplateStore{impl_->layout.templates(), impl_->logger}.write_built_in()) changed = true;
  template_step.done();

  const Step key_step{options.progress, "keys"};
  ensure_keys(*impl_, changed);
  key_step.done();

  const Step snapshot_step{options.progress, "snapshot"};
  VMConfig config;
  config.image = image.manifest.name;
  // A host on which the first boot took long is busy.
  StartOptions waiting{.stop = options.stop};
  waiting.timeout = std::max({waiting.timeout, options.boot_timeout, busy_factor * chosen.boot_time});
  if (options.force) changed = true;
  const auto before = impl_->snapshots.names();
  report.snapshot = snapshots().create(config, {}, options.force, waiting).name();
  // And the one for machines with a network, which is what the program starts where there can be one.
  config.network = network().best_mode().mode;
  if (config.network != NetworkMode::None) {
    report.network_snapshot = snapshots().create(config, {}, options.force, waiting).name();
  }
  if (impl_->snapshots.names() != before) changed = true;
  snapshot_step.done();

  if (options.agents) {
    check_stop(options.stop);
    const Step agents_step{options.progress, "image for agents"};
    const auto recipe = image::agent_recipe({}, impl_->agent());
    report.agent_image = ensure_image(*impl_, options, agent_image, DebianAgentRoot{}, recipe, changed).manifest.name;
    agents_step.done();

    // So that the first agent need not wait for it.
    const Step warm_step{options.progress, "snapshot for agents"};
    const auto mode = network().best_mode().mode;
    if (mode != NetworkMode::None && core::ensure_agent_snapshots(impl_, mode, options.stop)) changed = true;
    warm_step.done();
  }

  finish_config(*impl_);
  core::remove_unneeded_engines(*impl_);
  report.already_done = !changed;
  return report;
}

UpgradeReport Host::upgrade(const UpgradeOptions& options) {
  impl_->require_setup();
  if (!is_old(*this, *impl_)) return {};
  const auto before = seen_now(*impl_);
  SetupOptions all;
  const auto for_agents = impl_->images.find(std::string{agent_image});
  all.agents = for_agents && !core::has_own_packages(*for_agents);
  all.progress = options.progress;
  all.stop = options.stop;
  setup(all);
  for (const auto& snapshot : snapshots().list()) {
    if (!renews_by_name(snapshot)) continue;
    check_stop(options.stop);
    const Step step{options.progress, "snapshot " + snapshot.name};
    if (const auto record = impl_->snapshots.find(snapshot.name); record && record->key.drives.empty()) {
      VMConfig config;
      config.network = snapshot.network_device ? network().best_mode().mode : NetworkMode::None;
      core::make_again(impl_, config, *record, snapshot.reason, {.stop = options.stop});
    }
    step.done();
  }
  UpgradeReport report;
  for (const auto& [what, build] : seen_now(*impl_)) {
    const auto known = before.find(what);
    if (known == before.end() || known->second != build) report.renewed.push_back(what);
  }
  return report;
}

}  // namespace fireclaw
