#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/logger.hpp"
#include "gateway/llm/ledger.hpp"
#include "gateway/llm/requests.hpp"
#include "gateway/llm/turns.hpp"
#include "gateway/records/counters.hpp"
#include "gateway/records/refusals.hpp"
#include "gateway/records/sources.hpp"
#include "http/transfers.hpp"

namespace fireclaw::gateway {

/// Passes agents' requests on to LLM servers, within the limits and turns of the settings, and counts them.
/// Does not know the agents' connections. Works within the caller's event loop, as http::Transfers does. Use from
/// one thread.
class LlmService {
 public:
  using Id = std::uint64_t;

  struct Head {
    int status = 200;
    std::string content_type;
    std::string retry_after;
  };
  /// Where an answer goes.
  class Answer {
   public:
    virtual ~Answer() = default;
    virtual void on_head(const Head& head) = 0;
    /// Takes bytes. False: not now; the same bytes are offered again after resume().
    virtual bool on_body(std::string_view bytes) = 0;
    /// The last call. `whole`: nothing is missing; otherwise send `last_words`, and cut the connection.
    virtual void on_end(bool whole, std::string_view last_words) = 0;
  };

  /// The four arguments must outlive it.
  LlmService(Sources& sources, Refusals& refusals, const Clock& clock, const Logger& logger);
  LlmService(const LlmService&) = delete;
  LlmService& operator=(const LlmService&) = delete;
  /// Cancels all.
  ~LlmService();

  [[nodiscard]] int fd() const noexcept { return transfers_.fd(); }
  void run() { transfers_.run(); }

  /// Answers a request, whose body is whole. A refusal is an answer, which comes before this returns; so can be the
  /// answer's beginning. The answer must live until on_end() or cancel().
  Id ask(const Client& client, const Route& route, std::string body, Answer& answer);
  /// Counts a request that was refused before it was asked.
  void refuse(const Client& client, const Refusal& refusal);
  void resume(Id id);
  /// Call if the agent no longer waits for the answer. Does nothing if there is no such request.
  void cancel(Id id);

  [[nodiscard]] Status status();
  /// The log of everything that the gateway refuses.
  [[nodiscard]] Refusals& refusals() noexcept { return refusals_; }
  [[nodiscard]] Ledger& ledger() noexcept { return ledger_; }

 private:
  class Request;
  struct Upstream {
    GatewayUpstream counts;
    Turns turns;
  };

  AgentCounts& counts(const std::string& agent);
  void answer_refusal(const Client& client, state::LlmApi api, const Refusal& refusal, Answer& answer);
  /// Starts requests whose turn it is.
  void advance(const std::string& upstream);
  void begin(Request& request);
  /// Forgets a request that was served, after its last call.
  void finish(Request& request);

  Sources& sources_;
  Refusals& refusals_;
  const Clock& clock_;
  const Logger& logger_;
  Ledger ledger_;
  http::Transfers transfers_;
  std::map<std::string, AgentCounts> agents_;
  std::map<std::string, Upstream> upstreams_;
  std::map<Id, std::unique_ptr<Request>> requests_;
  Id next_ = 1;
};

}  // namespace fireclaw::gateway
