#include "gateway/server.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "gateway/http_head.hpp"
#include "gateway/irc/service.hpp"
#include "gateway/proxy/service.hpp"
#include "sys/poll.hpp"

namespace fireclaw::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using local = asio::local::stream_protocol;

/// One type for machines' connections and the status socket's: what Beast and Asio make of it takes seconds to compile.
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using Parser = http::request_parser<http::string_body>;

constexpr unsigned http_1_1 = 11;
/// What is kept of an answer that the agent does not take as fast as it comes.
constexpr std::size_t most_pending = std::size_t{256} << 10;
/// What is read of a request that was refused, so that the agent gets to read why.
constexpr std::size_t most_drained = std::size_t{16} << 20;
constexpr std::chrono::seconds drain_patience{5};
constexpr std::chrono::seconds idle_patience{120};
constexpr std::chrono::seconds every_interval{10};
/// Until there may be descriptors again.
constexpr std::chrono::seconds full_pause{1};

class Session;

/// What the sessions share.
struct Shared {
  Sources& sources;
  LlmService& service;
  const ServerLimits& limits;
  const Logger& logger;
  std::set<std::shared_ptr<Session>> sessions;
  struct Use {
    std::size_t connections = 0;
    std::size_t bytes = 0;
  };
  /// By address.
  std::map<std::string, Use> uses;
  std::size_t bytes = 0;
};

/// One machine's connection.
class Session final : public std::enable_shared_from_this<Session>, public LlmService::Answer {
 public:
  Session(Shared& shared, tcp::socket socket, std::string address)
      : shared_{shared}, stream_{std::move(socket)}, address_{std::move(address)} {
    error_code ignored;
    stream_.socket().set_option(tcp::no_delay{true}, ignored);
    ++shared_.uses[address_].connections;
  }
  ~Session() override {
    release_bytes();
    const auto use = shared_.uses.find(address_);
    if (--use->second.connections == 0) shared_.uses.erase(use);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start() { read_head(); }

  /// Its end, whatever it waits for.
  void close() {
    if (asking_ != 0) shared_.service.cancel(std::exchange(asking_, 0));
    answering_ = false;
    ++watch_;
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.close();
    shared_.sessions.erase(shared_from_this());
  }

  void on_head(const LlmService::Head& head) override {
    head_.emplace(static_cast<http::status>(head.status), http_1_1);
    head_->set(http::field::server, "fireclaw-gateway");
    head_->set(http::field::cache_control, "no-store");
    if (!head.content_type.empty()) head_->set(http::field::content_type, head.content_type);
    if (!head.retry_after.empty()) head_->set(http::field::retry_after, head.retry_after);
    head_->version(chunked_ ? http_1_1 : 10);
    head_->keep_alive(keep_alive_);
    if (chunked_) head_->chunked(true);
    pump();
  }

  bool on_body(std::string_view bytes) override {
    if (pending_.size() + bytes.size() > most_pending && !pending_.empty()) {
      held_back_ = true;
      return false;
    }
    pending_ += bytes;
    pump_soon();
    return true;
  }

  void on_end(bool whole, std::string_view last_words) override {
    asking_ = 0;
    pending_ += last_words;
    ended_ = true;
    whole_ = whole;
    pump();
  }

 private:
  void read_head() {
    parser_.emplace();
    parser_->header_limit(longest_head);
    parser_->body_limit(shared_.limits.body_bytes);
    stream_.expires_after(idle_patience);
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      self->on_request_head(error);
    });
  }

  void on_request_head(error_code error) {
    const auto client = shared_.sources.client(address_);
    client_ = client.value_or(Client{});
    if (error == http::error::body_limit) {
      return refuse(
          {413, "size", fmt::format("a request must not be longer than {} bytes", shared_.limits.body_bytes)});
    }
    if (error == http::error::header_limit) return refuse({431, "size", "the head of the request is too long"});
    // The other side is gone, or what it sends is not HTTP.
    if (error) return close();
    const auto& request = parser_->get();
    chunked_ = request.version() >= http_1_1;
    keep_alive_ = chunked_ && request.keep_alive();
    if (!client) return refuse({403, "address", "the gateway serves only machines of its network"});
    const auto way = gateway::route({request.method_string().data(), request.method_string().size()},
                                    {request.target().data(), request.target().size()});
    if (const auto* refusal = std::get_if<Refusal>(&way)) return refuse(*refusal);
    route_ = std::get<Route>(way);
    const auto length = parser_->content_length();
    if (parser_->chunked() || (route_.chat && !length)) {
      return refuse({411, "size", "a request needs a Content-Length, and must not be chunked"});
    }
    if (!route_.chat) {
      if (length.value_or(0) == 0) return ask({});
      return refuse({400, "size", "a list of models is asked for without a body"});
    }
    const auto bytes = static_cast<std::size_t>(*length);
    if (!reserve(bytes)) {
      return refuse({503, "memory", "the gateway holds too many requests at once; try again", std::chrono::seconds{1}});
    }
    if (request[http::field::expect] == "100-continue") return send_continue();
    read_body();
  }

  void send_continue() {
    stream_.expires_after(shared_.limits.patience);
    current_ = "HTTP/1.1 100 Continue\r\n\r\n";
    write({}, {}, &Session::on_continue_sent);
  }

  void on_continue_sent(error_code error) {
    if (error) return close();
    read_body();
  }

  void read_body() {
    stream_.expires_after(shared_.limits.patience);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->close();
      self->ask(std::move(self->parser_->get().body()));
    });
  }

  void ask(std::string body) {
    stream_.expires_never();
    answering_ = true;
    ended_ = false;
    whole_ = false;
    head_sent_ = false;
    held_back_ = false;
    const auto self = shared_from_this();
    watch_hangup();
    asking_ = shared_.service.ask(client_, route_, std::move(body), *this);
  }

  /// Answers by itself, and ends the connection then: what follows of the request is not read as another.
  void refuse(const Refusal& refusal) {
    if (!client_.machine.empty()) {
      shared_.service.refuse(client_, refusal);
    } else {
      shared_.logger.info(fmt::format("refused {} ({}): {}", address_, refusal.rule, refusal.reason));
    }
    stream_.expires_never();
    keep_alive_ = false;
    drain_ = true;
    answering_ = true;
    ended_ = false;
    head_sent_ = false;
    const auto self = shared_from_this();
    on_head({refusal.status, "application/json",
             refusal.retry_after ? std::to_string(refusal.retry_after->count()) : std::string{}});
    on_end(true, error_body(route_.api, refusal));
  }

  /// Notices that the agent does not wait any more, so that the LLM need not answer.
  void watch_hangup() {
    const auto number = ++watch_;
    stream_.socket().async_wait(tcp::socket::wait_read, [weak = weak_from_this(), number](error_code error) {
      const auto self = weak.lock();
      if (error || !self || number != self->watch_) return;
      char next = 0;
      const auto got = ::recv(self->stream_.socket().native_handle(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
      // What comes instead of an end is the next request, and waits.
      if (got > 0) return;
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return self->watch_hangup();
      self->close();
    });
  }

  /// What the LLM server has sent by now comes in several pieces, and is passed on in one.
  void pump_soon() {
    if (writing_ || std::exchange(pump_due_, true)) return;
    asio::post(stream_.get_executor(), [self = shared_from_this()] {
      self->pump_due_ = false;
      if (self->answering_) self->pump();
    });
  }

  /// Writes what there is to write, one piece at a time.
  void pump() {
    if (writing_) return;
    if (!head_sent_) {
      if (!head_) return;
      head_sent_ = true;
      current_ = text_of(*head_);
      return write_piece({}, {});
    }
    if (!pending_.empty()) {
      std::swap(pending_, current_);
      pending_.clear();
      if (!chunked_) return write_piece({}, {});
      chunk_head_ = chunk_head(current_.size());
      return write_piece(chunk_head_, chunk_end);
    }
    if (!ended_) return;
    if (!whole_) return close();
    if (!chunked_) return finish();
    ended_ = false;
    last_ = true;
    current_ = last_chunk;
    write_piece({}, {});
  }

  void write_piece(std::string_view before, std::string_view after) {
    writing_ = true;
    stream_.expires_after(shared_.limits.patience);
    write(before, after, &Session::on_written);
  }

  /// Writes current_ between two texts that last as long as the connection does.
  void write(std::string_view before, std::string_view after, void (Session::*then)(error_code)) {
    const std::array<asio::const_buffer, 3> all{asio::buffer(before), asio::buffer(std::as_const(current_)),
                                                asio::buffer(after)};
    asio::async_write(stream_, all,
                      [self = shared_from_this(), then](error_code error, std::size_t) { ((*self).*then)(error); });
  }

  void on_written(error_code error) {
    writing_ = false;
    if (!answering_) return;
    if (error) return close();
    stream_.expires_never();
    if (std::exchange(last_, false)) return finish();
    const auto self = shared_from_this();
    pump();
    if (held_back_ && pending_.empty() && asking_ != 0) {
      held_back_ = false;
      shared_.service.resume(asking_);
    }
  }

  /// The answer is sent.
  void finish() {
    answering_ = false;
    ++watch_;
    head_.reset();
    release_bytes();
    // Large ones are rare, and others need the memory meanwhile.
    std::string{}.swap(pending_);
    std::string{}.swap(current_);
    if (keep_alive_) return read_head();
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    if (!drain_) return close();
    stream_.expires_after(drain_patience);
    drain();
  }

  void drain() {
    stream_.async_read_some(asio::buffer(rest_), [self = shared_from_this()](error_code error, std::size_t bytes) {
      self->drained_ += bytes;
      if (error || self->drained_ > most_drained) return self->close();
      self->drain();
    });
  }

  bool reserve(std::size_t bytes) {
    auto& use = shared_.uses[address_];
    if (use.bytes + bytes > shared_.limits.machine_bytes || shared_.bytes + bytes > shared_.limits.total_bytes) {
      return false;
    }
    reserved_ = bytes;
    use.bytes += bytes;
    shared_.bytes += bytes;
    return true;
  }
  void release_bytes() {
    shared_.uses[address_].bytes -= reserved_;
    shared_.bytes -= reserved_;
    reserved_ = 0;
  }

  Shared& shared_;
  Stream stream_;
  std::string address_;
  Client client_;
  Route route_;
  beast::flat_buffer buffer_{longest_head + 64 * 1024};
  std::optional<Parser> parser_;
  std::size_t reserved_ = 0;

  /// The request that the LLM's service has; 0: none.
  LlmService::Id asking_ = 0;
  bool answering_ = false;
  /// The watch for a hang-up that counts.
  std::uint64_t watch_ = 0;
  bool chunked_ = true;
  bool keep_alive_ = false;
  std::optional<http::response<http::empty_body>> head_;
  bool head_sent_ = false;
  std::string pending_;
  std::string current_;
  std::string chunk_head_;
  bool writing_ = false;
  bool pump_due_ = false;
  bool held_back_ = false;
  bool ended_ = false;
  bool whole_ = false;
  bool last_ = false;

  bool drain_ = false;
  std::size_t drained_ = 0;
  std::array<char, 4096> rest_;
};

/// One who asks how the gateway is, over the Unix socket.
class StatusSession final : public std::enable_shared_from_this<StatusSession> {
 public:
  StatusSession(const std::function<Status()>& status, local::socket socket)
      : status_{status}, stream_{std::move(socket)} {}

  void start() {
    stream_.expires_after(idle_patience);
    http::async_read(stream_, buffer_, parser_, [self = shared_from_this()](error_code error, std::size_t) {
      if (!error) self->answer();
    });
  }

 private:
  void answer() {
    const auto& request = parser_.get();
    http::response<http::string_body> response;
    response.version(request.version());
    response.keep_alive(false);
    response.set(http::field::content_type, "text/plain; version=0.0.4");
    if (request.method() != http::verb::get) {
      response.result(http::status::method_not_allowed);
    } else if (request.target() == "/metrics") {
      response.body() = to_metrics(status_());
    } else if (request.target() == "/status") {
      response.set(http::field::content_type, "application/json");
      json::Writer out;
      json::write_record(out, status_());
      response.body() = out.take();
    } else {
      response.result(http::status::not_found);
    }
    response.prepare_payload();
    text_ = text_of(response) + response.body();
    asio::async_write(stream_, asio::buffer(std::as_const(text_)),
                      [self = shared_from_this()](error_code, std::size_t) {});
  }

  const std::function<Status()>& status_;
  Stream stream_;
  beast::flat_buffer buffer_{longest_head};
  Parser parser_;
  std::string text_;
};

/// Accepts on a socket for as long as the loop runs.
template <class Protocol>
class Acceptor {
 public:
  using Socket = typename Protocol::socket;

  Acceptor(asio::io_context& loop, Protocol protocol, sys::Fd listener, std::function<void(Socket)> use)
      : acceptor_{loop}, retry_{loop}, use_{std::move(use)} {
    acceptor_.assign(protocol, listener.release());
    accept();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, Socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) {
        ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
        // First, since what throws ends one connection, not the accepting.
        accept();
        return use_(std::move(socket));
      }
      if (error == asio::error::connection_aborted) return accept();
      retry_.expires_after(full_pause);
      retry_.async_wait([this](error_code stopped) {
        if (!stopped) accept();
      });
    });
  }

  typename Protocol::acceptor acceptor_;
  asio::steady_timer retry_;
  std::function<void(Socket)> use_;
};

/// Calls `use` whenever a descriptor of somebody else's is readable.
class Readable {
 public:
  Readable(asio::io_context& loop, int fd, std::function<void()> use)
      : descriptor_{loop, sys::duplicate(fd).release()}, use_{std::move(use)} {
    wait();
  }

 private:
  void wait() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
      if (error) return;
      // First, since it is to continue if something is thrown.
      wait();
      use_();
    });
  }

  asio::posix::stream_descriptor descriptor_;
  std::function<void()> use_;
};

}  // namespace

void serve(Sources& sources, LlmService& service, sys::Fd status_socket, Listeners listeners,
           const ServerLimits& limits, const Logger& logger, const Upkeep& upkeep, const std::stop_token& stop) {
  Shared shared{sources, service, limits, logger, {}, {}, 0};
  IrcService irc{sources, service.refusals(), logger, limits};
  std::optional<HttpProxy> proxy;
  {
    asio::io_context loop{1};
    const sys::StopFd stopped{stop};
    std::optional<Readable> until;
    if (stopped.fd() >= 0) until.emplace(loop, stopped.fd(), [&] { loop.stop(); });
    const Readable transfers{loop, service.fd(), [&] { service.run(); }};

    const auto greet = [&](tcp::socket socket) {
      error_code gone;
      const auto peer = socket.remote_endpoint(gone);
      if (gone) return;
      auto address = peer.address().to_string();
      const auto use = shared.uses.find(address);
      // A machine that has this many does not get to know why.
      if (shared.sessions.size() >= limits.connections ||
          (use != shared.uses.end() && use->second.connections >= limits.machine_connections)) {
        return;
      }
      const auto session = std::make_shared<Session>(shared, std::move(socket), std::move(address));
      shared.sessions.insert(session);
      session->start();
    };
    const auto pass_to = [](auto& service) {
      return [&service](tcp::socket socket) {
        error_code gone;
        const auto peer = socket.remote_endpoint(gone);
        if (!gone) service.take(std::move(socket), peer.address().to_string());
      };
    };
    std::list<Acceptor<tcp>> acceptors;
    std::list<Readable> attended;
    const auto adopt = [&](Listeners more) {
      if (more.llm) acceptors.emplace_back(loop, tcp::v4(), std::move(*more.llm), greet);
      if (more.irc) acceptors.emplace_back(loop, tcp::v4(), std::move(*more.irc), pass_to(irc));
      if (more.http) {
        proxy.emplace(std::move(more.http->rules), service.refusals(), logger);
        acceptors.emplace_back(loop, tcp::v4(), std::move(more.http->socket), pass_to(*proxy));
      }
      for (auto& attendant : more.attendants) attended.emplace_back(loop, attendant.fd, attendant.run);
    };
    adopt(std::move(listeners));
    adopt(upkeep.work());
    const std::function<Status()> status = [&] {
      auto all = service.status();
      all.irc = irc.counts();
      if (proxy) all.http = proxy->counts();
      all.problems = upkeep.problems();
      return all;
    };
    const Acceptor<local> asked{loop, local{}, std::move(status_socket), [&](local::socket socket) {
                                  std::make_shared<StatusSession>(status, std::move(socket))->start();
                                }};

    asio::steady_timer timer{loop};
    const std::function<void()> tick = [&] {
      timer.expires_after(every_interval);
      timer.async_wait([&](error_code error) {
        if (error) return;
        tick();
        // First: what is not allowed any more ends, even if the owner's work fails.
        irc.check();
        if (proxy) proxy->check();
        adopt(upkeep.work());
      });
    };
    tick();
    for (bool running = true; running;) {
      try {
        loop.run();
        running = false;
      } catch (const std::exception& problem) {
        // One request's, not everybody's end.
        logger.error(problem.what());
      }
    }
    // Sessions go before the loop, and before what they share.
    while (!shared.sessions.empty()) (*shared.sessions.begin())->close();
    irc.close();
    if (proxy) proxy->close();
  }
  static_cast<void>(upkeep.work());
}

}  // namespace fireclaw::gateway
