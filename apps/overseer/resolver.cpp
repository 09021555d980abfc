#include "resolver.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "text.hpp"

namespace fireclaw::overseer {

struct Lookup::Shared {
  Fd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  Result result;
};

namespace {

Lookup::Result look_up(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  Lookup::Result result;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    result.problem = fmt::format("host '{}' is not known: {}", host,
                                 error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error));
    return result;
  }
  for (const auto* one = found; one != nullptr; one = one->ai_next) {
    SocketAddress address;
    if (one->ai_addrlen > sizeof address.storage) continue;
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
    result.addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  return result;
}

}  // namespace

bool SocketAddress::is_loopback() const {
  if (storage.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(storage);
    return (ntohl(address.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& address = reinterpret_cast<const sockaddr_in6&>(storage);
  return storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address.sin6_addr);
}

bool is_loopback_name(const std::string& host) {
  if (fold(host) == "localhost") return true;
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

Lookup::Lookup(EventLoop& loop, const std::string& host, std::uint16_t port, std::function<void(Result)> done)
    : loop_{loop}, shared_{std::make_shared<Shared>()} {
  if (!shared_->done) throw std::system_error{errno, std::generic_category(), "eventfd"};
  watching_ = loop_.watch(shared_->done.get(), POLLIN, [this, done = std::move(done)](short) {
    loop_.cancel(watching_);
    Result result;
    {
      const std::scoped_lock lock{shared_->mutex};
      result = std::move(shared_->result);
    }
    done(std::move(result));
  });
  // getaddrinfo() cannot be called off, so the thread belongs to nobody: what it touches is its own share.
  std::thread{[shared = shared_, host, port] {
    auto result = look_up(host, port);
    {
      const std::scoped_lock lock{shared->mutex};
      shared->result = std::move(result);
    }
    const std::uint64_t one = 1;
    if (::write(shared->done.get(), &one, sizeof one) != sizeof one) return;
  }}.detach();
}

Lookup::~Lookup() { loop_.cancel(watching_); }

}  // namespace fireclaw::overseer
