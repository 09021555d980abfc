#pragma once

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/write.hpp>

#include <cstdint>
#include <sstream>
#include <string>

namespace fireclaw::gateway {

/// In bytes. A longer head of a request is refused.
inline constexpr std::uint32_t longest_head = 16 * 1024;

/// The head as it is sent. Beast's own writing of messages takes several times as long to compile.
template <bool is_request>
std::string text_of(const boost::beast::http::header<is_request, boost::beast::http::fields>& head) {
  return (std::ostringstream{} << head).str();
}

}  // namespace fireclaw::gateway
