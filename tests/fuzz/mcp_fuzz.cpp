// Whatever a client sends, in whatever pieces: the server answers with messages of the protocol, each on one line, or
// is silent, and continues.
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "fireclaw/error.hpp"
#include "fuzz/require.hpp"
#include "mcp/line_reader.hpp"
#include "mcp/message.hpp"
#include "mcp/schema.hpp"
#include "mcp/schema_check.hpp"
#include "mcp/server.hpp"

namespace {

using fireclaw::fuzz::require;
using namespace fireclaw::mcp;

bool is_message(const Json& message) {
  if (!message.is_object() || message.value("jsonrpc", "") != "2.0") return false;
  if (message.contains("method")) return !message.contains("id");
  if (message.contains("result")) return is_id(message["id"]) && message["result"].is_object();
  return message.contains("error") && message["error"]["code"].is_number_integer() &&
         message["error"]["message"].is_string();
}

void check_sent(const Json& message) {
  const auto line = to_line(message);
  require(line.find('\n') == std::string::npos, "a message is on one line");
  require(parse_json(line) == message || line.find("\xef\xbf\xbd") != std::string::npos, "what is sent can be read");
  require(is_message(message), "a message is one");
}

/// A tool with an argument of each kind, which gives back what it was called with.
Toolbox tools() {
  auto choice = text_schema("");
  choice["enum"] = {"a", "b"};
  const auto input = object_schema({{"text", text_schema("")},
                                    {"whole", whole_schema("", 0, 100)},
                                    {"number", number_schema("")},
                                    {"flag", flag_schema("")},
                                    {"choice", choice},
                                    {"list", list_schema("", {{"type", "string"}})},
                                    {"map", texts_schema("")}},
                                   {"text"});
  Tool echo{.name = "echo",
            .title = "Echo",
            .description = "Gives back its arguments.",
            .input = input,
            .output = input,
            .annotations = {},
            .run = [input](const Json& arguments, const CallContext& context) {
              check_against(input, arguments);
              refuse_nul(arguments, "text");
              if (context.on_output) context.on_output(arguments["text"].get<std::string>());
              return arguments;
            }};
  return {echo};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Toolbox toolbox = tools();
  Policy policy;
  policy.calls = 1;
  std::mutex mutex;
  Server server{toolbox, policy, [&mutex](const Json& message) {
                  const std::scoped_lock lock{mutex};
                  check_sent(message);
                }};
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  // The first byte decides how the stream is cut.
  const std::size_t piece = size == 0 ? 1 : 1 + data[0];
  LineReader reader{4096};
  for (std::size_t at = 0; at < size; at += piece) {
    for (const auto& line : reader.feed(input.substr(at, piece))) {
      require(line.text.size() <= 4096, "a line is no longer than allowed");
      require(line.text.find('\n') == std::string::npos, "a line is one");
      if (line.too_long) {
        server.handle_too_long();
      } else {
        server.handle(line.text);
      }
    }
  }
  return 0;
}
