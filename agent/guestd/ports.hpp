#pragma once

#include <set>
#include <string>

#include "boot/uevents.hpp"
#include "loop.hpp"
#include "server.hpp"

namespace fireclaw::guestd {

/// The virtio-serial ports named org.fireclaw.<number>: each is a connection, from the moment it appears.
class Ports final : private Watcher {
 public:
  Ports(Loop& loop, Server& server, Machine& machine, Uevents& uevents);
  Ports(const Ports&) = delete;
  Ports& operator=(const Ports&) = delete;
  ~Ports();

 private:
  void ready(std::uint32_t events) override;
  void look();

  Loop& loop_;
  Server& server_;
  Machine& machine_;
  Uevents& uevents_;
  std::set<std::string> open_;
};

}  // namespace fireclaw::guestd
