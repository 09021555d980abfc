#include "identity.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

wire::Done invalid(std::string_view what, std::string_view value) {
  return {EINVAL, cat({"'", value, "' is no ", what})};
}

bool is_hostname(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= 64 && name.front() != '-' && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), fits);
}

bool is_machine_id(std::string_view id) {
  const auto fits = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return id.size() == 32 && std::all_of(id.begin(), id.end(), fits);
}

bool is_ip(const std::string& text) {
  in6_addr any{};
  return inet_pton(AF_INET, text.c_str(), &any) == 1 || inet_pton(AF_INET6, text.c_str(), &any) == 1;
}

}  // namespace

wire::Done check_identity(const wire::Configure& request) {
  if (!is_hostname(request.hostname)) return invalid("host name", request.hostname);
  if (!is_machine_id(request.machine_id)) return invalid("machine id", request.machine_id);
  for (const std::string& server : request.nameservers)
    if (!is_ip(server)) return invalid("address of a name server", server);
  return {};
}

}  // namespace fireclaw::guestd
