#pragma once

#include <nftables/libnftables.h>

#include "sys/dynamic_library.hpp"

namespace fireclaw::net {

/// libnftables' functions, looked up when first needed. It brings seven more libraries along, which would add half a
/// millisecond to every start of every program that links fireclaw, whether it has to do with networks or not.
struct NftLibrary {
  sys::DynamicLibrary library{{"libnftables.so.1"}, "libnftables1"};
  decltype(&nft_ctx_new) ctx_new = library.find("nft_ctx_new");
  decltype(&nft_ctx_free) ctx_free = library.find("nft_ctx_free");
  decltype(&nft_ctx_output_set_flags) ctx_output_set_flags = library.find("nft_ctx_output_set_flags");
  decltype(&nft_ctx_set_dry_run) ctx_set_dry_run = library.find("nft_ctx_set_dry_run");
  decltype(&nft_ctx_buffer_output) ctx_buffer_output = library.find("nft_ctx_buffer_output");
  decltype(&nft_ctx_buffer_error) ctx_buffer_error = library.find("nft_ctx_buffer_error");
  decltype(&nft_ctx_get_output_buffer) ctx_get_output_buffer = library.find("nft_ctx_get_output_buffer");
  decltype(&nft_ctx_get_error_buffer) ctx_get_error_buffer = library.find("nft_ctx_get_error_buffer");
  decltype(&nft_run_cmd_from_buffer) run_cmd_from_buffer = library.find("nft_run_cmd_from_buffer");

  /// Loads it on the first call. Error(Unsupported), naming the package, if it is not there. Safe from any thread.
  static const NftLibrary& get();
};

}  // namespace fireclaw::net
