#pragma once

#include <span>
#include <string_view>

namespace fireclaw::mcp {

/// A published version of the protocol, as far as versions differ in what this server does.
struct Version {
  std::string_view name;
  /// There is no handshake: every request says which version it is of, and every result says what kind it is.
  bool stateless = false;
  /// Tools have annotations, and progress has a message.
  bool annotations = false;
  /// Tools have titles and a schema for their results, and results are structured.
  bool structured = false;
  /// Arguments that do not fit are the tool's error, which a model can learn from, and none of the protocol's.
  bool arguments_are_for_the_model = false;
  /// An error in answer to what could not be read has no id; before, it was null.
  bool errors_may_lack_id = false;
};

/// Newest first.
std::span<const Version> versions();
/// Null if there is no such version.
const Version* find_version(std::string_view name);
/// The newest that begins with a handshake: what a client is offered that asks for a version that is not known.
const Version& newest_with_handshake();

}  // namespace fireclaw::mcp
