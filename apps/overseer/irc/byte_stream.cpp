#include "irc/byte_stream.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::overseer {
namespace {

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(int fd) : fd_{fd} {}

  std::optional<short> handshake() override { return std::nullopt; }

  std::optional<std::size_t> read(char* buffer, std::size_t size) override {
    return check(::recv(fd_, buffer, size, 0));
  }

  std::optional<std::size_t> write(std::string_view bytes) override {
    return check(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }

  [[nodiscard]] bool holds_more() const override { return false; }

 private:
  static std::optional<std::size_t> check(ssize_t result) {
    if (result >= 0) return static_cast<std::size_t>(result);
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return std::nullopt;
    throw Error{ErrorCode::Io, fmt::format("connection lost: {}", std::strerror(errno))};
  }

  int fd_;
};

}  // namespace

std::unique_ptr<ByteStream> plain_stream(int fd) { return std::make_unique<PlainStream>(fd); }

}  // namespace fireclaw::overseer
