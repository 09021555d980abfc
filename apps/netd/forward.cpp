#include "forward.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <stdexcept>

#include "fd.hpp"
#include "relay.hpp"
#include "words.hpp"

namespace fireclaw::netd {
namespace {

constexpr int forget_every_ms = 30'000;
constexpr rlim_t wanted_descriptors = 4096;
constexpr rlim_t other_descriptors = 64;

void enter(const std::string& namespaces) {
  if (namespaces == "here") return;
  constexpr const char* kind = "namespaces";
  const auto comma = namespaces.find(',');
  if (comma == std::string::npos) refuse(kind, namespaces);
  const std::string_view words{namespaces};
  const Fd user{number_in<int>(words.substr(0, comma), kind, namespaces)};
  const Fd network{number_in<int>(words.substr(comma + 1), kind, namespaces)};
  check(::setns(user.get(), CLONE_NEWUSER), "enter the user namespace");
  check(::setns(network.get(), CLONE_NEWNET), "enter the network namespace");
}

}  // namespace

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  check(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, wanted_descriptors));
  check(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  return conversations_with(limit.rlim_cur);
}

std::size_t conversations_with(std::size_t descriptors) {
  return (std::clamp<std::size_t>(descriptors, other_descriptors, wanted_descriptors) - other_descriptors) / 2;
}

void serve(Relay& relay, const std::vector<int>& until) {
  std::vector<pollfd> watched{{relay.fd(), POLLIN, 0}};
  for (const int fd : until) watched.push_back({fd, POLLIN, 0});
  for (;;) {
    const int ready = ::poll(watched.data(), watched.size(), forget_every_ms);
    if (ready < 0 && errno != EINTR) check(ready, "poll");
    if (ready == 0) relay.forget_silent();
    if (std::any_of(watched.begin() + 1, watched.end(), [](const pollfd& one) { return one.revents != 0; })) return;
    relay.step();
  }
}

int forward(const std::vector<std::string>& words) {
  if (words.size() < 3) throw std::invalid_argument{"usage: forward UNTIL NAMESPACES ENTRANCE..."};
  const Fd until{number_in<int>(words[0], "a descriptor", words[0])};
  enter(words[1]);
  std::vector<Entrance> entrances;
  for (std::size_t i = 2; i < words.size(); ++i) entrances.push_back(Entrance::parse(words[i]));
  Relay relay{std::move(entrances), raise_descriptor_limit()};
  serve(relay, {until.get()});
  return 0;
}

}  // namespace fireclaw::netd
