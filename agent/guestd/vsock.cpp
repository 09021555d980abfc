#include "vsock.hpp"

#include <sys/socket.h>

#include <linux/vm_sockets.h>

#include <cerrno>
#include <utility>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

constexpr unsigned guest_port = 1024;
constexpr unsigned host_port = 1025;

OwnedFd make_socket() { return OwnedFd{socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)}; }

sockaddr_vm make_address(unsigned cid, unsigned port) {
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = cid;
  address.svm_port = port;
  return address;
}

}  // namespace

Vsock::Vsock(Loop& loop, Server& server, Machine& machine)
    : listener_{loop, server, machine}, call_{loop, server, machine} {}

Vsock::Listener::Listener(Loop& loop, Server& server, Machine& machine)
    : loop_{loop}, server_{server}, machine_{machine}, socket_{make_socket()} {
  if (!socket_.open()) return;
  const sockaddr_vm address = make_address(VMADDR_CID_ANY, guest_port);
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
      listen(socket_.get(), 16) < 0) {
    log({"cannot listen on vsock port ", std::to_string(guest_port), ": ", error_text(errno)});
    socket_.reset();
    return;
  }
  loop_.watch(socket_.get(), *this);
}

Vsock::Listener::~Listener() {
  if (socket_.open()) loop_.unwatch(socket_.get(), *this);
}

void Vsock::Listener::ready(std::uint32_t) {
  for (;;) {
    OwnedFd connection{accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (connection.open()) {
      server_.add(machine_, std::move(connection), Connection::Kind::Socket);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return;
    }
  }
}

Vsock::Call::Call(Loop& loop, Server& server, Machine& machine)
    : loop_{loop}, server_{server}, machine_{machine}, socket_{make_socket()} {
  if (!socket_.open()) return;
  const sockaddr_vm address = make_address(VMADDR_CID_HOST, host_port);
  if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    settle();
    return;
  }
  if (errno != EINPROGRESS || !loop_.watch(socket_.get(), *this)) socket_.reset();
}

Vsock::Call::~Call() {
  if (socket_.open()) loop_.unwatch(socket_.get(), *this);
}

void Vsock::Call::settle() { server_.add(machine_, std::move(socket_), Connection::Kind::Socket); }

void Vsock::Call::ready(std::uint32_t events) {
  int error = 0;
  socklen_t size = sizeof error;
  const bool known = getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0;
  if (known && error == 0 && (events & EPOLLOUT) == 0) return;
  loop_.unwatch(socket_.get(), *this);
  if (known && error == 0) return settle();
  socket_.reset();
}

}  // namespace fireclaw::guestd
