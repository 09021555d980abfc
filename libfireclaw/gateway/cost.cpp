// An LLM server that follows a script, the gateway, and agents are three processes on loopback. An agent connects for
// each question, as the bot does, directly or through the gateway in turns.
#include "gateway/cost.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/clock.hpp"
#include "fireclaw/error.hpp"
#include "gateway/llm/service.hpp"
#include "gateway/server.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/socket.hpp"

namespace fireclaw::gateway {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::size_t bulk_bytes = std::size_t{1} << 30;
constexpr unsigned agents = 100;
constexpr std::size_t short_prompt = 100;
constexpr std::size_t long_prompt = 100'000;
constexpr std::string_view token_begin = "{\"a\"";
/// 127.0.1.0: the agents' addresses are above it.
constexpr std::uint32_t agents_network = 0x7F000100;

sockaddr_in address_of(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  address.sin_port = htons(port);
  return address;
}

sys::Fd make_socket() {
  sys::Fd socket{sys::check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  const int yes = 1;
  sys::check(::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
  return socket;
}

sys::Fd listen_on_loopback(std::uint16_t& port) {
  auto socket = make_socket();
  auto address = address_of(INADDR_LOOPBACK, 0);
  socklen_t length = sizeof address;
  sys::check(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), "bind");
  sys::check(::listen(socket.get(), 512), "listen");
  sys::check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  port = ntohs(address.sin_port);
  return socket;
}

sys::Fd connect_from(std::uint32_t host, std::uint16_t port) {
  auto socket = make_socket();
  const auto from = address_of(host, 0);
  sys::check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from), "bind");
  const auto to = address_of(INADDR_LOOPBACK, port);
  sys::check(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
  return socket;
}

void send_all(int socket, std::string_view bytes) {
  sys::write_all(socket, bytes, Deadline::after(std::chrono::minutes{1}));
}

/// Answers one request after the other: "first" with a token, "bulk" with much, "slow" with a token and then nothing.
void answer(const sys::Fd& socket) {
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string token = "a\r\n{\"a\":\"b\"}\n\r\n";
  const std::string block(256 << 10, 'x');
  std::string received;
  std::vector<char> buffer(256 << 10);
  for (;;) {
    const auto end = received.find("\r\n\r\n");
    const auto at = end == std::string::npos ? end : received.find("Content-Length: ");
    const auto whole = at == std::string::npos ? at : end + 4 + std::strtoul(received.c_str() + at + 16, nullptr, 10);
    if (received.size() < whole || whole == std::string::npos) {
      const auto got = ::read(socket.get(), buffer.data(), buffer.size());
      if (got <= 0) return;
      received.append(buffer.data(), static_cast<std::size_t>(got));
      continue;
    }
    const auto request = received.substr(0, whole);
    received.erase(0, whole);
    if (request.find("\"bulk\"") != std::string::npos) {
      send_all(socket.get(), fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bulk_bytes));
      for (std::size_t sent = 0; sent < bulk_bytes; sent += block.size()) send_all(socket.get(), block);
    } else if (request.find("\"slow\"") != std::string::npos) {
      send_all(socket.get(), head + token);
    } else {
      send_all(socket.get(), head + token + "0\r\n\r\n");
    }
  }
}

void serve_answers(const sys::Fd& listener) {
  for (;;) {
    sys::Fd socket{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (socket.get() < 0) return;
    const int yes = 1;
    static_cast<void>(::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
    std::thread{[socket = std::move(socket)] {
      try {
        answer(socket);
      } catch (const Error&) {
        // Those who have what they wanted hang up.
      }
    }}.detach();
  }
}

/// One LLM server for a hundred agents.
class CostSources final : public Sources {
 public:
  explicit CostSources(std::uint16_t upstream_port) {
    state::LlmUpstream upstream;
    upstream.name = "script";
    upstream.url = fmt::format("http://127.0.0.1:{}", upstream_port);
    upstream.concurrent = 10 * agents;
    llm_.upstreams.push_back(std::move(upstream));
  }

  const state::LlmSettings& llm() override { return llm_; }
  const state::IrcSettings& irc() override { return irc_; }
  const state::SecretStore::Secrets& secrets() override { return secrets_; }
  std::optional<Client> client(std::string_view address) override { return Client{std::string{address}, "vm"}; }

 private:
  state::LlmSettings llm_;
  state::IrcSettings irc_;
  state::SecretStore::Secrets secrets_;
};

void serve_gateway(std::uint16_t upstream_port, sys::Fd listener, const std::filesystem::path& status) {
  CostSources sources{upstream_port};
  const SystemClock clock;
  const Logger logger;
  Refusals refusals{{}, clock, logger};
  LlmService service{sources, refusals, clock, logger};
  serve(sources, service, sys::unix_listen(status), {std::move(listener)}, {}, logger, {}, {});
}

/// A process that lives no longer than this object, and not beyond this one's.
class Worker {
 public:
  template <class Work>
  explicit Worker(Work work) : pid_{sys::check(::fork(), "fork")} {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // A connection that is gone is an error like others.
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    try {
      work();
    } catch (...) {
      // The other side finds nobody, and says so.
    }
    ::_exit(0);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] std::uint64_t memory_bytes() const {
    std::ifstream status{fmt::format("/proc/{}/status", pid_)};
    std::string word;
    while (status >> word) {
      if (word != "VmRSS:") continue;
      std::uint64_t kib = 0;
      status >> kib;
      return kib << 10U;
    }
    return 0;
  }

 private:
  pid_t pid_;
};

std::string question(std::string_view kind, std::size_t bytes) {
  const auto body = fmt::format(R"({{"model":"m","kind":"{}","text":"{}"}})", kind, std::string(bytes, 'p'));
  return fmt::format("POST /api/chat HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
                     body.size(), body);
}

void await_token(const sys::Fd& socket) {
  std::string received;
  char buffer[4096];
  while (received.find(token_begin) == std::string::npos) {
    const auto got = ::read(socket.get(), buffer, sizeof buffer);
    if (got <= 0) throw Error{ErrorCode::Io, fmt::format("no token came: {}", received)};
    received.append(buffer, static_cast<std::size_t>(got));
  }
}

nanoseconds first_token(std::uint16_t port, const std::string& request) {
  const auto began = steady_clock::now();
  const auto socket = connect_from(INADDR_LOOPBACK, port);
  send_all(socket.get(), request);
  await_token(socket);
  return steady_clock::now() - began;
}

std::uint64_t bytes_per_second(std::uint16_t port) {
  const auto socket = connect_from(INADDR_LOOPBACK, port);
  send_all(socket.get(), question("bulk", short_prompt));
  std::vector<char> buffer(1 << 20);
  const auto began = steady_clock::now();
  std::size_t bytes = 0;
  while (bytes < bulk_bytes) {
    const auto got = ::read(socket.get(), buffer.data(), buffer.size());
    if (got <= 0) throw Error{ErrorCode::Io, fmt::format("an answer broke off after {} bytes", bytes)};
    bytes += static_cast<std::size_t>(got);
  }
  const std::chrono::duration<double> took = steady_clock::now() - began;
  return static_cast<std::uint64_t>(static_cast<double>(bytes) / took.count());
}

nanoseconds median(std::vector<nanoseconds> samples) {
  std::ranges::sort(samples);
  return samples[samples.size() / 2];
}

}  // namespace

GatewayCost measure_cost(unsigned rounds, const std::stop_token& stop) {
  if (rounds == 0) throw Error{ErrorCode::InvalidArgument, "0 rounds measure nothing"};
  const auto check_stop = [&] {
    if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "the benchmark was interrupted"};
  };
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "gateway-cost-"};
  std::uint16_t upstream_port = 0;
  std::uint16_t gateway_port = 0;
  auto upstream_listener = listen_on_loopback(upstream_port);
  auto gateway_listener = listen_on_loopback(gateway_port);
  const Worker upstream{[&] { serve_answers(upstream_listener); }};
  const Worker gateway{[&] { serve_gateway(upstream_port, std::move(gateway_listener), folder.path() / "status"); }};

  GatewayCost cost;
  const auto ask_in_turns = [&](std::size_t prompt, nanoseconds& direct, nanoseconds& through) {
    std::vector<nanoseconds> around;
    std::vector<nanoseconds> by_gateway;
    const auto request = question("first", prompt);
    for (unsigned round = 0; round < rounds; ++round) {
      check_stop();
      around.push_back(first_token(upstream_port, request));
      by_gateway.push_back(first_token(gateway_port, request));
    }
    direct = median(std::move(around));
    through = median(std::move(by_gateway));
  };
  ask_in_turns(short_prompt, cost.direct, cost.through);
  cost.idle_bytes = gateway.memory_bytes();
  ask_in_turns(long_prompt, cost.long_direct, cost.long_through);
  check_stop();
  cost.direct_bytes_per_second = bytes_per_second(upstream_port);
  check_stop();
  cost.through_bytes_per_second = bytes_per_second(gateway_port);

  std::vector<sys::Fd> sockets;
  const auto request = question("slow", long_prompt);
  for (unsigned agent = 1; agent <= agents; ++agent) {
    check_stop();
    sockets.push_back(connect_from(agents_network + agent, gateway_port));
    send_all(sockets.back().get(), request);
  }
  for (const auto& socket : sockets) await_token(socket);
  cost.busy_bytes = gateway.memory_bytes();
  return cost;
}

}  // namespace fireclaw::gateway
