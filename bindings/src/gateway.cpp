#include "waits.hpp"

namespace fireclaw::python {

void bind_gateway(py::module_& module) {
  py::class_<Gateway> gateway{
      module, "Gateway",
      "Host.gateway(): the program between machines and the outside, which keeps the keys.\n\n"
      "It starts with the network that machines share. It ends with Network.down(), or some time after\n"
      "the last machine."};
  define(gateway, methods::Gateway::info(), waits(&Gateway::info));
  define(gateway, methods::Gateway::metrics(), waits(&Gateway::metrics));
  define(gateway, methods::Gateway::ensure(), waits(&Gateway::ensure));
  define_static(gateway, methods::Gateway::measure(), waits(&Gateway::measure));

  py::class_<Secrets> secrets{module, "Secrets",
                              "Host.secrets(): keys and passwords for the gateway, by name. No machine ever has them."};
  define(secrets, methods::Secrets::set(), waits(&Secrets::set));
  define(secrets, methods::Secrets::list(), waits(&Secrets::list));
  define(secrets, methods::Secrets::remove(), waits(&Secrets::remove));

  py::class_<LlmServers> servers{module, "LlmServers",
                                 "Host.llm_servers(): the servers of language models that a host's agents can ask."};
  define(servers, methods::LlmServers::find(), waits(&LlmServers::find));
  define(servers, methods::LlmServers::ask(), waits(&LlmServers::ask));
  define(servers, methods::LlmServers::named(), waits(&LlmServers::named));
  define(servers, methods::LlmServers::use(), waits(&LlmServers::use));
}

}  // namespace fireclaw::python
