#include "connection.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace fireclaw::guestd {
namespace {

constexpr std::size_t read_bytes = std::size_t{64} << 10;
/// Answers queue up if the host asks and does not listen; past this it is not listened to either.
constexpr std::size_t answers_limit = std::size_t{1} << 20;

}  // namespace

Connection::Connection(Machine& machine, Loop& loop, OwnedFd fd, Kind kind)
    : loop_{loop}, fd_{std::move(fd)}, kind_{kind}, session_{machine, loop} {
  fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  closed_ = !loop_.watch(fd_.get(), *this);
}

Connection::~Connection() { loop_.unwatch(fd_.get(), *this); }

void Connection::ready(std::uint32_t) { readable_ = writable_ = true; }

void Connection::hang_up() {
  session_.end();
  host_known_ = false;
  if (kind_ == Kind::Socket) closed_ = true;
}

bool Connection::read_some() {
  if (!readable_ || closed_ || session_.output().view().size() > answers_limit) return false;
  char* room = session_.input().reserve(read_bytes);
  const ssize_t got = read(fd_.get(), room, read_bytes);
  if (got > 0) {
    session_.input().commit(static_cast<std::size_t>(got));
    session_.received();
    return true;
  }
  if (got < 0 && errno == EINTR) return true;
  readable_ = false;
  if (got < 0 && errno == EAGAIN) {
    host_known_ = true;
  } else if (got < 0 || kind_ == Kind::Socket || host_known_) {
    hang_up();
  }
  return false;
}

bool Connection::write_some() {
  const std::string_view bytes = session_.output().view();
  if (!writable_ || closed_ || bytes.empty()) return false;
  const ssize_t written = write(fd_.get(), bytes.data(), bytes.size());
  if (written > 0) {
    session_.output().consume(static_cast<std::size_t>(written));
    host_known_ = true;
    return true;
  }
  if (written < 0 && errno == EINTR) return true;
  writable_ = false;
  if (written < 0 && errno != EAGAIN) hang_up();
  return false;
}

void Connection::service() {
  for (bool moved = true; moved && !closed_;) {
    moved = read_some();
    session_.pump();
    if (write_some()) moved = true;
  }
}

}  // namespace fireclaw::guestd
