#include "guest/libssh2.hpp"

#include "fireclaw/error.hpp"
#include "sys/dynamic_library.hpp"

namespace fireclaw::guest {
namespace {

Ssh2Library load() {
  const sys::DynamicLibrary library{{"libssh2.so.1"}, "libssh2-1"};
  Ssh2Library ssh{};
  library.find(ssh.init, "libssh2_init");
  library.find(ssh.session_init, "libssh2_session_init_ex");
  library.find(ssh.session_set_blocking, "libssh2_session_set_blocking");
  library.find(ssh.session_handshake, "libssh2_session_handshake");
  library.find(ssh.session_method_pref, "libssh2_session_method_pref");
  library.find(ssh.session_hostkey, "libssh2_session_hostkey");
  library.find(ssh.session_last_error, "libssh2_session_last_error");
  library.find(ssh.session_block_directions, "libssh2_session_block_directions");
  library.find(ssh.session_disconnect, "libssh2_session_disconnect_ex");
  library.find(ssh.session_free, "libssh2_session_free");
  library.find(ssh.free, "libssh2_free");
  library.find(ssh.userauth_publickey_fromfile, "libssh2_userauth_publickey_fromfile_ex");
  library.find(ssh.channel_open, "libssh2_channel_open_ex");
  library.find(ssh.channel_process_startup, "libssh2_channel_process_startup");
  library.find(ssh.channel_request_pty, "libssh2_channel_request_pty_ex");
  library.find(ssh.channel_request_pty_size, "libssh2_channel_request_pty_size_ex");
  library.find(ssh.channel_read, "libssh2_channel_read_ex");
  library.find(ssh.channel_write, "libssh2_channel_write_ex");
  library.find(ssh.channel_send_eof, "libssh2_channel_send_eof");
  library.find(ssh.channel_eof, "libssh2_channel_eof");
  library.find(ssh.channel_close, "libssh2_channel_close");
  library.find(ssh.channel_wait_closed, "libssh2_channel_wait_closed");
  library.find(ssh.channel_get_exit_status, "libssh2_channel_get_exit_status");
  library.find(ssh.channel_get_exit_signal, "libssh2_channel_get_exit_signal");
  library.find(ssh.channel_free, "libssh2_channel_free");
  if (const int status = ssh.init(0); status != 0) throw Error{ErrorCode::Internal, "cannot initialise libssh2"};
  return ssh;
}

}  // namespace

const Ssh2Library& Ssh2Library::get() {
  static const Ssh2Library library = load();
  return library;
}

}  // namespace fireclaw::guest
