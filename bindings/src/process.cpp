#include "bindings.hpp"

namespace fireclaw::python {

void bind_process(py::module_& module) {
  py::class_<ProcessHandle>(module, "Process",
                            "A command that runs in a guest. One that is dropped without wait() is ended.\n\n"
                            "send_signal() and resize() may be called while another thread waits.")
      .def(
          "wait", [](ProcessHandle& self) { return wait_for(self); },
          "wait($self)\n--\n\n"
          "Feeds stdin, delivers output and waits for the end. Call once. Ctrl-C ends the command.")
      .def(
          "send_signal",
          [](ProcessHandle& self, int number) {
            const auto running = self.get();
            blocking([&] { running->command.send_signal(number); });
          },
          py::arg("number"),
          "send_signal($self, number)\n--\n\n"
          "Sends the command's process group a signal, e.g. signal.SIGTERM.")
      .def(
          "resize",
          [](ProcessHandle& self, WindowSize size) {
            const auto running = self.get();
            blocking([&] { running->command.resize(size); });
          },
          py::arg("size"),
          "resize($self, size)\n--\n\n"
          "Changes the size of the command's terminal.");
}

}  // namespace fireclaw::python
