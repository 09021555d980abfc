#include "waits.hpp"

namespace fireclaw::python {
namespace {

CopyOptions copy_options(const StopSource* stop, const std::optional<std::chrono::milliseconds>& timeout) {
  CopyOptions options;
  if (stop != nullptr) options.stop = stop->token();
  options.timeout = timeout;
  return options;
}

/// Ends the machine, unless it is detached, and lets go of it.
void close(VMHandle& self) {
  const auto vm = self.take();
  if (!vm || self.inert()) return;
  blocking([&] {
    if (!vm->info().detached) vm->kill();
  });
}

/// VMConfig's fields as keywords, in the home folder that run() uses unless `host` is given.
VMHandle run_with(const py::object& host, std::chrono::milliseconds start_timeout, const StopSource* stop,
                  const py::kwargs& fields) {
  const auto root = host.is_none() ? py::module_::import("fireclaw").attr("_host")() : host;
  const auto config = type_named("VMConfig")(**fields).cast<VMConfig>();
  const auto machines = root.cast<const Host&>().vms();
  return VMHandle{blocking(token_of(stop), [&](std::stop_token token) {
    return machines.run(config, {start_timeout, std::move(token)});
  })};
}

VM run_in(const Host& host, const VMConfig& config, const StartOptions& options) {
  return host.vms().run(config, options);
}

void bind_collection(py::module_& module) {
  py::class_<VMs> type{module, "VMs", "Host.vms(): a host's machines."};
  // The machine keeps the caller's stop for its start.
  define(type, methods::VMs::create(),
         [](const VMs& self, const std::optional<VMConfig>& config, const std::optional<StartOptions>& options) {
           const auto given = config.value_or(VMConfig{});
           const auto start = options.value_or(StartOptions{});
           return VMHandle{blocking([&] { return self.create(given, start); })};
         });
  define(type, methods::VMs::run(), waits(&VMs::run));
  define(type, methods::VMs::attach(), waits(&VMs::attach));
  define(type, methods::VMs::list(), waits(&VMs::list));
  define(type, methods::VMs::kill(), waits(&VMs::kill));
  define(type, methods::VMs::pool(), waits(&VMs::pool));
}

void bind_life(py::class_<VMHandle>& type) {
  type.def(py::init(&run_with), py::kw_only(), py::arg("host") = py::none(), py::arg("start_timeout") = 60.0,
           py::arg("stop") = py::none(),
           "VM(*, host=None, start_timeout=60.0, stop=None, **fields)\n--\n\n"
           "A running machine: VMs.run() with VMConfig's fields as keywords. Without `host`: the home folder\n"
           "$FIRECLAW_HOME, else ~/.fireclaw.");
  define_static(type, methods::VM::run(), waits(&run_in));
  define(type, methods::VM::start(), waits(&VM::start));
  define(type, methods::VM::wait_ready(), waits(&VM::wait_ready));
  define(type, methods::VM::pause(), waits(&VM::pause));
  define(type, methods::VM::resume(), waits(&VM::resume));
  define(type, methods::VM::stop(), waits(&VM::stop));
  define(type, methods::VM::kill(), waits(&VM::kill));
  define(type, methods::VM::snapshot(), waits(&VM::snapshot));
  define(type, methods::VM::console_log(), [](VMHandle& self, std::size_t max_bytes) {
    const auto vm = self.get();
    return text(blocking([&] { return vm->console_log(max_bytes); }));
  });
  define(type, methods::VM::info(), waits(&VM::info));
  define(type, methods::VM::close(), &close);
  type.def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__", [](VMHandle& self, const py::args&) { close(self); })
      .def("__repr__", [](const VMHandle& self) {
        if (self.closed()) return std::string{"<VM, closed>"};
        if (self.inert()) return "<VM, of process " + std::to_string(self.process()) + ">";
        const auto info = self.get()->info();
        return "<VM " + info.id + ", " + std::string{to_string(info.state)} + ">";
      });
}

void bind_commands(py::class_<VMHandle>& type) {
  define(type, methods::VM::exec(), [](VMHandle& self, const py::object& command, const py::kwargs& keywords) {
    const auto vm = self.get();
    auto options = exec_options(command, keywords);
    return blocking(options.stop, [&](std::stop_token stop) {
      options.stop = std::move(stop);
      return vm->exec(std::move(options));
    });
  });
  define(type, methods::VM::spawn(), [](VMHandle& self, const py::object& command, const py::kwargs& keywords) {
    const auto vm = self.get();
    return start_command(exec_options(command, keywords),
                         [&](ExecOptions options) { return vm->spawn(std::move(options)); });
  });
  define(type, methods::VM::stream(),
         [](const py::object& self, const py::object& command, const py::kwargs& keywords) {
           return py::module_::import("fireclaw._stream")
               .attr("Stream")(self.attr("spawn"), type_named("exec_options")(command, **keywords));
         });
  define(type, methods::VM::aexec(), [](const py::object& self, const py::object& command, const py::kwargs& keywords) {
    return py::module_::import("fireclaw").attr("to_thread")(self.attr("exec"), command, **keywords);
  });
  define(type, methods::VM::copy_in(),
         [](VMHandle& self, const std::filesystem::path& source, const GuestPath& target, const StopSource* stop,
            const std::string& owner, const std::optional<std::chrono::milliseconds>& timeout,
            const std::optional<std::uint32_t>& mode) {
           const auto vm = self.get();
           auto options = copy_options(stop, timeout);
           options.owner = owner;
           options.mode = mode;
           return blocking(options.stop, [&](std::stop_token token) {
             options.stop = std::move(token);
             return vm->copy_in(source, target, options);
           });
         });
  define(type, methods::VM::copy_out(),
         [](VMHandle& self, const GuestPath& source, const std::filesystem::path& target, const StopSource* stop,
            const std::string& links, std::uint64_t max_bytes, std::uint64_t max_files,
            const std::optional<std::chrono::milliseconds>& timeout) {
           const auto vm = self.get();
           auto options = copy_options(stop, timeout);
           options.links = enum_from<CopyLinks>(links);
           options.max_bytes = max_bytes;
           options.max_files = max_files;
           return blocking(options.stop, [&](std::stop_token token) {
             options.stop = std::move(token);
             return vm->copy_out(source, target, options);
           });
         });
}

void bind_files(py::class_<VMHandle>& type) {
  type.def_property_readonly(
      "files", [](const py::object& self) { return py::module_::import("fireclaw._files").attr("Files")(self); },
      "Single files in the guest: read, write, list, stat, remove, make_directory.");
  define(type, methods::VM::read_file(),
         [read = waits<GuestPath>(&VM::read_file)](VMHandle& self, const GuestPath& path,
                                                   const std::optional<FileOptions>& options) {
           return py::bytes(read(self, path, options));
         });
  define(type, methods::VM::write_file(), waits<GuestPath>(&VM::write_file));
  define(type, methods::VM::list_directory(), waits<GuestPath>(&VM::list_directory));
  define(type, methods::VM::stat(), waits<GuestPath>(&VM::stat));
  define(type, methods::VM::remove(), waits<GuestPath>(&VM::remove));
  define(type, methods::VM::make_directory(), waits<GuestPath>(&VM::make_directory));
}

void bind_services(py::class_<VMHandle>& type) {
  define(type, methods::VM::start_service(), waits(&VM::start_service));
  define(type, methods::VM::signal_service(), waits(&VM::signal_service));
  define(type, methods::VM::stop_service(), waits(&VM::stop_service));
  define(type, methods::VM::services(), waits(&VM::services));
  define(type, methods::VM::guest_phases(), waits(&VM::guest_phases));
}

}  // namespace

void bind_vm(py::module_& module) {
  bind_collection(module);
  py::class_<VMHandle> type{
      module, "VM",
      "A microVM. Unless it is detached, it ends with its `with` block, close(), its last reference, or this\n"
      "process. Threads can run commands side by side."};
  bind_life(type);
  bind_commands(type);
  bind_files(type);
  bind_services(type);
}

}  // namespace fireclaw::python
