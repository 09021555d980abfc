#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/clock.hpp"
#include "base/logger.hpp"
#include "fireclaw/gateway_counts.hpp"
#include "gateway/proxy/rules.hpp"
#include "gateway/records/refusal_pace.hpp"
#include "gateway/records/refusals.hpp"

namespace fireclaw::gateway {

class HttpConnection;

/// The HTTP proxy: passes on requests (http://), and connections (CONNECT) whose TLS hello asks for the same name, to
/// servers on the machine's list. A connection is for one request, or one tunnel. Use from one
/// thread.
class HttpProxy {
 public:
  /// `refusals` and `logger` must outlive it; it must outlive the connections' event loop.
  HttpProxy(HttpRules rules, Refusals& refusals, const Logger& logger);
  HttpProxy(const HttpProxy&) = delete;
  HttpProxy& operator=(const HttpProxy&) = delete;
  ~HttpProxy();

  /// Serves a connection that the machine at `address` has made.
  void take(boost::asio::ip::tcp::socket machine, const std::string& address);
  /// Ends idle connections, and those to destinations that their machine may no longer reach.
  void check();
  /// Ends all.
  void close();
  [[nodiscard]] GatewayHttp counts() const;

 private:
  friend class HttpConnection;

  HttpRules rules_;
  Refusals& refusals_;
  const Logger& logger_;
  SystemClock clock_;
  /// By address.
  RefusalPace pace_{clock_};
  std::set<std::shared_ptr<HttpConnection>> open_;
  /// By address.
  std::map<std::string, std::size_t> uses_;
  GatewayHttp counts_;
};

}  // namespace fireclaw::gateway
