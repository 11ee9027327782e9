/* The version of the interface between Python and these functions. */

#include "gapcast.h"

EXPORT int gapcast_interface_version(void)
{
    return 1;
}
