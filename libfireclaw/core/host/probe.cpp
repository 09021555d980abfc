#include <future>
#include <utility>

#include <fmt/format.h>

#include "core/host/confinement.hpp"
#include "core/host/engines.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "state/config.hpp"
#include "sys/file.hpp"

namespace fireclaw {
namespace {

constexpr std::chrono::seconds config_lock_limit{30};

void record(const Host::Impl& host, const std::vector<EngineVerdict>& verdicts) {
  const auto lock = sys::FileLock::acquire(host.layout.lock("config"), sys::FileLock::Mode::Exclusive,
                                           Deadline::after(std::chrono::nanoseconds{config_lock_limit}), "config.json");
  auto config = state::read_config(host.layout.config());
  for (const auto& verdict : verdicts) state::put_verdict(config, state::stamp(verdict));
  config.confinement = core::confinement(host);
  state::write_config(host.layout.config(), config);
}

}  // namespace

std::vector<EngineVerdict> Host::probe(const std::string& image_name, std::stop_token stop) {
  const auto image = impl_->images.open(image_name);
  auto candidates = core::find_candidates(*impl_);
  // Side by side: one that hangs costs its whole limit.
  std::vector<std::future<EngineVerdict>> tries;
  for (const auto& candidate : candidates.to_try) {
    tries.push_back(std::async(std::launch::async, [this, &candidate, &image, &stop] {
      return core::probe_engine(*impl_, candidate, image, stop);
    }));
  }
  std::vector<EngineVerdict> verdicts;
  for (auto& attempt : tries) verdicts.push_back(attempt.get());
  for (auto& verdict : candidates.hopeless) {
    verdict.kernel_release = image.manifest.kernel.release;
    verdict.kernel_sha256 = image.manifest.kernel.sha256;
    verdicts.push_back(std::move(verdict));
  }
  record(*impl_, verdicts);
  return verdicts;
}

}  // namespace fireclaw
