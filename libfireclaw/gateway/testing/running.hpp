#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/clock.hpp"
#include "base/logger.hpp"
#include "gateway/llm/service.hpp"
#include "gateway/records/sources.hpp"
#include "gateway/server.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::gateway::test {

/// Settings, secrets and machines that stay as they are.
class FixedSources final : public Sources {
 public:
  const state::LlmSettings& llm() override { return settings; }
  const state::IrcSettings& irc() override { return irc_settings; }
  const state::SecretStore::Secrets& secrets() override { return keys; }
  std::optional<Client> client(std::string_view address) override {
    const auto found = machines.find(address);
    return found == machines.end() ? std::nullopt : std::optional{found->second};
  }

  state::LlmSettings settings;
  state::IrcSettings irc_settings;
  state::SecretStore::Secrets keys;
  std::map<std::string, Client, std::less<>> machines{{"127.0.0.1", {"ada", "vm1"}}, {"127.0.0.3", {"bob", "vm3"}}};
};

/// Settings with one LLM server, named "local".
FixedSources sources_for(const std::string& url);

/// A gateway that serves on loopback until destruction, on its own thread.
class RunningGateway {
 public:
  /// At ports that are free.
  explicit RunningGateway(FixedSources sources, ServerLimits limits = {})
      : RunningGateway{std::move(sources), limits, 0, 0} {}
  RunningGateway(FixedSources sources, ServerLimits limits, std::uint16_t port, std::uint16_t irc_port)
      : RunningGateway{std::move(sources), limits, port, irc_port, std::nullopt} {}
  /// With the HTTP proxy.
  RunningGateway(FixedSources sources, HttpRules rules)
      : RunningGateway{std::move(sources), {}, 0, 0, std::move(rules)} {}

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint16_t irc_port() const { return irc_port_; }
  [[nodiscard]] std::uint16_t http_port() const { return http_port_; }
  /// The log of what it refused.
  [[nodiscard]] std::filesystem::path refusals() const { return folder_.path() / "refusals.jsonl"; }
  /// What it says at a path of the status socket, with the head.
  [[nodiscard]] std::string status(std::string_view target) const;

 private:
  RunningGateway(FixedSources sources, ServerLimits limits, std::uint16_t port, std::uint16_t irc_port,
                 std::optional<HttpRules> rules);

  sys::TempDir folder_;
  FixedSources sources_;
  SystemClock clock_;
  Logger logger_;
  Refusals refusals_{refusals(), clock_, logger_};
  LlmService service_;
  ServerLimits limits_;
  std::uint16_t port_;
  std::uint16_t irc_port_;
  std::uint16_t http_port_ = 0;
  /// Last: it uses all of the others.
  std::jthread thread_;
};

/// A machine's end of a connection to it.
class Caller {
 public:
  /// From an address of this machine, 127.0.0.1 to 127.0.0.3.
  explicit Caller(const RunningGateway& gateway, const std::string& from = "127.0.0.1")
      : Caller{gateway.port(), from} {}
  explicit Caller(std::uint16_t port, const std::string& from = "127.0.0.1");

  void send(std::string_view bytes);
  /// A request to a model of either protocol.
  void ask(std::string_view target, std::string_view body);
  /// What has come since the last call, once it holds `part`; all of it if the connection ends before.
  std::string until(std::string_view part);
  /// What comes until the connection ends.
  std::string rest() { return until({}); }
  void hang_up() { socket_.reset(); }

 private:
  std::optional<sys::Fd> socket_;
  std::string received_;
};

}  // namespace fireclaw::gateway::test
