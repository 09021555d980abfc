#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace fireclaw::guest::wire {

/// The message is read back by decode() as it was, and only from exactly its own bytes.
template <typename Message>
Message round_trip(const Message& message) {
  const std::string payload = encode(message);
  Message result;
  REQUIRE(decode(payload, result));
  CHECK(encode(result) == payload);
  Message other;
  for (std::size_t length = 0; length < payload.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(decode(std::string_view{payload}.substr(0, length), other));
  }
  CHECK_FALSE(decode(payload + '\0', other));
  return result;
}

}  // namespace fireclaw::guest::wire
