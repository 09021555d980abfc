#include <fireclaw/gateway.hpp>
#include <fireclaw/llm.hpp>

#include "waits.hpp"

namespace fireclaw::python {

void bind_gateway(py::module_& module) {
  py::class_<Gateway>(module, "Gateway",
                      "The program between agents and LLM servers, which has the keys.\n\n"
                      "It starts with the network that machines share, and ends with Network.down(), or without "
                      "machines.")
      .def_static("info", waits(&Gateway::info), py::arg("host"),
                  "info(host)\n--\n\n"
                  "What it serves, and what each agent has used. TimeoutError if it does not answer.")
      .def_static("metrics", waits(&Gateway::metrics), py::arg("host"),
                  "metrics(host)\n--\n\n"
                  "What it has counted, as Prometheus reads it. NotFoundError if it does not run.")
      .def_static("ensure", waits(&Gateway::ensure), py::arg("host"),
                  "ensure(host)\n--\n\n"
                  "Starts it again if it was killed while there are machines. True if it did.")
      .def_static("measure", waits(&Gateway::measure), py::arg("rounds"), py::arg("stop") = nullptr,
                  "measure(rounds, stop=None)\n--\n\n"
                  "What the way through it costs on this host, beside the way around it.");
  py::class_<Secrets>(module, "Secrets",
                      "Keys and passwords by name, that the gateway uses and that no machine gets to know.")
      .def_static("set", waits(&Secrets::set), py::arg("host"), py::arg("name"), py::arg("value"),
                  "set(host, name, value)\n--\n\n"
                  "Keeps a secret, in place of one of that name. InvalidArgumentError for what cannot be one.")
      .def_static("list", waits(&Secrets::list), py::arg("host"),
                  "list(host)\n--\n\n"
                  "Their names. PermissionDeniedError if others could read the file.")
      .def_static("remove", waits(&Secrets::remove), py::arg("host"), py::arg("name"),
                  "remove(host, name)\n--\n\n"
                  "Forgets a secret. NotFoundError if there is none of that name.");
  py::class_<LlmServers>(module, "LlmServers", "The servers of language models that a host's agents can ask.")
      .def(py::init<Host>(), py::arg("host"))
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
