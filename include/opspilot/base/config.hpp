/// \file
/// How the library is built: visibility, and the switch between the compiled and the header-only target.
#pragma once

/// Version of the library; the CMake project and the Python package read it from here.
#define OPSPILOT_VERSION_MAJOR 0
#define OPSPILOT_VERSION_MINOR 1
#define OPSPILOT_VERSION_PATCH 0

// Bodies live in `*-inl.hpp`. The compiled target includes each of them from exactly one source file; the header-only
// target includes them at the end of the declaring header, where they must be `inline`.
#if defined(OPSPILOT_HEADER_ONLY)
#define OPSPILOT_INLINE inline
#define OPSPILOT_API
#else
#define OPSPILOT_INLINE
#if defined(_WIN32)
#define OPSPILOT_API
#else
#define OPSPILOT_API __attribute__((visibility("default")))
#endif
#endif
