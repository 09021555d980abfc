#pragma once

#include <curl/curl.h>

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/deadline.hpp"
#include "sys/dynamic_library.hpp"

namespace fireclaw::http {

/// libcurl's functions, looked up when first needed. Linking to libcurl would make every program that links
/// fireclaw load some thirty shared libraries at its start, which costs several milliseconds that most commands
/// have no use for.
struct CurlLibrary {
  /// The same interface in two builds (OpenSSL, GnuTLS); either will do.
  sys::DynamicLibrary library{{"libcurl.so.4", "libcurl-gnutls.so.4"}, "libcurl4"};
  decltype(&curl_global_init) global_init = library.find("curl_global_init");
  decltype(&curl_easy_init) easy_init = library.find("curl_easy_init");
  decltype(&curl_easy_setopt) easy_setopt = library.find("curl_easy_setopt");
  decltype(&curl_easy_getinfo) easy_getinfo = library.find("curl_easy_getinfo");
  decltype(&curl_easy_cleanup) easy_cleanup = library.find("curl_easy_cleanup");
  decltype(&curl_easy_send) easy_send = library.find("curl_easy_send");
  decltype(&curl_easy_recv) easy_recv = library.find("curl_easy_recv");
  decltype(&curl_easy_pause) easy_pause = library.find("curl_easy_pause");
  decltype(&curl_easy_strerror) easy_strerror = library.find("curl_easy_strerror");
  decltype(&curl_multi_init) multi_init = library.find("curl_multi_init");
  decltype(&curl_multi_setopt) multi_setopt = library.find("curl_multi_setopt");
  decltype(&curl_multi_add_handle) multi_add_handle = library.find("curl_multi_add_handle");
  decltype(&curl_multi_remove_handle) multi_remove_handle = library.find("curl_multi_remove_handle");
  decltype(&curl_multi_perform) multi_perform = library.find("curl_multi_perform");
  decltype(&curl_multi_poll) multi_poll = library.find("curl_multi_poll");
  decltype(&curl_multi_socket_action) multi_socket_action = library.find("curl_multi_socket_action");
  decltype(&curl_multi_info_read) multi_info_read = library.find("curl_multi_info_read");
  decltype(&curl_multi_cleanup) multi_cleanup = library.find("curl_multi_cleanup");
  decltype(&curl_multi_strerror) multi_strerror = library.find("curl_multi_strerror");
  decltype(&curl_slist_append) slist_append = library.find("curl_slist_append");
  decltype(&curl_slist_free_all) slist_free_all = library.find("curl_slist_free_all");

  /// Loads it on the first call. Error(Unsupported), naming the package, if it is not there. Safe from any thread.
  static const CurlLibrary& get();
};

struct EasyCleanup {
  void operator()(CURL* handle) const noexcept { CurlLibrary::get().easy_cleanup(handle); }
};
struct MultiCleanup {
  void operator()(CURLM* handle) const noexcept { CurlLibrary::get().multi_cleanup(handle); }
};
struct ListCleanup {
  void operator()(curl_slist* list) const noexcept { CurlLibrary::get().slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyCleanup>;
using Multi = std::unique_ptr<CURLM, MultiCleanup>;
using List = std::unique_ptr<curl_slist, ListCleanup>;

/// Adds a header line to `list`.
void append(List& list, const std::string& line);

/// One transfer handle on its own connection cache, driven until it is done, the deadline passes or a stop is
/// requested. Use from one thread at a time.
class Transfer {
 public:
  Transfer();
  // libcurl keeps the address of the error buffer.
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() = default;

  template <typename T>
  void set(CURLoption option, T value) {
    require(CurlLibrary::get().easy_setopt(easy_.get(), option, value));
  }
  /// Runs it to its end and returns libcurl's verdict. Error(Timeout) or Error(Cancelled), naming `what`, if it
  /// was cut short; the connection is closed then.
  CURLcode run(Deadline deadline, const std::stop_token& stop, std::string_view what);
  /// The last response's status, 0 if there was none.
  [[nodiscard]] int status() const;
  /// What went wrong, in libcurl's words, with the operating system's reason where there is one.
  [[nodiscard]] std::string describe(CURLcode code) const;
  [[nodiscard]] long os_errno() const;

 private:
  static void require(CURLcode code);

  // Destroyed in reverse order: libcurl wants the transfer gone before the cache.
  Multi multi_;
  Easy easy_;
  char error_[CURL_ERROR_SIZE] = {};
};

}  // namespace fireclaw::http
