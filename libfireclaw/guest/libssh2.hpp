#pragma once

#include <libssh2.h>

#include "sys/dynamic_library.hpp"

namespace fireclaw::guest {

/// libssh2's functions, looked up when first needed: it brings a whole cryptographic library along, which most programs
/// that link fireclaw never use.
struct Ssh2Library {
  sys::DynamicLibrary library{{"libssh2.so.1"}, "libssh2-1"};
  decltype(&libssh2_init) init = library.find("libssh2_init");
  decltype(&libssh2_session_init_ex) session_init = library.find("libssh2_session_init_ex");
  decltype(&libssh2_session_set_blocking) session_set_blocking = library.find("libssh2_session_set_blocking");
  decltype(&libssh2_session_handshake) session_handshake = library.find("libssh2_session_handshake");
  decltype(&libssh2_session_method_pref) session_method_pref = library.find("libssh2_session_method_pref");
  decltype(&libssh2_session_hostkey) session_hostkey = library.find("libssh2_session_hostkey");
  decltype(&libssh2_session_last_error) session_last_error = library.find("libssh2_session_last_error");
  decltype(&libssh2_session_block_directions) session_block_directions =
      library.find("libssh2_session_block_directions");
  decltype(&libssh2_session_disconnect_ex) session_disconnect = library.find("libssh2_session_disconnect_ex");
  decltype(&libssh2_session_free) session_free = library.find("libssh2_session_free");
  decltype(&libssh2_free) free = library.find("libssh2_free");
  decltype(&libssh2_userauth_publickey_fromfile_ex) userauth_publickey_fromfile =
      library.find("libssh2_userauth_publickey_fromfile_ex");
  decltype(&libssh2_channel_open_ex) channel_open = library.find("libssh2_channel_open_ex");
  decltype(&libssh2_channel_process_startup) channel_process_startup = library.find("libssh2_channel_process_startup");
  decltype(&libssh2_channel_request_pty_ex) channel_request_pty = library.find("libssh2_channel_request_pty_ex");
  decltype(&libssh2_channel_request_pty_size_ex) channel_request_pty_size =
      library.find("libssh2_channel_request_pty_size_ex");
  decltype(&libssh2_channel_read_ex) channel_read = library.find("libssh2_channel_read_ex");
  decltype(&libssh2_channel_write_ex) channel_write = library.find("libssh2_channel_write_ex");
  decltype(&libssh2_channel_send_eof) channel_send_eof = library.find("libssh2_channel_send_eof");
  decltype(&libssh2_channel_eof) channel_eof = library.find("libssh2_channel_eof");
  decltype(&libssh2_channel_close) channel_close = library.find("libssh2_channel_close");
  decltype(&libssh2_channel_wait_closed) channel_wait_closed = library.find("libssh2_channel_wait_closed");
  decltype(&libssh2_channel_get_exit_status) channel_get_exit_status = library.find("libssh2_channel_get_exit_status");
  decltype(&libssh2_channel_get_exit_signal) channel_get_exit_signal = library.find("libssh2_channel_get_exit_signal");
  decltype(&libssh2_channel_free) channel_free = library.find("libssh2_channel_free");

  /// Loads it on the first call. Error(Unsupported), naming the package, if it is not there. Safe from any thread.
  static const Ssh2Library& get();
};

}  // namespace fireclaw::guest
