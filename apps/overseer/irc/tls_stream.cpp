// The only file that knows GnuTLS.
#include <gnutls/gnutls.h>
#include <poll.h>

#include <type_traits>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "irc/byte_stream.hpp"

namespace fireclaw::overseer {
namespace {

struct FreeCredentials {
  void operator()(gnutls_certificate_credentials_t credentials) const {
    gnutls_certificate_free_credentials(credentials);
  }
};
using Credentials = std::unique_ptr<std::remove_pointer_t<gnutls_certificate_credentials_t>, FreeCredentials>;

struct EndSession {
  void operator()(gnutls_session_t session) const { gnutls_deinit(session); }
};
using Session = std::unique_ptr<std::remove_pointer_t<gnutls_session_t>, EndSession>;

int check(int result, const char* what) {
  if (result >= 0) return result;
  throw Error{ErrorCode::Io, fmt::format("{}: {}", what, gnutls_strerror(result))};
}

Credentials load_credentials(const TlsOptions& options) {
  gnutls_certificate_credentials_t made = nullptr;
  check(gnutls_certificate_allocate_credentials(&made), "TLS");
  Credentials credentials{made};
  if (!options.verify) return credentials;
  const int loaded = options.ca_file.empty()
                         ? gnutls_certificate_set_x509_system_trust(made)
                         : gnutls_certificate_set_x509_trust_file(made, options.ca_file.c_str(), GNUTLS_X509_FMT_PEM);
  if (loaded <= 0 && !options.ca_file.empty()) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' holds no certificates in PEM form that can be read", options.ca_file.native())};
  }
  if (loaded <= 0) {
    throw Error{ErrorCode::NotFound,
                "the system has no certificates to check the server with; install ca-certificates, or name a file "
                "with tls_ca"};
  }
  return credentials;
}

class TlsStream final : public ByteStream {
 public:
  TlsStream(int fd, const TlsOptions& options) : host_{options.host}, credentials_{load_credentials(options)} {
    gnutls_session_t made = nullptr;
    check(gnutls_init(&made, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), "TLS");
    session_.reset(made);
    // What the library's default allows, without the versions that are no longer thought safe.
    check(gnutls_set_default_priority_append(made, "-VERS-TLS1.0:-VERS-TLS1.1", nullptr, 0), "TLS");
    check(gnutls_credentials_set(made, GNUTLS_CRD_CERTIFICATE, credentials_.get()), "TLS");
    check(gnutls_server_name_set(made, GNUTLS_NAME_DNS, host_.data(), host_.size()), "TLS");
    if (options.verify) gnutls_session_set_verify_cert(made, host_.c_str(), 0);
    gnutls_transport_set_int(made, fd);
  }

  std::optional<short> handshake() override {
    const int result = gnutls_handshake(session_.get());
    if (result >= 0) return std::nullopt;
    if (gnutls_error_is_fatal(result) == 0) return gnutls_record_get_direction(session_.get()) == 0 ? POLLIN : POLLOUT;
    if (result == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) throw Error{ErrorCode::Io, why_not_trusted()};
    throw Error{ErrorCode::Io, fmt::format("TLS handshake with '{}': {}", host_, gnutls_strerror(result))};
  }

  std::optional<std::size_t> read(char* buffer, std::size_t size) override {
    const auto result = gnutls_record_recv(session_.get(), buffer, size);
    // Servers that end without a goodbye are common, and nothing of what IRC says depends on it.
    if (result == GNUTLS_E_PREMATURE_TERMINATION) return 0;
    return take(result);
  }

  std::optional<std::size_t> write(std::string_view bytes) override {
    return take(gnutls_record_send(session_.get(), bytes.data(), bytes.size()));
  }

  [[nodiscard]] bool holds_more() const override { return gnutls_record_check_pending(session_.get()) > 0; }

 private:
  static std::optional<std::size_t> take(ssize_t result) {
    if (result >= 0) return static_cast<std::size_t>(result);
    const int code = static_cast<int>(result);
    if (code == GNUTLS_E_REHANDSHAKE || gnutls_error_is_fatal(code) == 0) return std::nullopt;
    throw Error{ErrorCode::Io, fmt::format("connection lost: {}", gnutls_strerror(code))};
  }

  [[nodiscard]] std::string why_not_trusted() const {
    gnutls_datum_t text{};
    const auto status = gnutls_session_get_verify_cert_status(session_.get());
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0) {
      return fmt::format("the certificate of '{}' cannot be trusted", host_);
    }
    auto why = fmt::format("the certificate of '{}' cannot be trusted: {}", host_,
                           std::string_view{reinterpret_cast<const char*>(text.data), text.size});
    gnutls_free(text.data);
    while (why.ends_with(' ')) why.pop_back();
    return why;
  }

  std::string host_;
  Credentials credentials_;
  Session session_;
};

}  // namespace

std::unique_ptr<ByteStream> tls_stream(int fd, const TlsOptions& options) {
  return std::make_unique<TlsStream>(fd, options);
}

}  // namespace fireclaw::overseer
