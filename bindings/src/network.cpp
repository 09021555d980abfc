#include <fireclaw/network_rules.hpp>

#include "bindings.hpp"

namespace fireclaw::python {

void bind_network(py::module_& module) {
  py::class_<Network>(module, "Network",
                      "The host's side of NetworkMode.NAT: a bridge, firewall rules, a pool of addresses.\n\n"
                      "Machines bring it up when they start, so nobody needs to call up() first.")
      .def_static(
          "info", [](const Host& host) { return blocking([&] { return Network::info(host); }); }, py::arg("host"),
          "info(host)\n--\n\n"
          "What the network is like and who uses it; changes nothing. CorruptError if config.json is torn.")
      .def_static(
          "up", [](const Host& host) { blocking([&] { Network::up(host); }); }, py::arg("host"),
          "up(host)\n--\n\n"
          "Makes bridge and firewall rules where they are missing.\n\n"
          "PermissionDeniedError without CAP_NET_ADMIN; InvalidStateError if something is in the way of the bridge or\n"
          "of its subnet; UnsupportedError if the kernel lacks something.")
      .def_static(
          "down", [](const Host& host) { return blocking([&] { return Network::down(host); }); }, py::arg("host"),
          "down(host)\n--\n\n"
          "Removes both. False if there was nothing. InvalidStateError while machines are attached.")
      .def_static(
          "best_mode", [](const Host& host) { return blocking([&] { return Network::best_mode(host); }); },
          py::arg("host"),
          "best_mode(host)\n--\n\n"
          "NAT where it can be used, else NONE: USER reaches the host's own network, and is used only by name.");
  py::class_<NetworkRules>(module, "NetworkRules",
                           "What machines with NetworkMode.NAT were refused, and what they may reach.\n\n"
                           "Machines are named by their agent, by their name, or by their id.")
      .def_static(
          "refusals",
          [](const Host& host, const std::string& name, std::size_t most) {
            return blocking([&] { return NetworkRules::refusals(host, name, most); });
          },
          py::arg("host"), py::arg("name") = "", py::arg("most") = 1000,
          "refusals(host, name='', most=1000)\n--\n\n"
          "The last refusals of one machine, oldest first; of all without a name.")
      .def_static(
          "follow_refusals",
          [](const Host& host, const std::string& name, const py::function& on_refusal, const StopSource* stop) {
            blocking(token_of(stop), [&](const std::stop_token& token) {
              NetworkRules::follow_refusals(
                  host, name, [&](const NetworkRefusal& refusal) { call_python([&] { on_refusal(refusal); }); }, token);
            });
          },
          py::arg("host"), py::arg("name"), py::arg("on_refusal"), py::arg("stop") = nullptr,
          "follow_refusals(host, name, on_refusal, stop=None)\n--\n\n"
          "Calls on_refusal, on this thread, with those that are written from now on, until the stop.")
      .def_static(
          "allow",
          [](const Host& host, const std::string& name, const std::string& destination) {
            return blocking([&] { return NetworkRules::allow(host, name, destination); });
          },
          py::arg("host"), py::arg("name"), py::arg("destination"),
          "allow(host, name, destination)\n--\n\n"
          "Lets a machine reach a destination from now on, and returns its list. NotFoundError;\n"
          "InvalidArgumentError; InvalidStateError if it has no network NAT.")
      .def_static(
          "deny",
          [](const Host& host, const std::string& name, const std::string& destination) {
            return blocking([&] { return NetworkRules::deny(host, name, destination); });
          },
          py::arg("host"), py::arg("name"), py::arg("destination"),
          "deny(host, name, destination)\n--\n\n"
          "Takes a destination off its list, closes it at once, and returns the list. NotFoundError.");
}

}  // namespace fireclaw::python
