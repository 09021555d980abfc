#include "vmm/qemu/run_dir.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace fireclaw::vmm::qemu {
namespace {

std::optional<GuestStream> try_any_channel(const RunDir& run_dir) {
  for (unsigned channel = 0; channel < guest_channels; ++channel) {
    if (auto claim = claim_channel(run_dir, channel)) {
      return GuestStream{sys::unix_connect(run_dir.guest_socket(channel)), std::move(claim)};
    }
  }
  return std::nullopt;
}

}  // namespace

std::filesystem::path RunDir::guest_socket(unsigned channel) const {
  return path / fmt::format("guest{}.sock", channel);
}

std::filesystem::path RunDir::guest_lock(unsigned channel) const { return path / fmt::format("guest{}.lock", channel); }

std::optional<sys::Fd> claim_channel(const RunDir& run_dir, unsigned channel) {
  auto lock = sys::FileLock::try_acquire(run_dir.guest_lock(channel), sys::FileLock::Mode::Exclusive);
  if (!lock) return std::nullopt;
  return std::move(*lock).into_fd();
}

GuestStream connect_free_channel(const RunDir& run_dir, const Wait& wait) {
  // The kernel does not report the first of several locks that becomes free, so they are tried again, ever more slowly.
  std::chrono::milliseconds pause{1};
  for (;;) {
    if (auto stream = try_any_channel(run_dir)) return std::move(*stream);
    const auto what = [&] { return fmt::format("waiting for one of the machine's {} guest channels", guest_channels); };
    constexpr int no_fd = -1;
    if (sys::wait_fd(no_fd, 0, Deadline::after(pause).sooner(wait.deadline), wait.stop) == sys::WaitResult::Stopped) {
      throw Error{ErrorCode::Cancelled, what() + " was cancelled"};
    }
    if (wait.deadline.passed()) {
      throw Error{ErrorCode::Timeout, what() + " timed out: other processes use them all"};
    }
    pause = std::min(2 * pause, std::chrono::milliseconds{50});
  }
}

}  // namespace fireclaw::vmm::qemu
