// Marks for callgrind: what is counted lies between count_start and count_stop. Built by bench/instructions.
#include <valgrind/callgrind.h>

void count_start(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void count_stop(void) {
    CALLGRIND_DUMP_STATS;
    CALLGRIND_STOP_INSTRUMENTATION;
}
