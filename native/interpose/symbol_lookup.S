/*
 * dlsym and dlvsym as exported. They ask hami_lookup_* first; where that has no answer they jump to the C library's
 * function with the caller's return address still in place, because RTLD_NEXT and RTLD_DEFAULT mean "seen from the
 * caller" and the C library finds the caller by that address. C cannot promise such a jump, hence assembly.
 */
#if defined(__x86_64__)

.macro lookup_trampoline name, ask, real
  .text
  .p2align 4
  .globl \name
  .type \name, @function
\name:
  .cfi_startproc
  endbr64
  push %rdi
  .cfi_adjust_cfa_offset 8
  push %rsi
  .cfi_adjust_cfa_offset 8
  push %rdx
  .cfi_adjust_cfa_offset 8
  call \ask
  mov %rdx, %rcx                /* answered */
  pop %rdx
  .cfi_adjust_cfa_offset -8
  pop %rsi
  .cfi_adjust_cfa_offset -8
  pop %rdi
  .cfi_adjust_cfa_offset -8
  test %rcx, %rcx
  jne 1f
  jmp *\real(%rip)
1:
  ret
  .cfi_endproc
  .size \name, . - \name
.endm

lookup_trampoline dlsym, hami_lookup_dlsym, hami_real_dlsym
lookup_trampoline dlvsym, hami_lookup_dlvsym, hami_real_dlvsym

#elif defined(__aarch64__)

.macro lookup_trampoline name, ask, real
  .text
  .p2align 4
  .globl \name
  .type \name, %function
\name:
  .cfi_startproc
  hint #34                      /* bti c */
  stp x29, x30, [sp, #-48]!
  .cfi_def_cfa_offset 48
  .cfi_offset 29, -48
  .cfi_offset 30, -40
  mov x29, sp
  stp x0, x1, [sp, #16]
  str x2, [sp, #32]
  bl \ask
  mov x9, x0                    /* result */
  mov x10, x1                   /* answered */
  ldp x0, x1, [sp, #16]
  ldr x2, [sp, #32]
  ldp x29, x30, [sp], #48
  .cfi_restore 29
  .cfi_restore 30
  .cfi_def_cfa_offset 0
  cbnz x10, 1f
  adrp x9, \real
  ldr x9, [x9, #:lo12:\real]
  br x9
1:
  mov x0, x9
  ret
  .cfi_endproc
  .size \name, . - \name
.endm

lookup_trampoline dlsym, hami_lookup_dlsym, hami_real_dlsym
lookup_trampoline dlvsym, hami_lookup_dlvsym, hami_real_dlvsym

#else
#error "symbol_lookup.S: write the trampolines for this processor (x86-64 and arm64 are done)"
#endif

.section .note.GNU-stack, "", %progbits
