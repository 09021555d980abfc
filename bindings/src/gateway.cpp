#include "waits.hpp"

namespace fireclaw::python {

void bind_gateway(py::module_& module) {
  py::class_<Gateway>(module, "Gateway",
                      "Host.gateway(): the program between machines and the outside, which has the keys.\n\n"
                      "It starts with the network that machines share, and ends with Network.down(), or without "
                      "machines.")
      .def("info", waits(&Gateway::info),
           "info($self)\n--\n\n"
           "What it serves, and what each agent has used. TimeoutError if it does not answer.")
      .def("metrics", waits(&Gateway::metrics),
           "metrics($self)\n--\n\n"
           "What it has counted, as Prometheus reads it. NotFoundError if it does not run.")
      .def("ensure", waits(&Gateway::ensure),
           "ensure($self)\n--\n\n"
           "Starts it again if it was killed while there are machines. True if it did.")
      .def_static("measure", waits(&Gateway::measure), py::arg("rounds"), py::arg("stop") = nullptr,
                  "measure(rounds, stop=None)\n--\n\n"
                  "What the way through it costs on this host, beside the way around it.");
  py::class_<Secrets>(
      module, "Secrets",
      "Host.secrets(): keys and passwords by name, that the gateway uses and that no machine gets to know.")
      .def("set", waits(&Secrets::set), py::arg("name"), py::arg("value"),
           "set($self, name, value)\n--\n\n"
           "Keeps a secret, in place of one of that name. InvalidArgumentError for what cannot be one.")
      .def("list", waits(&Secrets::list),
           "list($self)\n--\n\n"
           "Their names. PermissionDeniedError if others could read the file.")
      .def("remove", waits(&Secrets::remove), py::arg("name"),
           "remove($self, name)\n--\n\n"
           "Forgets a secret. NotFoundError if there is none of that name.");
  py::class_<LlmServers>(module, "LlmServers",
                         "Host.llm_servers(): the servers of language models that a host's agents can ask.")
      .def("find", waits(&LlmServers::find),
           "find($self)\n--\n\n"
           "Those that answer at the usual ports of this host's loopback. Takes some seconds at most.")
      .def("ask", waits(&LlmServers::ask), py::arg("url"),
           "ask($self, url)\n--\n\n"
           "The one at `url`, asked for its models. NotFoundError if no such server answers there.")
      .def("named", waits(&LlmServers::named),
           "named($self)\n--\n\n"
           "The URL of the server that config.json names for agents; None if only use() wrote one, or nobody.")
      .def("use", waits(&LlmServers::use), py::arg("server"), py::arg("network"),
           "use($self, server, network)\n--\n\n"
           "Lets agents with that network ask it from their next start on: written into config.json.\n\n"
           "InvalidStateError if llm.url names another one there.");
}

}  // namespace fireclaw::python
