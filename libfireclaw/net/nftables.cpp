#include "net/nftables.hpp"

namespace fireclaw::net {
const NftLibrary& NftLibrary::get() {
  static const NftLibrary library;
  return library;
}

}  // namespace fireclaw::net
