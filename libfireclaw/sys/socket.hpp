#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <stop_token>
#include <string>
#include <utility>

#include "base/deadline.hpp"
#include "sys/fd.hpp"

namespace fireclaw::sys {

/// A listening Unix stream socket at `path` (close-on-exec, mode 0600). Paths of any length work: the bind goes
/// through the folder's descriptor. An existing file there: Error(AlreadyExists).
Fd unix_listen(const std::filesystem::path& path, int backlog = 16);
/// Whether a symbolic link in the place of a socket is followed. In a folder that others write, it leads where they
/// want.
enum class Links { Follow, Refuse };
/// What happens while more clients wait than the server's queue holds: this one waits too, without a limit, or
/// Error(Io).
enum class FullQueue { Wait, Refuse };
/// Connects. Error(NotFound) if there is no socket file, Error(Io) "connection refused" if nobody listens,
/// Error(InvalidState) for a link that is refused. With FullQueue::Refuse the socket does not block.
Fd unix_connect(const std::filesystem::path& path, Links links = Links::Follow, FullQueue queue = FullQueue::Wait);
/// Waits for a client until `deadline`.
Fd unix_accept(int listener, Deadline deadline, const std::stop_token& stop = {});
/// Connects to an IPv4 address ("172.16.0.2"). Error(InvalidArgument) if it is none, Error(Timeout), Error(Io) naming
/// what the other side said.
Fd tcp_connect(const std::string& address, std::uint16_t port, Deadline deadline, const std::stop_token& stop = {});
/// A connected pair of Unix stream sockets.
std::pair<Fd, Fd> socket_pair();
/// Sends `bytes` together with descriptor `fd` (SCM_RIGHTS).
void send_with_fd(int socket, std::span<const std::byte> bytes, int fd);

}  // namespace fireclaw::sys
