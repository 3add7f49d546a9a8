/* rtMemGetInfoByType: the answer is of one kind for sizes of memory, and of others for what else it can be asked. */
#include "api.h"
#include "hami_table.h"
#include "interpose/hook.h"
#include "interpose/ordinals.h"
#include "interpose/share.h"

/* Memory in huge pages is a part of the share, as it was of the card. */
static void clamp(uint64_t *bytes, uint64_t most_bytes) { *bytes = *bytes < most_bytes ? *bytes : most_bytes; }

rtError_t rtMemGetInfoByType(int32_t devId, uint32_t type, rtMemPhyInfo_t *info) {
  HAMI_ENTER(HAMI_MISSING, rtMemGetInfoByType, devId, type, info)
  rtError_t result = real(devId, type, info);
  bool sizes = type == RT_MEM_INFO_TYPE_HBM_SIZE || type == RT_MEM_INFO_TYPE_HBM_P2P_SIZE;
  if (result == RT_ERROR_NONE && sizes && info != NULL) {
    hami_share_show(hami_ordinals_device(devId), &info->free, &info->total);
    clamp(&info->hugeTotal, info->total);
    clamp(&info->hugeFree, info->free);
    clamp(&info->giantHugeTotal, info->total);
    clamp(&info->giantHugeFree, info->free);
  }
  HAMI_LEAVE(result);
}
