#include "vmm/firecracker/api.hpp"

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "vmm/firecracker/requests.hpp"

namespace fireclaw::vmm::firecracker {

namespace {

constexpr std::size_t longest_answer = std::size_t{1} << 20;

/// Firecracker's own words, or the answer as it is if it has none.
std::string fault(const http::Response& response) {
  try {
    const auto message = json::Value::parse(response.body, "answer").find("fault_message");
    if (message) return message->as_string();
  } catch (const Error&) {
    // Not JSON, or not of the form that the API describes: the raw text says more than a parser's complaint.
  }
  return fmt::format("status {}: '{}'", response.status, response.body.substr(0, 200));
}

}  // namespace

std::string Api::call(const http::Request& request, Deadline deadline, const std::stop_token& stop) {
  http::Response response = client_.send(request, {deadline, stop, longest_answer});
  if (response.status == 200 || response.status == 204) return std::move(response.body);
  throw Error{ErrorCode::Vmm,
              fmt::format("firecracker refused {} {}: {}", request.method, request.target, fault(response))};
}

InstanceInfo Api::describe(Deadline deadline) {
  const auto answer = json::Value::parse(call(describe_request(), deadline), "GET /");
  return {answer.at("id").as_string(), answer.at("vmm_version").as_string()};
}

bool is_paused(std::string_view answer) {
  return json::Value::parse(answer, "GET /").at("state").as_string() == "Paused";
}

std::string parse_running_version(std::string_view answer) {
  return json::Value::parse(answer, "GET /version").at("firecracker_version").as_string();
}

}  // namespace fireclaw::vmm::firecracker
