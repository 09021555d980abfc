#include "bindings.hpp"
#include "methods.hpp"

namespace fireclaw::python {

void bind_process(py::module_& module) {
  py::class_<ProcessHandle> type{module, "Process",
                                 "A command that runs in a guest. Without wait() it ends with its last reference.\n\n"
                                 "send_signal() and resize() can be called while another thread waits."};
  define(type, methods::Process::wait(), &wait_for<Process>);
  define(type, methods::Process::send_signal(), [](ProcessHandle& self, int number) {
    const auto running = self.get();
    blocking([&] { running->command.send_signal(number); });
  });
  define(type, methods::Process::resize(), &resize<Process>);
}

}  // namespace fireclaw::python
