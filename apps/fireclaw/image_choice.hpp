#pragma once

#include <optional>
#include <string>

#include "command.hpp"
#include "guest_command.hpp"

namespace fireclaw::cli {

/// --pull and --entrypoint: the image of a command's machine, and the part of the image's own command that is kept.
class ImageChoice {
 public:
  void add_to(CLI::App& command);

  /// "docker.io/library/alpine cat /etc/os-release", without "--": the first word is an OCI reference, as if it had
  /// been given to --pull. Several others are a program with its arguments, one is a shell line. Call it before
  /// make_exec().
  void take_reference(GuestCommand& guest, const Context& context);
  /// Makes `machine` one of the image that is to be pulled, which is built if there is none yet.
  void pull(const Host& host, VMConfig& machine, const Context& context) const;
  /// Completes the command: the image's entrypoint gets a program and its arguments; no command means the image's own.
  /// Error(InvalidArgument) if there is nothing to run.
  void complete(const Host& host, const VMConfig& machine, const GuestCommand& guest, const Context& context,
                ExecOptions& exec) const;

 private:
  std::string reference_;
  std::optional<std::string> entrypoint_;
};

/// Whether a word is an OCI reference that names its registry, as "ghcr.io/owner/name:tag".
bool names_registry(std::string_view word);
/// The name of the image that is made from a reference.
std::string image_name_of(std::string_view reference);

}  // namespace fireclaw::cli
