/* The version of the interface between Python and these functions, and the hash of the compiled sources. */

#include "gapcast.h"

#ifndef GAPCAST_SOURCES
#define GAPCAST_SOURCES "unknown"
#endif

EXPORT int gapcast_interface_version(void)
{
    return 13;
}

/* The SHA-256 of all files of this folder that the library depends on, from edge/native/build.py. */
EXPORT const char *gapcast_sources(void)
{
    return GAPCAST_SOURCES;
}
