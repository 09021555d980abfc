#pragma once

#include "guest/wire/files.hpp"

namespace fireclaw::guestd {

/// Carries out `call` with this process's rights. Content comes from `in` and goes to `out`; the
/// answer goes to `answer`. Blocks, so it is for a process of its own.
void do_file_call(const guest::wire::FileCall& call, int in, int out, int answer);
/// The answer alone.
void answer_file_call(const guest::wire::FileAnswer& answer, int fd);

}  // namespace fireclaw::guestd
