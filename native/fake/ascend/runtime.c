/* A test double of libruntime: its own calls stay inside (-Bsymbolic), as rtsMalloc's of rtMemAlloc do in the original.
 */
#include "api.h"
#include "card.h"

#define DRIVER_REFUSED 207018 /* the device is out of memory, as the driver says it */
#define INVALID 107000
#define NOT_READY 107027
#define MIB CARD_MIB

const char card_vendor[] = "ascend";
const char card_visible_variable[] = "ASCEND_RT_VISIBLE_DEVICES";

static rtError_t take(void **out, uint64_t bytes) {
  uint64_t key = 0;
  if (out == NULL) {
    return INVALID;
  }
  if (!card_take(bytes, &key)) {
    return DRIVER_REFUSED;
  }
  *out = (void *)(uintptr_t)key;
  return RT_ERROR_NONE;
}

static rtError_t give(const void *pointer) { return card_give((uintptr_t)pointer) ? RT_ERROR_NONE : INVALID; }

#define UNUSED(name) (void)(name)

rtError_t rtMalloc(void **devPtr, uint64_t size, uint32_t type, uint16_t moduleId) {
  UNUSED(type), UNUSED(moduleId);
  return take(devPtr, size);
}

rtError_t rtMallocCached(void **devPtr, uint64_t size, uint32_t type, uint16_t moduleId) {
  UNUSED(type), UNUSED(moduleId);
  return take(devPtr, size);
}

rtError_t rtDvppMalloc(void **devPtr, uint64_t size, uint16_t moduleId) {
  UNUSED(moduleId);
  return take(devPtr, size);
}

rtError_t rtMemAllocManaged(void **ptr, uint64_t size, uint32_t flag, uint16_t moduleId) {
  UNUSED(flag), UNUSED(moduleId);
  return take(ptr, size);
}

rtError_t rtMemAlloc(void **devPtr, uint64_t size, int32_t policy, int32_t advise, rtMallocConfig_t *cfg) {
  UNUSED(policy), UNUSED(advise), UNUSED(cfg);
  return take(devPtr, size);
}

rtError_t rtsMalloc(void **devPtr, uint64_t size, int32_t policy, int32_t advise, rtMallocConfig_t *cfg) {
  return rtMemAlloc(devPtr, size, policy, advise, cfg);
}

rtError_t rtMemPoolMallocAsync(void **devPtr, uint64_t size, rtMemPool_t memPool, rtStream_t stream) {
  UNUSED(memPool), UNUSED(stream);
  return take(devPtr, size);
}

rtError_t rtFree(void *devPtr) { return give(devPtr); }
rtError_t rtFreeWithDevSync(void *devPtr) { return give(devPtr); }
rtError_t rtDvppFree(void *devPtr) { return give(devPtr); }
rtError_t rtsFree(void *devPtr) { return rtFree(devPtr); }
rtError_t rtMemFreeManaged(void *ptr) { return give(ptr); }

rtError_t rtMemPoolFreeAsync(void *ptr, rtStream_t stream) {
  UNUSED(stream);
  return give(ptr);
}

rtError_t rtMallocPhysical(rtDrvMemHandle *handle, size_t size, rtDrvMemProp_t *prop, uint64_t flags) {
  UNUSED(prop), UNUSED(flags);
  return take((void **)handle, size);
}

rtError_t rtsMemMallocPhysical(rtDrvMemHandle *handle, size_t size, int32_t policy, rtMallocConfig_t *cfg) {
  UNUSED(policy), UNUSED(cfg);
  return rtMallocPhysical(handle, size, NULL, 0);
}

rtError_t rtFreePhysical(rtDrvMemHandle handle) { return give(handle); }
rtError_t rtsMemFreePhysical(rtDrvMemHandle *handle) { return handle == NULL ? INVALID : rtFreePhysical(*handle); }

rtError_t rtMapMem(void *devPtr, size_t size, size_t offset, rtDrvMemHandle handle, uint64_t flags) {
  UNUSED(offset), UNUSED(flags);
  return card_map((uintptr_t)devPtr, size, (uintptr_t)handle) ? RT_ERROR_NONE : INVALID;
}

rtError_t rtUnmapMem(void *devPtr) { return card_unmap((uintptr_t)devPtr) ? RT_ERROR_NONE : INVALID; }

rtError_t rtMemGetInfoEx(int32_t memInfoType, size_t *freeSize, size_t *totalSize) {
  UNUSED(memInfoType);
  if (freeSize == NULL || totalSize == NULL) {
    return INVALID;
  }
  *freeSize = card_bytes() - fake_used_bytes();
  *totalSize = card_bytes();
  return RT_ERROR_NONE;
}

rtError_t rtMemGetInfo(size_t *freeSize, size_t *totalSize) {
  return rtMemGetInfoEx(RT_MEMORYINFO_HBM, freeSize, totalSize);
}

rtError_t rtKernelLaunch(const void *stubFunc, uint32_t blockDim, void *args, uint32_t argsSize, rtSmDesc_t *smDesc,
                         rtStream_t stm) {
  UNUSED(blockDim), UNUSED(args), UNUSED(argsSize), UNUSED(smDesc);
  if (stubFunc == NULL) {
    return INVALID;
  }
  card_launch(stm, stubFunc);
  return RT_ERROR_NONE;
}

rtError_t rtsLaunchKernelWithHostArgs(rtFuncHandle funcHandle, uint32_t blockDim, rtStream_t stm, rtLaunchConfig_t *cfg,
                                      void *hostArgs, uint32_t argsSize, rtPlaceHolderInfo_t *placeHolders,
                                      uint32_t placeHolderNum) {
  UNUSED(cfg), UNUSED(placeHolders);
  /* Arguments on the stack arrive too, or the caller's and the wrapper's ideas of the ABI differ. */
  if (funcHandle == NULL || blockDim != 7 || hostArgs != (void *)0x1234 || argsSize != 8 || placeHolderNum != 9) {
    return INVALID;
  }
  card_launch(stm, funcHandle);
  return RT_ERROR_NONE;
}

static rtError_t launch(rtStream_t stream, const void *kernel) {
  if (kernel == NULL) {
    return INVALID;
  }
  card_launch(stream, kernel);
  return RT_ERROR_NONE;
}

/* Arguments on the stack arrive too here. */
rtError_t rtKernelLaunchWithHandleV2(void *hdl, uint64_t tilingKey, uint32_t blockDim, rtArgsEx_t *argsInfo,
                                     rtSmDesc_t *smDesc, rtStream_t stm, const rtTaskCfgInfo_t *cfgInfo) {
  UNUSED(argsInfo), UNUSED(smDesc);
  return tilingKey == 5 && blockDim == 7 && cfgInfo == (const void *)0x99 ? launch(stm, hdl) : INVALID;
}

rtError_t rtAicpuKernelLaunchExWithArgs(uint32_t kernelType, const char *opName, uint32_t blockDim,
                                        const rtAicpuArgsEx_t *argsInfo, rtSmDesc_t *smDesc, rtStream_t stm,
                                        uint32_t flags) {
  UNUSED(opName), UNUSED(smDesc);
  return kernelType == 2 && blockDim == 1 && flags == 3 ? launch(stm, argsInfo) : INVALID;
}

rtError_t rtFftsPlusTaskLaunchWithFlag(rtFftsPlusTaskInfo_t *fftsPlusTaskInfo, rtStream_t stm, uint32_t flag) {
  UNUSED(flag);
  return launch(stm, fftsPlusTaskInfo);
}

rtError_t rtStarsTaskLaunchWithFlag(const void *taskSqe, uint32_t sqeLen, rtStream_t stm, uint32_t flag) {
  UNUSED(sqeLen), UNUSED(flag);
  return launch(stm, taskSqe);
}

rtError_t rtGeneralCtrl(uintptr_t *ctrl, uint32_t num, uint32_t type) {
  if (type == RT_GNL_CTRL_TYPE_STARS_TSK_FLAG && num == 4) {
    return rtStarsTaskLaunchWithFlag((const void *)ctrl[0], (uint32_t)ctrl[1], (rtStream_t)ctrl[2], (uint32_t)ctrl[3]);
  }
  if (type == RT_GNL_CTRL_TYPE_FFTS_PLUS_FLAG && num == 3) {
    return rtFftsPlusTaskLaunchWithFlag((rtFftsPlusTaskInfo_t *)ctrl[0], (rtStream_t)ctrl[1], (uint32_t)ctrl[2]);
  }
  return ctrl == NULL ? INVALID : RT_ERROR_NONE;
}

rtError_t rtLaunch(const void *stubFunc) { return launch(NULL, stubFunc); }

rtError_t rtModelExecute(rtModel_t mdl, rtStream_t stm, uint32_t flag) {
  UNUSED(flag);
  return launch(stm, mdl);
}

rtError_t rtsModelExecute(rtModel_t mdl, int32_t timeout) {
  UNUSED(timeout);
  rtError_t result = launch(NULL, mdl);
  card_synchronise(NULL);
  return result;
}

rtError_t rtMemGetInfoByType(int32_t devId, uint32_t type, rtMemPhyInfo_t *info) {
  UNUSED(devId);
  if (info == NULL) {
    return INVALID;
  }
  if (type == RT_MEM_INFO_TYPE_HBM_SIZE || type == 1) {
    uint64_t free_bytes = card_bytes() - fake_used_bytes();
    *info = (rtMemPhyInfo_t){.total = card_bytes(), .free = free_bytes, .hugeTotal = card_bytes(), .hugeFree = MIB};
  } else {
    ((uint32_t *)info)[0] = 77; /* something else, of another size */
  }
  return RT_ERROR_NONE;
}

rtError_t rtGetDevice(int32_t *devId) {
  *devId = card_current();
  return RT_ERROR_NONE;
}

rtError_t rtSetDevice(int32_t devId) { return card_use(devId) ? RT_ERROR_NONE : INVALID; }

rtError_t rtGetDeviceCount(int32_t *cnt) {
  *cnt = card_count();
  return RT_ERROR_NONE;
}

rtError_t rtStreamSynchronize(rtStream_t stm) {
  card_synchronise(stm);
  return RT_ERROR_NONE;
}

rtError_t rtEventCreate(rtEvent_t *evt) {
  *evt = card_event_create();
  return *evt == NULL ? INVALID : RT_ERROR_NONE;
}

rtError_t rtEventDestroy(rtEvent_t evt) {
  card_event_destroy(evt);
  return RT_ERROR_NONE;
}

rtError_t rtEventRecord(rtEvent_t evt, rtStream_t stm) {
  card_event_record(evt, stm);
  return RT_ERROR_NONE;
}

rtError_t rtEventQuery(rtEvent_t evt) { return card_event_reached(evt) ? RT_ERROR_NONE : NOT_READY; }

rtError_t rtEventElapsedTime(float *timeInterval, rtEvent_t startEvent, rtEvent_t endEvent) {
  *timeInterval = (float)card_event_between_ns(startEvent, endEvent) / 1e6F;
  return RT_ERROR_NONE;
}
