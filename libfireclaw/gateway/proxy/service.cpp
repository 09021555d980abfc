#include "gateway/proxy/service.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "gateway/http_head.hpp"
#include "gateway/proxy/tls_hello.hpp"
#include "gateway/relay.hpp"

namespace fireclaw::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Time = std::chrono::steady_clock::time_point;

constexpr std::size_t piece_bytes = std::size_t{32} << 10;
/// How many of a server's addresses are tried.
constexpr std::size_t most_tried = 4;
/// A hello is read from its beginning whenever more of it comes; this is the sum of all these readings.
constexpr std::size_t most_hello_bytes_read = std::size_t{4} << 20;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

/// What concerns the connection to the proxy alone (RFC 9110, 7.6.1), and what the client names so.
void remove_hop_fields(http::fields& fields) {
  std::vector<std::string> named;
  for (const auto& token : http::token_list{fields[http::field::connection]}) named.emplace_back(view(token));
  for (const auto& name : named) {
    // These say where the request ends and which server it is for.
    const auto known = http::string_to_field(name);
    const bool needed =
        known == http::field::content_length || known == http::field::transfer_encoding || known == http::field::host;
    if (!needed) fields.erase(name);
  }
  for (const auto field : {http::field::connection, http::field::proxy_connection, http::field::proxy_authorization,
                           http::field::keep_alive, http::field::te, http::field::upgrade}) {
    fields.erase(field);
  }
}

/// Whether all who read the request agree where it ends (RFC 9112, 6.1). Beast's parser does not tell of all it passes.
bool is_framed_in_one_way(const http::request_header<>& head) {
  const auto codings = head.count(http::field::transfer_encoding);
  if (codings == 0) return true;
  constexpr unsigned http_1_1 = 11;
  return codings == 1 && beast::iequals(head[http::field::transfer_encoding], "chunked") &&
         head.count(http::field::content_length) == 0 && head.version() >= http_1_1;
}

}  // namespace

/// A machine's connection, and the one that is made for it.
class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpProxy& proxy, tcp::socket machine, NameClient who, std::string address)
      : proxy_{proxy},
        who_{std::move(who)},
        address_{std::move(address)},
        machine_{std::move(machine)},
        server_{machine_.get_executor()},
        timer_{machine_.get_executor()} {
    keep_alive(machine_);
    ++proxy_.uses_[address_];
  }
  ~HttpConnection() {
    const auto use = proxy_.uses_.find(address_);
    if (--use->second == 0) proxy_.uses_.erase(use);
  }
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  void start() {
    expire_after_patience();
    parser_.header_limit(longest_head);
    // What passes is not kept. Boost 1.74 takes no limit at all for one of nothing.
    parser_.body_limit(std::numeric_limits<std::uint64_t>::max());
    http::async_read_header(machine_, received_, parser_, [self = shared_from_this()](error_code error, std::size_t) {
      self->guarded([&] { self->on_head(error); });
    });
  }

  /// Whether it is to end: nothing passes any more, or not for this machine.
  [[nodiscard]] bool is_over(Time now) const {
    if (passing_ && now - last_ > proxy_.rules_.limits.idle) return true;
    const auto current = proxy_.rules_.sources->name_client(address_);
    if (!current || current->client != who_.client) return true;
    return passing_ && !allows(current->rights.http, request_.target);
  }

  void close() {
    if (std::exchange(closed_, true)) return;
    timer_.cancel();
    error_code ignored;
    machine_.close(ignored);
    server_.close(ignored);
    proxy_.open_.erase(shared_from_this());
  }

 private:
  /// One way, a piece at a time.
  struct Way {
    tcp::socket& from;
    tcp::socket& to;
    std::vector<char> buffer = {};
    bool ended = false;
  };

  template <class Work>
  void guarded(Work work) {
    if (closed_) return;
    try {
      work();
    } catch (const std::exception& problem) {
      proxy_.logger_.error(problem.what());
      close();
    }
  }

  void expire_after_patience() {
    expire_after(proxy_.rules_.limits.patience, [this] { close(); });
  }

  template <class Late>
  void expire_after(Time::duration patience, Late late) {
    timer_.expires_after(patience);
    timer_.async_wait([self = shared_from_this(), late](error_code error) {
      // It can have been set again since this call was due.
      if (!error && self->timer_.expiry() <= Time::clock::now()) late();
    });
  }

  void on_head(error_code error) {
    if (error == http::error::header_limit) return answer({431, "size", "the head of the request is too long", {}});
    if (error == http::error::end_of_stream || error == asio::error::operation_aborted) return close();
    if (error) return answer({400, "request", "this is not a request of HTTP", {}});
    auto& head = parser_.get();
    if (!is_framed_in_one_way(head)) {
      return answer({400, "request", "the request's length can be read in two ways", {}});
    }
    std::vector<std::string> hosts;
    const auto [first, last] = head.equal_range(http::field::host);
    for (auto host = first; host != last; ++host) hosts.emplace_back(view(host->value()));
    auto read = read_http_request(view(head.method_string()), view(head.target()), hosts);
    if (const auto* refusal = std::get_if<Refusal>(&read)) return answer(*refusal);
    request_ = std::get<HttpRequest>(std::move(read));
    if (!allows(who_.rights.http, request_.target)) {
      return answer({403,
                     "allow-http",
                     fmt::format("'{}:{}' is not on the machine's list", request_.target.name, request_.target.port),
                     {}});
    }
    if (request_.tunnel && !parser_.is_done()) {
      return answer({400, "request", "a request with CONNECT has no body", {}});
    }
    // The question can outlive the proxy.
    proxy_.rules_.find_addresses(
        request_.target.name,
        [weak = weak_from_this()](Lookups::Outcome outcome, const std::vector<Lookups::Address>& found) {
          const auto self = weak.lock();
          if (self) self->guarded([&] { self->on_addresses(outcome, found); });
        });
  }

  void on_addresses(Lookups::Outcome outcome, const std::vector<Lookups::Address>& found) {
    if (outcome != Lookups::Outcome::Found || found.empty()) {
      return answer({502, "lookup", fmt::format("the gateway finds no address of '{}'", request_.target.name), {}});
    }
    const auto admitted = proxy_.rules_.admitted(found);
    if (admitted.empty()) {
      return answer({403,
                     "private",
                     fmt::format("'{}' is {} here, and a name stands for public addresses only", request_.target.name,
                                 found.front().address.to_string()),
                     {}});
    }
    const auto tried = std::min(admitted.size(), most_tried);
    addresses_.assign(admitted.rend() - static_cast<std::ptrdiff_t>(tried), admitted.rend());
    connect_until_ = Time::clock::now() + proxy_.rules_.limits.patience;
    connect();
  }

  void connect() {
    if (addresses_.empty()) {
      return answer({502, "unreachable", fmt::format("the gateway cannot reach '{}'", request_.target.name), {}});
    }
    // One that is silent leaves the others their time.
    const auto left = connect_until_ - Time::clock::now();
    expire_after(left / static_cast<Time::rep>(addresses_.size()), [this] {
      error_code ignored;
      server_.close(ignored);
    });
    const auto address = addresses_.back();
    addresses_.pop_back();
    error_code ignored;
    server_.close(ignored);
    server_.async_connect({asio::ip::address_v4{address.bits()}, request_.target.port},
                          [self = shared_from_this()](error_code error) {
                            self->guarded([&] {
                              if (error) return self->connect();
                              self->on_connected();
                            });
                          });
  }

  void on_connected() {
    keep_alive(server_);
    expire_after_patience();
    if (!request_.tunnel) return pass_request();
    write_all(machine_, "HTTP/1.1 200 Connection established\r\n\r\n", [this] { begin_tunnel(); });
  }

  /// The client can have sent its hello with the request.
  void begin_tunnel() {
    const auto early = received_.data();
    hello_.assign(static_cast<const char*>(early.data()), early.size());
    received_.consume(received_.size());
    read_hello();
  }

  void read_hello() {
    hello_bytes_read_ += hello_.size();
    if (hello_bytes_read_ > most_hello_bytes_read) {
      note({0, "tls", fmt::format("the TLS hello to '{}' comes in too many pieces", request_.target.name), {}});
      return close();
    }
    const auto hello = read_tls_hello(hello_);
    switch (hello.state) {
      case TlsHello::State::Partial: break;
      case TlsHello::State::Unfit:
        note({0, "tls", fmt::format("what follows CONNECT to '{}' is not TLS", request_.target.name), {}});
        return close();
      case TlsHello::State::Whole:
        if (hello.server_name != request_.target.name) {
          note({0,
                "sni",
                fmt::format("the tunnel is to '{}', and its TLS asks for '{}'", request_.target.name,
                            hello.server_name.substr(0, 256)),
                {}});
          return close();
        }
        return write_all(server_, std::exchange(hello_, {}), [this] { pass_both_ways(); });
    }
    machine_.async_read_some(asio::buffer(rest_), [self = shared_from_this()](error_code error, std::size_t bytes) {
      self->guarded([&] {
        if (error) return self->close();
        self->hello_.append(self->rest_.data(), bytes);
        self->read_hello();
      });
    });
  }

  using Pieces = std::array<asio::const_buffer, 4>;

  /// Every write is this one: what Asio makes of it takes seconds to compile.
  void write(tcp::socket& to, const Pieces& pieces, std::function<void(error_code)> then) {
    asio::async_write(to, pieces, [self = shared_from_this(), then = std::move(then)](error_code error, std::size_t) {
      self->guarded([&] { then(error); });
    });
  }

  void write_all(tcp::socket& to, std::string text, std::function<void()> next) {
    writing_ = std::move(text);
    write(to, {asio::buffer(std::as_const(writing_))}, [this, next = std::move(next)](error_code error) {
      if (error) return close();
      next();
    });
  }

  /// The head as the server gets it, then the body to its end and nothing after it: that would be another request.
  void pass_request() {
    auto& head = parser_.get();
    remove_hop_fields(head);
    head.target(request_.path);
    const auto& [name, port] = request_.target;
    head.set(http::field::host, port == 80 ? name : fmt::format("{}:{}", name, port));
    head.set(http::field::connection, "close");
    write_all(server_, text_of(parser_.get().base()), [this] {
      begin_passing();
      pass(from_server_);
      read_body();
    });
  }

  void read_body() {
    if (parser_.is_done()) return;
    auto& body = parser_.get().body();
    body.data = from_machine_.buffer.data();
    body.size = from_machine_.buffer.size();
    http::async_read_some(machine_, received_, parser_, [self = shared_from_this()](error_code error, std::size_t) {
      self->guarded([&] {
        if (error && error != http::error::need_buffer) return self->close();
        self->write_body();
      });
    });
  }

  void write_body() {
    auto& body = parser_.get().body();
    const auto bytes = from_machine_.buffer.size() - body.size;
    last_ = std::chrono::steady_clock::now();
    if (bytes == 0 && !parser_.is_done()) return read_body();
    Pieces pieces{asio::const_buffer{}, asio::buffer(std::as_const(from_machine_.buffer), bytes)};
    if (parser_.chunked() && bytes != 0) {
      chunk_head_ = chunk_head(bytes);
      pieces[0] = asio::buffer(std::as_const(chunk_head_));
      pieces[2] = asio::buffer(chunk_end);
    }
    if (parser_.chunked() && parser_.is_done()) pieces[3] = asio::buffer(last_chunk);
    write(server_, pieces, [this](error_code error) {
      // A server that takes no more can have answered already.
      if (error) return drain();
      read_body();
    });
  }

  void begin_passing() {
    timer_.cancel();
    passing_ = true;
    // Beast reads as much at once as there is room for.
    received_.reserve(piece_bytes);
    for (auto* way : {&from_machine_, &from_server_}) way->buffer.resize(piece_bytes);
    last_ = std::chrono::steady_clock::now();
  }

  void pass_both_ways() {
    begin_passing();
    pass(from_machine_);
    pass(from_server_);
  }

  void pass(Way& way) {
    way.from.async_read_some(asio::buffer(way.buffer),
                             [self = shared_from_this(), &way](error_code error, std::size_t bytes) {
                               self->guarded([&] {
                                 // A server that has not read the whole request ends by a reset.
                                 if (error == asio::error::eof || (error && !self->request_.tunnel)) {
                                   return self->end(way);
                                 }
                                 if (error) return self->close();
                                 self->last_ = std::chrono::steady_clock::now();
                                 self->write(way.to, {asio::buffer(std::as_const(way.buffer), bytes)},
                                             [self = self.get(), &way](error_code problem) {
                                               if (problem) return self->close();
                                               self->pass(way);
                                             });
                               });
                             });
  }

  /// One side has said all; of a request's server that is the end.
  void end(Way& way) {
    way.ended = true;
    error_code ignored;
    way.to.shutdown(tcp::socket::shutdown_send, ignored);
    if (request_.tunnel) {
      if (from_machine_.ended && from_server_.ended) close();
      return;
    }
    expire_after_patience();
    // What is left of the body is not passed on, but read.
    server_.close(ignored);
    if (parser_.is_done()) drain();
  }

  void note(const Refusal& refusal) {
    ++proxy_.counts_.refused;
    const auto& [name, port] = request_.target;
    proxy_.refusals_.add(
        who_.client,
        {.by = RefusedBy::Proxy, .port = port, .name = name, .rule = refusal.rule, .reason = refusal.reason});
  }

  /// Says why not, and ends.
  void answer(const Refusal& refusal) {
    if (refusal.status >= 500) {
      ++proxy_.counts_.errors;
    } else {
      note(refusal);
    }
    expire_after_patience();
    http::response<http::string_body> response{static_cast<http::status>(refusal.status), 11};
    response.set(http::field::server, "fireclaw-gateway");
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    response.keep_alive(false);
    response.body() = fmt::format("fireclaw: {}\n", refusal.reason);
    response.prepare_payload();
    write_all(machine_, text_of(response.base()) + response.body(), [this] {
      error_code ignored;
      machine_.shutdown(tcp::socket::shutdown_send, ignored);
      drain();
    });
  }

  /// A connection that is closed while there is something to read is cut, and the answer may be lost with it.
  void drain() {
    if (!std::exchange(draining_, true)) read_rest();
  }

  void read_rest() {
    machine_.async_read_some(asio::buffer(rest_), [self = shared_from_this()](error_code error, std::size_t) {
      self->guarded([&] {
        if (error) return self->close();
        self->read_rest();
      });
    });
  }

  HttpProxy& proxy_;
  NameClient who_;
  std::string address_;
  tcp::socket machine_;
  tcp::socket server_;
  /// What is not done by then is given up.
  asio::steady_timer timer_;
  beast::flat_buffer received_{longest_head + piece_bytes};
  http::request_parser<http::buffer_body> parser_;

  HttpRequest request_;
  /// Those to try, the next one last.
  std::vector<net::Ipv4Address> addresses_;
  Time connect_until_;
  std::string hello_;
  std::size_t hello_bytes_read_ = 0;
  std::string writing_;
  std::string chunk_head_;
  std::array<char, 4096> rest_;
  Way from_machine_{machine_, server_};
  Way from_server_{server_, machine_};
  bool passing_ = false;
  bool draining_ = false;
  bool closed_ = false;
  /// When something passed.
  Time last_;
};

HttpProxy::HttpProxy(HttpRules rules, Refusals& refusals, const Logger& logger)
    : rules_{std::move(rules)}, refusals_{refusals}, logger_{logger} {}
HttpProxy::~HttpProxy() = default;

void HttpProxy::take(tcp::socket machine, const std::string& address) {
  const auto refuse = [&](std::string_view status, std::string_view reason) {
    ++counts_.refused;
    turn_away(std::move(machine),
              fmt::format("HTTP/1.1 {}\r\nConnection: close\r\n\r\nfireclaw: {}\n", status, reason));
  };
  auto who = rules_.sources->name_client(address);
  if (!who) {
    if (pace_.admit(address)) logger_.info(fmt::format("refused {} (proxy): it is not a machine's address", address));
    return refuse("403 Forbidden", "the gateway serves only machines of its network");
  }
  const auto use = uses_.find(address);
  const auto held = use == uses_.end() ? 0 : use->second;
  if (held >= rules_.limits.machine_connections || open_.size() >= rules_.limits.connections) {
    refusals_.add(who->client, {.by = RefusedBy::Proxy, .rule = "connections", .reason = "too many at once"});
    return refuse("503 Service Unavailable", "too many connections at once");
  }
  ++counts_.connections;
  const auto connection = std::make_shared<HttpConnection>(*this, std::move(machine), *std::move(who), address);
  open_.insert(connection);
  connection->start();
}

void HttpProxy::check() {
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<HttpConnection>> over;
  std::ranges::copy_if(open_, std::back_inserter(over), [&](const auto& each) { return each->is_over(now); });
  for (const auto& each : over) each->close();
}

void HttpProxy::close() {
  while (!open_.empty()) (*open_.begin())->close();
}

GatewayHttp HttpProxy::counts() const {
  auto counts = counts_;
  counts.open = open_.size();
  return counts;
}

}  // namespace fireclaw::gateway
