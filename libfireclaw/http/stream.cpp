#include "http/stream.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "http/multi_loop.hpp"

namespace fireclaw::http {

struct Stream::Impl {
  Impl(Target to, Handler& for_whom);
  ~Impl() { curl.multi_remove_handle(loop.get(), easy.get()); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void finish_connecting();
  void receive();
  void flush();
  void watch();
  void end(std::optional<Failure> failure, std::string detail = {});

  static curl_socket_t open_socket(void* user, curlsocktype purpose, curl_sockaddr* address) noexcept;

  const CurlLibrary& curl = CurlLibrary::get();
  Target target;
  Handler& handler;
  char error[CURL_ERROR_SIZE] = {};
  // Each has a cache of connections to itself: one that others use too closes connections that it takes for idle.
  MultiLoop loop;
  Easy easy{curl.easy_init()};
  curl_socket_t socket = CURL_SOCKET_BAD;
  bool open = false;
  bool ended = false;
  /// What the server has sent and the handler did not take.
  std::string held;
  bool holding = false;
  std::string out;
};

Stream::Impl::Impl(Target to, Handler& for_whom) : target{std::move(to)}, handler{for_whom} {
  if (!easy) throw std::bad_alloc{};
  const auto set = [&](CURLoption option, auto value) {
    const CURLcode code = curl.easy_setopt(easy.get(), option, value);
    if (code != CURLE_OK) throw Error{ErrorCode::Internal, fmt::format("libcurl: {}", curl.easy_strerror(code))};
  };
  const bool bare_v6 = target.host.find(':') != std::string::npos;
  const auto url = fmt::format("{}://{}{}{}:{}", target.tls ? "https" : "http", bare_v6 ? "[" : "", target.host,
                               bare_v6 ? "]" : "", target.port);
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_CONNECT_ONLY, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  // A name that is still being looked up at the end is not waited for.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_ERRORBUFFER, &error[0]);
  set(CURLOPT_BUFFERSIZE, 1024L);
  set(CURLOPT_SSL_ENABLE_ALPN, 0L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::chrono::milliseconds{target.connect_limit}.count()));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, static_cast<long>(keepalive_idle.count()));
  set(CURLOPT_TCP_KEEPINTVL, static_cast<long>(keepalive_interval.count()));
  if (!target.verify) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!target.ca_file.empty()) set(CURLOPT_CAINFO, target.ca_file.c_str());
  if (target.admits) {
    set(CURLOPT_OPENSOCKETFUNCTION, &open_socket);
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  }
  if (const CURLMcode code = curl.multi_add_handle(loop.get(), easy.get()); code != CURLM_OK) {
    throw Error{ErrorCode::Internal, fmt::format("libcurl: {}", curl.multi_strerror(code))};
  }
}

curl_socket_t Stream::Impl::open_socket(void* user, curlsocktype /*purpose*/, curl_sockaddr* address) noexcept {
  try {
    if (!static_cast<Impl*>(user)->target.admits(address->addr)) return CURL_SOCKET_BAD;
  } catch (...) {
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void Stream::Impl::end(std::optional<Failure> failure, std::string detail) {
  if (std::exchange(ended, true)) return;
  if (socket != CURL_SOCKET_BAD) loop.watch(socket, 0);
  handler.on_end({failure, std::move(detail)});
}

void Stream::Impl::finish_connecting() {
  int queued = 0;
  while (const CURLMsg* message = curl.multi_info_read(loop.get(), &queued)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    if (code != CURLE_OK) return end(failure_of(code), error[0] != '\0' ? error : curl.easy_strerror(code));
    curl.easy_getinfo(easy.get(), CURLINFO_ACTIVESOCKET, &socket);
    open = true;
    loop.set_timer(-1);
    watch();
    return handler.on_open();
  }
}

void Stream::Impl::watch() {
  if (ended) return;
  loop.watch(socket,
             (holding ? 0u : static_cast<unsigned>(EPOLLIN)) | (out.empty() ? 0u : static_cast<unsigned>(EPOLLOUT)));
}

void Stream::Impl::receive() {
  while (!ended && !holding) {
    std::array<char, 16384> buffer;
    std::size_t got = 0;
    const CURLcode code = curl.easy_recv(easy.get(), buffer.data(), buffer.size(), &got);
    if (code == CURLE_AGAIN) return;
    if (code != CURLE_OK) return end(Failure::BrokenOff, curl.easy_strerror(code));
    if (got == 0) return end(std::nullopt);
    const std::string_view bytes{buffer.data(), got};
    if (handler.on_bytes(bytes)) continue;
    holding = true;
    held = bytes;
    watch();
  }
}

void Stream::Impl::flush() {
  if (ended || out.empty()) return;
  std::size_t sent = 0;
  while (sent < out.size()) {
    std::size_t now = 0;
    const CURLcode code = curl.easy_send(easy.get(), out.data() + sent, out.size() - sent, &now);
    if (code == CURLE_AGAIN) break;
    if (code != CURLE_OK) return end(Failure::BrokenOff, curl.easy_strerror(code));
    sent += now;
  }
  out.erase(0, sent);
  watch();
}

Stream::Stream(Target target, Handler& handler) : impl_{std::make_unique<Impl>(std::move(target), handler)} {}
Stream::~Stream() = default;

int Stream::fd() const noexcept { return impl_->loop.fd(); }

void Stream::run() {
  if (impl_->ended) return;
  if (!impl_->open) {
    impl_->loop.run();
    return impl_->finish_connecting();
  }
  if (!impl_->out.empty()) {
    impl_->flush();
    if (!impl_->ended && impl_->out.empty()) impl_->handler.on_sent();
  }
  impl_->receive();
}

void Stream::send(std::string_view bytes) {
  if (impl_->ended) return;
  impl_->out += bytes;
  impl_->flush();
}

std::size_t Stream::unsent() const noexcept { return impl_->out.size(); }

void Stream::resume() {
  if (!impl_->holding || impl_->ended) return;
  if (!impl_->handler.on_bytes(impl_->held)) return;
  impl_->held.clear();
  impl_->holding = false;
  impl_->watch();
  impl_->receive();
}

}  // namespace fireclaw::http
