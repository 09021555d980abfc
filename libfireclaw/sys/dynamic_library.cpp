#include "sys/dynamic_library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::sys {

DynamicLibrary::DynamicLibrary(std::initializer_list<const char*> files, const char* package) {
  std::string reason;
  for (const char* file : files) {
    handle_ = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    file_ = file;
    if (handle_ != nullptr) return;
    if (reason.empty()) reason = ::dlerror();
  }
  throw Error{ErrorCode::Unsupported,
              fmt::format("cannot load a library: {}; install it with: apt-get install {}", reason, package)};
}

DynamicLibrary::Found DynamicLibrary::find(const char* name) const {
  void* address = ::dlsym(handle_, name);
  if (address == nullptr) {
    throw Error{ErrorCode::Unsupported, fmt::format("{} has no function {}: it is too old", file_, name)};
  }
  return {address};
}

}  // namespace fireclaw::sys
