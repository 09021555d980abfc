#include <fireclaw/gateway.hpp>

#include "bindings.hpp"

namespace fireclaw::python {

void bind_gateway(py::module_& module) {
  py::class_<Gateway>(module, "Gateway",
                      "The program between agents and LLM servers, which has the keys.\n\n"
                      "It starts with the network that machines share, and ends with Network.down(), or without "
                      "machines.")
      .def_static(
          "info", [](const Host& host) { return blocking([&] { return Gateway::info(host); }); }, py::arg("host"),
          "info(host)\n--\n\n"
          "What it serves, and what each agent has used. TimeoutError if it does not answer.")
      .def_static(
          "metrics", [](const Host& host) { return blocking([&] { return Gateway::metrics(host); }); }, py::arg("host"),
          "metrics(host)\n--\n\n"
          "What it has counted, as Prometheus reads it. NotFoundError if it does not run.")
      .def_static(
          "ensure", [](const Host& host) { return blocking([&] { return Gateway::ensure(host); }); }, py::arg("host"),
          "ensure(host)\n--\n\n"
          "Starts it again if it was killed while there are machines. True if it did.")
      .def_static(
          "measure",
          [](unsigned rounds, const StopSource* stop) {
            return blocking(token_of(stop),
                            [&](const std::stop_token& token) { return Gateway::measure(rounds, token); });
          },
          py::arg("rounds"), py::arg("stop") = nullptr,
          "measure(rounds, stop=None)\n--\n\n"
          "What the way through it costs on this host, beside the way around it.");
  py::class_<Secrets>(module, "Secrets",
                      "Keys and passwords by name, that the gateway uses and that no machine gets to know.")
      .def_static(
          "set",
          [](const Host& host, const std::string& name, const std::string& value) {
            blocking([&] { Secrets::set(host, name, value); });
          },
          py::arg("host"), py::arg("name"), py::arg("value"),
          "set(host, name, value)\n--\n\n"
          "Keeps a secret, in place of one of that name. InvalidArgumentError for what cannot be one.")
      .def_static(
          "list", [](const Host& host) { return blocking([&] { return Secrets::list(host); }); }, py::arg("host"),
          "list(host)\n--\n\n"
          "Their names. PermissionDeniedError if others could read the file.")
      .def_static(
          "remove", [](const Host& host, const std::string& name) { blocking([&] { Secrets::remove(host, name); }); },
          py::arg("host"), py::arg("name"),
          "remove(host, name)\n--\n\n"
          "Forgets a secret. NotFoundError if there is none of that name.");
}

}  // namespace fireclaw::python
