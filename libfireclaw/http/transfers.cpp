#include "http/transfers.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "http/multi_loop.hpp"

namespace fireclaw::http {
namespace {

/// What libcurl reads at once. Each transfer has a buffer of this size.
constexpr long buffer_bytes = 64 * 1024;
constexpr long most_idle_connections = 64;
constexpr std::size_t longest_head = 64 * 1024;

bool on_loopback(std::string_view url) {
  const auto host = url.substr(url.find("://") + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

}  // namespace

struct Transfers::Impl {
  struct Transfer {
    Impl* owner = nullptr;
    Id id = 0;
    Handler* handler = nullptr;
    std::string body;
    List headers;
    Easy easy;
    int status = 0;
    std::size_t head_bytes = 0;
    std::map<std::string, std::string> received;
    char error[CURL_ERROR_SIZE] = {};
  };

  Impl();

  void collect();

  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* user) noexcept;
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* user) noexcept;

  const CurlLibrary& curl = CurlLibrary::get();
  MultiLoop multi;
  std::map<Id, std::unique_ptr<Transfer>> transfers;
  Id next = 1;
};

Transfers::Impl::Impl() { curl.multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, most_idle_connections); }

std::size_t Transfers::Impl::on_header(char* bytes, std::size_t size, std::size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line{bytes, size * count};
  try {
    transfer.head_bytes += line.size();
    if (transfer.head_bytes > longest_head) return 0;
    if (line.starts_with("HTTP/")) {
      // Also behind an informational answer.
      transfer.received.clear();
      transfer.status = 0;
      return line.size();
    }
    if (line == "\r\n" || line == "\n") {
      long status = 0;
      transfer.owner->curl.easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
      transfer.status = static_cast<int>(status);
      if (status >= 200) transfer.handler->on_head(transfer.status, transfer.received);
      return line.size();
    }
    if (const auto colon = line.find(':'); colon != std::string_view::npos && transfer.status == 0) {
      const auto name = to_lower(line.substr(0, colon));
      auto value = line.substr(colon + 1);
      const auto first = value.find_first_not_of(" \t");
      value = first == std::string_view::npos ? std::string_view{} : value.substr(first);
      while (!value.empty() && (value.back() == '\n' || value.back() == '\r' || value.back() == ' ')) {
        value.remove_suffix(1);
      }
      transfer.received.insert_or_assign(std::move(name), std::string{value});
    }
    return line.size();
  } catch (...) {
    return 0;
  }
}

std::size_t Transfers::Impl::on_body(char* bytes, std::size_t size, std::size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  // A head that is cut off has no end, and libcurl takes what follows for a body.
  if (transfer.status == 0) return 0;
  try {
    return transfer.handler->on_body({bytes, size * count}) ? size * count : CURL_WRITEFUNC_PAUSE;
  } catch (...) {
    return 0;
  }
}

void Transfers::Impl::collect() {
  int queued = 0;
  while (const CURLMsg* message = curl.multi_info_read(multi.get(), &queued)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    const auto found = std::ranges::find_if(
        transfers, [&](const auto& entry) { return entry.second->easy.get() == message->easy_handle; });
    if (found == transfers.end()) continue;
    curl.multi_remove_handle(multi.get(), message->easy_handle);
    const auto transfer = std::move(found->second);
    transfers.erase(found);
    End end;
    if (code != CURLE_OK) {
      end = {failure_of(code), transfer->error[0] != '\0' ? transfer->error : curl.easy_strerror(code)};
    } else if (transfer->status == 0) {
      end = {Failure::BrokenOff, "the head of the answer is cut off"};
    }
    transfer->handler->on_end(end);
  }
}

Transfers::Transfers() : impl_{std::make_unique<Impl>()} {}

Transfers::~Transfers() {
  for (const auto& [id, transfer] : impl_->transfers) {
    impl_->curl.multi_remove_handle(impl_->multi.get(), transfer->easy.get());
  }
}

int Transfers::fd() const noexcept { return impl_->multi.fd(); }

void Transfers::run() {
  impl_->multi.run();
  impl_->collect();
}

Transfers::Id Transfers::start(Request request, Handler& handler) {
  auto& impl = *impl_;
  auto transfer = std::make_unique<Impl::Transfer>();
  transfer->owner = &impl;
  transfer->id = impl.next++;
  transfer->handler = &handler;
  transfer->easy.reset(impl.curl.easy_init());
  if (!transfer->easy) throw std::bad_alloc{};
  const auto set = [&](CURLoption option, auto value) {
    const CURLcode code = impl.curl.easy_setopt(transfer->easy.get(), option, value);
    if (code != CURLE_OK) {
      throw Error{ErrorCode::Internal, fmt::format("libcurl: {}", impl.curl.easy_strerror(code))};
    }
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, &transfer->error[0]);
  set(CURLOPT_BUFFERSIZE, buffer_bytes);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::chrono::milliseconds{request.connect_limit}.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.idle_limit.count()));
  // Proxies that the environment names are for what is elsewhere.
  if (on_loopback(request.url)) set(CURLOPT_PROXY, "");
  if (!request.ca_file.empty()) set(CURLOPT_CAINFO, request.ca_file.c_str());
  for (const auto& header : request.headers) append(transfer->headers, header);
  // An empty value keeps the header out: nobody should wait for "100 Continue".
  append(transfer->headers, "Expect:");
  set(CURLOPT_HTTPHEADER, transfer->headers.get());
  if (request.body) {
    transfer->body = std::move(*request.body);
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer->body.size()));
    set(CURLOPT_POSTFIELDS, transfer->body.c_str());
  }
  set(CURLOPT_HEADERFUNCTION, &Impl::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(transfer.get()));
  set(CURLOPT_WRITEFUNCTION, &Impl::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(transfer.get()));
  if (const CURLMcode code = impl.curl.multi_add_handle(impl.multi.get(), transfer->easy.get()); code != CURLM_OK) {
    throw Error{ErrorCode::Internal, fmt::format("libcurl: {}", impl.curl.multi_strerror(code))};
  }
  const auto id = transfer->id;
  impl.transfers.emplace(id, std::move(transfer));
  return id;
}

void Transfers::resume(Id id) {
  const auto found = impl_->transfers.find(id);
  if (found == impl_->transfers.end()) return;
  impl_->curl.easy_pause(found->second->easy.get(), CURLPAUSE_CONT);
}

void Transfers::cancel(Id id) {
  const auto found = impl_->transfers.find(id);
  if (found == impl_->transfers.end()) return;
  impl_->curl.multi_remove_handle(impl_->multi.get(), found->second->easy.get());
  impl_->transfers.erase(found);
}

}  // namespace fireclaw::http
