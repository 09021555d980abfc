#pragma once

#include <functional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "log.hpp"
#include "program.hpp"

/// The commands that make services of systemd, look after them and remove them. Each prints what it did and returns the
/// exit status.
namespace fireclaw::overseer {

/// What a command line of this program, with its name, says.
using Parse = std::function<Arguments(const std::vector<std::string>& command)>;

std::vector<std::string> overseer_services();
std::vector<std::string> irc_services();

int install_overseer(const Arguments& arguments);
int install_irc(const Arguments& arguments);
/// Ends agents and machines with names: what the unit does when the system stops, and people before they remove it.
int end_machines(const Arguments& arguments, const Backend& backend);
/// Removes units, and then the network, unless somebody uses it: nobody else would take it away.
int uninstall_units(const Arguments& arguments, const Backend& backend, const std::vector<std::string>& names);
/// Shows which unit files are old, and writes these again.
int look_at_units(const Arguments& arguments, const Parse& parse);
/// What an overseer does about its own unit files when it starts. Confined as the system's service it cannot write
/// them.
void tend_units(const Arguments& arguments, const Parse& parse, const Log& log);

}  // namespace fireclaw::overseer
