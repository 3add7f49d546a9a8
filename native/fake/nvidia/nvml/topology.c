/* How the cards are connected: PCIe levels, NVLink lanes, peer access. */
#include <stdio.h>
#include <string.h>

#include "driver.h"

static const struct {
  const char *kind;
  nvmlGpuTopologyLevel_t level;
} levels[] = {
    {"same-board", NVML_TOPOLOGY_INTERNAL},   {"single-switch", NVML_TOPOLOGY_SINGLE},
    {"multi-switch", NVML_TOPOLOGY_MULTIPLE}, {"host-bridge", NVML_TOPOLOGY_HOSTBRIDGE},
    {"same-cpu", NVML_TOPOLOGY_NODE},         {"cross-cpu", NVML_TOPOLOGY_SYSTEM},
};

/* The file may say; else cards of one NUMA node share a CPU. */
static nvmlGpuTopologyLevel_t level_between(const struct fake_device *card, const struct fake_device *peer) {
  for (unsigned i = 0; i < card->link_count; i++) {
    for (size_t k = 0; k < sizeof levels / sizeof *levels; k++) {
      if (card->links[i].peer == peer->index && strcmp(card->links[i].kind, levels[k].kind) == 0) {
        return levels[k].level;
      }
    }
  }
  return card->numa == peer->numa ? NVML_TOPOLOGY_NODE : NVML_TOPOLOGY_SYSTEM;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t device, nvmlDevice_t other, nvmlGpuTopologyLevel_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetTopologyCommonAncestor, device);
  const struct fake_device *peer = fake_nvml_card(other, NULL);
  NVML_NEED(peer != NULL && out != NULL);
  *out = peer == card ? NVML_TOPOLOGY_INTERNAL : level_between(card, peer);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyNearestGpus(nvmlDevice_t device, nvmlGpuTopologyLevel_t level, unsigned *count,
                                              nvmlDevice_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetTopologyNearestGpus, device);
  NVML_NEED(count != NULL);
  unsigned found = 0;
  for (int i = 0; i < fake_nvml.machine->device_count; i++) {
    const struct fake_device *peer = &fake_nvml.machine->devices[i];
    if (peer == card || level_between(card, peer) > level) {
      continue;
    }
    if (out != NULL && found < *count) {
      out[found] = &fake_nvml.devices[i];
    }
    found++;
  }
  *count = found;
  return NVML_SUCCESS;
}

static bool nvlinked(const struct fake_device *card, const struct fake_device *peer) {
  for (unsigned i = 0; i < card->link_count; i++) {
    if (card->links[i].peer == peer->index && strcmp(card->links[i].kind, "nvlink") == 0) {
      return true;
    }
  }
  return false;
}

nvmlReturn_t nvmlDeviceGetP2PStatus(nvmlDevice_t device, nvmlDevice_t other, nvmlGpuP2PCapsIndex_t index,
                                    nvmlGpuP2PStatus_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetP2PStatus, device);
  const struct fake_device *peer = fake_nvml_card(other, NULL);
  NVML_NEED(peer != NULL && out != NULL && peer != card);
  bool linked = nvlinked(card, peer);
  bool works = index == NVML_P2P_CAPS_INDEX_PCI ? !linked : linked;
  *out = works ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_NOT_SUPPORTED;
  return NVML_SUCCESS;
}

/* Peer at the far end of a lane, -1 for a switch; NOT_SUPPORTED for a card without NVLink. */
static nvmlReturn_t lane_peer(const struct fake_device *card, unsigned lane, int *peer) {
  *peer = -1;
  if (card->switch_lanes > 0) {
    return lane < card->switch_lanes ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
  }
  unsigned first = 0;
  for (unsigned i = 0; i < card->link_count; i++) {
    if (strcmp(card->links[i].kind, "nvlink") != 0) {
      continue;
    }
    unsigned end = first + (unsigned)card->links[i].count;
    if (lane >= first && lane < end) {
      *peer = card->links[i].peer;
      return NVML_SUCCESS;
    }
    first = end;
  }
  return first == 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_INVALID_ARGUMENT;
}

#define ENTER_LANE(name)                                                                                               \
  int peer = -1;                                                                                                       \
  NVML_ENTER_DEVICE(name, device);                                                                                     \
  NVML_NEED(out != NULL);                                                                                              \
  nvmlReturn_t lane_result = lane_peer(card, lane, &peer);                                                             \
  if (lane_result != NVML_SUCCESS) {                                                                                   \
    return lane_result;                                                                                                \
  }

nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned lane, nvmlEnableState_t *out) {
  ENTER_LANE(nvmlDeviceGetNvLinkState);
  *out = NVML_FEATURE_ENABLED;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t device, unsigned lane, unsigned *out) {
  ENTER_LANE(nvmlDeviceGetNvLinkVersion);
  *out = card->compute_major >= 9 ? 4 : 3;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkCapability(nvmlDevice_t device, unsigned lane, nvmlNvLinkCapability_t capability,
                                           unsigned *out) {
  ENTER_LANE(nvmlDeviceGetNvLinkCapability);
  NVML_NEED(capability < NVML_NVLINK_CAP_COUNT);
  *out = capability != NVML_NVLINK_CAP_SLI_BRIDGE;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t device, unsigned lane, nvmlIntNvLinkDeviceType_t *out) {
  ENTER_LANE(nvmlDeviceGetNvLinkRemoteDeviceType);
  *out = peer < 0 ? NVML_NVLINK_DEVICE_TYPE_SWITCH : NVML_NVLINK_DEVICE_TYPE_GPU;
  return NVML_SUCCESS;
}

static nvmlReturn_t remote_pci(int peer, nvmlPciInfo_t *out) {
  const struct fake_device *card = peer < 0 ? NULL : &fake_nvml.machine->devices[peer];
  out->domain = card == NULL ? 0 : card->pci_domain;
  out->bus = card == NULL ? 0xF0 : card->pci_bus; /* where the double's machines have their switch */
  out->device = card == NULL ? 0 : card->pci_device;
  snprintf(out->busIdLegacy, sizeof out->busIdLegacy, "%04x:%02x:%02x.0", out->domain & 0xFFFF, out->bus & 0xFF,
           out->device & 0xFF);
  snprintf(out->busId, sizeof out->busId, "%08X:%02X:%02X.0", out->domain, out->bus, out->device);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned lane, nvmlPciInfo_t *out) {
  ENTER_LANE(nvmlDeviceGetNvLinkRemotePciInfo_v2);
  return remote_pci(peer, out);
}
