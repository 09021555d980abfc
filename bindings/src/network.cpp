#include "waits.hpp"

namespace fireclaw::python {

void bind_network(py::module_& module) {
  py::class_<Network>(
      module, "Network",
      "Host.network(): the host's side of NetworkMode.NAT, a bridge, firewall rules, a pool of addresses.\n\n"
      "Machines bring it up when they start, so nobody needs to call up() first. Single machines are\n"
      "named by their agent, by their name, or by their id.")
      .def("info", waits(&Network::info),
           "info($self)\n--\n\n"
           "What the network is like and who uses it; changes nothing. CorruptError if config.json is torn.")
      .def("up", waits(&Network::up),
           "up($self)\n--\n\n"
           "Makes bridge and firewall rules where they are missing.\n\n"
           "InvalidStateError if something is in the way of the bridge or of its subnet; UnsupportedError if the "
           "kernel\n"
           "lacks something.")
      .def("down", waits(&Network::down),
           "down($self)\n--\n\n"
           "Removes both. False if there was nothing. InvalidStateError while machines are attached.")
      .def("best_mode", waits(&Network::best_mode),
           "best_mode($self)\n--\n\n"
           "NAT where it can be used, else NONE: USER reaches the host's own network, and is used only by name.")
      .def("refusals", waits(&Network::refusals), py::arg("name") = "", py::arg("most") = 1000,
           "refusals($self, name='', most=1000)\n--\n\n"
           "The last refusals of one machine, oldest first; of all without a name.")
      .def(
          "follow_refusals",
          [](const Network& self, const std::string& name, const py::function& on_refusal, const StopSource* stop) {
            blocking(token_of(stop), [&](const std::stop_token& token) {
              self.follow_refusals(
                  name, [&](const NetworkRefusal& refusal) { call_python([&] { on_refusal(refusal); }); }, token);
            });
          },
          py::arg("name"), py::arg("on_refusal"), py::arg("stop") = nullptr,
          "follow_refusals($self, name, on_refusal, stop=None)\n--\n\n"
          "Calls on_refusal, on this thread, with those that are written from now on, until the stop.")
      .def("allow", waits(&Network::allow), py::arg("name"), py::arg("destination"),
           "allow($self, name, destination)\n--\n\n"
           "Lets a machine reach a destination from now on, and returns its list. NotFoundError;\n"
           "InvalidArgumentError; InvalidStateError if it has no network NAT.")
      .def("deny", waits(&Network::deny), py::arg("name"), py::arg("destination"),
           "deny($self, name, destination)\n--\n\n"
           "Takes a destination off its list, closes it at once, and returns the list. NotFoundError.");
}

}  // namespace fireclaw::python
