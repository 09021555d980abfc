#include "guest/libssh2.hpp"

#include "fireclaw/error.hpp"

namespace fireclaw::guest {
namespace {

Ssh2Library load() {
  Ssh2Library ssh;
  if (const int status = ssh.init(0); status != 0) throw Error{ErrorCode::Internal, "cannot initialise libssh2"};
  return ssh;
}

}  // namespace

const Ssh2Library& Ssh2Library::get() {
  static const Ssh2Library library = load();
  return library;
}

}  // namespace fireclaw::guest
