#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"

namespace fireclaw::mcp {

/// What a call has beside its arguments.
struct CallContext {
  /// The client has lost interest, or is gone.
  std::stop_token stop;
  /// Tells the client what a command has printed; empty if it did not ask for that.
  std::function<void(std::string_view output)> on_output;
};

/// What clients are told of a tool's annotations.
struct Annotations {
  /// It changes nothing.
  bool read_only = false;
  /// What it changes may be lost.
  bool destructive = false;
  /// Twice is as once.
  bool idempotent = false;
  /// It reaches beyond its machine.
  bool open_world = false;
};

struct Tool {
  std::string name;
  std::string title;
  std::string description;
  /// Schemas of the arguments and of the result, both objects.
  Json input;
  Json output;
  Annotations annotations;
  /// With arguments that the schema allows. What fails is thrown as an Error; its text is for the model.
  std::function<Json(const Json& arguments, const CallContext& context)> run;
};

/// Always in the same order.
using Toolbox = std::vector<Tool>;

}  // namespace fireclaw::mcp
