#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fireclaw/agent.hpp"

namespace fireclaw::overseer {

/// What is counted, and the text that Prometheus reads. Lives on the loop's thread.
class Metrics {
 public:
  void command(std::string_view word, std::string_view result) {
    ++commands_[{std::string{word}, std::string{result}}];
  }
  void refused() { ++refused_; }
  void started(std::chrono::nanoseconds took);
  void died() { ++deaths_; }
  void restarted(bool worked) { ++(worked ? restarts_ : failed_restarts_); }
  void agents(std::vector<AgentInfo> all) { agents_ = std::move(all); }
  /// What an agent said of itself.
  void said(const AgentInfo& info) { said_[info.name] = {info.online, info.llm_errors}; }
  void irc(bool online, std::uint64_t connections);
  void busy(std::size_t changes) { busy_ = changes; }

  [[nodiscard]] std::string text() const;

 private:
  static constexpr double bounds[] = {0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};

  std::map<std::pair<std::string, std::string>, std::uint64_t> commands_;
  std::uint64_t refused_ = 0;
  std::uint64_t start_buckets_[std::size(bounds)] = {};
  std::uint64_t starts_ = 0;
  double start_seconds_ = 0;
  std::uint64_t deaths_ = 0;
  std::uint64_t restarts_ = 0;
  std::uint64_t failed_restarts_ = 0;
  bool irc_online_ = false;
  std::uint64_t irc_connections_ = 0;
  std::size_t busy_ = 0;
  std::vector<AgentInfo> agents_;
  struct Said {
    bool online = false;
    std::uint64_t llm_errors = 0;
  };
  std::map<std::string, Said> said_;
};

}  // namespace fireclaw::overseer
