// What the gateway costs: time until an LLM's first token, throughput, memory.
//
//   gateway_floor [ROUNDS]
//
// An LLM server that follows a script, the gateway, and agents are three processes on loopback. An agent connects for
// each question, as the bot does, directly or through the gateway in turns. Prints medians, and the gateway's memory
// with a hundred agents that each have sent 100 KB and are being answered. Not a test: timing is the machine's
// business.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gateway/llm.hpp"
#include "gateway/server.hpp"
#include "gateway/testing/running.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace {

using namespace fireclaw;
using std::chrono::steady_clock;

constexpr std::size_t bulk_bytes = std::size_t{1} << 30;
constexpr int agents = 100;
constexpr std::size_t prompt_bytes = 100'000;

sockaddr_in address_of(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  address.sin_port = htons(port);
  return address;
}

sys::Fd listen_on_loopback(std::uint16_t& port) {
  sys::Fd socket{sys::check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  auto address = address_of(INADDR_LOOPBACK, 0);
  socklen_t length = sizeof address;
  sys::check(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), "bind");
  sys::check(::listen(socket.get(), 512), "listen");
  sys::check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  port = ntohs(address.sin_port);
  return socket;
}

void no_delay(int socket) {
  const int yes = 1;
  sys::check(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
}

sys::Fd connect_from(std::uint32_t host, std::uint16_t port) {
  sys::Fd socket{sys::check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  const auto from = address_of(host, 0);
  sys::check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from), "bind");
  const auto to = address_of(INADDR_LOOPBACK, port);
  sys::check(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
  no_delay(socket.get());
  return socket;
}

void send_all(int socket, std::string_view bytes) {
  sys::write_all(socket, bytes, Deadline::after(std::chrono::minutes{1}));
}

/// Answers one request after the other: "first" with a token, "bulk" with much, "slow" with a token and then nothing.
void answer(sys::Fd socket) {
  no_delay(socket.get());
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

template <class Work>
pid_t in_process(Work work) {
  const auto pid = sys::check(::fork(), "fork");
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_IGN);
  work();
  ::_exit(0);
}

std::string question(std::string_view model, std::size_t bytes) {
  const auto body = fmt::format(R"({{"model":"m","kind":"{}","text":"{}"}})", model, std::string(bytes, 'p'));
  return fmt::format("POST /api/chat HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
                     body.size(), body);
}

/// The time until the first token, and the bytes that came until the end.
std::chrono::duration<double, std::milli> first_token(std::uint16_t port, const std::string& request) {
  const auto began = steady_clock::now();
  const auto socket = connect_from(INADDR_LOOPBACK, port);
  send_all(socket.get(), request);
  std::string received;
  char buffer[4096];
  while (received.find("{\"a\"") == std::string::npos) {
    const auto got = ::read(socket.get(), buffer, sizeof buffer);
    if (got <= 0) throw Error{ErrorCode::Io, "no token: " + received};
    received.append(buffer, static_cast<std::size_t>(got));
  }
  return steady_clock::now() - began;
}

double megabytes_per_second(std::uint16_t port) {
  const auto socket = connect_from(INADDR_LOOPBACK, port);
  send_all(socket.get(), question("bulk", 10));
  std::vector<char> buffer(1 << 20);
  const auto began = steady_clock::now();
  std::size_t bytes = 0;
  while (bytes < bulk_bytes) {
    const auto got = ::read(socket.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    bytes += static_cast<std::size_t>(got);
  }
  const std::chrono::duration<double> took = steady_clock::now() - began;
  return static_cast<double>(bytes) / 1e6 / took.count();
}

double memory_mib(pid_t pid) {
  std::ifstream status{fmt::format("/proc/{}/status", pid)};
  std::string word;
  while (status >> word) {
    if (word == "VmRSS:") {
      double kib = 0;
      status >> kib;
      return kib / 1024;
    }
  }
  return 0;
}

template <class Sample>
double median(std::vector<Sample> samples) {
  std::ranges::sort(samples);
  return samples[samples.size() / 2].count();
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 300;
  std::uint16_t upstream_port = 0;
  std::uint16_t gateway_port = 0;
  const auto upstream_listener = listen_on_loopback(upstream_port);
  const auto gateway_listener = listen_on_loopback(gateway_port);
  in_process([&] {
    for (;;) {
      sys::Fd socket{::accept4(upstream_listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      std::thread{[socket = std::move(socket)]() mutable { answer(std::move(socket)); }}.detach();
    }
  });
  const auto gateway = in_process([&] {
    auto sources = gateway::test::sources_for(fmt::format("http://127.0.0.1:{}", upstream_port));
    sources.settings.upstreams[0].concurrent = 1000;
    for (int agent = 1; agent <= agents; ++agent) {
      sources.machines.emplace(fmt::format("127.0.1.{}", agent), gateway::Client{fmt::format("agent{}", agent), "vm"});
    }
    const sys::TempDir folder{std::filesystem::temp_directory_path(), "gateway-floor-"};
    const SystemClock clock;
    const Logger logger;
    gateway::LlmService service{sources, clock, logger};
    gateway::serve(sources, service, sys::unix_listen(folder.path() / "s"), {sys::duplicate(gateway_listener.get())},
                   {}, logger, {}, {});
  });

  for (const std::size_t bytes : {std::size_t{100}, prompt_bytes}) {
    std::vector<std::chrono::duration<double, std::milli>> direct;
    std::vector<std::chrono::duration<double, std::milli>> through;
    const auto request = question("first", bytes);
    for (int round = 0; round < rounds; ++round) {
      direct.push_back(first_token(upstream_port, request));
      through.push_back(first_token(gateway_port, request));
    }
    fmt::print("first token, prompt of {} bytes: {:.3f} ms directly, {:.3f} ms through the gateway\n", bytes,
               median(direct), median(through));
  }
  fmt::print("throughput: {:.0f} MB/s directly, {:.0f} MB/s through the gateway\n", megabytes_per_second(upstream_port),
             megabytes_per_second(gateway_port));

  fmt::print("memory: {:.1f} MiB with nobody", memory_mib(gateway));
  std::vector<sys::Fd> sockets;
  const auto request = question("slow", prompt_bytes);
  for (int agent = 1; agent <= agents; ++agent) {
    sockets.push_back(connect_from(0x7F000100u + static_cast<std::uint32_t>(agent), gateway_port));
    send_all(sockets.back().get(), request);
  }
  for (const auto& socket : sockets) {
    char buffer[4096];
    std::string received;
    while (received.find("{\"a\"") == std::string::npos) {
      const auto got = ::read(socket.get(), buffer, sizeof buffer);
      if (got <= 0) throw Error{ErrorCode::Io, "no token: " + received};
      received.append(buffer, static_cast<std::size_t>(got));
    }
  }
  fmt::print(", {:.1f} MiB while {} agents are answered\n", memory_mib(gateway), agents);
  return 0;
}
