/* QEMU TCG plugin: count the executed AArch64 instructions by class.
 *
 *     qemu-aarch64 -plugin instruction_classes.so PROGRAM ...
 *
 * Each getsid(0x7e570000 + TAG) of the program prints one line to stderr:
 *
 *     instructions TAG INT8_MAC FLOAT LOAD_STORE OTHER
 *
 * The totals are exact for a program with one thread. Vectors of half precision, reductions across a vector and the
 * matrix instructions of later cores are in OTHER; LiteRT uses none of them here. Encodings: Arm Architecture Reference Manual for A-profile
 * (DDI 0487), section C4.1. Plugin interface: qemu-plugin.h, version 1. The declarations are repeated here because
 * distributions package that header apart from QEMU. */
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;
enum { INLINE_ADD_U64 = 0, GETSID = 156 };

EXPORT int qemu_plugin_version = 1;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t,
    uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));

enum { INT8_MAC, FLOAT, LOAD_STORE, OTHER, CLASSES };
static uint64_t totals[CLASSES];

/* Bits HIGH to LOW of a word. */
static uint32_t bits(uint32_t word, int high, int low)
{
    return word >> low & ((2u << (high - low)) - 1);
}

static int is_int8_mac(uint32_t word)
{
    uint32_t size = bits(word, 23, 22), operation;

    if (bits(word, 31, 31))
        return 0;
    if (bits(word, 28, 24) == 0x0e && bits(word, 21, 21) && bits(word, 11, 10) == 0) {
        operation = bits(word, 15, 12); /* three different: SMLAL, UMLAL, SMLSL, UMLSL, SMULL, UMULL */
        return operation == 0x8 || operation == 0xa || operation == 0xc;
    }
    if (bits(word, 28, 24) == 0x0e && !bits(word, 21, 21) && bits(word, 15, 15) && bits(word, 10, 10))
        return bits(word, 14, 11) == 0x2; /* SDOT, UDOT */
    if (bits(word, 28, 24) == 0x0e && bits(word, 21, 21) && bits(word, 10, 10)) {
        operation = bits(word, 15, 11); /* three same: MLA, MLS, MUL */
        return operation == 0x12 || operation == 0x13;
    }
    if (bits(word, 28, 24) == 0x0e && bits(word, 21, 17) == 0x10 && bits(word, 11, 10) == 2) {
        operation = bits(word, 16, 12); /* two registers, miscellaneous: SADALP, UADALP, SADDLP, UADDLP */
        return operation == 0x6 || operation == 0x2;
    }
    if (bits(word, 28, 24) == 0x0f && !bits(word, 10, 10) && size) {
        operation = bits(word, 15, 12); /* by element: MLA, SMLAL, MLS, SMLSL, MUL, SMULL, SDOT and the like */
        return operation == 0xe || operation == 0x2 || operation == 0x6 || operation == 0xa || operation == 0x8
            || (bits(word, 29, 29) && (operation == 0x0 || operation == 0x4));
    }
    return 0;
}

static int is_float(uint32_t word)
{
    uint32_t operation;

    if (bits(word, 30, 25) == 0x0f)
        return 1; /* scalar floating point, also FMADD, conversions and moves */
    if (bits(word, 31, 31))
        return 0;
    if ((bits(word, 28, 24) == 0x0e || bits(word, 28, 24) == 0x1e) && bits(word, 21, 21) && bits(word, 10, 10))
        return bits(word, 15, 11) >= 0x18; /* three same: FMLA, FADD, FMUL, FMAX and the like */
    if ((bits(word, 28, 24) == 0x0e || bits(word, 28, 24) == 0x1e) && bits(word, 21, 17) == 0x10
        && bits(word, 11, 10) == 2) {
        operation = bits(word, 16, 12); /* two registers, miscellaneous: FCVTNS, SCVTF, FABS and the like */
        return operation >= 0xc && (operation < 0x12 || operation > 0x14); /* between them: XTN, SHLL, SQXTN */
    }
    if ((bits(word, 28, 24) == 0x0f || bits(word, 28, 24) == 0x1f) && !bits(word, 10, 10) && bits(word, 23, 23)) {
        operation = bits(word, 15, 12); /* by element: FMLA, FMLS, FMUL */
        return operation == 0x1 || operation == 0x5 || operation == 0x9;
    }
    return 0;
}

/* The class of an instruction; exported for tests. */
EXPORT int instruction_class(uint32_t word)
{
    if (bits(word, 27, 27) && !bits(word, 25, 25))
        return LOAD_STORE;
    if (bits(word, 27, 25) != 7)
        return OTHER;
    return is_int8_mac(word) ? INT8_MAC : is_float(word) ? FLOAT : OTHER;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
    uint64_t counts[CLASSES] = {0};
    size_t number = qemu_plugin_tb_n_insns(block);

    (void)id;
    for (size_t i = 0; i < number; i++)
        counts[instruction_class(*(const uint32_t *)qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)))]++;
    for (int class = 0; class < CLASSES; class++)
        if (counts[class])
            qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &totals[class], counts[class]);
}

static void system_call(plugin_id id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                        uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id; (void)cpu; (void)a2; (void)a3; (void)a4; (void)a5; (void)a6; (void)a7; (void)a8;
    if (number != GETSID || (a1 & 0xffff0000u) != 0x7e570000u)
        return;
    char line[128];
    int length = snprintf(line, sizeof line, "instructions %u %llu %llu %llu %llu\n", (unsigned)(a1 & 0xffff),
                          (unsigned long long)totals[INT8_MAC], (unsigned long long)totals[FLOAT],
                          (unsigned long long)totals[LOAD_STORE], (unsigned long long)totals[OTHER]);
    if (write(2, line, length) < 0)
        return;
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info; (void)argc; (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    return 0;
}
