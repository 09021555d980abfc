#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "bounded_output.hpp"
#include "common/text/quantities.hpp"
#include "common/text/text.hpp"
#include "fireclaw/error.hpp"
#include "members.hpp"
#include "schema.hpp"
#include "schema_check.hpp"
#include "sys/base64.hpp"
#include "tools.hpp"

namespace fireclaw::mcp {
namespace {

using std::chrono::milliseconds;

double seconds(milliseconds duration) { return static_cast<double>(duration.count()) / 1000; }

Error contradiction(const char* text) { return Error{ErrorCode::InvalidArgument, text}; }

constexpr auto of_command = arguments_of<ExecOptions>(
    {"argv", "env", "cwd", "user", "timeout"},
    {"input", "input_fd", "tty", "window_size", "stop", "on_stdout", "on_stderr", "max_output_bytes"});

ExecOptions exec_options(const Json& arguments, const Policy& policy) {
  refuse_nul(arguments, "stdin");
  ExecOptions options;
  if (arguments.contains("command") == arguments.contains("argv")) {
    throw contradiction("give either 'command', a line for the shell, or 'argv', a program and its arguments");
  }
  if (arguments.contains("command")) options = ExecOptions::shell(arguments["command"]);
  options.timeout = policy.timeout;
  options.input = arguments.value("stdin", "");
  of_command.read(arguments, options);
  return options;
}

/// The machine named, or one for this command alone.
std::shared_ptr<Machine> machine_for(const ToolContext& context, const Json& arguments, const std::stop_token& stop) {
  const bool described = arguments.contains("image") || arguments.contains("cpus") || arguments.contains("memory_mib");
  if (arguments.contains("machine")) {
    if (described) {
      throw contradiction("'image', 'cpus' and 'memory_mib' are for a fresh machine; leave them out with 'machine'");
    }
    return context.machines.find(arguments["machine"]);
  }
  return context.machines.borrow(machine_from(arguments, context.policy), stop);
}

Json run_command(const ToolContext& context, const Json& arguments, const CallContext& call) {
  auto options = exec_options(arguments, context.policy);
  BoundedOutput out{context.policy.output_bytes};
  BoundedOutput err{context.policy.output_bytes};
  const auto into = [&call](BoundedOutput& output) {
    return [&call, &output](std::string_view bytes) {
      output.add(bytes);
      if (call.on_output) call.on_output(bytes);
    };
  };
  options.on_stdout = into(out);
  options.on_stderr = into(err);
  options.stop = call.stop;
  const auto result = machine_for(context, arguments, call.stop)->exec(std::move(options));
  Json answer = {{"exit_code", result.exit_code},
                 {"signal", result.signal},
                 {"timed_out", result.timed_out},
                 {"stdout", out.text()},
                 {"stderr", err.text()},
                 {"stdout_bytes", out.total()},
                 {"stderr_bytes", err.total()},
                 {"truncated", out.cut() || err.cut()},
                 {"duration_ms", cli::to_ms(result.duration)}};
  for (const auto* name : {"stdout", "stderr"}) {
    const auto& text = answer[name].get_ref<const std::string&>();
    if (!cli::is_utf8(text)) answer[fmt::format("{}_base64", name)] = sys::to_base64(text);
  }
  return answer;
}

Json input_schema(const Policy& policy) {
  Json members{
      {"command", text_schema("A line for /bin/sh.")},
      {"machine",
       text_schema("A machine that create_machine, restore_snapshot or fork_machine has made. Left "
                   "out: a fresh one that ends with the command, made as `image`, `cpus` and `memory_mib` say.")}};
  members.update(machine_arguments(policy));
  members.update(of_command.schemas());
  members["stdin"] = schema_of<ExecOptions>("input");
  members["argv"]["minItems"] = 1;
  auto& timeout = members["timeout_seconds"];
  timeout["minimum"] = 0.001;
  timeout["maximum"] = seconds(policy.longest_timeout);
  add_to(timeout, fmt::format("; default: {}", seconds(policy.timeout)));
  return object_schema(std::move(members), {});
}

Json output_schema(const Policy& policy) {
  const auto stream = [&](std::string_view name) {
    return text_schema(
        fmt::format("What it wrote to standard {}: all of it up to {} bytes, else its beginning and its end. "
                    "Bytes that are not UTF-8 are replaced; then all is in {}_base64, too.",
                    name, policy.output_bytes, name == "output" ? "stdout" : "stderr"));
  };
  return object_schema(
      {{"exit_code", integer_schema("128 + the signal if one ended it.")},
       {"signal", integer_schema("The signal that ended it, or 0.")},
       {"timed_out", flag_schema("It was ended because it took too long.")},
       {"stdout", stream("output")},
       {"stderr", stream("error")},
       {"stdout_base64", text_schema("Only if standard output is not UTF-8: the same, byte for byte.")},
       {"stderr_base64", text_schema("Likewise.")},
       {"stdout_bytes", {{"type", "integer"}}},
       {"stderr_bytes", {{"type", "integer"}}},
       {"truncated", flag_schema("Something was left out.")},
       {"duration_ms", {{"type", "number"}}}},
      {"exit_code", "signal", "timed_out", "stdout", "stderr", "stdout_bytes", "stderr_bytes", "truncated",
       "duration_ms"});
}

}  // namespace

void add_command_tools(Toolbox& tools, const ToolContext& context) {
  const auto& policy = context.policy;
  tools.push_back({.name = "run_command",
                   .title = "Run a command",
                   .description = fmt::format(
                       "Runs a command in a virtual machine (Linux) and returns its exit code and output. Without "
                       "`machine` it runs in a fresh one, which is gone afterwards. {}",
                       policy.network == NetworkMode::None ? "Machines have no network." : "Machines have a network."),
                   .input = input_schema(policy),
                   .output = output_schema(policy),
                   .annotations = {.destructive = true, .open_world = policy.network != NetworkMode::None},
                   .run = [context](const Json& arguments, const CallContext& call) {
                     return run_command(context, arguments, call);
                   }});
}

}  // namespace fireclaw::mcp
