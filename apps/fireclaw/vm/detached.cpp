#include "vm/detached.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "base/number.hpp"

namespace fireclaw::cli {
namespace {

constexpr std::string_view prefix = "job-";

/// A name that no command of the machine has had: guestd forgets the oldest, and their logs stay.
std::string unused_name(VM& vm) {
  std::uint32_t last = 0;
  for (const auto& job : vm.services()) {
    if (!job.name.starts_with(prefix)) continue;
    if (const auto number = parse_number<std::uint32_t>(std::string_view{job.name}.substr(prefix.size()))) {
      last = std::max(last, *number);
    }
  }
  return fmt::format("{}{}", prefix, std::uint64_t{last} + 1);
}

}  // namespace

void require_detachable(const ExecOptions& command) {
  if (!command.tty && !command.timeout) return;
  throw Error{ErrorCode::InvalidArgument, "a detached command has no terminal and no --timeout"};
}

std::string start_detached(VM& vm, const ExecOptions& command) {
  require_detachable(command);
  ServiceOptions service;
  service.name = unused_name(vm);
  service.argv = command.argv;
  service.env = command.env;
  service.cwd = command.cwd;
  service.user = command.user;
  service.restart = RestartPolicy::Never;
  vm.start_service(service);
  return service.name;
}

}  // namespace fireclaw::cli
