#include "vm/detached.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fireclaw::cli {
namespace {

/// A name that no command of the machine has yet.
std::string unused_name(VM& vm) {
  const auto known = vm.services();
  for (std::size_t number = 1;; ++number) {
    auto name = fmt::format("job-{}", number);
    if (std::ranges::find(known, name, &ServiceInfo::name) == known.end()) return name;
  }
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
