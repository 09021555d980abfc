#include "guest/wire/service.hpp"

#include <doctest/doctest.h>

#include <string>

#include "guest/testing/round_trip.hpp"
#include "guest/wire/wire.hpp"

namespace fireclaw::guest::wire {
namespace {

ServiceStart some_start() {
  ServiceStart message;
  message.name = "bot";
  message.argv = {"python3", "-m", std::string{"a\0b", 3}, ""};
  message.env = {{"A", "1"}, {"", ""}};
  message.cwd = "/workspace";
  message.user = "agent";
  message.log = "/var/log/bot.log";
  message.log_limit = 0x0102030405060708;
  message.restart = Restart::Always;
  message.backoff_first_ms = 500;
  message.backoff_longest_ms = 4'000'000'000;
  return message;
}

}  // namespace

TEST_CASE("messages about services arrive as they were sent, and only whole") {
  const ServiceStart start = round_trip(some_start());
  CHECK(start.argv == some_start().argv);
  CHECK(start.env == some_start().env);
  CHECK(start.log_limit == some_start().log_limit);
  CHECK(start.restart == Restart::Always);
  CHECK(start.backoff_longest_ms == 4'000'000'000);
  const ServiceSignal signal = round_trip(ServiceSignal{"bot", 64});
  CHECK(signal.name == "bot");
  CHECK(signal.number == 64);
  CHECK(round_trip(ServiceStop{"bot", 7}).grace_ms == 7);
  Services services;
  services.now_ms = 9;
  services.list.push_back({"a", ServiceState::Running, 12, 3, 0, 0, 8, ""});
  services.list.push_back({"b", ServiceState::Failed, 0, 0, 137, 9, 0, "no such file"});
  const Services again = round_trip(services);
  REQUIRE(again.list.size() == 2);
  CHECK(again.list[0].started_ms == 8);
  CHECK(again.list[1].state == ServiceState::Failed);
  CHECK(again.list[1].code == 137);
  CHECK(again.list[1].problem == "no such file");
}

TEST_CASE("a service without a program, or with an invalid policy or state, is not a message") {
  ServiceStart nothing = some_start();
  nothing.argv.clear();
  ServiceStart start;
  CHECK_FALSE(decode(encode(nothing), start));
  std::string payload = encode(some_start());
  payload[payload.size() - 9] = 4;
  CHECK_FALSE(decode(payload, start));
  Services services;
  services.list.push_back({"a", ServiceState::Running, 1, 0, 0, 0, 0, ""});
  payload = encode(services);
  payload[8 + 4 + 4 + 1] = 5;
  CHECK_FALSE(decode(payload, services));
}

TEST_CASE("a list longer than its payload is refused without reserving memory for it") {
  Services services;
  CHECK_FALSE(decode(std::string(8, '\0') + "\xFF\xFF\xFF\x7F" + std::string(64, '\0'), services));
}

TEST_CASE("the list of as many services as there can be fits one frame") {
  Services services;
  services.list.resize(max_services);
  for (ServiceStatus& status : services.list) {
    status.name.assign(max_service_name_bytes, 'n');
    status.problem.assign(max_service_problem_bytes, 'p');
  }
  CHECK(encode(services).size() <= max_payload_bytes);
}

TEST_CASE("a service's name is a plain word") {
  for (const char* name : {"a", "bot-1", "A.b_c", "_x", "0"}) CHECK(is_service_name(name));
  CHECK(is_service_name(std::string(max_service_name_bytes, 'x')));
  for (const char* name : {"", ".", "..", ".x", "-x", "a/b", "a b", "ü", "a\n"}) CHECK_FALSE(is_service_name(name));
  CHECK_FALSE(is_service_name(std::string(max_service_name_bytes + 1, 'x')));
}

}  // namespace fireclaw::guest::wire
