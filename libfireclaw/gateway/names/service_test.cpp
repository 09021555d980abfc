// The name server as machines and name servers see it: by real sockets, on loopback.
#include "gateway/names/service.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "fireclaw/error.hpp"
#include "sys/poll.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;
using gateway::NameService;
namespace dns = gateway::dns;

namespace {

constexpr auto patience = 10s;
constexpr std::uint16_t type_txt = 16;

sys::Fd bound(int type, std::uint16_t port = 0, const char* host = "127.0.0.1") {
  sys::Fd socket{sys::check(::socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket")};
  // Connections of other tests that linger are in nobody's way. By UDP it would let others in.
  const int reuse = type == SOCK_STREAM ? 1 : 0;
  sys::check(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse), "SO_REUSEADDR");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host, &address.sin_addr);
  sys::check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  if (type == SOCK_STREAM) sys::check(::listen(socket.get(), 16), "listen");
  return socket;
}

sockaddr_in address_of(const sys::Fd& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  sys::check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return address;
}

/// By UDP and TCP at one port that was free for both.
std::pair<sys::Fd, sys::Fd> bound_to_one_port() {
  for (int others = 10;; --others) {
    auto tcp = bound(SOCK_STREAM);
    try {
      auto udp = bound(SOCK_DGRAM, ntohs(address_of(tcp).sin_port));
      return {std::move(udp), std::move(tcp)};
    } catch (const Error&) {
      if (others == 0) throw;
    }
  }
}

std::string word(unsigned value) { return {static_cast<char>(value >> 8U), static_cast<char>(value & 0xFFU)}; }
unsigned word_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned>(static_cast<unsigned char>(bytes[at])) << 8U |
         static_cast<unsigned>(static_cast<unsigned char>(bytes[at + 1]));
}

/// "example.org" as it is in messages.
std::string encoded(std::string_view name) {
  std::string bytes;
  while (!name.empty()) {
    const auto label = name.substr(0, name.find('.'));
    bytes += static_cast<char>(label.size());
    bytes += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  return bytes + '\0';
}

std::string question(std::string_view name, unsigned type = dns::type_a, unsigned id = 0x1234) {
  return word(id) + word(0x0100) + word(1) + word(0) + word(0) + word(0) + encoded(name) + word(type) + word(1);
}

std::string record(std::string_view owner, unsigned type, unsigned ttl, std::string_view data) {
  return std::string{owner} + word(type) + word(1) + word(0) + word(ttl) + word(static_cast<unsigned>(data.size())) +
         std::string{data};
}

std::string bytes_of(const char* address) {
  in_addr bits{};
  ::inet_pton(AF_INET, address, &bits);
  return {reinterpret_cast<const char*>(&bits), sizeof bits};
}

/// A server out in the world, that knows a few names.
class World {
 public:
  World() : World{bound_to_one_port()} {}

  [[nodiscard]] std::uint16_t port() const { return ntohs(address_of(udp_).sin_port); }
  /// Ids and source ports of what was asked so far.
  struct Asked {
    std::vector<std::string> names;
    std::set<unsigned> ids;
    std::set<unsigned> ports;
  };
  Asked asked() {
    const std::scoped_lock lock{mutex_};
    return asked_;
  }

 private:
  explicit World(std::pair<sys::Fd, sys::Fd> sockets)
      : udp_{std::move(sockets.first)}, tcp_{std::move(sockets.second)}, thread_{[this](const auto& stop) {
          serve(stop);
        }} {}

  std::string answer(const std::string& message, bool by_tcp, unsigned from) {
    const auto section = message.substr(12);
    std::string name;
    for (std::size_t at = 0; section[at] != 0;) {
      const auto size = static_cast<unsigned char>(section[at]);
      name += (name.empty() ? "" : ".") + section.substr(at + 1, size);
      at += size + 1U;
    }
    {
      const std::scoped_lock lock{mutex_};
      asked_.names.push_back(name);
      asked_.ids.insert(word_at(message, 0));
      asked_.ports.insert(from);
    }
    unsigned flags = 0x8180;
    std::vector<std::string> records;
    const std::string itself = word(0xC00C);
    const auto address = [&](const char* text, unsigned ttl = 60) {
      records.push_back(record(itself, dns::type_a, ttl, bytes_of(text)));
    };
    if (name == "silent.example") return {};
    if (name == "one.example" || name.ends_with(".many.example")) address("203.0.113.7");
    if (name == "mixed.example") address("10.0.0.1"), address("203.0.113.7");
    if (name == "private.example") address("192.168.1.1");
    if (name == "long.example") address("203.0.113.7", 3600);
    if (name == "missing.example") flags |= 3U;
    if (name == "alias.example") {
      records.push_back(record(itself, 5, 60, encoded("other.example")));
      records.push_back(record(encoded("other.example"), dns::type_a, 60, bytes_of("203.0.113.9")));
    }
    // Refers to itself.
    if (name == "loop.example")
      records.push_back(record(word(0xC000U + static_cast<unsigned>(message.size())), 1, 60, "1234"));
    if (name == "big.example") {
      if (!by_tcp) flags |= 0x0200U;
      if (by_tcp) {
        for (int i = 0; i < 5; ++i) records.push_back(record(itself, type_txt, 60, '\xC8' + std::string(200, 'x')));
      }
    }
    auto text = message.substr(0, 2) + word(flags) + word(1) + word(static_cast<unsigned>(records.size())) + word(0) +
                word(0) + section;
    for (const auto& entry : records) text += entry;
    return text;
  }

  void serve(const std::stop_token& stop) {
    const sys::StopFd stopped{stop};
    for (;;) {
      std::array<pollfd, 3> watched{{{udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}, {stopped.fd(), POLLIN, 0}}};
      ::poll(watched.data(), watched.size(), -1);
      if (watched[2].revents != 0) return;
      std::array<char, 4096> bytes;
      sockaddr_in from{};
      socklen_t size = sizeof from;
      if (watched[0].revents != 0) {
        const auto got =
            ::recvfrom(udp_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
        const auto text = answer({bytes.data(), static_cast<std::size_t>(got)}, false, ntohs(from.sin_port));
        ::sendto(udp_.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
      if (watched[1].revents != 0) {
        const sys::Fd peer{::accept(tcp_.get(), reinterpret_cast<sockaddr*>(&from), &size)};
        std::string question;
        while (question.size() < 2 || question.size() < word_at(question, 0) + 2) {
          const auto got = ::recv(peer.get(), bytes.data(), bytes.size(), 0);
          if (got <= 0) break;
          question.append(bytes.data(), static_cast<std::size_t>(got));
        }
        const auto text = answer(question.substr(2), true, ntohs(from.sin_port));
        const auto whole = word(static_cast<unsigned>(text.size())) + text;
        ::send(peer.get(), whole.data(), whole.size(), MSG_NOSIGNAL);
      }
    }
  }

  sys::Fd udp_;
  sys::Fd tcp_;
  std::mutex mutex_;
  Asked asked_;
  std::jthread thread_;
};

struct Machines final : gateway::NameSources {
  std::optional<gateway::NameClient> name_client(std::string_view address) override {
    const auto found = known.find(address);
    return found == known.end() ? std::nullopt : std::optional{found->second};
  }
  void put(const std::string& address, net::Egress egress, std::vector<std::string> names = {}) {
    gateway::NameRights rights{{net::InterfaceName{"fcbr0-1"},
                                {},
                                net::Ipv4Address::parse(address),
                                egress,
                                {},
                                net::ServiceAccess::Names,
                                {}},
                               {}};
    for (const auto& name : names) rights.names.push_back(net::NamedDestination::parse(name));
    known.insert_or_assign(address, gateway::NameClient{{"ada", "vm1"}, std::move(rights)});
  }
  std::map<std::string, gateway::NameClient, std::less<>> known;
};

/// A name server between machines on 127.0.0.x and the world, run by the test's own thread.
struct Fixture {
  struct Opened {
    std::vector<std::string> destinations;
    std::chrono::milliseconds lifetime{0};
  };
  /// A machine's way of asking.
  class Asker {
   public:
    Asker(Fixture& fixture, int type, const char* from = "127.0.0.1")
        : fixture_{fixture},
          stream_{type == SOCK_STREAM},
          socket_{bound(type == SOCK_STREAM ? type : SOCK_DGRAM, 0, from)} {
      if (stream_) socket_ = from_address(from);
      const auto to = stream_ ? fixture.tcp_address : fixture.udp_address;
      sys::check(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
    }
    void send(const std::string& message) {
      const auto bytes = stream_ ? word(static_cast<unsigned>(message.size())) + message : message;
      REQUIRE(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
    }
    /// Empty if nothing comes: the connection ends, or `limit` is over.
    std::string receive(std::chrono::milliseconds limit = patience) {
      const auto end = std::chrono::steady_clock::now() + limit;
      for (;;) {
        if (stream_ && received_.size() >= 2 && received_.size() >= word_at(received_, 0) + 2) {
          const auto size = word_at(received_, 0);
          auto message = received_.substr(2, size);
          received_.erase(0, size + 2);
          return message;
        }
        std::array<pollfd, 2> watched{{{fixture_.service.fd(), POLLIN, 0}, {socket_.get(), POLLIN, 0}}};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (left <= 0ms || ::poll(watched.data(), watched.size(), static_cast<int>(left.count())) == 0) return {};
        if (watched[0].revents != 0) fixture_.service.run();
        if (watched[1].revents == 0) continue;
        std::array<char, 65536> bytes;
        const auto got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
        if (got <= 0) return {};
        if (!stream_) return {bytes.data(), static_cast<std::size_t>(got)};
        received_.append(bytes.data(), static_cast<std::size_t>(got));
      }
    }
    std::string ask(const std::string& message) {
      send(message);
      return receive();
    }

   private:
    static sys::Fd from_address(const char* from) {
      sys::Fd socket{sys::check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
      sockaddr_in address{};
      address.sin_family = AF_INET;
      ::inet_pton(AF_INET, from, &address.sin_addr);
      sys::check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
      return socket;
    }

    Fixture& fixture_;
    bool stream_;
    sys::Fd socket_;
    std::string received_;
  };

  explicit Fixture(gateway::NameLimits most = {}) : limits{most} {}

  static NameService::Sockets take(sys::Fd udp, sys::Fd tcp, sockaddr_in& udp_address, sockaddr_in& tcp_address) {
    udp_address = address_of(udp);
    tcp_address = address_of(tcp);
    sys::check(::fcntl(tcp.get(), F_SETFL, O_NONBLOCK), "fcntl");
    return {std::move(udp), std::move(tcp)};
  }

  World world;
  Machines machines;
  gateway::NameLimits limits;
  std::vector<Opened> opened;
  bool openable = true;
  std::vector<gateway::NameRefusal> refused;
  SystemClock clock;
  Logger logger;
  sockaddr_in udp_address{};
  sockaddr_in tcp_address{};
  NameService service{machines,
                      {net::loopback_address, world.port(), 300ms},
                      take(bound(SOCK_DGRAM), bound(SOCK_STREAM), udp_address, tcp_address),
                      net::Ipv4Address::parse("172.16.0.1"),
                      {[this](const net::VmPolicy&, std::span<const net::Destination> destinations,
                              std::chrono::milliseconds lifetime) {
                         Opened one{{}, lifetime};
                         for (const auto& destination : destinations)
                           one.destinations.push_back(destination.to_string());
                         opened.push_back(std::move(one));
                         return openable;
                       },
                       [this](const gateway::NameRefusal& refusal) { refused.push_back(refusal); }},
                      limits,
                      clock,
                      logger};
};

unsigned code_of(const std::string& answer) { return answer.size() < 12 ? 99 : word_at(answer, 2) & 0xFU; }
unsigned records_of(const std::string& answer) { return word_at(answer, 6); }
bool has(const std::string& answer, const char* address) { return answer.find(bytes_of(address)) != std::string::npos; }

constexpr unsigned ok = 0;
constexpr unsigned failed = 2;
constexpr unsigned no_name = 3;
constexpr unsigned refused_code = 5;

}  // namespace

TEST_CASE_FIXTURE(Fixture, "an allowed name is answered once it is open, and no other leaves the host") {
  machines.put("127.0.0.1", net::Egress::Allowlist, {"one.example:443", "long.example", "*.many.example:80/tcp"});
  for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
    Asker asker{*this, type};
    const auto answer = asker.ask(question("one.example"));
    CHECK(code_of(answer) == ok);
    CHECK(word_at(answer, 0) == 0x1234);
    CHECK(records_of(answer) == 1);
    CHECK(has(answer, "203.0.113.7"));
    CHECK(code_of(asker.ask(question("secret.attacker.example"))) == refused_code);
    CHECK(records_of(asker.ask(question("one.example", type_txt))) == 0);
    CHECK(has(asker.ask(question("a.b.many.example")), "203.0.113.7"));
  }
  REQUIRE(opened.size() == 4);
  CHECK(opened[0].destinations == std::vector<std::string>{"203.0.113.7:443"});
  CHECK(opened[0].lifetime == limits.shortest_opening);
  CHECK(opened[1].destinations == std::vector<std::string>{"203.0.113.7:80/tcp"});
  for (const auto& name : world.asked().names) CHECK((name == "one.example" || name == "a.b.many.example"));
  REQUIRE(refused.size() == 2);
  CHECK(refused[0].name == "secret.attacker.example");
  CHECK(refused[0].client.name == "ada");
  CHECK(refused[0].rule == "allowlist");

  Asker asker{*this, SOCK_DGRAM};
  CHECK(code_of(asker.ask(question("long.example"))) == ok);
  CHECK(opened.back().lifetime == 3600s + limits.grace);
  openable = false;
  CHECK(code_of(asker.ask(question("one.example"))) == failed);
}

TEST_CASE_FIXTURE(Fixture, "private answers are left out, and refused where nothing else is left") {
  machines.put("127.0.0.1", net::Egress::Allowlist, {"*.example"});
  Asker asker{*this, SOCK_DGRAM};
  const auto mixed = asker.ask(question("mixed.example"));
  CHECK(records_of(mixed) == 1);
  CHECK(has(mixed, "203.0.113.7"));
  CHECK_FALSE(has(mixed, "10.0.0.1"));
  CHECK(code_of(asker.ask(question("private.example"))) == refused_code);
  CHECK(opened.size() == 1);
  REQUIRE(refused.size() == 2);
  CHECK(refused[1].rule == "private");
  CHECK(refused[1].reason.find("192.168.1.1") != std::string::npos);
  machines.put("127.0.0.1", net::Egress::Internet);
  CHECK(code_of(asker.ask(question("private.example"))) == refused_code);
  machines.known.begin()->second.rights.vm.allow = {net::Destination::parse("192.168.1.0/24")};
  CHECK(has(asker.ask(question("private.example")), "192.168.1.1"));
}

TEST_CASE_FIXTURE(Fixture, "what the world says is told, whatever it is") {
  machines.put("127.0.0.1", net::Egress::Internet);
  Asker asker{*this, SOCK_DGRAM};
  CHECK(code_of(asker.ask(question("missing.example"))) == no_name);
  CHECK(code_of(asker.ask(question("missing.example", type_txt))) == no_name);
  const auto empty = asker.ask(question("empty.example"));
  CHECK(code_of(empty) == ok);
  CHECK(records_of(empty) == 0);
  CHECK(has(asker.ask(question("alias.example")), "203.0.113.9"));
  CHECK(code_of(asker.ask(question("loop.example"))) == failed);
  CHECK(code_of(asker.ask(question("silent.example"))) == failed);
  // What is too long for UDP comes by TCP.
  const auto cut = asker.ask(question("big.example", type_txt));
  CHECK((word_at(cut, 2) & 0x0200U) != 0);
  CHECK(cut.size() <= dns::most_udp_bytes);
  Asker by_tcp{*this, SOCK_STREAM};
  const auto whole = by_tcp.ask(question("big.example", type_txt));
  CHECK(records_of(whole) == 5);
  CHECK(whole.size() > 1000);
  CHECK(opened.empty());
}

TEST_CASE_FIXTURE(Fixture, "with egress none nothing is asked, and the gateway's own name is known") {
  machines.put("127.0.0.1", net::Egress::None);
  Asker asker{*this, SOCK_DGRAM};
  CHECK(code_of(asker.ask(question("one.example"))) == refused_code);
  CHECK(has(asker.ask(question("gateway.fireclaw.internal")), "172.16.0.1"));
  CHECK(code_of(asker.ask(question("data.fireclaw.internal"))) == no_name);
  CHECK(world.asked().names.empty());
}

TEST_CASE_FIXTURE(Fixture, "each question goes out with another port and another id") {
  machines.put("127.0.0.1", net::Egress::Internet);
  Asker asker{*this, SOCK_DGRAM};
  constexpr int count = 20;
  for (int i = 0; i < count; ++i) asker.ask(question("one.example"));
  const auto asked = world.asked();
  CHECK(asked.names.size() == count);
  CHECK(asked.ids.size() > count / 2);
  CHECK(asked.ports.size() > count / 2);
}

TEST_CASE_FIXTURE(Fixture, "what is not a question is refused or dropped, and harms nobody") {
  machines.put("127.0.0.1", net::Egress::Internet);
  Asker asker{*this, SOCK_DGRAM};
  const auto good = question("one.example");
  const auto head = good.substr(0, 12);
  const auto dropped = [&](const std::string& message) {
    asker.send(message);
    return asker.receive(50ms).empty();
  };
  CHECK(dropped(""));
  CHECK(dropped(good.substr(0, 11)));
  CHECK(dropped(word(1) + word(0x8180) + good.substr(4)));
  CHECK(dropped(good + std::string(2000, 'x')));
  const auto code = [&](const std::string& message) { return code_of(asker.ask(message)); };
  CHECK(code(head) == 1);
  CHECK(code(head + encoded("one.example")) == 1);
  CHECK(code(head + word(0xC00C) + word(1) + word(1)) == 1);
  CHECK(code(head + word(0xC000) + word(1) + word(1)) == 1);
  CHECK(code(head + "\x05one" + word(1)) == 1);
  CHECK(code(head + encoded(std::string(70, 'a')) + word(1) + word(1)) == 1);
  std::string endless;
  for (int i = 0; i < 100; ++i) endless += "abc.";
  CHECK(code(head + encoded(endless.substr(0, endless.size() - 1)) + word(1) + word(1)) == 1);
  CHECK(code(good.substr(0, 4) + word(2) + good.substr(6)) == 1);
  CHECK(code(good.substr(0, 2) + word(0x2800) + good.substr(4)) == 4);
  CHECK(code(good) == ok);

  Asker stranger{*this, SOCK_DGRAM, "127.0.0.9"};
  stranger.send(good);
  CHECK(stranger.receive(50ms).empty());
}

TEST_CASE("a machine that asks too much waits or is dropped, and others are answered") {
  gateway::NameLimits limits;
  limits.machine_pending = 4;
  limits.machine_connections = 2;
  limits.machine_questions_per_second = 20;
  limits.machine_openings = 3;
  Fixture fixture{limits};
  fixture.machines.put("127.0.0.1", net::Egress::Internet);
  fixture.machines.put("127.0.0.2", net::Egress::Internet);
  Fixture::Asker greedy{fixture, SOCK_DGRAM};
  Fixture::Asker other{fixture, SOCK_DGRAM, "127.0.0.2"};
  SUBCASE("questions that nobody answers") {
    for (int i = 0; i < 8; ++i) greedy.send(question("silent.example"));
    // Those beyond the limit fail at once.
    for (int i = 0; i < 4; ++i) CHECK(code_of(greedy.receive()) == failed);
    CHECK(code_of(other.ask(question("one.example"))) == ok);
  }
  SUBCASE("questions in a second") {
    for (int i = 0; i < 200; ++i) greedy.send(question("gateway.fireclaw.internal"));
    int answers = 0;
    while (!greedy.receive(100ms).empty()) ++answers;
    CHECK(answers >= 40);
    CHECK(answers < 60);
    CHECK(code_of(other.ask(question("one.example"))) == ok);
  }
  SUBCASE("connections") {
    Fixture::Asker first{fixture, SOCK_STREAM};
    Fixture::Asker second{fixture, SOCK_STREAM};
    Fixture::Asker third{fixture, SOCK_STREAM};
    CHECK(code_of(first.ask(question("one.example"))) == ok);
    CHECK(code_of(second.ask(question("one.example"))) == ok);
    CHECK(third.receive().empty());
    Fixture::Asker elsewhere{fixture, SOCK_STREAM, "127.0.0.2"};
    CHECK(code_of(elsewhere.ask(question("one.example"))) == ok);
  }
  SUBCASE("openings") {
    fixture.machines.put("127.0.0.1", net::Egress::Allowlist,
                         {"one.example:1", "one.example:2", "one.example:3", "long.example:4"});
    CHECK(code_of(greedy.ask(question("one.example"))) == ok);
    CHECK(code_of(greedy.ask(question("long.example"))) == failed);
    CHECK(code_of(greedy.ask(question("one.example"))) == ok);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "an answer that comes after its machine's end, or after its list has changed, opens nothing") {
  machines.put("127.0.0.1", net::Egress::Allowlist, {"one.example"});
  Asker asker{*this, SOCK_DGRAM};
  asker.send(question("one.example"));
  pollfd asked{service.fd(), POLLIN, 0};
  REQUIRE(::poll(&asked, 1, 1000) == 1);
  service.run();
  SUBCASE("another machine") {
    machines.known.begin()->second.client.machine = "vm2";
    CHECK(asker.receive(400ms).empty());
  }
  SUBCASE("another list") {
    machines.put("127.0.0.1", net::Egress::Allowlist, {"two.example"});
    CHECK(code_of(asker.receive()) == refused_code);
  }
  CHECK(opened.empty());
}
