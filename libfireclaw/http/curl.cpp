#include "http/curl.hpp"

#include <fmt/format.h>

#include <system_error>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "sys/poll.hpp"

namespace fireclaw::http {

namespace {

/// Longest single wait; the loop around it continues.
constexpr int longest_wait_ms = 60'000;

CurlLibrary load() {
  CurlLibrary curl;
  if (const CURLcode code = curl.global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK) {
    throw Error{ErrorCode::Internal, fmt::format("cannot initialise libcurl: {}", curl.easy_strerror(code))};
  }
  return curl;
}

void require_multi(CURLMcode code) {
  if (code == CURLM_OK) return;
  throw Error{ErrorCode::Internal, fmt::format("libcurl: {}", CurlLibrary::get().multi_strerror(code))};
}

}  // namespace

const CurlLibrary& CurlLibrary::get() {
  static const CurlLibrary library = load();
  return library;
}

void append(List& list, const std::string& line) {
  curl_slist* longer = CurlLibrary::get().slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc{};
  (void)list.release();
  list.reset(longer);
}

Transfer::Transfer() : multi_{CurlLibrary::get().multi_init()}, easy_{CurlLibrary::get().easy_init()} {
  if (!multi_ || !easy_) throw std::bad_alloc{};
  set(CURLOPT_ERRORBUFFER, &error_[0]);
  set(CURLOPT_NOSIGNAL, 1L);
}

void Transfer::require(CURLcode code) {
  if (code == CURLE_OK) return;
  throw Error{ErrorCode::Internal, fmt::format("libcurl: {}", CurlLibrary::get().easy_strerror(code))};
}

CURLcode Transfer::run(Deadline deadline, const std::stop_token& stop, std::string_view what) {
  const CurlLibrary& curl = CurlLibrary::get();
  sys::StopFd stop_fd{stop};
  error_[0] = '\0';
  require_multi(curl.multi_add_handle(multi_.get(), easy_.get()));
  const ScopeGuard remove{[&] { curl.multi_remove_handle(multi_.get(), easy_.get()); }};
  for (;;) {
    int running = 0;
    require_multi(curl.multi_perform(multi_.get(), &running));
    if (running == 0) break;
    if (stop_fd.requested()) throw Error{ErrorCode::Cancelled, fmt::format("{} cancelled", what)};
    if (deadline.passed()) throw Error{ErrorCode::Timeout, fmt::format("{} timed out", what)};
    const int left = deadline.poll_timeout_ms();
    curl_waitfd extra{stop_fd.fd(), CURL_WAIT_POLLIN, 0};
    const unsigned extra_count = stop_fd.fd() < 0 ? 0 : 1;
    require_multi(curl.multi_poll(multi_.get(), &extra, extra_count,
                                  left < 0 || left > longest_wait_ms ? longest_wait_ms : left, nullptr));
  }
  int queued = 0;
  while (const CURLMsg* message = curl.multi_info_read(multi_.get(), &queued)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  throw Error{ErrorCode::Internal, fmt::format("{}: libcurl ended without a result", what)};
}

int Transfer::status() const {
  long code = 0;
  CurlLibrary::get().easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &code);
  return static_cast<int>(code);
}

long Transfer::os_errno() const {
  long number = 0;
  CurlLibrary::get().easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &number);
  return number;
}

std::string Transfer::describe(CURLcode code) const {
  std::string text = error_[0] != '\0' ? error_ : CurlLibrary::get().easy_strerror(code);
  if (code == CURLE_COULDNT_CONNECT && os_errno() != 0) {
    text = std::generic_category().message(static_cast<int>(os_errno()));
  }
  return text;
}

}  // namespace fireclaw::http
