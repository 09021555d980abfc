#include "gateway/names/service.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <map>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

namespace fireclaw::gateway {
namespace {

/// The longest question: a name, and what EDNS adds.
constexpr std::size_t most_question_bytes = 1024;
constexpr std::size_t most_tcp_bytes = 65535;
/// Datagrams that are read before others have their turn.
constexpr int most_at_once = 64;
constexpr int most_events = 64;
constexpr std::size_t length_bytes = 2;

using Time = std::chrono::steady_clock::time_point;

std::string text_of(const in_addr& address) { return net::Ipv4Address::from_bits(ntohl(address.s_addr)).to_string(); }

std::string with_length(const std::string& message) {
  const auto size = message.size();
  std::string bytes{static_cast<char>(size >> 8U & 0xFFU), static_cast<char>(size & 0xFFU)};
  return bytes + message;
}

}  // namespace

struct NameService::Impl {
  /// Where an answer goes: a UDP port, or the connection with this number.
  struct Asker {
    sockaddr_in from{};
    std::string address;
    std::uint64_t connection = 0;
  };
  struct Connection {
    sys::Fd socket;
    Asker asker;
    std::string received;
    std::string sending;
    /// An answer is on its way; the next question waits.
    bool asked = false;
    Time until;
  };
  /// What one machine uses.
  struct Use {
    std::size_t pending = 0;
    std::size_t connections = 0;
    double questions = 0;
    Time counted;
    std::string machine;
    std::map<net::Destination, Time> openings;
    /// What it was answered, for who wants to know what an address is.
    std::map<net::Ipv4Address, std::string> names;
  };

  Impl(NameSources& who, NameServer server, Sockets own, net::Ipv4Address own_address, Actions does,
       const NameLimits& most, const Clock& time, const Logger& log)
      : sources{who},
        lookups{std::move(server)},
        sockets{std::move(own)},
        gateway{own_address},
        actions{std::move(does)},
        limits{most},
        clock{time},
        logger{log} {
    for (const int fd : {lookups.fd(), sockets.udp.get(), sockets.tcp.get(), timer.get()}) {
      watch(EPOLL_CTL_ADD, fd, EPOLLIN, static_cast<std::uint64_t>(fd));
    }
  }

  /// While a machine uses something of it.
  void set_ticking(bool wanted) {
    if (std::exchange(ticking, wanted) == wanted) return;
    constexpr time_t tick_seconds = 1;
    itimerspec when{};
    if (wanted) when.it_value.tv_sec = when.it_interval.tv_sec = tick_seconds;
    sys::check(::timerfd_settime(timer.get(), 0, &when, nullptr), "timerfd_settime");
  }

  void watch(int verb, int fd, std::uint32_t events, std::uint64_t number) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = number;
    sys::check(::epoll_ctl(epoll.get(), verb, fd, &event), "epoll_ctl");
  }

  Use& use_of(const std::string& address) {
    const auto now = clock.steady_now();
    auto [found, fresh] = uses.try_emplace(address);
    auto& use = found->second;
    if (fresh) use.questions = most_questions();
    if (!fresh) {
      const auto passed = std::chrono::duration<double>{now - use.counted}.count();
      use.questions = std::min(most_questions(), use.questions + passed * limits.machine_questions_per_second);
    }
    use.counted = now;
    set_ticking(true);
    return use;
  }
  [[nodiscard]] double most_questions() const { return 2 * limits.machine_questions_per_second; }

  void read_datagrams();
  void accept_connections();
  void read_connection(Connection& connection);
  void next_question(Connection& connection);
  void write_connection(Connection& connection);
  void serve_connection(std::uint64_t number, std::uint32_t events);
  void end(std::uint64_t number);
  void tick();

  void ask(const Asker& asker, std::string_view message);
  void look_up(const Asker& asker, const NameClient& who, const dns::Question& question, const NameRule& rule);
  void answer_addresses(const Asker& asker, const NameClient& who, const dns::Question& question, const NameRule& rule,
                        std::vector<Lookups::Address> found);
  bool open(const Asker& asker, const NameClient& who, const NameRule& rule,
            const std::vector<Lookups::Address>& found);
  void refuse(const Asker& asker, const NameClient& who, const dns::Question& question, std::string rule,
              std::string reason);
  void send(const Asker& asker, const std::string& message);

  [[nodiscard]] static std::size_t most_bytes(const Asker& asker) {
    return asker.connection == 0 ? dns::most_udp_bytes : most_tcp_bytes;
  }

  NameSources& sources;
  Lookups lookups;
  Sockets sockets;
  net::Ipv4Address gateway;
  Actions actions;
  NameLimits limits;
  const Clock& clock;
  const Logger& logger;
  sys::Fd epoll{sys::check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")};
  sys::Fd timer{sys::check(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create")};
  bool ticking = false;
  std::map<std::string, Use> uses;
  /// By number; the numbers of other descriptors are below.
  std::map<std::uint64_t, Connection> connections;
  std::uint64_t next = std::uint64_t{1} << 32U;
};

void NameService::Impl::read_datagrams() {
  std::array<char, most_question_bytes> bytes;
  for (int i = 0; i < most_at_once; ++i) {
    Asker asker;
    socklen_t size = sizeof asker.from;
    const auto got = ::recvfrom(sockets.udp.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_TRUNC,
                                reinterpret_cast<sockaddr*>(&asker.from), &size);
    if (got < 0) return;
    asker.address = text_of(asker.from.sin_addr);
    auto& use = use_of(asker.address);
    if (use.questions < 1 || static_cast<std::size_t>(got) > bytes.size()) continue;
    use.questions -= 1;
    ask(asker, {bytes.data(), static_cast<std::size_t>(got)});
  }
}

void NameService::Impl::accept_connections() {
  for (int i = 0; i < most_at_once; ++i) {
    Asker asker;
    socklen_t size = sizeof asker.from;
    sys::Fd socket{
        ::accept4(sockets.tcp.get(), reinterpret_cast<sockaddr*>(&asker.from), &size, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (socket.get() < 0) return;
    asker.address = text_of(asker.from.sin_addr);
    auto& use = use_of(asker.address);
    if (connections.size() >= limits.connections || use.connections >= limits.machine_connections) continue;
    const auto number = next++;
    asker.connection = number;
    watch(EPOLL_CTL_ADD, socket.get(), EPOLLIN, number);
    connections.emplace(
        number, Connection{std::move(socket), std::move(asker), {}, {}, false, clock.steady_now() + limits.patience});
    ++use.connections;
  }
}

void NameService::Impl::end(std::uint64_t number) {
  const auto found = connections.find(number);
  if (found == connections.end()) return;
  --use_of(found->second.asker.address).connections;
  connections.erase(found);
}

void NameService::Impl::serve_connection(std::uint64_t number, std::uint32_t events) {
  auto found = connections.find(number);
  if (found == connections.end()) return;
  if ((events & EPOLLOUT) != 0) {
    write_connection(found->second);
    found = connections.find(number);
    if (found == connections.end()) return;
  }
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) read_connection(found->second);
}

void NameService::Impl::read_connection(Connection& connection) {
  std::array<char, most_question_bytes> bytes;
  const auto got = ::recv(connection.socket.get(), bytes.data(), bytes.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  connection.received.append(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  // Nobody sends this much before an answer comes.
  constexpr std::size_t most_received = 4 * most_question_bytes;
  if (got <= 0 || connection.received.size() > most_received) return end(connection.asker.connection);
  next_question(connection);
}

/// Answers the first question that is there as a whole, unless one is being answered.
void NameService::Impl::next_question(Connection& connection) {
  auto& received = connection.received;
  if (connection.asked || received.size() < length_bytes) return;
  const auto size = static_cast<std::size_t>(static_cast<unsigned char>(received[0])) << 8U |
                    static_cast<std::size_t>(static_cast<unsigned char>(received[1]));
  if (size > most_question_bytes) return end(connection.asker.connection);
  if (received.size() < length_bytes + size) return;
  const auto question = received.substr(length_bytes, size);
  received.erase(0, length_bytes + size);
  auto& use = use_of(connection.asker.address);
  if (use.questions < 1) return end(connection.asker.connection);
  use.questions -= 1;
  connection.asked = true;
  connection.until = Time::max();
  // The connection can be gone after this.
  ask(Asker{connection.asker}, question);
}

void NameService::Impl::write_connection(Connection& connection) {
  const auto number = connection.asker.connection;
  const auto sent = ::send(connection.socket.get(), connection.sending.data(), connection.sending.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return end(number);
  if (sent > 0) connection.sending.erase(0, static_cast<std::size_t>(sent));
  const bool done = connection.sending.empty();
  watch(EPOLL_CTL_MOD, connection.socket.get(), done ? EPOLLIN : EPOLLOUT, number);
  if (!done) return;
  connection.asked = false;
  next_question(connection);
}

void NameService::Impl::tick() {
  std::uint64_t expired = 0;
  static_cast<void>(sys::read_some(timer.get(), std::as_writable_bytes(std::span{&expired, 1})));
  const auto now = clock.steady_now();
  std::vector<std::uint64_t> late;
  for (const auto& [number, connection] : connections) {
    if (connection.until < now) late.push_back(number);
  }
  for (const auto number : late) end(number);
  for (auto it = uses.begin(); it != uses.end();) {
    auto& use = it->second;
    std::erase_if(use.openings, [&](const auto& opening) { return opening.second < now; });
    const bool idle =
        use.pending == 0 && use.connections == 0 && use.openings.empty() && now - use.counted > limits.patience;
    it = idle ? uses.erase(it) : std::next(it);
  }
  if (uses.empty()) set_ticking(false);
}

void NameService::Impl::ask(const Asker& asker, std::string_view message) {
  const auto who = sources.name_client(asker.address);
  if (!who) return end(asker.connection);
  const auto read = dns::read_question(message);
  if (const auto* reply = std::get_if<dns::NotAQuestion>(&read)) {
    if (reply->empty()) return end(asker.connection);
    return send(asker, *reply);
  }
  const auto& question = std::get<dns::Question>(read);
  const auto rule = judge(who->rights, question);
  switch (rule.action) {
    case NameRule::Action::Empty: return send(asker, dns::answer(question, dns::Code::Ok));
    case NameRule::Action::NoName: return send(asker, dns::answer(question, dns::Code::NoName));
    case NameRule::Action::Own: {
      const std::array own{Lookups::Address{gateway, limits.shortest_opening}};
      return send(asker, dns::answer(question, own, most_bytes(asker)));
    }
    case NameRule::Action::Refuse: return refuse(asker, *who, question, rule.rule, rule.reason);
    case NameRule::Action::Addresses:
    case NameRule::Action::PassOn: return look_up(asker, *who, question, rule);
  }
}

void NameService::Impl::refuse(const Asker& asker, const NameClient& who, const dns::Question& question,
                               std::string rule, std::string reason) {
  actions.refused({who.client, asker.address, question.name, std::move(rule), std::move(reason)});
  send(asker, dns::answer(question, dns::Code::Refused));
}

void NameService::Impl::look_up(const Asker& asker, const NameClient& who, const dns::Question& question,
                                const NameRule& rule) {
  auto& use = use_of(asker.address);
  if (use.pending >= limits.machine_pending || lookups.pending() >= limits.pending) {
    return send(asker, dns::answer(question, dns::Code::ServerFailed));
  }
  const auto fails = [question](Lookups::Outcome outcome) {
    switch (outcome) {
      case Lookups::Outcome::Found: return std::string{};
      case Lookups::Outcome::NoData: return dns::answer(question, dns::Code::Ok);
      case Lookups::Outcome::NoName: return dns::answer(question, dns::Code::NoName);
      case Lookups::Outcome::Refused: return dns::answer(question, dns::Code::Refused);
      case Lookups::Outcome::Failed: break;
    }
    return dns::answer(question, dns::Code::ServerFailed);
  };
  // Much can have happened to the machine since it asked.
  const auto still = [this, asker, machine = who.client.machine] {
    --use_of(asker.address).pending;
    auto now = sources.name_client(asker.address);
    if (now && now->client.machine != machine) now.reset();
    if (!now) end(asker.connection);
    return now;
  };
  try {
    if (rule.action == NameRule::Action::PassOn) {
      lookups.ask(question.name, question.type, [=, this](Lookups::Outcome outcome, std::string_view message) {
        if (!still()) return;
        send(asker, message.empty() ? fails(outcome) : dns::pass_on(question, message, most_bytes(asker)));
      });
    } else {
      // What the machine's list names may be named by this host alone.
      const bool own_hosts = !rule.allowed.empty();
      lookups.find_addresses(question.name, own_hosts,
                             [=, this](Lookups::Outcome outcome, std::vector<Lookups::Address> found) {
                               const auto now = still();
                               if (!now) return;
                               if (outcome != Lookups::Outcome::Found) return send(asker, fails(outcome));
                               // Its list can be another by now.
                               const auto current = judge(now->rights, question);
                               if (current.action != NameRule::Action::Addresses) {
                                 return refuse(asker, *now, question, current.rule, current.reason);
                               }
                               answer_addresses(asker, *now, question, current, std::move(found));
                             });
    }
    ++use.pending;
  } catch (const std::exception& problem) {
    logger.error(problem.what());
    send(asker, fails(Lookups::Outcome::Failed));
  }
}

void NameService::Impl::answer_addresses(const Asker& asker, const NameClient& who, const dns::Question& question,
                                         const NameRule& rule, std::vector<Lookups::Address> found) {
  auto& use = use_of(asker.address);
  if (use.machine != who.client.machine) {
    use.machine = who.client.machine;
    use.openings.clear();
    use.names.clear();
  }
  const auto denied =
      std::ranges::find_if(found, [&](const auto& entry) { return !may_be_answered(who.rights, entry.address); });
  if (denied != found.end()) {
    const auto reason =
        fmt::format("it is {} here, and a name stands for public addresses only", denied->address.to_string());
    std::erase_if(found, [&](const auto& entry) { return !may_be_answered(who.rights, entry.address); });
    if (found.empty()) return refuse(asker, who, question, "private", reason);
    actions.refused({who.client, asker.address, question.name, "private", reason});
  }
  for (auto& entry : found) entry.ttl = std::min(entry.ttl, limits.longest_opening);
  if (who.rights.vm.egress == net::Egress::Allowlist && !open(asker, who, rule, found)) {
    return send(asker, dns::answer(question, dns::Code::ServerFailed));
  }
  auto& names = use.names;
  if (names.size() + found.size() > limits.machine_openings) names.clear();
  for (const auto& entry : found) names.insert_or_assign(entry.address, question.name);
  send(asker, dns::answer(question, found, most_bytes(asker)));
}

/// Before the machine knows the addresses. False if it would not reach them.
bool NameService::Impl::open(const Asker& asker, const NameClient& who, const NameRule& rule,
                             const std::vector<Lookups::Address>& found) {
  const auto opened = opened_by(rule, found);
  auto& use = use_of(asker.address);
  const auto fresh =
      std::ranges::count_if(opened, [&](const auto& destination) { return !use.openings.contains(destination); });
  if (use.openings.size() + static_cast<std::size_t>(fresh) > limits.machine_openings) {
    logger.warning(
        fmt::format("'{}' has {} addresses open by name, and gets no more now", who.client.name, use.openings.size()));
    return false;
  }
  std::chrono::seconds ttl{0};
  for (const auto& entry : found) ttl = std::max(ttl, entry.ttl);
  const auto lifetime = std::clamp(ttl + limits.grace, limits.shortest_opening, limits.longest_opening);
  try {
    if (!actions.open(who.rights.vm, opened, lifetime)) return false;
  } catch (const std::exception& problem) {
    logger.error(problem.what());
    return false;
  }
  for (const auto& destination : opened) use.openings[destination] = clock.steady_now() + lifetime;
  return true;
}

void NameService::Impl::send(const Asker& asker, const std::string& message) {
  if (asker.connection == 0) {
    // What does not go out now is asked for again.
    static_cast<void>(::sendto(sockets.udp.get(), message.data(), message.size(), MSG_DONTWAIT,
                               reinterpret_cast<const sockaddr*>(&asker.from), sizeof asker.from));
    return;
  }
  const auto found = connections.find(asker.connection);
  if (found == connections.end()) return;
  found->second.sending = with_length(message);
  found->second.until = clock.steady_now() + limits.patience;
  watch(EPOLL_CTL_MOD, found->second.socket.get(), EPOLLOUT, asker.connection);
}

NameService::NameService(NameSources& sources, NameServer server, Sockets sockets, net::Ipv4Address gateway,
                         Actions actions, const NameLimits& limits, const Clock& clock, const Logger& logger)
    : impl_{std::make_unique<Impl>(sources, std::move(server), std::move(sockets), gateway, std::move(actions), limits,
                                   clock, logger)} {}
NameService::~NameService() = default;

int NameService::fd() const noexcept { return impl_->epoll.get(); }

std::string NameService::name_of(std::string_view asker, net::Ipv4Address address) const {
  const auto use = impl_->uses.find(std::string{asker});
  if (use == impl_->uses.end()) return {};
  // Another machine can have had the address.
  const auto who = impl_->sources.name_client(asker);
  if (!who || who->client.machine != use->second.machine) return {};
  const auto found = use->second.names.find(address);
  return found == use->second.names.end() ? std::string{} : found->second;
}

void NameService::run() {
  auto& impl = *impl_;
  std::array<epoll_event, most_events> events{};
  const int count = ::epoll_wait(impl.epoll.get(), events.data(), most_events, 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    const auto number = event.data.u64;
    const auto is = [&](int fd) { return number == static_cast<std::uint64_t>(fd); };
    if (is(impl.lookups.fd())) {
      impl.lookups.run();
    } else if (is(impl.sockets.udp.get())) {
      impl.read_datagrams();
    } else if (is(impl.sockets.tcp.get())) {
      impl.accept_connections();
    } else if (is(impl.timer.get())) {
      impl.tick();
    } else {
      impl.serve_connection(number, event.events);
    }
  }
}

}  // namespace fireclaw::gateway
