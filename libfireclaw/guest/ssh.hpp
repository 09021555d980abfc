#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/deadline.hpp"
#include "fireclaw/exec.hpp"
#include "sys/fd.hpp"

namespace fireclaw::guest {

/// How to log in to a guest by SSH.
struct SshLogin {
  std::string user;
  /// The private key's file; the public one is beside it with ".pub" behind its name. ed25519.
  std::filesystem::path key;
  /// The host key to expect, as in known_hosts: "ssh-ed25519 AAAA..." (a comment may follow). Empty: any key is
  /// accepted, for the caller to keep (see SshSession::host_key).
  std::string host_key;
};

/// A connection to a guest's SSH server, which needs a network but not guestd. Owns the stream. One command at a time,
/// from one thread at a time, except resize().
class SshSession {
 public:
  /// Takes over a connected stream socket and logs in. Error(PermissionDenied) if the host key is another than
  /// expected or the key is not accepted; Error(Timeout); Error(Guest) if the other side does not speak SSH.
  static SshSession open(sys::Fd stream, const SshLogin& login, Deadline deadline, const std::stop_token& stop = {});

  SshSession(SshSession&&) noexcept;
  SshSession& operator=(SshSession&&) noexcept;
  ~SshSession();

  /// The host key that was met, as in known_hosts.
  [[nodiscard]] const std::string& host_key() const;

  /// Runs a command and waits for its end. As ExecOptions says, with these differences: the server starts it through
  /// the user's login shell; `user` must be empty or the one logged in as; a timeout or stop closes the connection, on
  /// which the server ends the command, and the session is over.
  ExecResult exec(const ExecOptions& options);
  /// The user's login shell, with a terminal if `options.tty`.
  ExecResult shell(const ExecOptions& options);
  /// Tells the command that runs of its terminal's new size. Safe from any thread.
  void resize(WindowSize size);
  /// One small file, whole: written beside and renamed over `path`.
  void write_file(const std::string& path, std::string_view content, unsigned mode, Deadline deadline);

  struct Impl;

 private:
  explicit SshSession(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// `text` as one word of a POSIX shell.
std::string shell_quote(std::string_view text);
/// The shell line that does what `options` say: folder, environment, program and arguments.
std::string to_shell_line(const ExecOptions& options);

}  // namespace fireclaw::guest
