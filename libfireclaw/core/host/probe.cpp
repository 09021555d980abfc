#include <algorithm>
#include <future>
#include <utility>

#include <fmt/format.h>

#include "core/host/confinement.hpp"
#include "core/host/engines.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "state/settings/config.hpp"
#include "sys/file.hpp"

namespace fireclaw {
namespace core {
namespace {

/// Another process tries all engines: one after the other may hang for its whole limit.
constexpr std::chrono::minutes turn_limit{10};
/// A guest on hardware comes up in a fraction of the time that emulation takes beside it. One that is not up when
/// emulation could have done it twice hangs.
constexpr int emulations = 2;
/// Where emulation is that fast, what is slow on hardware has this much all the same.
constexpr std::chrono::seconds least_wait{6};

void remember(const Host::Impl& host, const std::vector<EngineVerdict>& verdicts) {
  const auto lock = host.lock_config();
  auto config = state::read_config(host.layout.config());
  for (const auto& verdict : verdicts) state::put_verdict(config, state::stamp(verdict));
  config.confinement = core::confinement(host);
  state::write_config(host.layout.config(), config);
  host.learn_engines(config);
}

/// All that are `wanted`, side by side: one that hangs costs its whole limit.
std::vector<EngineVerdict> try_candidates(const Host::Impl& host, const image::Entry& image,
                                          const std::vector<std::string>& wanted, const std::stop_token& stop,
                                          std::chrono::milliseconds boot_limit) {
  const auto is_wanted = [&](const EngineVerdict& verdict) {
    return std::ranges::find(wanted, verdict.engine) != wanted.end();
  };
  auto candidates = find_candidates(host);
  LongestWait longest{std::chrono::nanoseconds::max()};
  std::vector<std::future<EngineVerdict>> tries;
  for (auto& candidate : candidates.to_try) {
    if (!is_wanted(candidate.verdict)) continue;
    if (boot_limit.count() != 0) candidate.boot_limit = boot_limit;
    host.logger.info(fmt::format("trying {} ({} {}) with kernel {}", candidate.verdict.engine,
                                 candidate.verdict.binary.native(), candidate.verdict.version,
                                 image.manifest.kernel.release));
    tries.push_back(std::async(std::launch::async, [&, boot_limit, &candidate = candidate] {
      auto verdict = probe_engine(host, candidate, image, stop, longest);
      if (verdict.works && verdict.engine == qemu_tcg_name && boot_limit.count() == 0) {
        longest = std::max<std::chrono::nanoseconds>(emulations * verdict.boot_time, least_wait);
      }
      return verdict;
    }));
  }
  std::vector<EngineVerdict> verdicts;
  for (auto& attempt : tries) verdicts.push_back(attempt.get());
  for (auto verdict : candidates.hopeless) {
    if (!is_wanted(verdict)) continue;
    verdict.kernel_release = image.manifest.kernel.release;
    verdict.kernel_sha256 = image.manifest.kernel.sha256;
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

/// Engines with this kernel that are known in another form than there is now: with another program, or not at all.
std::vector<std::string> outdated(const Host::Impl& host, const state::Config& config, const std::string& kernel) {
  const auto known = [&](const EngineVerdict& verdict, auto holds) {
    return std::ranges::any_of(config.engines, [&](const state::Config::Engine& entry) {
      return entry.verdict.engine == verdict.engine && entry.verdict.kernel_sha256 == kernel && holds(entry);
    });
  };
  std::vector<std::string> engines;
  const auto candidates = find_candidates(host);
  for (const auto& [verdict, cpu_models, limit] : candidates.to_try) {
    const auto& binary = verdict.binary;
    if (!known(verdict, [&](const auto& entry) { return entry.verdict.binary == binary && state::is_current(entry); }))
      engines.push_back(verdict.engine);
  }
  for (const auto& verdict : candidates.hopeless) {
    if (known(verdict, [&](const auto& entry) { return entry.verdict.works && !state::is_current(entry); }))
      engines.push_back(verdict.engine);
  }
  return engines;
}

/// Drops what is known of kernels that no image has.
bool forget_kernels(const Host::Impl& host, const std::vector<image::Entry>& images) {
  const auto lock = host.lock_config();
  auto config = state::read_config(host.layout.config());
  const auto dropped = std::erase_if(config.engines, [&](const state::Config::Engine& entry) {
    return std::ranges::none_of(
        images, [&](const image::Entry& image) { return image.manifest.kernel.sha256 == entry.verdict.kernel_sha256; });
  });
  if (dropped != 0) state::write_config(host.layout.config(), config);
  return dropped != 0;
}

}  // namespace

std::vector<EngineVerdict> try_engines(const Host::Impl& host, const image::Entry& image,
                                       const std::function<std::vector<std::string>()>& wanted,
                                       const std::stop_token& stop, std::chrono::milliseconds boot_limit) {
  const auto turn = sys::FileLock::acquire(host.layout.lock("probe"), sys::FileLock::Mode::Exclusive,
                                           Deadline::after(std::chrono::nanoseconds{turn_limit}),
                                           "another process, which tries the engines");
  const auto engines = wanted();
  if (engines.empty()) return {};
  auto verdicts = try_candidates(host, image, engines, stop, boot_limit);
  remember(host, verdicts);
  return verdicts;
}

bool refresh_engines(const Host::Impl& host, const image::Entry& image, bool all, const std::stop_token& stop,
                     std::chrono::milliseconds boot_limit) {
  const auto images = host.images.list();
  bool tried = forget_kernels(host, images);
  std::vector<std::string> kernels;
  const auto refresh = [&](const image::Entry& with) {
    const auto& kernel = with.manifest.kernel.sha256;
    if (std::ranges::find(kernels, kernel) != kernels.end()) return;
    kernels.push_back(kernel);
    const auto config = host.config();
    const bool is_built_in = kernel == image.manifest.kernel.sha256;
    const bool is_known = std::ranges::any_of(
        config.engines, [&](const state::Config::Engine& entry) { return entry.verdict.kernel_sha256 == kernel; });
    // Others are tried when somebody uses them.
    if (!is_built_in && !is_known) return;
    auto engines = all ? all_engines() : outdated(host, config, kernel);
    if (engines.empty() && is_built_in && !find_engine(host, with)) engines = all_engines();
    if (engines.empty()) return;
    tried = true;
    try_engines(
        host, with, [&] { return engines; }, stop, boot_limit);
  };
  refresh(image);
  for (const auto& other : images) refresh(other);
  return tried;
}

}  // namespace core

std::vector<EngineVerdict> Host::probe(const std::string& image_name, std::stop_token stop) {
  const auto image = impl_->images.open(image_name);
  return core::try_engines(*impl_, image, core::all_engines, stop);
}

}  // namespace fireclaw
