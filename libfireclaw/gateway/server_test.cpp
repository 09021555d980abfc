#include "gateway/server.hpp"

#include <doctest/doctest.h>

#include <future>
#include <string>

#include "gateway/testing/running.hpp"
#include "http/scripted_server.hpp"
#include "json/json.hpp"

using namespace fireclaw;
using gateway::test::Caller;
using gateway::test::RunningGateway;
using gateway::test::sources_for;
using http::test::Peer;
using http::test::ScriptedServer;

namespace {

constexpr std::string_view question = R"({"model":"m","messages":[],"stream":true})";
constexpr std::string_view ndjson_head =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nX-Own: secret\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string chunk(std::string_view text) { return fmt::format("{:x}\r\n{}\r\n", text.size(), text); }

/// Answers like Ollama, in one event.
void answer(Peer& peer, const std::string& text = "hello", std::string_view head = ndjson_head) {
  peer.request();
  peer.send(std::string{head});
  peer.send(
      chunk("{\"message\":{\"content\":\"" + text + "\"},\"done\":true,\"prompt_eval_count\":7,\"eval_count\":2}\n"));
  peer.send("0\r\n\r\n");
}

/// What agents were counted, by the status socket.
json::Value counts(const RunningGateway& gateway) {
  const auto text = gateway.status("/status");
  return json::Value::parse(text.substr(text.find("\r\n\r\n") + 4), "status");
}

}  // namespace

TEST_CASE("an answer passes as it comes, and the LLM server sees nothing of the agent but path and body") {
  std::promise<void> seen;
  std::string asked;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    asked = peer.request();
    peer.send(ndjson_head);
    peer.send(chunk("{\"message\":{\"content\":\"first\"}}\n"));
    seen.get_future().wait();
    peer.send(chunk("{\"done\":true}\n") + "0\r\n\r\n");
  }});
  auto sources = sources_for(server.url(""));
  sources.settings.upstreams[0].key = "k";
  sources.keys = {{"k", "hunter2"}};
  const RunningGateway gateway{sources};
  Caller caller{gateway};
  caller.ask("/api/chat", question);
  const auto begin = caller.until("first");
  CHECK(begin.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(has(begin, "Content-Type: application/x-ndjson\r\n"));
  CHECK_FALSE(has(begin, "X-Own"));
  CHECK_FALSE(has(begin, "done"));
  seen.set_value();
  CHECK(has(caller.until("0\r\n\r\n"), "{\"done\":true}"));
  CHECK(asked.starts_with("POST /api/chat HTTP/1.1\r\n"));
  CHECK(asked.ends_with(question));
  CHECK(has(asked, "Authorization: Bearer hunter2\r\n"));
  CHECK_FALSE(has(asked, "Bearer guest"));
}

TEST_CASE("a connection serves one request after the other, also if both were sent at once") {
  // Each on a connection of its own: whether the gateway keeps one to the LLM server is not what is looked at here.
  static constexpr std::string_view last = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) { answer(peer, "one", last); },
                                                   [](Peer& peer) { answer(peer, "two", last); },
                                                   [](Peer& peer) { answer(peer, "three", last); }});
  const RunningGateway gateway{sources_for(server.url(""))};
  Caller caller{gateway};
  caller.ask("/api/chat", question);
  CHECK(has(caller.until("0\r\n\r\n"), "one"));
  caller.ask("/api/chat", question);
  caller.ask("/api/chat", question);
  const auto both = caller.until("three");
  CHECK(has(both, "two"));
  CHECK(both.find("200 OK") != both.rfind("200 OK"));
  const auto agent = counts(gateway).at("agents").as_array().at(0);
  CHECK(agent.at("name").as_string() == "ada");
  CHECK(agent.at("requests").as_int() == 3);
  CHECK(agent.at("prompt_tokens").as_int() >= 14);
}

TEST_CASE("what is not passed on is refused with a reason, and never reaches the LLM server") {
  const auto server = ScriptedServer::on_loopback({});
  const RunningGateway gateway{sources_for(server.url(""))};
  const auto refused = [&](std::string_view request, const std::string& from = "127.0.0.1") {
    Caller caller{gateway, from};
    caller.send(request);
    return caller.rest();
  };
  const auto pull = refused("POST /api/pull HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n{}");
  CHECK(pull.starts_with("HTTP/1.1 403 "));
  CHECK(has(pull, "nothing else"));
  CHECK(refused("DELETE /api/tags HTTP/1.1\r\nHost: g\r\n\r\n").starts_with("HTTP/1.1 405 "));
  CHECK(refused("GET http://127.0.0.1:1/api/tags HTTP/1.1\r\nHost: g\r\n\r\n").starts_with("HTTP/1.1 403 "));
  CHECK(refused("POST /api/chat HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .starts_with("HTTP/1.1 411 "));
  CHECK(refused("POST /api/chat HTTP/1.1\r\nHost: g\r\nContent-Length: 999999999999\r\n\r\n")
            .starts_with("HTTP/1.1 413 "));
  CHECK(refused("POST /api/chat HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n").starts_with("HTTP/1.1 431 "));
  const auto stranger = refused("GET /api/tags HTTP/1.1\r\nHost: g\r\n\r\n", "127.0.0.2");
  CHECK(stranger.starts_with("HTTP/1.1 403 "));
  CHECK(has(stranger, "machines of its network"));
  CHECK(counts(gateway).at("agents").as_array().at(0).at("refused").as_int() == 6);
}

TEST_CASE("a second request hidden in the first one is not passed on") {
  std::vector<std::string> asked;
  const auto note = [&](Peer& peer) {
    asked.push_back(peer.request());
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    asked.push_back(peer.request());
  };
  const auto server = ScriptedServer::on_loopback({note, note, note, note});
  const RunningGateway gateway{sources_for(server.url(""))};
  const std::string hidden = "POST /api/pull HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
  const std::string body{question};
  for (const auto& head :
       {fmt::format("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", body.size()),
        fmt::format("Content-Length: {}\r\nContent-Length: {}\r\n", body.size(), body.size() + hidden.size()),
        fmt::format("Content-Length: {}\r\nTransfer-Encoding : chunked\r\n", body.size()),
        fmt::format("Content-Length: +{}\r\n", body.size()),
        fmt::format("Content-Length: {}, {}\r\n", body.size(), body.size() + hidden.size())}) {
    CAPTURE(head);
    Caller caller{gateway};
    caller.send("POST /api/chat HTTP/1.1\r\nHost: g\r\nConnection: close\r\n" + head + "\r\n" + body + hidden);
    caller.rest();
  }
  for (const auto& request : asked) CHECK_FALSE(has(request, "/api/pull"));
}

TEST_CASE("an LLM server that ends in the middle of its answer, or is not there, is named to the agent") {
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) {
    peer.request();
    peer.send(ndjson_head);
    peer.send(chunk("{\"message\":{\"content\":\"half\"}}\n"));
  }});
  {
    const RunningGateway gateway{sources_for(server.url(""))};
    Caller caller{gateway};
    caller.ask("/api/chat", question);
    const auto cut = caller.rest();
    CHECK(has(cut, "half"));
    CHECK(has(cut, "{\"error\":\"the LLM server 'local' broke off its answer\"}"));
    CHECK_FALSE(has(cut, "\r\n0\r\n"));
    const auto agent = counts(gateway).at("agents").as_array().at(0);
    CHECK(agent.at("errors").as_int() == 1);
  }
  const RunningGateway gateway{sources_for("http://127.0.0.1:1")};
  Caller caller{gateway};
  caller.ask("/v1/chat/completions", question);
  const auto unreachable = caller.until("0\r\n\r\n");
  CHECK(unreachable.starts_with("HTTP/1.1 502 "));
  CHECK(has(unreachable, "cannot reach the LLM server 'local'"));
  CHECK(has(gateway.status("/metrics"), "fireclaw_llm_upstream_errors_total{upstream=\"local\"} 1\n"));
}

TEST_CASE("when an agent hangs up, its LLM server need not answer any more") {
  std::promise<void> ended;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    peer.request();
    peer.send(ndjson_head);
    peer.send(chunk("{\"message\":{\"content\":\"first\"}}\n"));
    peer.wait_until_closed();
    ended.set_value();
  }});
  const RunningGateway gateway{sources_for(server.url(""))};
  Caller caller{gateway};
  caller.ask("/api/chat", question);
  caller.until("first");
  caller.hang_up();
  CHECK(ended.get_future().wait_for(std::chrono::seconds{20}) == std::future_status::ready);
}

TEST_CASE("an agent that has reached its limit is told when there is more") {
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) { answer(peer); }});
  auto sources = sources_for(server.url(""));
  sources.settings.limits.requests_per_day = 1;
  const RunningGateway gateway{sources};
  Caller caller{gateway};
  caller.ask("/api/chat", question);
  CHECK(has(caller.until("0\r\n\r\n"), "200 OK"));
  caller.ask("/api/chat", question);
  const auto refused = caller.until("0\r\n\r\n");
  CHECK(refused.starts_with("HTTP/1.1 429 "));
  CHECK(has(refused, "Retry-After: "));
  CHECK(has(refused, "'ada' has used its 1 requests a day"));
  CHECK(has(counts(gateway).at("agents").as_array().at(0).at("limit").as_string(), "1 requests a day"));
}

TEST_CASE("requests beyond what an LLM server takes at once wait, and agents take turns") {
  std::vector<std::string> order;
  std::promise<void> begun;
  std::promise<void> all_there;
  const auto note = [&](Peer& peer) {
    const auto request = peer.request();
    order.push_back(request.substr(request.find("\"n\":") + 4, 1));
    if (order.size() == 1) {
      begun.set_value();
      all_there.get_future().wait();
    }
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
  };
  const auto server = ScriptedServer::on_loopback({note, note, note, note});
  auto sources = sources_for(server.url(""));
  sources.settings.upstreams[0].concurrent = 1;
  const RunningGateway gateway{sources};
  std::vector<Caller> callers;
  const auto ask = [&](const char* from, int number) {
    callers.emplace_back(gateway, from).ask("/api/chat", fmt::format(R"({{"model":"m","n":{}}})", number));
  };
  const auto wait_for_waiting = [&](int number) {
    while (counts(gateway).at("upstreams").as_array().at(0).at("waiting").as_int() != number) std::this_thread::yield();
  };
  ask("127.0.0.1", 1);
  begun.get_future().wait();
  ask("127.0.0.1", 2);
  wait_for_waiting(1);
  ask("127.0.0.1", 3);
  wait_for_waiting(2);
  ask("127.0.0.3", 4);
  wait_for_waiting(3);
  all_there.set_value();
  for (auto& caller : callers) CHECK(has(caller.until("0\r\n\r\n"), "200 OK"));
  CHECK(order == std::vector<std::string>{"1", "2", "4", "3"});
}

TEST_CASE("a large answer passes an agent that reads slowly as a whole") {
  const std::string large(5 << 20, 'x');
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    peer.request();
    peer.send(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.size()));
    peer.send(large);
  }});
  const RunningGateway gateway{sources_for(server.url(""))};
  Caller caller{gateway};
  caller.send(fmt::format("POST /api/chat HTTP/1.0\r\nContent-Length: {}\r\n\r\n{}", question.size(), question));
  caller.until("\r\n\r\n");
  const auto text = caller.rest();
  CHECK(text.size() > large.size() - (1 << 20));
  CHECK(text.find_first_not_of('x') == std::string::npos);
}
