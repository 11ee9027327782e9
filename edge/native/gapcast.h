/* What all files of the library share. */

#ifndef GAPCAST_H
#define GAPCAST_H

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

#endif
