/*
 * The functions of libruntime that this library wraps or calls, with the types they need: facts of the interface, read
 * in its public headers (pkg_inc/runtime of the Ascend runtime, and older copies for what was taken out since).
 * rtError_t and the enums are 32-bit; opaque things are pointers.
 */
#ifndef HAMI_ASCEND_API_H
#define HAMI_ASCEND_API_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t rtError_t;
typedef void *rtStream_t;
typedef void *rtEvent_t;
typedef void *rtMemPool_t;
typedef void *rtModel_t;
typedef void *rtFuncHandle;
typedef struct rtDrvMemHandleInfo *rtDrvMemHandle;
typedef struct rtDrvMemProp rtDrvMemProp_t;
typedef struct rtMallocConfig rtMallocConfig_t;
typedef struct rtLaunchConfig rtLaunchConfig_t;
typedef struct rtArgsEx rtArgsEx_t;
typedef struct rtSmDesc rtSmDesc_t;
typedef struct rtTaskCfgInfo rtTaskCfgInfo_t;
typedef struct rtPlaceHolderInfo rtPlaceHolderInfo_t;
typedef struct rtKernelLaunchNames rtKernelLaunchNames_t;
typedef struct rtAicpuArgsEx rtAicpuArgsEx_t;
typedef struct rtCpuKernelArgs rtCpuKernelArgs_t;
typedef struct rtFftsTaskInfo rtFftsTaskInfo_t;
typedef struct rtFftsPlusTaskInfo rtFftsPlusTaskInfo_t;
typedef struct rtFusionArgsEx rtFusionArgsEx_t;
typedef struct rtLaunchArgs *rtLaunchArgsHandle;

/* rtMemGetInfoEx's first argument: which memory, and of which page size. These are not the card's HBM. */
enum {
  RT_MEMORYINFO_DDR = 0,
  RT_MEMORYINFO_HBM = 1,
  RT_MEMORYINFO_DDR_HUGE = 2,
  RT_MEMORYINFO_DDR_NORMAL = 3,
  RT_MEMORYINFO_DDR_P2P_HUGE = 6,
  RT_MEMORYINFO_DDR_P2P_NORMAL = 7
};

/* rtMemGetInfoByType's: those that ask for sizes of HBM. */
enum { RT_MEM_INFO_TYPE_HBM_SIZE = 2, RT_MEM_INFO_TYPE_HBM_P2P_SIZE = 4 };

/* The answer to those; for others it is something else of another size. */
typedef struct {
  uint64_t total;
  uint64_t free;
  uint64_t hugeTotal;
  uint64_t hugeFree;
  uint64_t giantHugeTotal;
  uint64_t giantHugeFree;
} rtMemPhyInfo_t;

/* rtGeneralCtrl's last argument: those that launch work on the card's cores. */
enum {
  RT_GNL_CTRL_TYPE_FFTS_PLUS_FLAG = 2,
  RT_GNL_CTRL_TYPE_FFTS_PLUS = 3,
  RT_GNL_CTRL_TYPE_STARS_TSK = 6,
  RT_GNL_CTRL_TYPE_STARS_TSK_FLAG = 11,
  RT_GNL_CTRL_TYPE_MULTIPLE_TSK = 13,
  RT_GNL_CTRL_TYPE_MULTIPLE_TSK_FLAG = 16
};

#define RT_ERROR_NONE 0
#define ACL_ERROR_RT_MEMORY_ALLOCATION 207001 /* the one code on which frameworks free their caches and try again */
#define ACL_ERROR_RT_FEATURE_NOT_SUPPORT 207000

#define HAMI_SUCCESS RT_ERROR_NONE
#define HAMI_OUT_OF_MEMORY ACL_ERROR_RT_MEMORY_ALLOCATION
#define HAMI_MISSING ACL_ERROR_RT_FEATURE_NOT_SUPPORT

#pragma GCC visibility push(default)

rtError_t rtMalloc(void **devPtr, uint64_t size, uint32_t type, uint16_t moduleId);
rtError_t rtMallocCached(void **devPtr, uint64_t size, uint32_t type, uint16_t moduleId);
rtError_t rtDvppMalloc(void **devPtr, uint64_t size, uint16_t moduleId);
rtError_t rtDvppMallocWithFlag(void **devPtr, uint64_t size, uint32_t flag, uint16_t moduleId);
rtError_t rtMemAllocManaged(void **ptr, uint64_t size, uint32_t flag, uint16_t moduleId);
rtError_t rtMemAlloc(void **devPtr, uint64_t size, int32_t policy, int32_t advise, rtMallocConfig_t *cfg);
rtError_t rtsMalloc(void **devPtr, uint64_t size, int32_t policy, int32_t advise, rtMallocConfig_t *cfg);
rtError_t rtMemPoolMallocAsync(void **devPtr, uint64_t size, rtMemPool_t memPool, rtStream_t stream);

rtError_t rtFree(void *devPtr);
rtError_t rtFreeWithDevSync(void *devPtr);
rtError_t rtDvppFree(void *devPtr);
rtError_t rtsFree(void *devPtr);
rtError_t rtMemFreeManaged(void *ptr);
rtError_t rtMemPoolFreeAsync(void *ptr, rtStream_t stream);

rtError_t rtMallocPhysical(rtDrvMemHandle *handle, size_t size, rtDrvMemProp_t *prop, uint64_t flags);
rtError_t rtsMemMallocPhysical(rtDrvMemHandle *handle, size_t size, int32_t policy, rtMallocConfig_t *cfg);
rtError_t rtFreePhysical(rtDrvMemHandle handle);
rtError_t rtsMemFreePhysical(rtDrvMemHandle *handle);
rtError_t rtMapMem(void *devPtr, size_t size, size_t offset, rtDrvMemHandle handle, uint64_t flags);
rtError_t rtUnmapMem(void *devPtr);

rtError_t rtMemGetInfo(size_t *freeSize, size_t *totalSize);
rtError_t rtMemGetInfoEx(int32_t memInfoType, size_t *freeSize, size_t *totalSize);
rtError_t rtsMemGetInfo(int32_t memInfoType, size_t *freeSize, size_t *totalSize);
rtError_t rtMemGetInfoByType(int32_t devId, uint32_t type, rtMemPhyInfo_t *info);

rtError_t rtKernelLaunch(const void *stubFunc, uint32_t blockDim, void *args, uint32_t argsSize, rtSmDesc_t *smDesc,
                         rtStream_t stm);
rtError_t rtKernelLaunchWithFlag(const void *stubFunc, uint32_t blockDim, rtArgsEx_t *argsInfo, rtSmDesc_t *smDesc,
                                 rtStream_t stm, uint32_t flags);
rtError_t rtKernelLaunchWithFlagV2(const void *stubFunc, uint32_t blockDim, rtArgsEx_t *argsInfo, rtSmDesc_t *smDesc,
                                   rtStream_t stm, uint32_t flags, const rtTaskCfgInfo_t *cfgInfo);
rtError_t rtLaunchKernelByFuncHandleV3(rtFuncHandle funcHandle, uint32_t blockDim, rtArgsEx_t *args, rtStream_t stm,
                                       const rtTaskCfgInfo_t *cfgInfo);
rtError_t rtsLaunchKernelWithConfig(rtFuncHandle funcHandle, uint32_t blockDim, rtStream_t stm, rtLaunchConfig_t *cfg,
                                    void *argsHandle, void *reserve);
rtError_t rtsLaunchKernelWithDevArgs(rtFuncHandle funcHandle, uint32_t blockDim, rtStream_t stm, rtLaunchConfig_t *cfg,
                                     const void *args, uint32_t argsSize, void *reserve);
rtError_t rtsLaunchKernelWithHostArgs(rtFuncHandle funcHandle, uint32_t blockDim, rtStream_t stm, rtLaunchConfig_t *cfg,
                                      void *hostArgs, uint32_t argsSize, rtPlaceHolderInfo_t *placeHolders,
                                      uint32_t placeHolderNum);
rtError_t rtLaunchKernelWithArgsArray(void *func, uint32_t blockDim, rtStream_t stm, rtLaunchConfig_t *cfg,
                                      void **args);
rtError_t rtKernelLaunchWithHandle(void *hdl, uint64_t tilingKey, uint32_t blockDim, rtArgsEx_t *argsInfo,
                                   rtSmDesc_t *smDesc, rtStream_t stm, const void *kernelInfo);
rtError_t rtKernelLaunchWithHandleV2(void *hdl, uint64_t tilingKey, uint32_t blockDim, rtArgsEx_t *argsInfo,
                                     rtSmDesc_t *smDesc, rtStream_t stm, const rtTaskCfgInfo_t *cfgInfo);
rtError_t rtKernelLaunchEx(void *args, uint32_t argsSize, uint32_t flags, rtStream_t stm);
rtError_t rtKernelLaunchFwk(const char *opName, void *args, uint32_t argsSize, uint32_t flags, rtStream_t stm);
rtError_t rtVectorCoreKernelLaunch(const void *stubFunc, uint32_t blockDim, rtArgsEx_t *argsInfo, rtSmDesc_t *smDesc,
                                   rtStream_t stm, uint32_t flags, const rtTaskCfgInfo_t *cfgInfo);
rtError_t rtVectorCoreKernelLaunchWithHandle(void *hdl, uint64_t tilingKey, uint32_t blockDim, rtArgsEx_t *argsInfo,
                                             rtSmDesc_t *smDesc, rtStream_t stm, const rtTaskCfgInfo_t *cfgInfo);
rtError_t rtLaunchKernelByFuncHandle(rtFuncHandle funcHandle, uint32_t blockDim, rtLaunchArgsHandle argsHandle,
                                     rtStream_t stm);
rtError_t rtLaunchKernelByFuncHandleV2(rtFuncHandle funcHandle, uint32_t blockDim, rtLaunchArgsHandle argsHandle,
                                       rtStream_t stm, const rtTaskCfgInfo_t *cfgInfo);
rtError_t rtLaunchKernelExByFuncHandle(rtFuncHandle funcHandle, rtLaunchConfig_t *launchConfig,
                                       rtLaunchArgsHandle argsHandle, rtStream_t stm);
rtError_t rtCpuKernelLaunch(const void *soName, const void *kernelName, uint32_t blockDim, const void *args,
                            uint32_t argsSize, rtSmDesc_t *smDesc, rtStream_t stm);
rtError_t rtCpuKernelLaunchWithFlag(const void *soName, const void *kernelName, uint32_t blockDim,
                                    const rtArgsEx_t *argsInfo, rtSmDesc_t *smDesc, rtStream_t stm, uint32_t flags);
rtError_t rtAicpuKernelLaunch(const rtKernelLaunchNames_t *launchNames, uint32_t blockDim, const void *args,
                              uint32_t argsSize, rtSmDesc_t *smDesc, rtStream_t stm);
rtError_t rtAicpuKernelLaunchWithFlag(const rtKernelLaunchNames_t *launchNames, uint32_t blockDim,
                                      const rtArgsEx_t *argsInfo, rtSmDesc_t *smDesc, rtStream_t stm, uint32_t flags);
rtError_t rtAicpuKernelLaunchExWithArgs(uint32_t kernelType, const char *opName, uint32_t blockDim,
                                        const rtAicpuArgsEx_t *argsInfo, rtSmDesc_t *smDesc, rtStream_t stm,
                                        uint32_t flags);
rtError_t rtsLaunchCpuKernel(rtFuncHandle funcHandle, uint32_t blockDim, rtStream_t stm, const rtLaunchConfig_t *cfg,
                             rtCpuKernelArgs_t *argsInfo);
rtError_t rtFftsTaskLaunch(rtFftsTaskInfo_t *fftsTaskInfo, rtStream_t stm);
rtError_t rtFftsTaskLaunchWithFlag(rtFftsTaskInfo_t *fftsTaskInfo, rtStream_t stm, uint32_t flag);
rtError_t rtFftsPlusTaskLaunch(rtFftsPlusTaskInfo_t *fftsPlusTaskInfo, rtStream_t stm);
rtError_t rtFftsPlusTaskLaunchWithFlag(rtFftsPlusTaskInfo_t *fftsPlusTaskInfo, rtStream_t stm, uint32_t flag);
rtError_t rtStarsTaskLaunch(const void *taskSqe, uint32_t sqeLen, rtStream_t stm);
rtError_t rtStarsTaskLaunchWithFlag(const void *taskSqe, uint32_t sqeLen, rtStream_t stm, uint32_t flag);
rtError_t rtMultipleTaskInfoLaunch(const void *taskInfo, rtStream_t stm);
rtError_t rtMultipleTaskInfoLaunchWithFlag(const void *taskInfo, rtStream_t stm, uint32_t flag);
rtError_t rtFusionLaunch(void *fusionInfo, rtStream_t stm, rtFusionArgsEx_t *argsInfo);
rtError_t rtLaunch(const void *stubFunc);
rtError_t rtGeneralCtrl(uintptr_t *ctrl, uint32_t num, uint32_t type);
rtError_t rtsModelExecute(rtModel_t mdl, int32_t timeout);
rtError_t rtModelExecuteSync(rtModel_t mdl, rtStream_t stm, uint32_t flag, int32_t timeout);
rtError_t rtsModelExecuteAsync(rtModel_t mdl, rtStream_t stm);
rtError_t rtModelExecute(rtModel_t mdl, rtStream_t stm, uint32_t flag);

rtError_t rtGetDevice(int32_t *devId);
rtError_t rtSetDevice(int32_t devId);
rtError_t rtGetDeviceCount(int32_t *cnt);
rtError_t rtStreamSynchronize(rtStream_t stm);
rtError_t rtEventCreate(rtEvent_t *evt);
rtError_t rtEventDestroy(rtEvent_t evt);
rtError_t rtEventRecord(rtEvent_t evt, rtStream_t stm);
rtError_t rtEventQuery(rtEvent_t evt);
rtError_t rtEventElapsedTime(float *timeInterval, rtEvent_t startEvent, rtEvent_t endEvent);
rtError_t rtStreamGetCaptureInfo(rtStream_t stm, int32_t *status, rtModel_t *captureMdl);

#pragma GCC visibility pop

#endif
