#include "state/records/run_policy.hpp"

namespace fireclaw::state {

net::VmPolicy to_policy(const RunNetwork& record) {
  const auto address = net::Ipv4Address::parse(record.address);
  net::VmPolicy policy{net::InterfaceName{record.tap},
                       net::MacAddress::for_address(address),
                       address,
                       net::parse_egress(record.egress),
                       {},
                       record.services ? net::ServiceAccess::All
                       : record.names  ? net::ServiceAccess::Names
                                       : net::ServiceAccess::None,
                       {},
                       record.mib_per_second};
  for (const auto& text : record.allow) policy.allow.push_back(net::Destination::parse(text));
  for (const auto& text : record.publish) policy.publish.push_back(net::Publication::parse(text));
  return policy;
}

RunNetwork to_record(const net::VmPolicy& policy) {
  RunNetwork record{policy.address.to_string(),
                    policy.tap.str(),
                    std::string{net::to_string(policy.egress)},
                    {},
                    {},
                    {},
                    policy.services == net::ServiceAccess::All,
                    policy.services != net::ServiceAccess::None,
                    std::nullopt,
                    policy.mib_per_second};
  for (const auto& destination : policy.allow) record.allow.push_back(destination.to_string());
  for (const auto& port : policy.publish) record.publish.push_back(port.to_string());
  return record;
}

}  // namespace fireclaw::state
