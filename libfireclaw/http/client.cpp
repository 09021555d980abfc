#include "http/client.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/un.h>

#include <cerrno>
#include <optional>
#include <string_view>

#include "fireclaw/error.hpp"
#include "http/curl.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::http {

namespace {

struct Body {
  std::string text;
  std::size_t limit = 0;
  bool too_long = false;
  /// Whether the empty line after the headers was seen: libcurl takes a head that is cut off for a whole one.
  bool head_ended = false;
};

std::size_t watch_head(char* bytes, std::size_t size, std::size_t count, void* user) noexcept {
  const std::string_view line{bytes, size * count};
  static_cast<Body*>(user)->head_ended = line == "\r\n" || line == "\n";
  return size * count;
}

std::size_t collect(char* bytes, std::size_t size, std::size_t count, void* user) noexcept {
  auto& body = *static_cast<Body*>(user);
  const std::size_t length = size * count;
  if (length > body.limit - body.text.size()) {
    body.too_long = true;
    return 0;
  }
  try {
    body.text.append(bytes, length);
  } catch (...) {
    return 0;
  }
  return length;
}

}  // namespace

void preload() { (void)CurlLibrary::get(); }

struct Client::Impl {
  explicit Impl(std::string server_name, std::string url) : name{std::move(server_name)}, base{std::move(url)} {
    transfer.set(CURLOPT_PROTOCOLS_STR, "http");
    transfer.set(CURLOPT_PROXY, "");
    transfer.set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    transfer.set(CURLOPT_WRITEFUNCTION, &collect);
    transfer.set(CURLOPT_HEADERFUNCTION, &watch_head);
    append(headers, "Accept: application/json");
    append(headers, "Content-Type: application/json");
    // An empty value keeps the header out: nobody should wait for "100 Continue" before a short body.
    append(headers, "Expect:");
    transfer.set(CURLOPT_HTTPHEADER, headers.get());
  }

  std::string name;
  std::string base;
  /// Of a Unix socket whose path is too long for the kernel's address structure.
  std::optional<sys::Fd> directory;
  List headers;
  Transfer transfer;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Client Client::over_unix_socket(const std::filesystem::path& socket) {
  auto impl = std::make_unique<Impl>(socket.string(), "http://localhost");
  std::string path = socket.string();
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    impl->directory.emplace(sys::open_file(socket.parent_path(), O_PATH | O_DIRECTORY));
    path = fmt::format("/proc/self/fd/{}/{}", impl->directory->get(), socket.filename().string());
  }
  impl->transfer.set(CURLOPT_UNIX_SOCKET_PATH, path.c_str());
  return Client{std::move(impl)};
}

Client Client::over_tcp(const std::string& host, std::uint16_t port) {
  const std::string address = fmt::format("{}:{}", host, port);
  return Client{std::make_unique<Impl>(address, "http://" + address)};
}

Response Client::send(const Request& request, const Limits& limits) {
  Transfer& transfer = impl_->transfer;
  const std::string what = fmt::format("{} {} at {}", request.method, request.target, impl_->name);
  const std::string url = impl_->base + request.target;
  transfer.set(CURLOPT_URL, url.c_str());
  if (request.method == "GET") {
    transfer.set(CURLOPT_HTTPGET, 1L);
    transfer.set(CURLOPT_CUSTOMREQUEST, static_cast<const char*>(nullptr));
  } else {
    transfer.set(CURLOPT_POST, 1L);
    transfer.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    transfer.set(CURLOPT_POSTFIELDS, request.body.c_str());
    transfer.set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  Body body;
  body.limit = limits.max_body_bytes;
  transfer.set(CURLOPT_WRITEDATA, &body);
  transfer.set(CURLOPT_HEADERDATA, &body);

  const CURLcode code = transfer.run(limits.deadline, limits.stop, what);
  if (code == CURLE_OK && body.head_ended) return Response{transfer.status(), std::move(body.text)};
  if (code == CURLE_OK) throw Error{ErrorCode::Io, fmt::format("{}: the answer is cut off", what)};
  if (body.too_long) {
    throw Error{ErrorCode::Io, fmt::format("{}: the answer is longer than {} bytes", what, limits.max_body_bytes)};
  }
  if (code == CURLE_COULDNT_CONNECT && transfer.os_errno() == ENOENT) {
    throw Error{ErrorCode::NotFound, fmt::format("{}: {}", what, transfer.describe(code))};
  }
  throw Error{ErrorCode::Io, fmt::format("{}: {}", what, transfer.describe(code))};
}

}  // namespace fireclaw::http
