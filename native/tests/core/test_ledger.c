#include "check.h"
#include "core/ledger.h"
#include "core/process.h"
#include "core/slots.h"
#include "core/test_point.h"
#include "world.h"

#define MOST 100

static struct world_process *all[MOST];

static void begin_with(const char *region, const char *devices) {
  for (int i = 0; i < MOST; i++) {
    if (all[i] != NULL) {
      world_free(all[i]);
      all[i] = NULL;
    }
  }
  world_begin();
  char text[4096];
  (void)snprintf(text, sizeof text, "hami-limits 1\nregion %s\n%s", region, devices);
  world_write("limits", text);
  hami_test_point = NULL;
}

static void begin(void) {
  world_begin(); /* its folder's name is needed first */
  begin_with(world_path("region"), "device " WORLD_GPU_0 " memory_mib=100\ndevice " WORLD_GPU_1 " memory_mib=10\n");
}

static struct world_process *process(int i) {
  if (all[i] == NULL) {
    all[i] = world_process((uint32_t)(100 + i));
  }
  return all[i];
}

static void processes_share_one_limit(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 60 * MIB));
  CHECK(!world_reserve(process(1), 0, 41 * MIB));
  CHECK(world_reserve(process(1), 0, 40 * MIB));
  CHECK_EQUAL(100 * MIB, world_used(process(2), 0));
  CHECK(!world_reserve(process(2), 0, 1));
  world_release(process(0), 0, 60 * MIB);
  CHECK(world_reserve(process(2), 0, 60 * MIB));
  world_act(process(1));
  CHECK_EQUAL(40 * MIB, hami_ledger_own_bytes(&process(1)->ledger, 0));
}

static void a_refused_request_changes_nothing(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 60 * MIB));
  CHECK(!world_reserve(process(0), 0, 60 * MIB));
  CHECK(!world_reserve(process(0), 0, UINT64_MAX));
  CHECK_EQUAL(60 * MIB, world_used(process(0), 0));
  CHECK_EQUAL(0, *hami_slot_pending(&process(0)->region, process(0)->ledger.self->slot, 0));
  CHECK_EQUAL(2, process(0)->region.devices[0].refused_count);
}

static void devices_are_apart(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 100 * MIB));
  CHECK(world_reserve(process(0), 1, 10 * MIB));
  CHECK(!world_reserve(process(0), 1, 1));
  CHECK_EQUAL(10 * MIB, world_used(process(0), 1));
}

static void unknown_devices_and_classes_are_neither_limited_nor_counted(void) {
  begin();
  CHECK(world_reserve(process(0), -1, UINT64_MAX));
  CHECK(world_reserve(process(0), 2, UINT64_MAX));
  CHECK(hami_ledger_reserve(&process(0)->ledger, 0, HAMI_REGION_CLASSES, UINT64_MAX));
  world_release(process(0), 9999, 1);
  CHECK_EQUAL(0, world_used(process(0), 2));
  CHECK_EQUAL(HAMI_UNLIMITED, hami_ledger_limit_bytes(&process(0)->ledger, 2));
}

static void a_counter_never_wraps(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 5));
  world_release(process(0), 0, UINT64_MAX);
  CHECK_EQUAL(0, world_used(process(0), 0));
  world_act(process(0));
  hami_ledger_force(&process(0)->ledger, 0, 0, UINT64_MAX);
  hami_ledger_force(&process(0)->ledger, 0, 1, UINT64_MAX);
  CHECK_EQUAL(UINT64_MAX, world_used(process(1), 0));
  CHECK(!world_reserve(process(1), 0, 1));
}

static void a_request_for_more_than_there_can_be_is_refused_without_a_limit_too(void) {
  world_begin();
  begin_with(world_path("region"), "device " WORLD_GPU_0 " core_percent=30\n");
  CHECK(world_reserve(process(0), 0, 5));
  CHECK(!world_reserve(process(0), 0, UINT64_MAX));
  CHECK(!world_reserve(process(0), 0, UINT64_MAX - 5));
  CHECK_EQUAL(5, world_used(process(0), 0));
  world_release(process(0), 0, 5);
  CHECK_EQUAL(0, world_used(process(0), 0));
}

static void what_exists_already_counts_past_the_limit(void) {
  begin();
  hami_ledger_force(&process(0)->ledger, 0, 5, 150 * MIB);
  CHECK_EQUAL(150 * MIB, world_used(process(0), 0));
  CHECK(!world_reserve(process(1), 0, 1));
}

static void charges_are_shown_by_class(void) {
  begin();
  world_act(process(0));
  CHECK(hami_ledger_reserve(&process(0)->ledger, 0, 3, 7));
  hami_ledger_force(&process(0)->ledger, 0, 5, 11);
  uint64_t *classes = hami_slot_classes(&process(0)->region, process(0)->ledger.self->slot, 0);
  CHECK_EQUAL(7, classes[3]);
  CHECK_EQUAL(11, classes[5]);
  hami_ledger_release(&process(0)->ledger, 0, 3, 7);
  CHECK_EQUAL(0, classes[3]);
}

static void a_charge_that_changes_its_class_stays_what_it_is(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 7));
  hami_ledger_reclass(&process(0)->ledger, 0, 0, 1, 5);
  uint64_t *classes = hami_slot_classes(&process(0)->region, process(0)->ledger.self->slot, 0);
  CHECK_EQUAL(2, classes[0]);
  CHECK_EQUAL(5, classes[1]);
  CHECK_EQUAL(7, world_used(process(1), 0));
  world_act(process(0));
  hami_ledger_reclass(&process(0)->ledger, 0, 0, 1, UINT64_MAX); /* no more than there is */
  CHECK_EQUAL(0, classes[0]);
  CHECK_EQUAL(7, classes[1]);
  hami_ledger_reclass(&process(0)->ledger, 0, 1, HAMI_REGION_CLASSES, 7);
  CHECK_EQUAL(7, classes[1]);
  CHECK_EQUAL(7, world_used(process(1), 0));
}

static void a_raised_limit_counts_at_the_next_request(void) {
  begin();
  CHECK(!world_reserve(process(0), 0, 150 * MIB));
  world_write("limits", "hami-limits 1\ndevice " WORLD_GPU_0 " memory_mib=200\n");
  CHECK(world_reserve(process(0), 0, 150 * MIB));
}

static void a_lowered_limit_leaves_what_is_held(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 80 * MIB));
  world_write("limits", "hami-limits 1\ndevice " WORLD_GPU_0 " memory_mib=50\n");
  world_now_ns += 60000000;
  CHECK(!world_reserve(process(0), 0, 1));
  CHECK_EQUAL(80 * MIB, world_used(process(0), 0));
  CHECK_EQUAL(50 * MIB, hami_ledger_limit_bytes(&process(0)->ledger, 0));
}

static void a_limit_written_into_the_region_is_not_believed(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 1));
  process(0)->region.devices[0].memory_limit_bytes = UINT64_MAX;
  CHECK(!world_reserve(process(0), 0, 100 * MIB));
}

static void charges_erased_from_the_region_still_hold_their_owner(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 60 * MIB));
  *hami_slot_charged(&process(0)->region, process(0)->ledger.self->slot, 0) = 0;
  CHECK(!world_reserve(process(0), 0, 60 * MIB));
}

static void without_a_region_a_process_is_limited_alone(void) {
  begin_with("/nowhere/at/all", "device " WORLD_GPU_0 " memory_mib=100\n");
  CHECK(world_reserve(process(0), 0, 100 * MIB));
  CHECK(!world_reserve(process(0), 0, 1));
  CHECK(world_reserve(process(1), 0, 100 * MIB));
  CHECK_EQUAL(100 * MIB, world_used(process(1), 0));
}

static void a_damaged_region_is_not_used_but_the_limit_holds(void) {
  begin();
  CHECK(process(0)->region.header != NULL);
  process(0)->region.header->device_bytes = 3;
  CHECK(!hami_region_ready(&process(1)->region));
  CHECK(world_reserve(process(1), 0, 100 * MIB));
  CHECK(!world_reserve(process(1), 0, 1));
}

static void a_region_that_becomes_usable_is_joined_with_all_charges(void) {
  begin();
  world_write("region", "not a region at all, but in its place");
  CHECK(world_reserve(process(0), 0, 30 * MIB));
  CHECK(remove(world_path("region")) == 0);
  world_now_ns += 1100000000;
  CHECK(world_reserve(process(0), 0, 30 * MIB));
  CHECK_EQUAL(60 * MIB, world_used(process(1), 0));
}

static void more_devices_than_the_region_has_are_still_limited(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 1));
  char text[2048] = "hami-limits 1\n";
  for (int i = 0; i < 30; i++) {
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "device other-%d memory_mib=1\n", i);
  }
  world_write("limits", text);
  world_now_ns += 60000000;
  CHECK(world_reserve(process(0), 31, MIB));
  CHECK(!world_reserve(process(0), 31, 1));
}

static void more_processes_than_one_segment_holds_share_the_limit(void) {
  begin();
  for (int i = 0; i < MOST; i++) {
    CHECK(world_reserve(process(i), 0, MIB));
  }
  CHECK_EQUAL(100 * MIB, world_used(process(0), 0));
  CHECK(!world_reserve(process(99), 0, 1));
  CHECK(!world_reserve(process(0), 0, 1));
}

static void the_processes_of_a_device_are_listed(void) {
  struct hami_ledger_row rows[2];
  begin();
  CHECK(world_reserve(process(0), 0, 5));
  CHECK(world_reserve(process(1), 0, 6));
  CHECK(world_reserve(process(2), 1, 7));
  CHECK_EQUAL(2, hami_ledger_rows(&process(2)->ledger, 0, rows, 2));
  CHECK_EQUAL(100, rows[0].pid);
  CHECK_EQUAL(6, rows[1].bytes);
  CHECK_EQUAL(2, hami_ledger_rows(&process(2)->ledger, 0, rows, 0));
  world_kill(101);
  CHECK_EQUAL(1, hami_ledger_rows(&process(2)->ledger, 0, rows, 2));
}

/* The other process's whole operation at a point inside this one's. */
static int interrupted_result;

static void compete(const char *point) {
  if (strcmp(point, "ledger.requested") == 0) {
    hami_test_point = NULL;
    uint32_t acting = world_pid;
    interrupted_result = world_reserve(all[1], 0, 70 * MIB);
    world_pid = acting;
  }
}

static void of_two_racing_requests_at_most_one_is_granted(void) {
  begin();
  (void)process(0), (void)process(1);
  hami_test_point = compete;
  int granted = world_reserve(process(0), 0, 70 * MIB);
  CHECK_EQUAL(1, granted);
  CHECK_EQUAL(0, interrupted_result);
  CHECK_EQUAL(70 * MIB, world_used(process(0), 0));
}

static void a_process_stopped_in_a_request_blocks_nobody(void) {
  begin();
  uint32_t slot = process(0)->ledger.self->slot;
  *hami_slot_pending(&process(0)->region, slot, 0) = 50 * MIB; /* stopped here */
  CHECK(world_reserve(process(1), 0, 50 * MIB));
  uint64_t before = world_slept_ns;
  CHECK(!world_reserve(process(1), 0, 20 * MIB)); /* it may be granted at any moment */
  CHECK(world_slept_ns - before < 20000000);
  world_kill(100);
  world_now_ns += 1100000000;
  CHECK(world_reserve(process(1), 0, 20 * MIB));
}

static void what_is_given_back_is_there_for_the_others_on_each_device(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 10 * MIB));
  CHECK(world_reserve(process(0), 1, 8 * MIB));
  CHECK_EQUAL(8 * MIB, world_used(process(1), 1));
  world_release(process(0), 1, 5 * MIB);
  CHECK_EQUAL(3 * MIB, world_used(process(1), 1));
  CHECK_EQUAL(10 * MIB, world_used(process(1), 0));
}

/* The request in the lowest slot is the one that waits for the others to withdraw theirs. */
static void beside_a_stopped_request_only_the_first_waits_long(void) {
  begin();
  (void)process(0);
  *hami_slot_pending(&process(1)->region, process(1)->ledger.self->slot, 0) = 50 * MIB; /* stopped here */
  CHECK(world_reserve(process(0), 0, 50 * MIB));
  uint64_t before = world_slept_ns;
  CHECK(!world_reserve(process(0), 0, 20 * MIB));
  CHECK(world_slept_ns - before < 1000000000);
  before = world_slept_ns;
  for (int i = 0; i < 10; i++) {
    CHECK(!world_reserve(process(0), 0, 20 * MIB));
  }
  CHECK(world_slept_ns - before < 400000000);
  CHECK(world_reserve(process(0), 0, 0));
}

static void the_heartbeat_follows_operations(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 1));
  world_now_ns += 200000000;
  hami_ledger_tick(&process(0)->ledger, world_now_ns);
  CHECK_EQUAL(world_now_ns, process(0)->region.header->heartbeat_ns);
  CHECK_EQUAL(world_now_ns, hami_slot_record(&process(0)->region, process(0)->ledger.self->slot)->active_ns);
}

static uint32_t management_of(int i) {
  return hami_slot_record(&process(i)->region, process(i)->ledger.self->slot)->management;
}

static void tell_management(int i, bool answers) {
  hami_ledger_note_management(&process(i)->ledger, answers);
  world_now_ns += 200000000;
  hami_ledger_tick(&process(i)->ledger, world_now_ns);
}

static void that_the_management_library_is_lost_is_seen_and_that_it_is_back(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 1));
  CHECK_EQUAL(0, management_of(0));
  tell_management(0, true);
  CHECK_EQUAL(HAMI_REGION_MANAGEMENT_ANSWERS, management_of(0));
  tell_management(0, false);
  CHECK_EQUAL(HAMI_REGION_MANAGEMENT_SILENT, management_of(0));
  tell_management(0, true);
  CHECK_EQUAL(HAMI_REGION_MANAGEMENT_ANSWERS, management_of(0));
}

static void what_is_known_of_the_management_library_goes_with_its_process(void) {
  begin();
  CHECK(world_reserve(process(0), 0, 1));
  tell_management(0, false);
  uint64_t *owner = hami_slot_owner(&process(0)->region, process(0)->ledger.self->slot);
  CHECK(hami_slots_free(&process(0)->region, process(0)->ledger.self->slot, *owner)); /* taken for dead in error */
  CHECK(world_reserve(process(1), 0, 1));
  CHECK_EQUAL(0, management_of(1)); /* whoever gets the slot next has asked nobody */
  CHECK(world_reserve(process(0), 0, 1));
  CHECK_EQUAL(HAMI_REGION_MANAGEMENT_SILENT, management_of(0));
}

static void a_closed_ledger_leaves_nothing_behind(void) {
  begin();
  CHECK(world_reserve(process(0), 0, MIB));
  hami_ledger_close(&process(0)->ledger);
  CHECK_EQUAL(0, world_used(process(1), 0));
}

int main(void) {
  RUN(processes_share_one_limit);
  RUN(a_refused_request_changes_nothing);
  RUN(devices_are_apart);
  RUN(unknown_devices_and_classes_are_neither_limited_nor_counted);
  RUN(a_counter_never_wraps);
  RUN(a_request_for_more_than_there_can_be_is_refused_without_a_limit_too);
  RUN(what_exists_already_counts_past_the_limit);
  RUN(charges_are_shown_by_class);
  RUN(a_charge_that_changes_its_class_stays_what_it_is);
  RUN(a_raised_limit_counts_at_the_next_request);
  RUN(a_lowered_limit_leaves_what_is_held);
  RUN(a_limit_written_into_the_region_is_not_believed);
  RUN(charges_erased_from_the_region_still_hold_their_owner);
  RUN(without_a_region_a_process_is_limited_alone);
  RUN(a_damaged_region_is_not_used_but_the_limit_holds);
  RUN(a_region_that_becomes_usable_is_joined_with_all_charges);
  RUN(more_devices_than_the_region_has_are_still_limited);
  RUN(more_processes_than_one_segment_holds_share_the_limit);
  RUN(the_processes_of_a_device_are_listed);
  RUN(of_two_racing_requests_at_most_one_is_granted);
  RUN(a_process_stopped_in_a_request_blocks_nobody);
  RUN(what_is_given_back_is_there_for_the_others_on_each_device);
  RUN(beside_a_stopped_request_only_the_first_waits_long);
  RUN(the_heartbeat_follows_operations);
  RUN(that_the_management_library_is_lost_is_seen_and_that_it_is_back);
  RUN(what_is_known_of_the_management_library_goes_with_its_process);
  RUN(a_closed_ledger_leaves_nothing_behind);
  begin();
  return 0;
}
