#pragma once

#include <fireclaw/fireclaw.hpp>

#include "convert.hpp"

/// The fields of each struct and the values of each enum, named as in C++.
namespace fireclaw::python {

template <>
struct Enumerators<ErrorCode> {
  static constexpr const char* name = "ErrorCode";
  static constexpr std::array values{std::pair{ErrorCode::InvalidArgument, std::string_view{"invalid_argument"}},
                                     std::pair{ErrorCode::NotFound, std::string_view{"not_found"}},
                                     std::pair{ErrorCode::AlreadyExists, std::string_view{"already_exists"}},
                                     std::pair{ErrorCode::InvalidState, std::string_view{"invalid_state"}},
                                     std::pair{ErrorCode::PermissionDenied, std::string_view{"permission_denied"}},
                                     std::pair{ErrorCode::Unsupported, std::string_view{"unsupported"}},
                                     std::pair{ErrorCode::Timeout, std::string_view{"timeout"}},
                                     std::pair{ErrorCode::Cancelled, std::string_view{"cancelled"}},
                                     std::pair{ErrorCode::Io, std::string_view{"io"}},
                                     std::pair{ErrorCode::Vmm, std::string_view{"vmm"}},
                                     std::pair{ErrorCode::Guest, std::string_view{"guest"}},
                                     std::pair{ErrorCode::Corrupt, std::string_view{"corrupt"}},
                                     std::pair{ErrorCode::Internal, std::string_view{"internal"}}};
};

template <>
struct Enumerators<LogLevel> {
  static constexpr const char* name = "LogLevel";
  static constexpr std::array values{
      std::pair{LogLevel::Debug, std::string_view{"debug"}}, std::pair{LogLevel::Info, std::string_view{"info"}},
      std::pair{LogLevel::Warning, std::string_view{"warning"}}, std::pair{LogLevel::Error, std::string_view{"error"}}};
};

template <>
struct Enumerators<Engine> {
  static constexpr const char* name = "Engine";
  static constexpr std::array values{std::pair{Engine::Auto, std::string_view{"auto"}},
                                     std::pair{Engine::Firecracker, std::string_view{"firecracker"}},
                                     std::pair{Engine::Qemu, std::string_view{"qemu"}},
                                     std::pair{Engine::QemuKvm, std::string_view{"qemu-kvm"}},
                                     std::pair{Engine::QemuTcg, std::string_view{"qemu-tcg"}}};
};

template <>
struct Enumerators<StartMode> {
  static constexpr const char* name = "StartMode";
  static constexpr std::array values{std::pair{StartMode::PreferSnapshot, std::string_view{"prefer-snapshot"}},
                                     std::pair{StartMode::Cold, std::string_view{"cold"}},
                                     std::pair{StartMode::RequireSnapshot, std::string_view{"require-snapshot"}}};
};

template <>
struct Enumerators<VMState> {
  static constexpr const char* name = "VMState";
  static constexpr std::array values{std::pair{VMState::Created, std::string_view{"created"}},
                                     std::pair{VMState::Running, std::string_view{"running"}},
                                     std::pair{VMState::Paused, std::string_view{"paused"}},
                                     std::pair{VMState::Stopped, std::string_view{"stopped"}}};
};

template <>
struct Enumerators<CheckStatus> {
  static constexpr const char* name = "CheckStatus";
  static constexpr std::array values{std::pair{CheckStatus::Ok, std::string_view{"ok"}},
                                     std::pair{CheckStatus::Warning, std::string_view{"warning"}},
                                     std::pair{CheckStatus::Missing, std::string_view{"missing"}}};
};

template <>
struct Enumerators<NetworkMode> {
  static constexpr const char* name = "NetworkMode";
  static constexpr std::array values{std::pair{NetworkMode::None, std::string_view{"none"}},
                                     std::pair{NetworkMode::User, std::string_view{"user"}},
                                     std::pair{NetworkMode::Nat, std::string_view{"nat"}}};
};

template <>
struct Enumerators<Egress> {
  static constexpr const char* name = "Egress";
  static constexpr std::array values{std::pair{Egress::None, std::string_view{"none"}},
                                     std::pair{Egress::Allowlist, std::string_view{"allowlist"}},
                                     std::pair{Egress::Internet, std::string_view{"internet"}}};
};

template <>
struct Enumerators<RestartPolicy> {
  static constexpr const char* name = "RestartPolicy";
  static constexpr std::array values{std::pair{RestartPolicy::Never, std::string_view{"never"}},
                                     std::pair{RestartPolicy::OnFailure, std::string_view{"on-failure"}},
                                     std::pair{RestartPolicy::Always, std::string_view{"always"}}};
};

template <>
struct Enumerators<ServiceState> {
  static constexpr const char* name = "ServiceState";
  static constexpr std::array values{std::pair{ServiceState::Running, std::string_view{"running"}},
                                     std::pair{ServiceState::BackingOff, std::string_view{"backing-off"}},
                                     std::pair{ServiceState::Stopped, std::string_view{"stopped"}},
                                     std::pair{ServiceState::Failed, std::string_view{"failed"}}};
};

template <>
struct Enumerators<AgentState> {
  static constexpr const char* name = "AgentState";
  static constexpr std::array values{std::pair{AgentState::Starting, std::string_view{"starting"}},
                                     std::pair{AgentState::Running, std::string_view{"running"}},
                                     std::pair{AgentState::Paused, std::string_view{"paused"}},
                                     std::pair{AgentState::Stopped, std::string_view{"stopped"}},
                                     std::pair{AgentState::Crashed, std::string_view{"crashed"}}};
};

template <>
struct Fields<WindowSize> {
  static constexpr const char* name = "WindowSize";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("rows", of.rows);
    field("columns", of.columns);
  }
};

template <>
struct Fields<ExecOptions> {
  static constexpr const char* name = "ExecOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("argv", of.argv);
    field.environment("env", of.env);
    field("cwd", of.cwd);
    field("user", of.user);
    field.bytes("input", of.input);
    field.descriptor("input_fd", of.input_fd);
    field("tty", of.tty);
    field("window_size", of.window_size);
    field("timeout", of.timeout);
    field("stop", of.stop);
    field("on_stdout", of.on_stdout);
    field("on_stderr", of.on_stderr);
    field("max_output_bytes", of.max_output_bytes);
  }
};

template <>
struct Fields<ExecResult> {
  static constexpr const char* name = "ExecResult";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("exit_code", of.exit_code);
    field("signal", of.signal);
    field("timed_out", of.timed_out);
    field("cancelled", of.cancelled);
    field("truncated", of.truncated);
    field.bytes("out", of.out);
    field.bytes("err", of.err);
    field("duration", of.duration);
  }
};

template <>
struct Fields<EngineVerdict> {
  static constexpr const char* name = "EngineVerdict";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("engine", of.engine);
    field("binary", of.binary);
    field("version", of.version);
    field("cpu_model", of.cpu_model);
    field("kernel_release", of.kernel_release);
    field("kernel_sha256", of.kernel_sha256);
    field("works", of.works);
    field("reason", of.reason);
    field("boot_time", of.boot_time);
  }
};

template <>
struct Fields<HostOptions> {
  static constexpr const char* name = "HostOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("home", of.home);
    field("engine", of.engine);
    field("firecracker", of.firecracker);
    field("qemu", of.qemu);
    field("search_path", of.search_path);
    field("tool_environment", of.tool_environment);
    field("cache", of.cache);
    field("guestd", of.guestd);
    field("agent", of.agent);
    field("log", of.log);
  }
};

template <>
struct Fields<DistributionKernel> {
  static constexpr const char* name = "DistributionKernel";
  template <class Visitor, class Object>
  static void visit(Visitor& /*field*/, Object& /*of*/) {}
};

template <>
struct Fields<KernelFile> {
  static constexpr const char* name = "KernelFile";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("path", of.path);
    field("modules", of.modules);
  }
};

template <>
struct Fields<KernelUrl> {
  static constexpr const char* name = "KernelUrl";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("url", of.url);
    field("sha256", of.sha256);
  }
};

template <>
struct Fields<KernelOfImage> {
  static constexpr const char* name = "KernelOfImage";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("image", of.image);
  }
};

template <>
struct Fields<BusyboxRoot> {
  static constexpr const char* name = "BusyboxRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& /*field*/, Object& /*of*/) {}
};

template <>
struct Fields<DebianRoot> {
  static constexpr const char* name = "DebianRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("suite", of.suite);
    field("packages", of.packages);
    field("mirror", of.mirror);
  }
};

template <>
struct Fields<DebianAgentRoot> {
  static constexpr const char* name = "DebianAgentRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("suite", of.suite);
    field("packages", of.packages);
    field("mirror", of.mirror);
  }
};

template <>
struct Fields<DirectoryRoot> {
  static constexpr const char* name = "DirectoryRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("path", of.path);
  }
};

template <>
struct Fields<TarRoot> {
  static constexpr const char* name = "TarRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("path", of.path);
  }
};

template <>
struct Fields<OciRoot> {
  static constexpr const char* name = "OciRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("reference", of.reference);
  }
};

template <>
struct Fields<SetupOptions> {
  static constexpr const char* name = "SetupOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("kernel", of.kernel);
    field("agents", of.agents);
    field("force", of.force);
    field("progress", of.progress);
    field("stop", of.stop);
  }
};

template <>
struct Fields<SetupReport> {
  static constexpr const char* name = "SetupReport";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("engines", of.engines);
    field("engine", of.engine);
    field("image", of.image);
    field("agent_image", of.agent_image);
    field("snapshot", of.snapshot);
    field("network_snapshot", of.network_snapshot);
    field("already_done", of.already_done);
  }
};

template <>
struct Fields<Check> {
  static constexpr const char* name = "Check";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("status", of.status);
    field("detail", of.detail);
    field("remedy", of.remedy);
  }
};

template <>
struct Fields<GarbageReport> {
  static constexpr const char* name = "GarbageReport";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("ended", of.ended);
    field("removed", of.removed);
    field("addresses", of.addresses);
  }
};

template <>
struct Fields<ImageConfig> {
  static constexpr const char* name = "ImageConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("root", of.root);
    field("kernel", of.kernel);
    field("replace", of.replace);
    field("progress", of.progress);
    field("stop", of.stop);
  }
};

template <>
struct Fields<ImageInfo> {
  static constexpr const char* name = "ImageInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("source", of.source);
    field("kernel_release", of.kernel_release);
    field("kernel_source", of.kernel_source);
    field("rootfs_type", of.rootfs_type);
    field("command", of.command);
    field("digest", of.digest);
    field("bytes", of.bytes);
    field("created", of.created);
  }
};

template <>
struct Fields<SnapshotInfo> {
  static constexpr const char* name = "SnapshotInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("image", of.image);
    field("engine", of.engine);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("network_device", of.network_device);
    field("bytes", of.bytes);
    field("created", of.created);
    field("automatic", of.automatic);
    field("usable", of.usable);
    field("reason", of.reason);
  }
};

template <>
struct Fields<NatOptions> {
  static constexpr const char* name = "NatOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("egress", of.egress);
    field("allow", of.allow);
    field("publish", of.publish);
    field("services", of.services);
  }
};

template <>
struct Fields<NetworkObstacle> {
  static constexpr const char* name = "NetworkObstacle";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("problem", of.problem);
    field("remedy", of.remedy);
  }
};

template <>
struct Fields<NetworkLease> {
  static constexpr const char* name = "NetworkLease";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("address", of.address);
    field("mac", of.mac);
    field("tap", of.tap);
    field("vm", of.vm);
    field("holder_pid", of.holder_pid);
    field("alive", of.alive);
  }
};

template <>
struct Fields<NetworkInfo> {
  static constexpr const char* name = "NetworkInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("obstacles", of.obstacles);
    field("up", of.up);
    field("bridge", of.bridge);
    field("subnet", of.subnet);
    field("gateway", of.gateway);
    field("resolver", of.resolver);
    field("services", of.services);
    field("capacity", of.capacity);
    field("leases", of.leases);
  }
};

template <>
struct Fields<NetworkChoice> {
  static constexpr const char* name = "NetworkChoice";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("mode", of.mode);
    field("reason", of.reason);
  }
};

template <>
struct Fields<VMConfig> {
  static constexpr const char* name = "VMConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("image", of.image);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("network", of.network);
    field("nat", of.nat);
    field("start", of.start);
    field("snapshot", of.snapshot);
    field("hostname", of.hostname);
    field("detached", of.detached);
    field("workspace", of.workspace);
    field("scratch_mib", of.scratch_mib);
    field("scratch_target", of.scratch_target);
    field("scratch_uid", of.scratch_uid);
    field("scratch_gid", of.scratch_gid);
    field("start_timeout", of.start_timeout);
    field("stop", of.stop);
  }
};

template <>
struct Fields<Phase> {
  static constexpr const char* name = "Phase";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("duration", of.duration);
  }
};

template <>
struct Fields<VMInfo> {
  static constexpr const char* name = "VMInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("id", of.id);
    field("state", of.state);
    field("image", of.image);
    field("engine", of.engine);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("network", of.network);
    field("address", of.address);
    field("hostname", of.hostname);
    field("snapshot", of.snapshot);
    field("detached", of.detached);
    field("workspace", of.workspace);
    field("agent", of.agent);
    field("engine_pid", of.engine_pid);
    field("created", of.created);
    field("phases", of.phases);
  }
};

template <>
struct Fields<CopyResult> {
  static constexpr const char* name = "CopyResult";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("files", of.files);
    field("bytes", of.bytes);
  }
};

template <>
struct Fields<ServiceOptions> {
  static constexpr const char* name = "ServiceOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("argv", of.argv);
    field.environment("env", of.env);
    field("cwd", of.cwd);
    field("user", of.user);
    field("log", of.log);
    field("log_limit_bytes", of.log_limit_bytes);
    field("restart", of.restart);
    field("backoff_first", of.backoff_first);
    field("backoff_longest", of.backoff_longest);
  }
};

template <>
struct Fields<ServiceInfo> {
  static constexpr const char* name = "ServiceInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("state", of.state);
    field("pid", of.pid);
    field("restarts", of.restarts);
    field("exit_code", of.exit_code);
    field("signal", of.signal);
    field("uptime", of.uptime);
    field("problem", of.problem);
  }
};

template <>
struct Fields<WorkspaceConfig> {
  static constexpr const char* name = "WorkspaceConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("size_mib", of.size_mib);
    field("uid", of.uid);
    field("gid", of.gid);
  }
};

template <>
struct Fields<WorkspaceInfo> {
  static constexpr const char* name = "WorkspaceInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("size_bytes", of.size_bytes);
    field("used_bytes", of.used_bytes);
    field("disk_bytes", of.disk_bytes);
    field("created", of.created);
    field("uid", of.uid);
    field("gid", of.gid);
    field("in_use", of.in_use);
    field("vm", of.vm);
    field("clean", of.clean);
    field("problem", of.problem);
  }
};

template <>
struct Fields<WorkspaceCheck> {
  static constexpr const char* name = "WorkspaceCheck";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("repaired", of.repaired);
    field("report", of.report);
  }
};

template <>
struct Fields<PoolConfig> {
  static constexpr const char* name = "PoolConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("machine", of.machine);
    field("size", of.size);
  }
};

template <>
struct Fields<AgentTemplate> {
  static constexpr const char* name = "AgentTemplate";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("description", of.description);
    field("nick", of.nick);
    field("model", of.model);
    field("persona", of.persona);
    field("trigger", of.trigger);
    field("tools", of.tools);
    field("channels", of.channels);
    field("image", of.image);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("workspace_mib", of.workspace_mib);
    field("scratch_mib", of.scratch_mib);
    field("file", of.file);
  }
};

template <>
struct Fields<AgentSettings> {
  static constexpr const char* name = "AgentSettings";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("model", of.model);
    field("persona", of.persona);
    field("trigger", of.trigger);
    field("tools", of.tools);
  }
};

template <>
struct Fields<AgentConfig> {
  static constexpr const char* name = "AgentConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("template_name", of.template_name);
    field("name", of.name);
    field("settings", of.settings);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("network", of.network);
    field("start", of.start);
    field("detached", of.detached);
    field("start_timeout", of.start_timeout);
    field("join_timeout", of.join_timeout);
    field("stop", of.stop);
  }
};

template <>
struct Fields<AgentInfo> {
  static constexpr const char* name = "AgentInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("template_name", of.template_name);
    field("state", of.state);
    field("nick", of.nick);
    field("model", of.model);
    field("trigger", of.trigger);
    field("tools", of.tools);
    field("workspace", of.workspace);
    field("vm", of.vm);
    field("image", of.image);
    field("engine", of.engine);
    field("network", of.network);
    field("address", of.address);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("engine_pid", of.engine_pid);
    field("started", of.started);
    field("phases", of.phases);
    field("online", of.online);
    field("channels", of.channels);
    field("llm_errors", of.llm_errors);
    field("last_error", of.last_error);
    field("memory_bytes", of.memory_bytes);
    field("cpu_time", of.cpu_time);
  }
};

template <>
struct Fields<ReconcileReport> {
  static constexpr const char* name = "ReconcileReport";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("adopted", of.adopted);
    field("crashed", of.crashed);
    field("orphans", of.orphans);
    field("busy", of.busy);
  }
};

}  // namespace fireclaw::python
