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
}

}  // namespace fireclaw::python
