#include "gateway/irc/service.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "gateway/irc/login.hpp"
#include "gateway/llm/requests.hpp"
#include "gateway/relay.hpp"

namespace fireclaw::gateway {
namespace {

using tcp = boost::asio::ip::tcp;

/// For the server to be reached and the login to be over.
constexpr std::chrono::seconds login_patience{30};

http::Stream::Target target_of(const state::IrcUpstream& upstream) {
  http::Stream::Target target;
  target.host = upstream.host;
  target.port = upstream.port;
  target.tls = upstream.tls;
  target.verify = upstream.tls_verify;
  target.ca_file = upstream.ca_file;
  return target;
}

std::string address_of(const state::IrcUpstream& upstream) {
  const bool bare_v6 = upstream.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", bare_v6 ? "[" : "", upstream.host, bare_v6 ? "]" : "", upstream.port);
}

}  // namespace

/// One agent's connection.
class IrcConnection final : public Relay {
 public:
  IrcConnection(IrcService& service, tcp::socket agent, Client client, std::string address, std::string upstream)
      : Relay{std::move(agent), std::move(client)},
        service_{service},
        address_{std::move(address)},
        upstream_{std::move(upstream)} {}

  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  [[nodiscard]] const std::string& upstream() const noexcept { return upstream_; }

  /// Ends with an error in the agent's terms if something that it needs is not there.
  void start(const state::IrcUpstream& upstream) {
    try {
      login_.emplace(credentials_of(upstream, service_.sources_.secrets()));
      connect(target_of(upstream), login_patience);
    } catch (const std::exception& problem) {
      fail(fmt::format("the gateway cannot use the IRC server '{}'; its log says why", upstream_), problem.what());
    }
  }

 private:
  void on_connected() override {
    const auto lines = login_->begin();
    if (!lines.empty()) say_to_server(lines);
    if (login_->done()) take_in();
  }

  std::string on_server_says(std::string_view bytes) override {
    if (login_->done()) return std::string{bytes};
    auto step = login_->feed(bytes);
    if (!step.to_server.empty()) say_to_server(step.to_server);
    if (login_->failure()) {
      fail(fmt::format("the IRC server '{}' does not let the gateway in: {}", upstream_, *login_->failure()), {});
      return {};
    }
    if (login_->done()) take_in();
    return std::move(step.to_agent);
  }

  void on_failure(http::Failure failure, std::string_view detail) override {
    fail(describe(failure, fmt::format("IRC server '{}'", upstream_)), detail);
  }

  void on_closed() override { service_.open_.erase(std::static_pointer_cast<IrcConnection>(shared_from_this())); }

  void take_in() {
    service_.counts_[upstream_].last_error.clear();
    pass_on();
  }

  void fail(const std::string& reason, std::string_view detail) {
    auto& counts = service_.counts_[upstream_];
    ++counts.errors;
    counts.last_error = reason;
    if (service_.pace_.admit(address_)) {
      service_.logger_.warning(
          fmt::format("{} for '{}'{}", reason, client().name, detail.empty() ? "" : fmt::format(" ({})", detail)));
    }
    end_with(irc_error(reason));
  }

  IrcService& service_;
  std::string address_;
  std::string upstream_;
  std::optional<IrcLogin> login_;
};

IrcService::IrcService(Sources& sources, Refusals& refusals, const Logger& logger, const ServerLimits& limits)
    : sources_{sources}, refusals_{refusals}, logger_{logger}, limits_{limits} {}
IrcService::~IrcService() = default;

void IrcService::take(tcp::socket agent, const std::string& address) {
  const auto client = sources_.client(address);
  const auto refuse = [&](std::string_view rule, std::string_view reason) {
    if (client) {
      refusals_.add(*client, {.by = RefusedBy::Irc, .rule = std::string{rule}, .reason = std::string{reason}});
    } else if (pace_.admit(address)) {
      logger_.info(fmt::format("refused {} (irc): {}", address, reason));
    }
    turn_away(std::move(agent), irc_error(reason));
  };
  if (!client) return refuse("address", "the gateway serves only machines of its network");
  const auto held = std::ranges::count(open_, address, [](const auto& each) { return each->address(); });
  if (static_cast<std::size_t>(held) >= limits_.irc_connections || open_.size() >= limits_.connections) {
    return refuse("connections", "too many connections at once");
  }
  const auto* upstream = state::find_upstream(sources_.irc(), client->name);
  if (upstream == nullptr) {
    return refuse("server",
                  fmt::format("no IRC server is for '{}'; see gateway.irc.upstreams in config.json", client->name));
  }
  ++counts_[upstream->name].connections;
  const auto connection = std::make_shared<IrcConnection>(*this, std::move(agent), *client, address, upstream->name);
  open_.insert(connection);
  connection->start(*upstream);
}

void IrcService::check() {
  std::vector<std::shared_ptr<IrcConnection>> gone;
  std::ranges::copy_if(open_, std::back_inserter(gone),
                       [&](const auto& each) { return sources_.client(each->address()) != each->client(); });
  for (const auto& each : gone) each->close();
}

void IrcService::close() {
  while (!open_.empty()) (*open_.begin())->close();
}

std::vector<GatewayIrcServer> IrcService::counts() {
  std::vector<GatewayIrcServer> all;
  for (const auto& upstream : sources_.irc().upstreams) {
    auto counts = counts_[upstream.name];
    counts.name = upstream.name;
    counts.server = address_of(upstream);
    counts.open = static_cast<std::uint64_t>(
        std::ranges::count(open_, upstream.name, [](const auto& each) { return each->upstream(); }));
    all.push_back(std::move(counts));
  }
  return all;
}

}  // namespace fireclaw::gateway
