#include "gateway/names/lookups.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>
#include <new>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "gateway/names/cares.hpp"
#include "sys/fd.hpp"

namespace fireclaw::gateway {
namespace {

constexpr int tries = 2;
/// Addresses of one name; more are left out.
constexpr std::size_t most_addresses = 64;
/// How often it is looked whether a server has taken too long.
constexpr long tick_ns = 250'000'000;

Lookups::Outcome outcome_of(int status) {
  switch (status) {
    case ARES_SUCCESS: return Lookups::Outcome::Found;
    case ARES_ENODATA: return Lookups::Outcome::NoData;
    case ARES_ENOTFOUND: return Lookups::Outcome::NoName;
    case ARES_EREFUSED: return Lookups::Outcome::Refused;
    default: return Lookups::Outcome::Failed;
  }
}

}  // namespace

const CaresLibrary& CaresLibrary::get() {
  static const CaresLibrary library;
  static const int initialized = library.library_init(ARES_LIB_INIT_ALL);
  if (initialized != ARES_SUCCESS) throw std::bad_alloc{};
  return library;
}

/// One question, with the channel that has its sockets.
struct Lookups::Lookup {
  Impl* owner = nullptr;
  ares_channel channel = nullptr;
  bool ended = false;
  Addresses addresses;
  Message message;
  /// What came, to be passed on outside of the library's calls.
  Outcome outcome = Outcome::Failed;
  std::vector<Address> found;
  std::string answer;
};

struct Lookups::Impl {
  explicit Impl(NameServer asked) : server{std::move(asked)} {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = timer.get();
    sys::check(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, timer.get(), &event), "epoll_ctl");
  }

  Lookup& begin(bool own_hosts);
  /// `at_once`: run() has something to do already.
  void set_timer(bool running, bool at_once = false);
  void deliver();

  static void on_socket(void* user, ares_socket_t socket, int readable, int writable) noexcept;
  static void on_addresses(void* user, int status, int timeouts, ares_addrinfo* found) noexcept;
  static void on_message(void* user, int status, int timeouts, unsigned char* bytes, int size) noexcept;

  const CaresLibrary& cares = CaresLibrary::get();
  NameServer server;
  sys::Fd epoll{sys::check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")};
  sys::Fd timer{sys::check(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create")};
  std::map<Id, Lookup> lookups;
  /// The lookup of each socket.
  std::map<ares_socket_t, Lookup*> sockets;
  Id next = 1;
};

Lookups::Lookup& Lookups::Impl::begin(bool own_hosts) {
  ares_options options{};
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT |
             ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_DOMAINS;
  auto& lookup = lookups[next];
  lookup.owner = this;
  std::string lookups_text = own_hosts ? "fb" : "b";
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP;
  options.timeout = static_cast<int>(server.patience.count());
  options.tries = tries;
  options.udp_port = options.tcp_port = server.port;
  options.lookups = lookups_text.data();
  options.sock_state_cb = &on_socket;
  options.sock_state_cb_data = &lookup;
  in_addr address{};
  if (server.address) {
    address.s_addr = htonl(server.address->bits());
    options.servers = &address;
    options.nservers = 1;
    mask |= ARES_OPT_SERVERS;
  }
  if (const int status = cares.init_options(&lookup.channel, &options, mask); status != ARES_SUCCESS) {
    lookups.erase(next);
    throw Error{ErrorCode::Io, fmt::format("cannot ask for a name: {}", cares.strerror(status))};
  }
  ++next;
  set_timer(true);
  return lookup;
}

void Lookups::Impl::set_timer(bool running, bool at_once) {
  itimerspec when{};
  if (running) when.it_value.tv_nsec = when.it_interval.tv_nsec = tick_ns;
  if (at_once) when.it_value.tv_nsec = 1;
  sys::check(::timerfd_settime(timer.get(), 0, &when, nullptr), "timerfd_settime");
}

void Lookups::Impl::on_socket(void* user, ares_socket_t socket, int readable, int writable) noexcept {
  auto& lookup = *static_cast<Lookup*>(user);
  auto& impl = *lookup.owner;
  epoll_event event{};
  event.data.fd = socket;
  if (readable != 0) event.events |= EPOLLIN;
  if (writable != 0) event.events |= EPOLLOUT;
  if (event.events == 0) {
    ::epoll_ctl(impl.epoll.get(), EPOLL_CTL_DEL, socket, nullptr);
    impl.sockets.erase(socket);
    return;
  }
  // One that cannot be watched is given up when its time is over.
  const int verb = impl.sockets.contains(socket) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (::epoll_ctl(impl.epoll.get(), verb, socket, &event) == 0) impl.sockets[socket] = &lookup;
}

void Lookups::Impl::on_addresses(void* user, int status, int /*timeouts*/, ares_addrinfo* found) noexcept {
  auto& lookup = *static_cast<Lookup*>(user);
  lookup.ended = true;
  lookup.outcome = outcome_of(status);
  if (found == nullptr) return;
  for (const auto* node = found->nodes; node != nullptr; node = node->ai_next) {
    if (node->ai_family != AF_INET || lookup.found.size() >= most_addresses) continue;
    const auto& address = *reinterpret_cast<const sockaddr_in*>(node->ai_addr);
    lookup.found.push_back({net::Ipv4Address::from_bits(ntohl(address.sin_addr.s_addr)),
                            std::chrono::seconds{node->ai_ttl < 0 ? 0 : node->ai_ttl}});
  }
  // A name that another stands for is known for the shorter of the two times.
  for (const auto* alias = found->cnames; alias != nullptr; alias = alias->next) {
    for (auto& address : lookup.found)
      address.ttl = std::min(address.ttl, std::chrono::seconds{std::max(alias->ttl, 0)});
  }
  if (lookup.outcome == Outcome::Found && lookup.found.empty()) lookup.outcome = Outcome::NoData;
  lookup.owner->cares.freeaddrinfo(found);
}

void Lookups::Impl::on_message(void* user, int status, int /*timeouts*/, unsigned char* bytes, int size) noexcept {
  auto& lookup = *static_cast<Lookup*>(user);
  lookup.ended = true;
  lookup.outcome = outcome_of(status);
  if (bytes != nullptr) lookup.answer.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

/// Reports ended lookups. The receiver can ask again.
void Lookups::Impl::deliver() {
  std::vector<Lookup> ended;
  for (auto it = lookups.begin(); it != lookups.end();) {
    if (!it->second.ended) {
      ++it;
      continue;
    }
    // Its sockets are reported as closed by this.
    cares.destroy(it->second.channel);
    ended.push_back(std::move(it->second));
    it = lookups.erase(it);
  }
  if (lookups.empty()) set_timer(false);
  for (auto& lookup : ended) {
    if (lookup.addresses) lookup.addresses(lookup.outcome, std::move(lookup.found));
    if (lookup.message) lookup.message(lookup.outcome, lookup.answer);
  }
}

Lookups::Lookups(NameServer server) : impl_{std::make_unique<Impl>(std::move(server))} {}

Lookups::~Lookups() {
  for (auto& [id, lookup] : impl_->lookups) impl_->cares.destroy(lookup.channel);
}

int Lookups::fd() const noexcept { return impl_->epoll.get(); }
std::size_t Lookups::pending() const noexcept { return impl_->lookups.size(); }

void Lookups::run() {
  auto& impl = *impl_;
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(impl.epoll.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == impl.timer.get()) {
      std::uint64_t expired = 0;
      static_cast<void>(sys::read_some(impl.timer.get(), std::as_writable_bytes(std::span{&expired, 1})));
      for (auto& [id, lookup] : impl.lookups) {
        impl.cares.process_fd(lookup.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      }
      continue;
    }
    const auto found = impl.sockets.find(event.data.fd);
    if (found == impl.sockets.end()) continue;
    const bool failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
    impl.cares.process_fd(found->second->channel,
                          failed || (event.events & EPOLLIN) != 0 ? event.data.fd : ARES_SOCKET_BAD,
                          (event.events & EPOLLOUT) != 0 ? event.data.fd : ARES_SOCKET_BAD);
  }
  impl.deliver();
}

void Lookups::find_addresses(const std::string& name, bool own_hosts, Addresses done) {
  auto& lookup = impl_->begin(own_hosts);
  lookup.addresses = std::move(done);
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = ARES_AI_NOSORT;
  impl_->cares.getaddrinfo(lookup.channel, name.c_str(), nullptr, &hints, &Impl::on_addresses, &lookup);
  if (lookup.ended) impl_->set_timer(true, true);
}

void Lookups::ask(const std::string& name, std::uint16_t type, Message done) {
  constexpr int internet = 1;
  auto& lookup = impl_->begin(false);
  lookup.message = std::move(done);
  impl_->cares.query(lookup.channel, name.c_str(), internet, type, &Impl::on_message, &lookup);
  if (lookup.ended) impl_->set_timer(true, true);
}

}  // namespace fireclaw::gateway
