/* Power, clocks, temperature and modes: the machine's constants, moved by how busy the card is. */
#include "driver.h"

static unsigned load_percent(const struct fake_device *card) {
  fake_state_lock(fake_nvml.state);
  unsigned percent = fake_engine_utilisation(fake_nvml.state, card->index);
  fake_state_unlock(fake_nvml.state);
  return percent;
}

#define SENSOR(name, type, value)                                                                                      \
  nvmlReturn_t name(nvmlDevice_t device, type *out) {                                                                  \
    NVML_ENTER_DEVICE(name, device);                                                                                   \
    NVML_NEED(out != NULL);                                                                                            \
    *out = (value);                                                                                                    \
    return NVML_SUCCESS;                                                                                               \
  }

static unsigned power_mw(const struct fake_device *card) {
  unsigned span = card->power_limit_mw > card->idle_power_mw ? card->power_limit_mw - card->idle_power_mw : 0;
  return card->idle_power_mw + span / 100 * load_percent(card);
}

static unsigned temperature(const struct fake_device *card) {
  return card->temperature_c + load_percent(card) * 3 / 10;
}

static unsigned clock_of(const struct fake_device *card, nvmlClockType_t type) {
  return type == NVML_CLOCK_MEM ? card->memory_clock_mhz : card->sm_clock_mhz;
}

SENSOR(nvmlDeviceGetPowerUsage, unsigned, power_mw(card))
SENSOR(nvmlDeviceGetPowerManagementLimit, unsigned, card->power_limit_mw)
SENSOR(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, card->power_limit_mw)
SENSOR(nvmlDeviceGetEnforcedPowerLimit, unsigned, card->power_limit_mw)
SENSOR(nvmlDeviceGetPowerManagementMode, nvmlEnableState_t, NVML_FEATURE_ENABLED)
SENSOR(nvmlDeviceGetPerformanceState, nvmlPstates_t, load_percent(card) > 0 ? NVML_PSTATE_0 : NVML_PSTATE_8)
SENSOR(nvmlDeviceGetPowerState, nvmlPstates_t, load_percent(card) > 0 ? NVML_PSTATE_0 : NVML_PSTATE_8)
SENSOR(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, NVML_FEATURE_ENABLED)
SENSOR(nvmlDeviceGetDisplayMode, nvmlEnableState_t, NVML_FEATURE_DISABLED)
SENSOR(nvmlDeviceGetDisplayActive, nvmlEnableState_t, NVML_FEATURE_DISABLED)
SENSOR(nvmlDeviceGetComputeMode, nvmlComputeMode_t, NVML_COMPUTEMODE_DEFAULT)
SENSOR(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, 4)
SENSOR(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, 4)
SENSOR(nvmlDeviceGetMaxPcieLinkWidth, unsigned, 16)
SENSOR(nvmlDeviceGetCurrPcieLinkWidth, unsigned, 16)
SENSOR(nvmlDeviceGetVirtualizationMode, nvmlGpuVirtualizationMode_t, NVML_GPU_VIRTUALIZATION_MODE_NONE)
SENSOR(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, nvmlClocksEventReasonNone)
SENSOR(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, nvmlClocksEventReasonNone)
SENSOR(nvmlDeviceGetMemoryBusWidth, unsigned, 384)

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetTotalEnergyConsumption, device);
  NVML_NEED(out != NULL);
  *out = fake_clock_now(fake_nvml.state) / 1000000000u * card->idle_power_mw;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned *low, unsigned *high) {
  NVML_ENTER_DEVICE(nvmlDeviceGetPowerManagementLimitConstraints, device);
  NVML_NEED(low != NULL && high != NULL);
  *low = card->power_limit_mw / 3;
  *high = card->power_limit_mw;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor, unsigned *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetTemperature, device);
  NVML_NEED(out != NULL && sensor == NVML_TEMPERATURE_GPU);
  *out = temperature(card);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetTemperatureV, device);
  NVML_NEED(out != NULL && out->sensorType == NVML_TEMPERATURE_GPU);
  if (out->version != nvmlTemperature_v1) {
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  }
  out->temperature = (int)temperature(card);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, nvmlTemperatureThresholds_t threshold,
                                               unsigned *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetTemperatureThreshold, device);
  NVML_NEED(out != NULL && threshold < NVML_TEMPERATURE_THRESHOLD_COUNT);
  *out = threshold == NVML_TEMPERATURE_THRESHOLD_SHUTDOWN ? 98 : 92;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetClockInfo, device);
  NVML_NEED(out != NULL && type < NVML_CLOCK_COUNT);
  *out = load_percent(card) > 0 ? clock_of(card, type) : 210;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMaxClockInfo, device);
  NVML_NEED(out != NULL && type < NVML_CLOCK_COUNT);
  *out = clock_of(card, type);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, nvmlPcieUtilCounter_t counter, unsigned *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetPcieThroughput, device);
  NVML_NEED(out != NULL && counter < NVML_PCIE_UTIL_COUNT);
  *out = 0;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t *current, nvmlEnableState_t *pending) {
  NVML_ENTER_DEVICE(nvmlDeviceGetEccMode, device);
  NVML_NEED(current != NULL && pending != NULL);
  *current = *pending = NVML_FEATURE_ENABLED;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter,
                                         unsigned long long *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetTotalEccErrors, device);
  NVML_NEED(out != NULL && type < NVML_MEMORY_ERROR_TYPE_COUNT && counter < NVML_ECC_COUNTER_TYPE_COUNT);
  *out = 0;
  return NVML_SUCCESS;
}
