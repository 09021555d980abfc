#include "restored.hpp"

#include <dirent.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

constexpr std::uint64_t log_limit = 65536;

bool is_program(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && access(path.c_str(), X_OK) == 0;
}

/// Names of files that can be part of a service's name, sorted.
std::vector<std::string> hooks() {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder{opendir(restored_hooks), closedir};
  if (!folder) return names;
  while (const dirent* entry = readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name.front() != '.' && is_program(cat({restored_hooks, "/", name}))) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

wire::Done renew_generation() {
  std::array<unsigned char, 16> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return {errno, cat({"cannot draw a generation: ", error_text(errno)})};
  }
  std::string text;
  for (const unsigned char byte : random) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  text += '\n';
  if (write_file(generation_path, text)) return {};
  return {errno, cat({"cannot write ", generation_path, ": ", error_text(errno)})};
}

void start_restored_hooks(Services& services) {
  for (const std::string& name : hooks()) {
    wire::ServiceStart request;
    request.name = cat({"restored-", name});
    request.argv = {cat({restored_hooks, "/", name})};
    request.cwd = "/";
    request.user = "0";
    request.log = cat({"/var/log/fireclaw/", request.name, ".log"});
    request.log_limit = log_limit;
    request.restart = wire::Restart::Never;
    request.backoff_first_ms = request.backoff_longest_ms = 1;
    if (const wire::Done started = services.start(request); started.error != 0) {
      log({"hook ", name, ": ", started.message});
    }
  }
}

}  // namespace fireclaw::guestd
