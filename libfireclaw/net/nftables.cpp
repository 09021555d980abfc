#include "net/nftables.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <type_traits>

#include "fireclaw/error.hpp"

namespace fireclaw::net {
namespace {

NftLibrary load() {
  void* library = ::dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error{
        ErrorCode::Unsupported,
        fmt::format("cannot load libnftables ({}); install it with: apt-get install libnftables1", ::dlerror())};
  }
  const auto find = [library](auto& function, const char* name) {
    void* address = ::dlsym(library, name);
    if (address == nullptr) {
      throw Error{ErrorCode::Unsupported, fmt::format("libnftables has no function {}: it is too old", name)};
    }
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
  NftLibrary nft{};
  find(nft.ctx_new, "nft_ctx_new");
  find(nft.ctx_free, "nft_ctx_free");
  find(nft.ctx_output_set_flags, "nft_ctx_output_set_flags");
  find(nft.ctx_buffer_output, "nft_ctx_buffer_output");
  find(nft.ctx_buffer_error, "nft_ctx_buffer_error");
  find(nft.ctx_get_output_buffer, "nft_ctx_get_output_buffer");
  find(nft.ctx_get_error_buffer, "nft_ctx_get_error_buffer");
  find(nft.run_cmd_from_buffer, "nft_run_cmd_from_buffer");
  return nft;
}

}  // namespace

const NftLibrary& NftLibrary::get() {
  static const NftLibrary library = load();
  return library;
}

}  // namespace fireclaw::net
