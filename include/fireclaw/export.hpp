#pragma once

/// Marks what the shared library exports; everything else has hidden visibility.
#if defined(FIRECLAW_STATIC)
#define FIRECLAW_API
#else
#define FIRECLAW_API __attribute__((visibility("default")))
#endif
