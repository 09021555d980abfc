#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include "server.hpp"
#include "testing/fake_backend.hpp"
#include "tools.hpp"

namespace fireclaw::mcp {

/// A server on machines that are none, and what it has sent.
class Connection {
 public:
  explicit Connection(Policy with = {}) : policy{std::move(with)} {}

  void send(const Json& message) { server.handle(to_line(message)); }
  /// The next message, which has 20 s to come.
  Json receive() {
    std::unique_lock lock{mutex_};
    if (!arrived_.wait_for(lock, std::chrono::seconds{20}, [&] { return !sent_.empty(); })) {
      throw std::runtime_error{"no message came"};
    }
    auto message = std::move(sent_.front());
    sent_.pop_front();
    return message;
  }
  bool silent() {
    const std::scoped_lock lock{mutex_};
    return sent_.empty();
  }

  void request(const Json& id, const std::string& method, Json params = Json::object()) {
    send({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}});
  }
  void notify(const std::string& method, Json params) {
    send({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
  }
  /// Sends a request, and returns what comes next, which must answer it.
  Json ask(const std::string& method, Json params = Json::object()) {
    request(++last_id_, method, std::move(params));
    auto answer = receive();
    if (answer.value("id", Json{}) != last_id_) throw std::runtime_error{"not the answer: " + to_line(answer)};
    return answer;
  }
  Json shake_hands(const std::string& version = "2025-11-25") {
    auto answer = ask("initialize", {{"protocolVersion", version},
                                     {"capabilities", Json::object()},
                                     {"clientInfo", {{"name", "test"}, {"version", "1"}}}});
    notify("notifications/initialized", Json::object());
    return answer;
  }
  Json call(const std::string& tool, Json arguments = Json::object()) {
    return ask("tools/call", {{"name", tool}, {"arguments", std::move(arguments)}})["result"];
  }
  /// The call's structured result; it must have succeeded.
  Json use(const std::string& tool, Json arguments = Json::object()) {
    auto result = call(tool, std::move(arguments));
    if (result.value("isError", true)) throw std::runtime_error{"failed: " + to_line(result)};
    return result["structuredContent"];
  }
  /// The text of the call's result; it must have succeeded.
  std::string use_text(const std::string& tool, Json arguments = Json::object()) {
    const auto result = call(tool, std::move(arguments));
    if (result.value("isError", true)) throw std::runtime_error{"failed: " + to_line(result)};
    return result["content"][0]["text"];
  }
  /// The text of the call's failure.
  std::string failure(const std::string& tool, Json arguments = Json::object()) {
    const auto result = call(tool, std::move(arguments));
    if (!result.value("isError", false)) throw std::runtime_error{"succeeded: " + to_line(result)};
    return result["content"][0]["text"];
  }

  Policy policy;
  FakeBackend backend;
  Machines machines{backend, policy};
  Snapshots snapshots{backend, machines, policy};
  Toolbox tools = make_tools({backend, machines, snapshots, policy});

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Json> sent_;
  int last_id_ = 0;

 public:
  Server server{tools, policy, [this](const Json& message) {
                  const std::scoped_lock lock{mutex_};
                  sent_.push_back(message);
                  arrived_.notify_all();
                }};
};

}  // namespace fireclaw::mcp
