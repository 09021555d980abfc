#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/logger.hpp"
#include "gateway/limits.hpp"
#include "gateway/records/counters.hpp"
#include "gateway/records/refusal_pace.hpp"
#include "gateway/records/refusals.hpp"
#include "gateway/records/sources.hpp"

namespace fireclaw::gateway {

class IrcConnection;

/// Passes agents' connections on to IRC servers, and counts them. Use from the event loop's thread.
class IrcService {
 public:
  /// The four arguments must outlive it; it must outlive the connections' event loop.
  IrcService(Sources& sources, Refusals& refusals, const Logger& logger, const ServerLimits& limits);
  IrcService(const IrcService&) = delete;
  IrcService& operator=(const IrcService&) = delete;
  ~IrcService();

  /// Serves a connection that the machine at `address` has made.
  void take(boost::asio::ip::tcp::socket agent, const std::string& address);
  /// Ends the connections of machines that are gone: another machine can have the address already.
  void check();
  /// Ends all.
  void close();
  [[nodiscard]] std::vector<GatewayIrcServer> counts();

 private:
  friend class IrcConnection;

  Sources& sources_;
  Refusals& refusals_;
  const Logger& logger_;
  const ServerLimits& limits_;
  SystemClock clock_;
  /// By address.
  RefusalPace pace_{clock_};
  std::set<std::shared_ptr<IrcConnection>> open_;
  /// By the server's name.
  std::map<std::string, GatewayIrcServer> counts_;
};

}  // namespace fireclaw::gateway
