#include "gateway/proxy/tls_hello.hpp"

#include <doctest/doctest.h>

#include <string>

#include "gateway/testing/hello.hpp"

using fireclaw::gateway::read_tls_hello;
using fireclaw::gateway::TlsHello;
using namespace fireclaw::gateway::test;

namespace {

const TlsHello unfit{TlsHello::State::Unfit};
const TlsHello partial{};

TlsHello asks_for(const std::string& name) { return {TlsHello::State::Whole, name}; }

}  // namespace

TEST_CASE("a hello says which server it asks for, wherever it is cut") {
  const auto whole = tls_hello("Www.Example.org");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(read_tls_hello(whole.substr(0, size)) == partial);
  }
  CHECK(read_tls_hello(whole) == asks_for("www.example.org"));
  CHECK(read_tls_hello(tls_hello("")) == asks_for(""));
}

TEST_CASE("a hello may be split over records") {
  const auto message = tls_message("www.example.org");
  for (std::size_t piece = 1; piece < 40; ++piece) {
    CAPTURE(piece);
    std::string bytes;
    for (std::size_t at = 0; at < message.size(); at += piece) bytes += tls_record(message.substr(at, piece));
    CHECK(read_tls_hello(bytes) == asks_for("www.example.org"));
    // Records that follow are not the hello's.
    CHECK(read_tls_hello(bytes + tls_record("x")) == asks_for("www.example.org"));
  }
}

TEST_CASE("what could be read in two ways is unfit") {
  const auto name = tls_server_name("a.example");
  CHECK(read_tls_hello(tls_record(tls_message_with(name + name))) == unfit);
  const auto list = [](const std::string& names) { return tls_extension(0, tls_number(names.size(), 2) + names); };
  const auto one = [](unsigned type, const std::string& host) {
    return tls_number(type, 1) + tls_number(host.size(), 2) + host;
  };
  CHECK(read_tls_hello(tls_record(tls_message_with(list(one(0, "a.example"))))) == asks_for("a.example"));
  CHECK(read_tls_hello(tls_record(tls_message_with(list(one(0, "a.example") + one(0, "b.example"))))) == unfit);
  CHECK(read_tls_hello(tls_record(tls_message_with(list(one(1, "a.example"))))) == unfit);
  CHECK(read_tls_hello(tls_record(tls_message_with(list(one(0, ""))))) == unfit);
  CHECK(read_tls_hello(tls_record(tls_message_with(list("")))) == unfit);
  CHECK(read_tls_hello(tls_record(tls_message("a.example") + "x")) == unfit);
}

TEST_CASE("what is not TLS is told from its first byte") {
  CHECK(read_tls_hello("GET / HTTP/1.1\r\n") == unfit);
  CHECK(read_tls_hello("SSH-2.0-x") == unfit);
  CHECK(read_tls_hello(std::string{"\x16\x02\x00", 3}) == unfit);
  CHECK(read_tls_hello(tls_record("\x02")) == unfit);
  CHECK(read_tls_hello(tls_record("")) == unfit);
  // Longer than any client's.
  CHECK(read_tls_hello(tls_record(std::string{"\x01\xff\xff\xff", 4})) == unfit);
}
