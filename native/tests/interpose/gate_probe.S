/* Gates of the test of that name: one that passes stack words on, one that must not look at the stack. */
#include "interpose/gate.inc"

HAMI_GATE gated_probe, 3, 14
HAMI_GATE gated_without_stack, 4, 6

.section .note.GNU-stack, "", %progbits
