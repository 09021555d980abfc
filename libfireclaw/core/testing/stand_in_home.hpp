#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/machines/impl.hpp"
#include "core/testing/wrapped_instance.hpp"
#include "fireclaw/host.hpp"
#include "image/store/manifest.hpp"
#include "state/settings/config.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::core::testing {

/// A home folder whose only engine is the stand-in for Firecracker, with the real guestd behind its vsock: machines
/// from their start to their end, without a hypervisor. A test that uses it has FAKE_FIRECRACKER and FIRECLAW_GUESTD.
class StandInHome {
 public:
  StandInHome() {
    std::filesystem::create_symlink(FAKE_FIRECRACKER, program());
    set_knobs("");
    sys::make_directories(home());
    make_image();
    state::Config config;
    config.set_up_by = "0.1.0";
    EngineVerdict verdict;
    verdict.engine = "firecracker";
    verdict.binary = program();
    verdict.version = "1.17.0-dev";
    verdict.kernel_sha256 = sys::sha256_hex("kernel");
    verdict.works = true;
    state::put_verdict(config, state::stamp(verdict));
    config.confinement.emplace();
    config.confinement->context = sys::confinement_context();
    state::write_config(home() / "config.json", config);
  }

  [[nodiscard]] std::filesystem::path home() const { return folder_.path() / "home"; }
  [[nodiscard]] std::shared_ptr<Host::Impl> open() const {
    HostOptions options;
    options.home = home();
    return Access::impl(Host::open(options));
  }
  /// From the next start of an engine on; beside what this object needs. See fake_firecracker/knobs.hpp.
  void set_knobs(const std::string& knobs) const {
    sys::replace_file(program().string() + ".knobs", fmt::format("owner={}\nguest={}\nrequests={}\n{}", ::getpid(),
                                                                 FIRECLAW_GUESTD, requests().string(), knobs));
  }
#ifdef MOUNTING_GUEST
  /// The same, with guests that mount their disks: as root only. They see this system, and what they change there ends
  /// with their machine.
  /// `bot` is a Python program, an agent's service in each of them. Once for a test.
  void set_mounting_knobs(const std::string& knobs, const std::string& bot = {}) const {
    const auto socket = folder_.path() / "guests";
    sys::check_tool({MOUNTING_GUEST, socket, folder_.path() / "machine", std::to_string(::getpid()), bot}, {});
    set_knobs(fmt::format("guests={}\n{}", socket.string(), knobs));
  }
#endif
  /// How often an engine has done what has these words in it, such as "Paused".
  [[nodiscard]] std::ptrdiff_t done(std::string_view words) const {
    if (!std::filesystem::exists(requests())) return 0;
    const auto text = sys::read_file(requests());
    std::ptrdiff_t count = 0;
    for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++count;
    return count;
  }

 private:
  [[nodiscard]] std::filesystem::path program() const { return folder_.path() / "firecracker"; }
  [[nodiscard]] std::filesystem::path requests() const { return folder_.path() / "requests"; }

  void make_image() const {
    const auto image = home() / "images" / std::string{built_in_image};
    sys::make_directories(image);
    image::Manifest manifest;
    manifest.name = built_in_image;
    for (auto [file, info] : {std::pair{"kernel", &manifest.kernel_file}, std::pair{"initramfs", &manifest.initramfs},
                              std::pair{"rootfs", &manifest.rootfs}}) {
      sys::replace_file(image / file, file);
      *info = {sys::sha256_hex(file), std::string_view{file}.size()};
    }
    manifest.kernel = {KernelFormat::Elf, VirtioBus::Mmio, "6.1.0", manifest.kernel_file.sha256, "made up"};
    manifest.rootfs_type = "squashfs";
    manifest.digest = image::combined_digest(manifest.kernel_file, manifest.initramfs, manifest.rootfs);
    sys::replace_file(image / "manifest.json", image::to_json(manifest));
  }

  sys::TempDir folder_{"/tmp", "fireclaw-stand-in-"};
};

/// Calls `before` with a word for each call that saves or ends the machine, before it is passed on.
class Witness final : public WrappedInstance {
 public:
  Witness(std::unique_ptr<vmm::Instance> real, std::function<void(std::string_view)> before)
      : WrappedInstance{std::move(real)}, before_{std::move(before)} {}

  /// From now on freeze() does not stop the engine, and says so.
  void refuse_to_freeze() { freezes_ = false; }

  void pause(Deadline deadline) override {
    before_("pause");
    WrappedInstance::pause(deadline);
  }
  void resume(Deadline deadline) override {
    before_("resume");
    WrappedInstance::resume(deadline);
  }
  void snapshot(const vmm::SnapshotFiles& files, Deadline deadline, const std::stop_token& stop) override {
    before_("save");
    WrappedInstance::snapshot(files, deadline, stop);
  }
  std::chrono::nanoseconds snapshot_running(const vmm::SnapshotFiles& files, const std::function<void()>& copy_drives,
                                            Deadline deadline, const std::stop_token& stop) override {
    before_("save");
    return WrappedInstance::snapshot_running(files, copy_drives, deadline, stop);
  }
  void kill() noexcept override {
    before_("kill");
    WrappedInstance::kill();
  }
  void send_kill() noexcept override {
    before_("kill");
    WrappedInstance::send_kill();
  }
  [[nodiscard]] bool freeze() noexcept override {
    before_("freeze");
    return freezes_ && WrappedInstance::freeze();
  }

 private:
  std::function<void(std::string_view)> before_;
  bool freezes_ = true;
};

}  // namespace fireclaw::core::testing
