/*
 * CNDEV, Cambricon's management library: the functions that its double has, with the types they need. Facts of the
 * interface, read in public copies of cndev.h. A structure's first member is the version that the caller speaks; only
 * cndevMemoryInfoV2_t has none.
 */
#ifndef HAMI_FAKE_CNDEV_H
#define HAMI_FAKE_CNDEV_H

#include <stdint.h>

typedef int cndevRet_t;
typedef int32_t cndevDevice_t;

enum {
  CNDEV_SUCCESS = 0,
  CNDEV_ERROR_NO_DRIVER = 1,
  CNDEV_ERROR_UNSUPPORTED_API_VERSION = 3,
  CNDEV_ERROR_UNINITIALIZED = 4,
  CNDEV_ERROR_INVALID_ARGUMENT = 5,
  CNDEV_ERROR_INVALID_DEVICE_ID = 6,
  CNDEV_ERROR_UNKNOWN = 7,
  CNDEV_ERROR_INSUFFICIENT_SPACE = 9,
};

enum { CNDEV_VERSION_5 = 5, CNDEV_VERSION_6 = 6 };
enum { CNDEV_HEALTH_STATE_DRIVER_RUNNING = 4 };

typedef struct {
  int32_t version;
  uint32_t number;
} cndevCardInfo_t;

typedef struct {
  int32_t version;
  uint8_t uuid[37];
  uint64_t ncsUUID64;
} cndevUUID_t;

/* MiB. */
typedef struct {
  int64_t physicalMemoryTotal;
  int64_t physicalMemoryUsed;
  int64_t reservedMemory;
  int64_t virtualMemoryTotal;
  int64_t virtualMemoryUsed;
  uint64_t globalMemory;
  uint64_t reserved[16];
} cndevMemoryInfoV2_t;

typedef struct {
  int32_t version;
  int32_t averageCoreUtilization;
  int32_t coreUtilization[80];
} cndevUtilizationInfo_t;

/* 1 is well, 0 is sick. */
typedef struct {
  int32_t version;
  int32_t health;
  int32_t deviceState;
  int32_t driverState;
} cndevCardHealthState_t;

typedef struct {
  int32_t version;
  int32_t nodeId;
} cndevNUMANodeId_t;

typedef struct {
  int32_t version;
  uint32_t mcuMajorVersion;
  uint32_t mcuMinorVersion;
  uint32_t mcuBuildVersion;
  uint32_t driverMajorVersion;
  uint32_t driverMinorVersion;
  uint32_t driverBuildVersion;
} cndevVersionInfo_t;

/* KiB. The version is that of the first row. */
typedef struct {
  int32_t version;
  uint32_t pid;
  uint64_t physicalMemoryUsed;
  uint64_t virtualMemoryUsed;
} cndevProcessInfo_t;

typedef struct {
  int32_t version;
  uint32_t subsystemId;
  uint32_t deviceId;
  uint16_t vendor;
  uint16_t subsystemVendor;
  uint32_t domain;
  uint32_t bus;
  uint32_t device;
  uint32_t function;
  const char *physicalSlot;
  int32_t slotID;
} cndevPCIeInfo_t;

typedef struct {
  int32_t version;
  int32_t relation; /* 1 same board, 2 one switch, 3 switches, 4 host bridge, 5 same CPU, 6 system */
} cndevTopologyRelationship_t;

#pragma GCC visibility push(default)

cndevRet_t cndevInit(int reserved);
cndevRet_t cndevRelease(void);
const char *cndevGetErrorString(cndevRet_t errorId);
cndevRet_t cndevGetDeviceCount(cndevCardInfo_t *cardNum);
cndevRet_t cndevGetDeviceHandleByIndex(int32_t index, cndevDevice_t *handle);
cndevRet_t cndevGetUUID(cndevUUID_t *uuidInfo, cndevDevice_t device);
const char *cndevGetCardNameStringByDevId(cndevDevice_t device);
cndevRet_t cndevGetMemoryUsageV2(cndevMemoryInfoV2_t *memInfo, cndevDevice_t device);
cndevRet_t cndevGetDeviceUtilizationInfo(cndevUtilizationInfo_t *utilInfo, cndevDevice_t device);
cndevRet_t cndevGetCardHealthState(cndevCardHealthState_t *cardHealthState, cndevDevice_t device);
cndevRet_t cndevGetNUMANodeIdByDevId(cndevNUMANodeId_t *numaNodeId, cndevDevice_t device);
cndevRet_t cndevGetVersionInfo(cndevVersionInfo_t *versInfo, cndevDevice_t device);
cndevRet_t cndevGetPCIeInfo(cndevPCIeInfo_t *deviceInfo, cndevDevice_t device);
cndevRet_t cndevTopologyGetRelationship(cndevTopologyRelationship_t *relationship, cndevDevice_t device,
                                        cndevDevice_t peer);
cndevRet_t cndevGetProcessInfo(uint32_t *infoCount, cndevProcessInfo_t *procInfo, cndevDevice_t device);

#pragma GCC visibility pop

#endif
