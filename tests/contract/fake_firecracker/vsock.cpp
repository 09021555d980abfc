#include "vsock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace fake {

namespace {

constexpr unsigned guest_port = 1024;
/// Of a guest that has ended its machine; guestd has the same.
constexpr int reboot_status = 7;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw ENAMETOOLONG;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// Sends back each line. Ends with the stream, or at "reboot" as a guest does that reboots.
[[noreturn]] void echo(int stream) {
  std::string line;
  for (char c = 0; ::read(stream, &c, 1) == 1;) {
    line += c;
    if (c != '\n') continue;
    if (line == "reboot\n") ::_exit(reboot_status);
    for (std::size_t sent = 0; sent < line.size();) {
      const auto got = ::write(stream, line.data() + sent, line.size() - sent);
      if (got <= 0) ::_exit(0);
      sent += static_cast<std::size_t>(got);
    }
    line.clear();
  }
  ::_exit(0);
}

}  // namespace

Vsock::Vsock(std::string path, std::string guest_program, const std::string& guests)
    : path_{std::move(path)},
      program_{std::move(guest_program)},
      listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)} {
  const sockaddr_un address = address_of(path_);
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(listener_, 64) < 0) {
    const int error = errno;
    ::close(listener_);
    throw error;
  }
  if (guests.empty()) return;
  guests_socket_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  const sockaddr_un keeper = address_of(guests);
  if (::connect(guests_socket_, reinterpret_cast<const sockaddr*>(&keeper), sizeof keeper) < 0) throw errno;
}

Vsock::~Vsock() {
  reset();
  ::close(listener_);
  ::close(guests_socket_);
}

void Vsock::add_to(std::vector<pollfd>& polled) const {
  polled.push_back({listener_, POLLIN, 0});
  for (const Request& request : requests_) {
    if (!request.line.ends_with('\n')) polled.push_back({request.fd, POLLIN, 0});
  }
  for (const Guest& guest : guests_) polled.push_back({guest.pidfd, POLLIN, 0});
}

void Vsock::work() {
  accept_clients();
  read_requests();
  reap_guests();
}

void Vsock::accept_clients() {
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    requests_.push_back({fd, {}});
  }
}

/// A byte at a time, so that nothing of what belongs to the guest is taken.
void Vsock::read_requests() {
  std::vector<Request> kept;
  for (Request& request : requests_) {
    bool gone = false;
    char c = 0;
    while (!gone && !request.line.ends_with('\n') && request.line.size() < 32) {
      const auto got = ::recv(request.fd, &c, 1, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
      gone = got <= 0;
      if (!gone) request.line += c;
    }
    const bool whole = request.line.ends_with('\n');
    if (gone || (!whole && request.line.size() >= 32)) {
      ::close(request.fd);
    } else if (whole && flowing_) {
      answer(request);
    } else {
      kept.push_back(std::move(request));
    }
  }
  requests_ = std::move(kept);
}

void Vsock::answer(const Request& request) {
  const bool wanted = request.line == fmt::format("CONNECT {}\n", guest_port);
  if (!wanted || !listening_ || drop_next_) {
    drop_next_ = false;
    ::close(request.fd);
    return;
  }
  const std::string ok = fmt::format("OK {}\n", next_port_++);
  (void)!::write(request.fd, ok.data(), ok.size());
  start_guest(request.fd);
}

void Vsock::set_flowing(bool flowing) {
  flowing_ = flowing;
  for (const Guest& guest : guests_) ::kill(guest.pid, flowing ? SIGCONT : SIGSTOP);
  if (flowing) read_requests();
}

bool Vsock::dial(unsigned port) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(fmt::format("{}_{}", path_, port));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    ::close(fd);
    return false;
  }
  start_guest(fd);
  return true;
}

/// Takes over `stream`, and keeps it open to tell later who ended the connection.
void Vsock::start_guest(int stream) {
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) < 0) ::abort();
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    if (program_.empty()) {
      ::dup2(stream, 0);
      ::close_range(3, ~0U, 0);
      echo(0);
    }
    if (guests_socket_ >= 0) hand_over(stream);
    ::fcntl(stream, F_SETFD, 0);
    const std::string number = std::to_string(stream);
    ::execl(program_.c_str(), program_.c_str(), "--serve-fd", number.c_str(), nullptr);
    ::_exit(127);
  }
  // Until it is bound to our life and has let go of our sockets: a pause could stop it before.
  ::close(ready[1]);
  char none = 0;
  (void)!::read(ready[0], &none, 1);
  ::close(ready[0]);
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  guests_.push_back({pid, pidfd, stream});
}

/// The rest of a process that stands for a guest elsewhere, until that has ended.
void Vsock::hand_over(int stream) const {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) ::_exit(1);
  std::vector<int> fds{stream, ends[1]};
  for (const std::string& disk : disks_) {
    const int writable = ::open(disk.c_str(), O_RDWR | O_CLOEXEC);
    fds.push_back(writable >= 0 ? writable : ::open(disk.c_str(), O_RDONLY | O_CLOEXEC));
  }
  char none = 0;
  iovec data{&none, 1};
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  if (::sendmsg(guests_socket_, &message, 0) < 0) ::_exit(1);
  ::dup2(ends[0], 0);
  ::close_range(3, ~0U, 0);
  char status = 0;
  ::_exit(::read(0, &status, 1) == 1 ? status : 1);
}

void Vsock::reset() {
  for (const Guest& guest : guests_) {
    ::kill(guest.pid, SIGKILL);
    ::waitpid(guest.pid, nullptr, 0);
    ::close(guest.pidfd);
    ::close(guest.stream);
  }
  guests_.clear();
}

void Vsock::reap_guests() {
  std::erase_if(guests_, [this](const Guest& guest) {
    int status = 0;
    if (::waitpid(guest.pid, &status, WNOHANG) != guest.pid) return false;
    pollfd host{guest.stream, POLLRDHUP, 0};
    const bool host_hung_up = ::poll(&host, 1, 0) > 0;
    if (!host_hung_up || (WIFEXITED(status) && WEXITSTATUS(status) == reboot_status)) rebooted_ = true;
    ::close(guest.pidfd);
    ::close(guest.stream);
    return true;
  });
}

}  // namespace fake
