#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fireclaw/fireclaw.hpp"
#include "support.hpp"

// A world of network namespaces for machines with networks. The test process itself has been moved into a private one
// before main() (tests/support/private_netns.cpp), so nothing here can reach the machine that runs the tests.

namespace fireclaw::test {

/// A network namespace with loopback up, which ends with this object and the sockets made in it.
class Namespace {
 public:
  Namespace();
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  ~Namespace();
  /// Runs `action` on a thread inside, and waits for it. What it throws is thrown here.
  void in(const std::function<void()>& action) const;
  /// Where others can find it.
  [[nodiscard]] std::string path() const;

 private:
  int fd_ = -1;
};

/// Runs a program of the host's in the calling thread's namespace; returns what it printed. Fails the test unless it
/// succeeds.
std::string host(const std::string& line);

/// Accepts TCP connections in the calling thread's namespace and answers each with the address that it came from.
class Listener {
 public:
  Listener(const std::string& address, std::uint16_t port);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

 private:
  void serve() const;
  int socket_;
  int wake_;
  std::thread thread_;
};

/// A name server by UDP on port 53 of the calling thread's namespace: says of every name that its address is `answer`.
class NameServer {
 public:
  NameServer(const std::string& address, const std::string& answer);
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  ~NameServer();
  /// The names that it was asked for, as they are in messages: labels with their lengths.
  [[nodiscard]] std::vector<std::string> asked();

 private:
  void serve();
  int socket_;
  int wake_;
  std::string answer_;
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::thread thread_;
};

/// Connects to a TCP port from the calling thread's namespace and returns what is sent until the end of the stream;
/// "refused" or "silent" if there is nothing to connect to.
std::string ask(const std::string& address, std::uint16_t port);

/// Its own home folder on the prepared one's images and snapshots, so that its addresses and settings are its own.
class NetworkHome {
 public:
  /// `network`: the section of config.json, as JSON; empty: none.
  explicit NetworkHome(const std::string& network = {});
  [[nodiscard]] Host open(LogSink log = {}) const;
  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

/// The host with an uplink to an "internet": 198.51.100.1 here, 198.51.100.2 there, with the hosts 203.0.113.7 and
/// 203.0.113.8, and 10.20.30.40, which is private.
class Internet {
 public:
  Internet();
  ~Internet();
  Internet(const Internet&) = delete;
  Internet& operator=(const Internet&) = delete;
  [[nodiscard]] const Namespace& there() const { return there_; }

 private:
  Namespace there_;
};

}  // namespace fireclaw::test
