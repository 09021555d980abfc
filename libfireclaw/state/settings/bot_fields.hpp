#pragma once

#include <string_view>

#include "json/json.hpp"

namespace fireclaw::state {

// Fields of templates and config.json that fireclaw passes on to the bot. The bot (agent/bot/base/config.py) checks
// them by the same rules when it starts; checks here find mistakes before a machine is made. All throw Error(Corrupt)
// with the field's path.

/// A name or an address, of IPv6 without brackets.
void check_host(const json::Value& value);
/// "irc": host ("gateway" is the machine's host), port, tls, password, SASL.
void check_irc(const json::Value& value);
/// "llm" without the model: url (its host may be "gateway"), api, limits.
void check_llm(const json::Value& value);
/// Only in config.json's "llm": the program that wrote its url, if no person did. The bot does not get it.
inline constexpr std::string_view llm_url_by = "by";
/// "tools": true, false, or an object.
void check_tools(const json::Value& value);
/// "peers": how it deals with other bots.
void check_peers(const json::Value& value);
/// "limits": queue, pacing, timeouts.
void check_limits(const json::Value& value);

void check_persona(const json::Value& value);
void check_trigger(const json::Value& value);
void check_model(const json::Value& value);
void check_channels(const json::Value& value);
/// nick!user@host masks.
void check_masks(const json::Value& value);
void check_invite_policy(const json::Value& value);
void check_log_level(const json::Value& value);

}  // namespace fireclaw::state
