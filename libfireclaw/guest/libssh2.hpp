#pragma once

#include <libssh2.h>

namespace fireclaw::guest {

/// libssh2's functions, looked up when first needed: it brings a whole cryptographic library along, which most programs
/// that link fireclaw never use.
struct Ssh2Library {
  decltype(&libssh2_init) init;
  decltype(&libssh2_session_init_ex) session_init;
  decltype(&libssh2_session_set_blocking) session_set_blocking;
  decltype(&libssh2_session_handshake) session_handshake;
  decltype(&libssh2_session_method_pref) session_method_pref;
  decltype(&libssh2_session_hostkey) session_hostkey;
  decltype(&libssh2_session_last_error) session_last_error;
  decltype(&libssh2_session_block_directions) session_block_directions;
  decltype(&libssh2_session_disconnect_ex) session_disconnect;
  decltype(&libssh2_session_free) session_free;
  decltype(&libssh2_free) free;
  decltype(&libssh2_userauth_publickey_fromfile_ex) userauth_publickey_fromfile;
  decltype(&libssh2_channel_open_ex) channel_open;
  decltype(&libssh2_channel_process_startup) channel_process_startup;
  decltype(&libssh2_channel_request_pty_ex) channel_request_pty;
  decltype(&libssh2_channel_request_pty_size_ex) channel_request_pty_size;
  decltype(&libssh2_channel_read_ex) channel_read;
  decltype(&libssh2_channel_write_ex) channel_write;
  decltype(&libssh2_channel_send_eof) channel_send_eof;
  decltype(&libssh2_channel_eof) channel_eof;
  decltype(&libssh2_channel_close) channel_close;
  decltype(&libssh2_channel_wait_closed) channel_wait_closed;
  decltype(&libssh2_channel_get_exit_status) channel_get_exit_status;
  decltype(&libssh2_channel_get_exit_signal) channel_get_exit_signal;
  decltype(&libssh2_channel_free) channel_free;

  /// Loads it on the first call. Error(Unsupported), naming the package, if it is not there. Safe from any thread.
  static const Ssh2Library& get();
};

}  // namespace fireclaw::guest
