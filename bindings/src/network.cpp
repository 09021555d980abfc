#include "waits.hpp"

namespace fireclaw::python {

void bind_network(py::module_& module) {
  py::class_<Network> type{
      module, "Network",
      "Host.network(): the host's side of NetworkMode.NAT, a bridge, firewall rules, a pool of addresses.\n\n"
      "The first machine brings it up, so nobody needs to call up() before. Single machines are\n"
      "named by their agent, by their name, or by their id."};
  define(type, methods::Network::info(), waits(&Network::info));
  define(type, methods::Network::up(), waits(&Network::up));
  define(type, methods::Network::down(), waits(&Network::down));
  define(type, methods::Network::best_mode(), waits(&Network::best_mode));
  define(type, methods::Network::refusals(), waits(&Network::refusals));
  define(type, methods::Network::follow_refusals(),
         [](const Network& self, const std::string& name, const py::function& on_refusal, const StopSource* stop) {
           blocking(token_of(stop), [&](const std::stop_token& token) {
             self.follow_refusals(
                 name, [&](const NetworkRefusal& refusal) { call_python([&] { on_refusal(refusal); }); }, token);
           });
         });
  define(type, methods::Network::allow(), waits(&Network::allow));
  define(type, methods::Network::deny(), waits(&Network::deny));
}

}  // namespace fireclaw::python
