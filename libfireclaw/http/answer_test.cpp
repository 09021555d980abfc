#include "http/answer.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

namespace fireclaw::http {
namespace {

bool is_refused(std::string_view head) {
  try {
    (void)parse_answer_head(head);
  } catch (const Error& error) {
    return error.code() == ErrorCode::Io;
  }
  return false;
}

TEST_CASE("a head says status, length, and whether the connection stays") {
  CHECK(parse_answer_head("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n") == AnswerHead{200, 12, true});
  CHECK(parse_answer_head("HTTP/1.1 200\r\ncontent-LENGTH:12\r\n") == AnswerHead{200, 12, true});
  CHECK(parse_answer_head("HTTP/1.1 400 Bad Request\r\nServer: x\r\nContent-Length: \t0 \r\n") ==
        AnswerHead{400, 0, true});
  CHECK(parse_answer_head("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n") == AnswerHead{204, 0, true});
  CHECK(parse_answer_head("HTTP/1.1 204 No Content\r\nConnection: Close\r\n") == AnswerHead{204, 0, false});
  CHECK(parse_answer_head("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n") == AnswerHead{200, 1, false});
}

TEST_CASE("an answer without a body has none, no matter what it says") {
  CHECK(parse_answer_head("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n") == AnswerHead{204, 0, true});
}

TEST_CASE("other heads are refused") {
  for (const std::string_view line :
       {"", "HTTP/1.1", "HTTP/2 200", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.2 200 OK", "http/1.1 200 OK",
        "HTTP/1.1  200 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 100 Continue", "HTTP/1.1 200\tOK",
        " HTTP/1.1 200 OK"}) {
    CAPTURE(line);
    CHECK(is_refused(std::string{line} + "\r\nContent-Length: 0\r\n"));
  }
  for (const std::string_view line :
       {"Content-Length: -1", "Content-Length: +1", "Content-Length: 1 2", "Content-Length: 0x10",
        "Content-Length: 1,1", "Content-Length:", "Content-Length: 99999999999999999999",
        "Content-Length: 1\r\nContent-Length: 1", "Transfer-Encoding: chunked",
        "Content-Length: 1\r\ntransfer-encoding: identity", "no colon", "Content-Length: 1\r\n: nameless",
        "Content-Length: 1\r\nA B: c", "Content-Length: 1\r\n folded: line", "Content-Length: 1\nX: y",
        "Content-Length: 1\rX: y", "Server: says no length"}) {
    CAPTURE(line);
    CHECK(is_refused("HTTP/1.1 200 OK\r\n" + std::string{line} + "\r\n"));
  }
  CHECK(is_refused("HTTP/1.1 200 OK"));
  CHECK(is_refused("HTTP/1.1 200 OK\r\nContent-Length: 1"));
  CHECK(is_refused(std::string_view{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: \0\r\n", 43}));
}

}  // namespace
}  // namespace fireclaw::http
