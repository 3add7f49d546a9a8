/*
 * What all gates (gate.h) have in common. Comes with the function's index and its number of words in a register that no
 * call uses for arguments. The compiler cannot be told to leave all argument registers alone and the caller's stack
 * unwritten, hence assembly.
 */
#if defined(__x86_64__)

/* Below the frame pointer, which is a multiple of 16. The words lie in one piece: registers, then the stack's. */
#define RESULT -16
#define LAUNCH -80
#define STACK_WORDS -144
#define REGISTERS -192
#define FUNCTION -200
#define VARIADIC -208
#define VECTORS -336
#define FRAME 336
#define REGISTER_COUNT 6
#define MOST_STACK_WORDS 8

  .text
  .p2align 4
  .globl hami_gate
  .hidden hami_gate
  .type hami_gate, @function
hami_gate:
  .cfi_startproc
  push %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  mov %rsp, %rbp
  .cfi_def_cfa_register %rbp
  sub $FRAME, %rsp
  mov %rdi, REGISTERS(%rbp)
  mov %rsi, REGISTERS+8(%rbp)
  mov %rdx, REGISTERS+16(%rbp)
  mov %rcx, REGISTERS+24(%rbp)
  mov %r8, REGISTERS+32(%rbp)
  mov %r9, REGISTERS+40(%rbp)
  mov %rax, VARIADIC(%rbp)      /* how many vector registers a variadic call uses */
  movaps %xmm0, VECTORS(%rbp)
  movaps %xmm1, VECTORS+16(%rbp)
  movaps %xmm2, VECTORS+32(%rbp)
  movaps %xmm3, VECTORS+48(%rbp)
  movaps %xmm4, VECTORS+64(%rbp)
  movaps %xmm5, VECTORS+80(%rbp)
  movaps %xmm6, VECTORS+96(%rbp)
  movaps %xmm7, VECTORS+112(%rbp)
  movzwl %r11w, %eax
  mov %rax, FUNCTION(%rbp)

  xor %ecx, %ecx
  shr $16, %r11d
  sub $REGISTER_COUNT, %r11d    /* words on the stack, none if negative */
1:
  xor %eax, %eax
  cmp %r11d, %ecx
  jge 2f
  mov 16(%rbp,%rcx,8), %rax
2:
  mov %rax, STACK_WORDS(%rbp,%rcx,8)
  inc %ecx
  cmp $MOST_STACK_WORDS, %ecx
  jne 1b

  mov FUNCTION(%rbp), %rdi
  lea REGISTERS(%rbp), %rsi
  lea LAUNCH(%rbp), %rdx
  call hami_gate_enter
  mov %rax, %r11                /* the driver's function */
  mov %rdx, %r10                /* paced */

  mov REGISTERS(%rbp), %rdi
  mov REGISTERS+8(%rbp), %rsi
  mov REGISTERS+16(%rbp), %rdx
  mov REGISTERS+24(%rbp), %rcx
  mov REGISTERS+32(%rbp), %r8
  mov REGISTERS+40(%rbp), %r9
  mov VARIADIC(%rbp), %rax
  movaps VECTORS(%rbp), %xmm0
  movaps VECTORS+16(%rbp), %xmm1
  movaps VECTORS+32(%rbp), %xmm2
  movaps VECTORS+48(%rbp), %xmm3
  movaps VECTORS+64(%rbp), %xmm4
  movaps VECTORS+80(%rbp), %xmm5
  movaps VECTORS+96(%rbp), %xmm6
  movaps VECTORS+112(%rbp), %xmm7
  test %r10, %r10
  jne 3f
  .cfi_remember_state
  leave
  .cfi_def_cfa %rsp, 8
  jmp *%r11
  .cfi_restore_state
3:
  lea STACK_WORDS(%rbp), %rsp
  call *%r11
  mov %eax, RESULT(%rbp)
  lea LAUNCH(%rbp), %rdi
  mov %eax, %esi
  call hami_gate_leave
  mov RESULT(%rbp), %eax
  leave
  .cfi_def_cfa %rsp, 8
  ret
  .cfi_endproc
  .size hami_gate, . - hami_gate

#elif defined(__aarch64__)

#define RESULT -16
#define LAUNCH -80
#define STACK_WORDS -144
#define REGISTERS -208
#define INDIRECT -224
#define VECTORS -352
#define FRAME 352
#define REGISTER_COUNT 8
#define MOST_STACK_WORDS 6

  .text
  .p2align 4
  .globl hami_gate
  .hidden hami_gate
  .type hami_gate, %function
hami_gate:
  .cfi_startproc
  stp x29, x30, [sp, #-16]!
  .cfi_def_cfa_offset 16
  .cfi_offset 29, -16
  .cfi_offset 30, -8
  mov x29, sp
  .cfi_def_cfa_register 29
  sub sp, sp, #FRAME
  sub x9, x29, #-(REGISTERS)
  stp x0, x1, [x9]
  stp x2, x3, [x9, #16]
  stp x4, x5, [x9, #32]
  stp x6, x7, [x9, #48]
  str x8, [x9, #(INDIRECT - REGISTERS)]
  stp q0, q1, [sp]              /* VECTORS is the frame's end */
  stp q2, q3, [sp, #32]
  stp q4, q5, [sp, #64]
  stp q6, q7, [sp, #96]

  and x0, x16, #0xffff          /* the function */
  lsr w11, w16, #16
  sub w11, w11, #REGISTER_COUNT /* words on the stack, none if negative */
  add x12, x29, #16
  sub x13, x29, #-(STACK_WORDS)
  mov w10, #0
1:
  mov x14, #0
  cmp w10, w11
  b.ge 2f
  ldr x14, [x12, x10, lsl #3]
2:
  str x14, [x13, x10, lsl #3]
  add w10, w10, #1
  cmp w10, #MOST_STACK_WORDS
  b.ne 1b

  mov x1, x9
  sub x2, x29, #-(LAUNCH)
  bl hami_gate_enter
  mov x17, x0                   /* the driver's function */
  mov x16, x1                   /* paced */

  sub x9, x29, #-(REGISTERS)
  ldp x0, x1, [x9]
  ldp x2, x3, [x9, #16]
  ldp x4, x5, [x9, #32]
  ldp x6, x7, [x9, #48]
  ldr x8, [x9, #(INDIRECT - REGISTERS)]
  ldp q0, q1, [sp]
  ldp q2, q3, [sp, #32]
  ldp q4, q5, [sp, #64]
  ldp q6, q7, [sp, #96]
  cbnz x16, 3f
  .cfi_remember_state
  mov sp, x29
  ldp x29, x30, [sp], #16
  .cfi_def_cfa 31, 0
  .cfi_restore 29
  .cfi_restore 30
  br x17
  .cfi_restore_state
3:
  sub x9, x29, #-(STACK_WORDS)
  mov sp, x9
  blr x17
  str w0, [x29, #RESULT]
  mov w1, w0
  sub x0, x29, #-(LAUNCH)
  bl hami_gate_leave
  ldr w0, [x29, #RESULT]
  mov sp, x29
  ldp x29, x30, [sp], #16
  .cfi_def_cfa 31, 0
  .cfi_restore 29
  .cfi_restore 30
  ret
  .cfi_endproc
  .size hami_gate, . - hami_gate

#else
#error "gate.S: write the gate for this processor (x86-64 and arm64 are done)"
#endif

.section .note.GNU-stack, "", %progbits
