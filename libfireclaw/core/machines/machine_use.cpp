#include "core/machines/machine_use.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "sys/fd.hpp"

namespace fireclaw::core {
namespace {

/// What pauses a machine asks its guest first whether something runs in it.
constexpr std::chrono::seconds pause_limit{30};

/// Its time of change is that of the last use.
std::filesystem::path use_file(const Host::Impl& host, const std::string& key) {
  return host.layout.lock("machine-use-" + key);
}

void touch(int fd) noexcept { static_cast<void>(::futimens(fd, nullptr)); }

}  // namespace

MachineUse MachineUse::begin(const Host::Impl& host, const std::string& key) {
  auto lock = sys::FileLock::acquire(use_file(host, key), sys::FileLock::Mode::Shared, Deadline::after(pause_limit),
                                     "the machine, which is being paused");
  touch(lock.get());
  return MachineUse{std::move(lock)};
}

MachineUse::~MachineUse() {
  if (lock_) touch(lock_->get());
}

std::optional<NoMachineUse> try_keep_unused(const Host::Impl& host, const std::string& key) {
  return sys::FileLock::try_acquire(use_file(host, key), sys::FileLock::Mode::Exclusive);
}

std::chrono::system_clock::time_point last_use(const Host::Impl& host, const std::string& key) {
  struct stat status {};
  if (::stat(use_file(host, key).c_str(), &status) != 0) return {};
  return std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec) +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(
             std::chrono::nanoseconds{status.st_mtim.tv_nsec});
}

void note_use(const Host::Impl& host, const std::string& key) {
  const auto file = sys::open_file(use_file(host, key), O_WRONLY | O_CREAT);
  touch(file.get());
}

void forget_use(const Host::Impl& host, const std::string& key) { std::filesystem::remove(use_file(host, key)); }

}  // namespace fireclaw::core
