/*
 * The core as a vendor's library uses it: one set of limits, one region, one ledger, one pacing per process. Every
 * function may be called from any thread, before and after fork; before hami_core_start succeeded they do nothing and
 * allow everything. None changes errno. See ledger.h and pacing.h for what the operations promise.
 */
#ifndef HAMI_CORE_CORE_H
#define HAMI_CORE_CORE_H

#include "core/ledger.h"
#include "core/pacing.h"

/*
 * Reads the limits and joins the region, once per process; later calls are cheap and answer the same. Safe to call
 * from another library's constructor; a second thread that comes meanwhile waits for the first. False: no limits are
 * set, wrappers only forward.
 */
bool hami_core_start(const struct hami_env_names *names);

/* True once hami_core_start found limits. One load. */
bool hami_core_active(void);

/* Devices under a limit. */
int hami_core_device_count(void);
int hami_core_device_by_uuid(const char *uuid);           /* -1: not ours */
const char *hami_core_uuid(int device);                   /* NULL when unknown; valid for the life of the process */
bool hami_core_name_device(int device, const char *uuid); /* for limits that came by number: see live_limits.h */
void hami_core_find_kernel_limit(int device, const char *bus_id); /* by PCI address, once: see dmem.h */
bool hami_core_oversubscribes(void);
enum hami_policy hami_core_policy(void);
uint32_t hami_core_core_percent(int device); /* 0: no limit */

/* Memory. */
bool hami_core_reserve(int device, unsigned int class, uint64_t bytes);
void hami_core_force(int device, unsigned int class, uint64_t bytes);
void hami_core_release(int device, unsigned int class, uint64_t bytes);
void hami_core_reclass(int device, unsigned int from, unsigned int to, uint64_t bytes);
uint64_t hami_core_used_bytes(int device);
uint64_t hami_core_own_bytes(int device);
uint64_t hami_core_taken_bytes(int device);
uint64_t hami_core_limit_bytes(int device); /* HAMI_UNLIMITED: none */
bool hami_core_over_limit(int device);
size_t hami_core_processes(int device, struct hami_ledger_row *rows, size_t size);

/* Time. Ask before each launch, limited or not: it is also how a process that allocates nothing shows that it lives. */
bool hami_core_paces(int device);
uint64_t hami_core_admit(int device, uint64_t estimate_ns, void (*meanwhile)(int device));
void hami_core_settle(int device, uint64_t charged_ns, uint64_t measured_ns, uint32_t launches);
void hami_core_observe_others(int device, bool busy);
void hami_core_note_management(bool answers); /* whether the vendor's management library can be asked, for hosts */
bool hami_core_contended(int device);         /* the host says that other containers work on the device */
uint64_t hami_core_busy_ns(int device);
uint64_t hami_core_typical_ns(int device); /* of a launch in this container, lately; 0: none was settled yet */

/* True in a new process made by fork or clone until it has dropped what it inherited, by `drop`, which one thread calls
 * once while others wait. The core's own state needs no such call. */
bool hami_core_forked(void);
void hami_core_drop_inherited(void (*drop)(void));

#endif
