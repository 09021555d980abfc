#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "common/processes/worker_pool.hpp"
#include "fireclaw/log.hpp"
#include "message.hpp"
#include "policy.hpp"
#include "tool.hpp"
#include "version.hpp"

namespace fireclaw::mcp {

/// One client's connection: reads its messages, answers them, and runs tools on a bounded number of threads.
///
/// A client either begins with a handshake, which decides on a version for all that follows, or says in every request
/// which version it is of; both may be mixed.
class Server {
 public:
  /// Takes one message to the client. Called from any thread, also from several at once.
  using Send = std::function<void(const Json&)>;

  /// `tools` and `policy` must outlive it.
  Server(const Toolbox& tools, const Policy& policy, Send send);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Cancels all calls and waits for those that run.
  ~Server();

  /// A line of the client's. Answers to calls of tools come later, from other threads. From one thread at a time. A
  /// line holds one message: lists of them, as version 2025-03-26 had them, are refused.
  void handle(std::string_view line);
  /// A line that was longer than is read.
  void handle_too_long();

  /// Tells the client, if it has asked for messages of this level. From any thread.
  void log(LogLevel level, std::string_view message);

  /// Asks all calls to stop. Nothing is sent any more.
  void cancel_all();

 private:
  struct Call;

  void answer(Request request);
  void take_note(const Notification& notification);
  void cancel(const Json& id);

  [[nodiscard]] const Version& version_of(const Request& request) const;
  Json result_of(const Request& request, const Version& version);
  Json initialize(const Json& params);
  [[nodiscard]] Json list_tools(const Json& params, const Version& version) const;
  Json set_level(const Json& params);

  void call_tool(Request request, const Version& version);
  void run(Call& call);
  [[nodiscard]] Json run_tool(const Call& call);
  /// Tells clients that wait in silence that their calls are under way, until `stop`.
  void keep_up(const std::stop_token& stop);
  void send(const Json& message);
  [[nodiscard]] Json answer_to(const Malformed& malformed) const;

  const Toolbox& tools_;
  const Policy& policy_;
  Send send_;
  /// What the handshake has agreed on; null before. Belongs to the thread of handle().
  const Version* version_ = nullptr;
  /// The least level of messages that the client wants.
  std::atomic<int> wanted_level_;
  std::atomic<bool> ended_{false};
  std::mutex mutex_;
  std::condition_variable_any changed_;
  /// Calls that run or wait, by their ids as they are written.
  std::map<std::string, std::shared_ptr<Call>> calls_;
  /// Length of the lines that the calls came on.
  std::size_t calls_bytes_ = 0;
  cli::WorkerPool pool_;
  /// Once a call has asked for progress. Last: it uses the rest.
  std::jthread progress_thread_;
};

}  // namespace fireclaw::mcp
