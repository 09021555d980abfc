#include "net/nftables.hpp"

#include "sys/dynamic_library.hpp"

namespace fireclaw::net {
namespace {

NftLibrary load() {
  const sys::DynamicLibrary library{{"libnftables.so.1"}, "libnftables1"};
  NftLibrary nft{};
  library.find(nft.ctx_new, "nft_ctx_new");
  library.find(nft.ctx_free, "nft_ctx_free");
  library.find(nft.ctx_output_set_flags, "nft_ctx_output_set_flags");
  library.find(nft.ctx_set_dry_run, "nft_ctx_set_dry_run");
  library.find(nft.ctx_buffer_output, "nft_ctx_buffer_output");
  library.find(nft.ctx_buffer_error, "nft_ctx_buffer_error");
  library.find(nft.ctx_get_output_buffer, "nft_ctx_get_output_buffer");
  library.find(nft.ctx_get_error_buffer, "nft_ctx_get_error_buffer");
  library.find(nft.run_cmd_from_buffer, "nft_run_cmd_from_buffer");
  return nft;
}

}  // namespace

const NftLibrary& NftLibrary::get() {
  static const NftLibrary library = load();
  return library;
}

}  // namespace fireclaw::net
