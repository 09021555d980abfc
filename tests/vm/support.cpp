#include "support.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace fireclaw::test {

std::string environment(const char* name, std::string otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : std::move(otherwise);
}

const std::filesystem::path& home() {
  static const std::filesystem::path folder = environment("FIRECLAW_TEST_HOME", environment("FIRECLAW_BUILD_HOME", ""));
  return folder;
}

Host open_host(LogSink log) {
  HostOptions options;
  options.home = home();
  options.engine = engine_from_string(environment("FIRECLAW_TEST_ENGINE", "auto"));
  options.firecracker = environment("FIRECLAW_TEST_FIRECRACKER", "");
  options.log = std::move(log);
  return Host::open(options);
}

VM fresh_vm() {
  VMConfig config;
  config.start = StartMode::RequireSnapshot;
  return open_host().vms().run(config);
}

std::string shell(VM& vm, const std::string& line) {
  auto result = vm.exec(ExecOptions::shell(line));
  INFO("command: ", line, "\nstderr: ", result.err);
  REQUIRE(result.exit_code == 0);
  if (result.out.ends_with('\n')) result.out.pop_back();
  return result.out;
}

LogSink LogLines::sink() {
  return [this](LogLevel, std::string_view line) {
    const std::scoped_lock lock{mutex_};
    lines_.emplace_back(line);
  };
}

std::vector<std::string> LogLines::lines() const {
  const std::scoped_lock lock{mutex_};
  return lines_;
}

bool LogLines::contain(const std::string& text) const {
  return std::ranges::any_of(lines(), [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

TempFolder::TempFolder() {
  auto pattern = (std::filesystem::temp_directory_path() / "fireclaw-test-XXXXXX").native();
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Removal::~Removal() {
  try {
    open_host().snapshots().remove(name);
  } catch (const Error&) {
    // It was never made, or is gone.
  }
}

bool process_runs(std::int64_t pid) {
  std::ifstream status{"/proc/" + std::to_string(pid) + "/stat"};
  std::string line;
  if (!std::getline(status, line)) return false;
  const auto state = line.find_last_of(')');
  return state != std::string::npos && line.compare(state, 3, ") Z") != 0;
}

bool wait_gone(std::int64_t pid, std::chrono::milliseconds limit) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
  if (fd < 0) return true;
  pollfd wait{fd, POLLIN, 0};
  const bool ended = ::poll(&wait, 1, static_cast<int>(limit.count())) == 1;
  ::close(fd);
  return ended;
}

}  // namespace fireclaw::test
