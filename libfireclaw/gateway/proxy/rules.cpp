#include "gateway/proxy/rules.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/number.hpp"
#include "base/text.hpp"

namespace fireclaw::gateway {
namespace {

constexpr std::uint16_t http_port = 80;
constexpr std::uint16_t https_port = 443;
constexpr std::string_view scheme = "http://";

Refusal refuse(int status, std::string rule, std::string reason) {
  return {status, std::move(rule), std::move(reason), std::nullopt};
}

}  // namespace

std::optional<HttpTarget> read_authority(std::string_view text, std::optional<std::uint16_t> usual) {
  const auto colon = text.find(':');
  auto name = text.substr(0, colon);
  if (name.starts_with('*') || !net::NamedDestination::is_one(name)) return std::nullopt;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (colon == std::string_view::npos) return usual ? std::optional{HttpTarget{to_lower(name), *usual}} : std::nullopt;
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1)).value_or(0);
  return port == 0 ? std::nullopt : std::optional{HttpTarget{to_lower(name), port}};
}

std::variant<HttpRequest, Refusal> read_http_request(std::string_view method, std::string_view target,
                                                     const std::vector<std::string>& hosts) {
  HttpRequest request;
  request.tunnel = method == "CONNECT";
  std::string_view authority = target;
  if (!request.tunnel) {
    if (to_lower(target.substr(0, scheme.size())) != scheme) {
      return refuse(400, "request", "the proxy is asked with a whole URL, http://..., or with CONNECT");
    }
    const auto rest = target.substr(scheme.size());
    const auto end = std::min(rest.find_first_of("/?"), rest.size());
    authority = rest.substr(0, end);
    request.path = rest.substr(end);
    if (!request.path.starts_with('/')) request.path.insert(0, "/");
  }
  const auto usual = request.tunnel ? std::nullopt : std::optional{http_port};
  const auto read = read_authority(authority, usual);
  if (!read) return refuse(403, "name", fmt::format("'{}' is not a host's name with a port", authority.substr(0, 256)));
  request.target = *read;
  const auto meant = request.tunnel ? request.target.port : http_port;
  const bool same = std::ranges::all_of(hosts, [&](const auto& host) {
    const auto other = read_authority(host, meant);
    // Some clients name no port here.
    return other && other->name == read->name && (other->port == read->port || host.find(':') == std::string::npos);
  });
  if (!same || hosts.size() > 1) {
    return refuse(400, "host", fmt::format("the request is for '{}', and its Host names another", read->name));
  }
  return request;
}

bool allows(const std::vector<net::NamedDestination>& list, const HttpTarget& target) {
  return std::ranges::any_of(list, [&](const net::NamedDestination& entry) {
    const bool port = entry.port ? *entry.port == target.port : target.port == http_port || target.port == https_port;
    return port && entry.matches(target.name);
  });
}

}  // namespace fireclaw::gateway
