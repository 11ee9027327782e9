// A plugin of QEMU's user emulation: counts the instructions of the emulated process between two marks.
// A mark is a system call that does not exist: number 100000 starts, 100001 stops and writes the count to the file
// that the plugin's argument out=FILE names. Built by bench/arm64.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <qemu-plugin.h>

enum { COUNT_START = 100000, COUNT_STOP = 100001 };

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static qemu_plugin_u64 n_instructions;
static uint64_t n_at_start;
static char path[1024];

static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        block, QEMU_PLUGIN_INLINE_ADD_U64, n_instructions, qemu_plugin_tb_n_insns(block));
}

static void on_syscall(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == COUNT_START) {
        n_at_start = qemu_plugin_u64_get(n_instructions, vcpu);
    } else if (number == COUNT_STOP) {
        uint64_t n = qemu_plugin_u64_get(n_instructions, vcpu) - n_at_start;
        FILE *file = fopen(path, "a");
        if (file != NULL) {
            fprintf(file, "%" PRIu64 "\n", n);
            fclose(file);
        }
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || strlen(argv[0]) >= sizeof path) {
        fprintf(stderr, "the plugin needs the argument out=FILE\n");
        return -1;
    }
    strcpy(path, argv[0] + 4);
    n_instructions = qemu_plugin_scoreboard_u64(qemu_plugin_scoreboard_new(sizeof(uint64_t)));
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
