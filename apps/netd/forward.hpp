#pragma once

#include <string>
#include <vector>

namespace fireclaw::netd {

/// `fireclaw-netd forward UNTIL NAMESPACES ENTRANCE...`: leads what comes to the entrances into the namespaces.
/// UNTIL: a descriptor that is readable once there is nothing more to do (a machine's pidfd). NAMESPACES: "here", or
/// the descriptors "USER,NETWORK" of those to enter. Returns the exit status.
int forward(const std::vector<std::string>& words);

/// Serves until one of `until` is readable.
class Relay;
void serve(Relay& relay, const std::vector<int>& until);
/// Makes room for descriptors; returns how many conversations a relay can have with them.
std::size_t raise_descriptor_limit();
/// How many conversations a relay can have in a process that may have so many descriptors.
std::size_t conversations_with(std::size_t descriptors);

}  // namespace fireclaw::netd
