/* Contexts: charged when they are made; what they own ends with them. */
#include "contexts.h"
#include "growth.h"
#include "hook.h"
#include "probes.h"
#include "table.h"

/* The most ordinals CUDA gives one process. */
#define MAX_ORDINALS 64

/* The primary context of each device, and how often this process has retained it. */
static CUcontext primary_contexts[MAX_ORDINALS];
static int primary_retains[MAX_ORDINALS];

/* The end of every wrapper that makes a context. */
#define MAKE_CONTEXT(pctx, ordinal, ...)                                                                               \
  do {                                                                                                                 \
    struct hami_contexts_snapshot before;                                                                              \
    hami_contexts_look(&before, ordinal);                                                                              \
    CUresult result = real(__VA_ARGS__);                                                                               \
    if (result == CUDA_SUCCESS && (pctx) != NULL) {                                                                    \
      hami_contexts_made(&before, *(pctx));                                                                            \
    }                                                                                                                  \
    HAMI_LEAVE(result);                                                                                                \
  } while (0)

CUresult cuCtxCreate(CUcontext *pctx, unsigned int flags, CUdevice dev) {
  HAMI_CUDA_ENTER(cuCtxCreate, pctx, flags, dev);
  MAKE_CONTEXT(pctx, dev, pctx, flags, dev);
}

CUresult cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev) {
  HAMI_CUDA_ENTER(cuCtxCreate_v2, pctx, flags, dev);
  MAKE_CONTEXT(pctx, dev, pctx, flags, dev);
}

CUresult cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray, int numParams, unsigned int flags,
                        CUdevice dev) {
  HAMI_CUDA_ENTER(cuCtxCreate_v3, pctx, paramsArray, numParams, flags, dev);
  MAKE_CONTEXT(pctx, dev, pctx, paramsArray, numParams, flags, dev);
}

CUresult cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams, unsigned int flags, CUdevice dev) {
  HAMI_CUDA_ENTER(cuCtxCreate_v4, pctx, ctxCreateParams, flags, dev);
  MAKE_CONTEXT(pctx, dev, pctx, ctxCreateParams, flags, dev);
}

/* The end of every wrapper that destroys one. */
#define DESTROY_CONTEXT(ctx)                                                                                           \
  do {                                                                                                                 \
    char token = 0;                                                                                                    \
    hami_contexts_ending(ctx, &token);                                                                                 \
    CUresult result = real(ctx);                                                                                       \
    hami_contexts_ended(ctx, &token, result == CUDA_SUCCESS);                                                          \
    HAMI_LEAVE(result);                                                                                                \
  } while (0)

CUresult cuCtxDestroy_v2(CUcontext ctx) {
  HAMI_CUDA_ENTER(cuCtxDestroy_v2, ctx);
  DESTROY_CONTEXT(ctx);
}

CUresult cuCtxDestroy(CUcontext ctx) {
  HAMI_CUDA_ENTER(cuCtxDestroy, ctx);
  DESTROY_CONTEXT(ctx);
}

/* A context ends with its last detachment, so the others are counted: an entry in the books, of no device. */
static void count_attachments(CUcontext context, int change) {
  struct hami_charge count = {.device = HAMI_NO_DEVICE, .class = HAMI_CLASS_CONTEXT, .owner = context};
  (void)hami_books_take(HAMI_BOOKS_ATTACHED, (uintptr_t)context, &count);
  count.bytes += (uint64_t)(int64_t)change;
  if (count.bytes != 0) {
    (void)hami_books_record(HAMI_BOOKS_ATTACHED, (uintptr_t)context, &count);
  }
}

CUresult cuCtxAttach(CUcontext *pctx, unsigned int flags) {
  HAMI_CUDA_ENTER(cuCtxAttach, pctx, flags);
  CUresult result = real(pctx, flags);
  if (result == CUDA_SUCCESS && pctx != NULL) {
    count_attachments(*pctx, 1);
  }
  HAMI_LEAVE(result);
}

CUresult cuCtxDetach(CUcontext ctx) {
  HAMI_CUDA_ENTER(cuCtxDetach, ctx);
  struct hami_charge count;
  if (!hami_table_find(HAMI_BOOKS_ATTACHED, (uintptr_t)ctx, &count)) {
    DESTROY_CONTEXT(ctx);
  }
  CUresult result = real(ctx);
  if (result == CUDA_SUCCESS) {
    count_attachments(ctx, -1);
  }
  HAMI_LEAVE(result);
}

static bool primary_is_active(CUdevice ordinal) {
  __typeof__(&cuDevicePrimaryCtxGetState) get_state = HAMI_REAL(cuDevicePrimaryCtxGetState);
  unsigned int flags;
  int active = 0;
  return get_state != NULL && get_state(ordinal, &flags, &active) == CUDA_SUCCESS && active != 0;
}

static bool cached(CUdevice ordinal) { return ordinal >= 0 && ordinal < MAX_ORDINALS; }

CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev) {
  HAMI_CUDA_ENTER(cuDevicePrimaryCtxRetain, pctx, dev);
  struct hami_contexts_snapshot before;
  bool joined = primary_is_active(dev);
  if (!joined) {
    hami_contexts_look(&before, dev);
  }
  CUresult result = real(pctx, dev);
  if (result == CUDA_SUCCESS && pctx != NULL) {
    if (cached(dev)) {
      __atomic_store_n(&primary_contexts[dev], *pctx, __ATOMIC_RELEASE);
      (void)__atomic_add_fetch(&primary_retains[dev], 1, __ATOMIC_ACQ_REL);
    }
    if (joined) {
      hami_contexts_joined(dev, *pctx);
    } else {
      hami_contexts_made(&before, *pctx);
    }
  }
  HAMI_LEAVE(result);
}

/* A green context makes the primary one of its device if need be, and keeps it until its own end. */
CUresult cuGreenCtxCreate(CUgreenCtx *phCtx, CUdevResourceDesc desc, CUdevice dev, unsigned int flags) {
  HAMI_CUDA_ENTER(cuGreenCtxCreate, phCtx, desc, dev, flags);
  MAKE_CONTEXT(phCtx, dev, phCtx, desc, dev, flags);
}

static CUcontext primary_beneath(CUcontext context) {
  __typeof__(&cuCtxPushCurrent_v2) push = HAMI_REAL(cuCtxPushCurrent_v2);
  __typeof__(&cuCtxPopCurrent_v2) pop = HAMI_REAL(cuCtxPopCurrent_v2);
  __typeof__(&cuCtxGetDevice) get_device = HAMI_REAL(cuCtxGetDevice);
  CUdevice ordinal = -1;
  if (push != NULL && pop != NULL && get_device != NULL && push(context) == CUDA_SUCCESS) {
    CUresult result = get_device(&ordinal);
    ordinal = result == CUDA_SUCCESS ? ordinal : -1;
    (void)pop(&context);
  }
  return cached(ordinal) ? __atomic_load_n(&primary_contexts[ordinal], __ATOMIC_ACQUIRE) : NULL;
}

/* What was allocated under a green context is the primary one's, and outlives the handle that stood for both. */
static void hand_over(CUgreenCtx green) {
  __typeof__(&cuCtxFromGreenCtx) get_handle = HAMI_REAL(cuCtxFromGreenCtx);
  CUcontext handle = NULL;
  if (get_handle != NULL && green != NULL && get_handle(&handle, green) == CUDA_SUCCESS && handle != NULL) {
    hami_probes_forget_context(handle);
    hami_books_change_owner(handle, primary_beneath(handle));
  }
}

CUresult cuGreenCtxDestroy(CUgreenCtx hCtx) {
  HAMI_CUDA_ENTER(cuGreenCtxDestroy, hCtx);
  hand_over(hCtx);
  DESTROY_CONTEXT(hCtx);
}

/* Device heap, printf buffer and stacks are device memory. */
CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
  HAMI_CUDA_ENTER(cuCtxSetLimit, limit, value);
  CUresult result = real(limit, value);
  hami_growth_expect(HAMI_GROWTH_MORE | HAMI_GROWTH_LESS);
  hami_growth_check();
  HAMI_LEAVE(result);
}

typedef CUresult (*primary_function)(CUdevice);

/* Sets the primary context's possessions aside while `end` may destroy it. */
static CUresult end_primary(primary_function end, CUdevice ordinal, bool is_last) {
  char token = 0;
  CUcontext context = cached(ordinal) ? __atomic_load_n(&primary_contexts[ordinal], __ATOMIC_ACQUIRE) : NULL;
  CUcontext aside = is_last ? context : NULL;
  hami_contexts_ending(aside, &token);
  CUresult result = end(ordinal);
  bool ended = result == CUDA_SUCCESS && !primary_is_active(ordinal);
  if (ended && aside == NULL) {
    hami_contexts_ending(context, &token); /* the driver knew of fewer retains: not all releases pass through here */
  }
  hami_contexts_ended(ended ? context : aside, &token, ended);
  if (ended && cached(ordinal)) {
    __atomic_store_n(&primary_retains[ordinal], 0, __ATOMIC_RELEASE); /* a reset ends them all */
  }
  return result;
}

static CUresult release_primary(primary_function release, CUdevice ordinal) {
  bool is_last = cached(ordinal) && __atomic_load_n(&primary_retains[ordinal], __ATOMIC_ACQUIRE) <= 1;
  CUresult result = end_primary(release, ordinal, is_last);
  if (result == CUDA_SUCCESS && cached(ordinal) && __atomic_load_n(&primary_retains[ordinal], __ATOMIC_ACQUIRE) > 0) {
    (void)__atomic_sub_fetch(&primary_retains[ordinal], 1, __ATOMIC_ACQ_REL);
  }
  return result;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev) {
  HAMI_CUDA_ENTER(cuDevicePrimaryCtxRelease_v2, dev);
  CUresult result = release_primary(real, dev);
  HAMI_LEAVE(result);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice dev) {
  HAMI_CUDA_ENTER(cuDevicePrimaryCtxRelease, dev);
  CUresult result = release_primary(real, dev);
  HAMI_LEAVE(result);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev) {
  HAMI_CUDA_ENTER(cuDevicePrimaryCtxReset_v2, dev);
  CUresult result = end_primary(real, dev, true);
  HAMI_LEAVE(result);
}

CUresult cuDevicePrimaryCtxReset(CUdevice dev) {
  HAMI_CUDA_ENTER(cuDevicePrimaryCtxReset, dev);
  CUresult result = end_primary(real, dev, true);
  HAMI_LEAVE(result);
}
