#pragma once

#include "guest/tree/tree.hpp"
#include "loop.hpp"
#include "server.hpp"

namespace fireclaw::guestd {

/// Serves every connection to our vsock port, if the machine has vsock. At the start it calls the host once, so that
/// the host need not try again and again to find out when the machine is up. It is not an error if nobody takes the
/// call.
class Vsock {
 public:
  Vsock(Loop& loop, Server& server, Machine& machine);

 private:
  class Listener final : public Watcher {
   public:
    Listener(Loop& loop, Server& server, Machine& machine);
    ~Listener();
    void ready(std::uint32_t events) override;

   private:
    Loop& loop_;
    Server& server_;
    Machine& machine_;
    OwnedFd socket_;
  };

  class Call final : public Watcher {
   public:
    Call(Loop& loop, Server& server, Machine& machine);
    ~Call();
    void ready(std::uint32_t events) override;

   private:
    void settle();

    Loop& loop_;
    Server& server_;
    Machine& machine_;
    OwnedFd socket_;
  };

  Listener listener_;
  Call call_;
};

}  // namespace fireclaw::guestd
