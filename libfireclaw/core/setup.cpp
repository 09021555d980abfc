#include <utility>

#include <fmt/format.h>

#include "core/agents/machine.hpp"
#include "core/host/engines.hpp"
#include "core/host/image_build.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/network.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/version.hpp"
#include "image/roots/debian_agent.hpp"
#include "state/config.hpp"
#include "state/templates.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

/// Another setup may be downloading a kernel and building an image.
constexpr std::chrono::minutes setup_lock_limit{30};
constexpr std::chrono::seconds keygen_limit{30};

/// Tells the caller's progress callback when a step starts and, left normally, when it ends.
class Step {
 public:
  Step(const ProgressCallback& progress, std::string_view name) : progress_{progress}, name_{name} {
    tell(0, 0, false);
  }
  void done() const { tell(1, 1, true); }

 private:
  void tell(std::uint64_t done, std::uint64_t total, bool finished) const {
    if (progress_) progress_({name_, done, total, finished});
  }
  const ProgressCallback& progress_;
  std::string_view name_;
};

void check_stop(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "setup was interrupted; run it again to continue"};
}

/// The kernel for an image that is made again or beside the built-in one: the one that is asked for; else, where that
/// was chosen by a person (a file, a URL), the one that it has, or that the built-in image has.
KernelSource kernel_for(const Host::Impl& host, const std::string& name, const KernelSource& wanted) {
  if (!std::holds_alternative<DistributionKernel>(wanted)) return wanted;
  for (const auto& of : {name, std::string{built_in_image}}) {
    try {
      const auto image = host.images.find(of);
      if (!image) continue;
      if (image->manifest.kernel.source.find('/') == std::string::npos) return wanted;
      return KernelOfImage{of};
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::Corrupt) throw;
    }
  }
  return wanted;
}

bool same_kernel(const image::Entry& image, const KernelSource& wanted) {
  if (std::holds_alternative<DistributionKernel>(wanted)) return true;
  if (const auto* url = std::get_if<KernelUrl>(&wanted)) return image.manifest.kernel.sha256 == url->sha256;
  if (const auto* file = std::get_if<KernelFile>(&wanted)) {
    return image.manifest.kernel.sha256 == sys::sha256_file(file->path);
  }
  return false;
}

/// An image of fireclaw's own recipes, built unless it is there, whole, from this version (`recipe` is its digest,
/// where it has one), and with the kernel that is asked for.
image::Entry ensure_image(Host::Impl& host, const SetupOptions& options, std::string_view name, const RootSource& root,
                          const std::string& recipe, bool& changed) {
  if (!options.force) {
    try {
      auto found = host.images.find(std::string{name});
      if (found && core::is_current(host, *found, recipe) && same_kernel(*found, options.kernel)) return *found;
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::Corrupt) throw;
      host.logger.warning(fmt::format("{}; building the image again", problem.what()));
    }
  }
  changed = true;
  ImageConfig config;
  config.name = name;
  config.root = root;
  config.kernel = kernel_for(host, config.name, options.kernel);
  config.replace = true;
  config.progress = options.progress;
  config.stop = options.stop;
  return core::build_image(host, config);
}

/// The key pair that fireclaw logs in to guests with, by SSH.
void ensure_keys(const Host::Impl& host, bool& changed) {
  const auto key = host.layout.keys() / "id_ed25519";
  if (std::filesystem::exists(key)) return;
  changed = true;
  const sys::TempDir folder{host.layout.keys(), ".new-"};
  sys::ToolOptions options;
  options.search_path = host.options.search_path;
  options.deadline = Deadline::after(std::chrono::nanoseconds{keygen_limit});
  sys::check_tool(
      {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fireclaw", "-f", (folder.path() / "id_ed25519").native()},
      options);
  // The public half first: whoever finds the key finds both.
  std::filesystem::rename(folder.path() / "id_ed25519.pub", host.layout.keys() / "id_ed25519.pub");
  std::filesystem::rename(folder.path() / "id_ed25519", key);
}

void finish_config(const Host::Impl& host) {
  const auto lock = sys::FileLock::acquire(host.layout.lock("config"), sys::FileLock::Mode::Exclusive,
                                           Deadline::after(std::chrono::nanoseconds{keygen_limit}), "config.json");
  auto config = state::read_config(host.layout.config());
  config.set_up_by = version();
  state::write_config(host.layout.config(), config);
}

}  // namespace

SetupReport Host::setup(const SetupOptions& options) {
  const auto lock = sys::FileLock::acquire(impl_->layout.lock("setup"), sys::FileLock::Mode::Exclusive,
                                           Deadline::after(std::chrono::nanoseconds{setup_lock_limit}),
                                           "another fireclaw setup in this home folder");
  bool changed = false;
  // What an interrupted setup left is in nobody's way, but it takes room.
  collect_garbage();

  const Step image_step{options.progress, "image"};
  const auto image = ensure_image(*impl_, options, built_in_image, BusyboxRoot{}, {}, changed);
  image_step.done();
  check_stop(options.stop);

  SetupReport report;
  report.image = image.manifest.name;
  const Step engine_step{options.progress, "engines"};
  if (core::refresh_engines(*impl_, image, options.force, options.stop)) changed = true;
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
  config.stop = options.stop;
  if (options.force) changed = true;
  const auto before = impl_->snapshots.names();
  report.snapshot = Snapshot::create(*this, config, {}, options.force).name();
  // And the one for machines with a network, which is what the program starts where there can be one.
  config.network = Network::best_mode(*this).mode;
  if (config.network != NetworkMode::None) {
    report.network_snapshot = Snapshot::create(*this, config, {}, options.force).name();
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
    const auto network = Network::best_mode(*this).mode;
    if (network != NetworkMode::None && core::ensure_agent_snapshots(impl_, network, options.stop)) changed = true;
    warm_step.done();
  }

  finish_config(*impl_);
  report.already_done = !changed;
  return report;
}

}  // namespace fireclaw
