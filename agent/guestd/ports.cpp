#include "ports.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

constexpr const char* ports_folder = "/sys/class/virtio-ports";
constexpr std::string_view name_prefix = "org.fireclaw.";

}  // namespace

Ports::Ports(Loop& loop, Server& server, Machine& machine, Uevents& uevents)
    : loop_{loop}, server_{server}, machine_{machine}, uevents_{uevents} {
  loop_.watch(uevents_.fd(), *this);
  look();
}

Ports::~Ports() { loop_.unwatch(uevents_.fd(), *this); }

void Ports::ready(std::uint32_t) {
  if (uevents_.drain()) look();
}

void Ports::look() {
  struct Closer {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Closer> folder{opendir(ports_folder)};
  if (!folder) return;
  while (const dirent* entry = readdir(folder.get())) {
    const std::string_view device = entry->d_name;
    if (device.front() == '.') continue;
    // The name arrives after the device, with an announcement of its own.
    std::string name;
    if (!read_file(cat({ports_folder, "/", device, "/name"}).c_str(), name)) continue;
    if (name.compare(0, name_prefix.size(), name_prefix) != 0) continue;
    if (open_.count(name) != 0) continue;
    OwnedFd port{open(cat({"/dev/", device}).c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    if (!port.open()) {
      log({"cannot open the port ", name, ": ", error_text(errno)});
      continue;
    }
    open_.insert(name);
    server_.add(machine_, std::move(port), Connection::Kind::Port);
  }
}

}  // namespace fireclaw::guestd
