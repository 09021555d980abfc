#pragma once

#include <fmt/format.h>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/write.hpp>

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>

namespace fireclaw::gateway {

/// In bytes. A longer head of a request is refused.
inline constexpr std::uint32_t longest_head = 16 * 1024;

/// The head as it is sent. Beast's own writing of messages takes several times as long to compile.
template <bool is_request>
std::string text_of(const boost::beast::http::header<is_request, boost::beast::http::fields>& head) {
  return (std::ostringstream{} << head).str();
}

/// A chunk of a body is this, the bytes, and `chunk_end`. `last_chunk` ends the body, without trailers.
inline std::string chunk_head(std::size_t bytes) { return fmt::format("{:x}\r\n", bytes); }
inline constexpr std::string_view chunk_end = "\r\n";
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

}  // namespace fireclaw::gateway
